"""Pieces of the page: a picture and a histogram as SVG. All text is escaped; numbers are formatted here."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from data_prep.qc.outlines import UNITS_PER_MM

WIDE, HIGH, FLOOR = 420, 120, 20  # of the histogram; the floor holds the axis
TICKS_HU = (-1000, -500, 0, 500, 1000, 1500)
LETTER = 0.05  # of the picture's height, since pictures in a row are equally high


def picture_svg(picture: Mapping[str, Any], colours: Sequence[str]) -> str:
    """A picture in mm: image, mask over it, outlines over both, and the patient's sides at its edges."""
    width, height = picture["size_mm"]
    title = escape(picture["title"])
    box = f'width="{width:g}" height="{height:g}" preserveAspectRatio="none"'
    sharp = ' style="image-rendering:pixelated"'
    parts = [f'<image {box}{sharp if picture["pixelated"] else ""} href="{picture["uri"]}"/>']
    if picture["mask_uri"]:
        parts.append(f'<image class="mask" {box}{sharp} href="{picture["mask_uri"]}"/>')
    if picture["outlines"]:
        paths = "".join(f'<path class="outline" stroke="{colours[n]}" d="{path}"/>' for n, path in picture["outlines"])
        units = f'viewBox="0 0 {width * UNITS_PER_MM:g} {height * UNITS_PER_MM:g}" overflow="hidden"'
        parts.append(f"<svg {box} {units}>{paths}</svg>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{title}" '
        f'data-title="{title}">{"".join(parts)}{_letters(picture["letters"], width, height)}</svg>'
    )


def _letters(letters: Sequence[str], width: float, height: float) -> str:
    size = min(height, 2 * width) * LETTER
    places = ((size, height / 2), (width - size, height / 2), (width / 2, size), (width / 2, height - size))
    return "".join(
        f'<text class="letter" transform="translate({x:.1f} {y:.1f}) scale({size:.1f})">{escape(letter)}</text>'
        for letter, (x, y) in zip(letters, places, strict=True)
    )


def histogram_svg(hu: Mapping[str, Any]) -> str:
    """Voxels (log) by HU."""
    counts, first, step = hu["counts"], hu["first_hu"], hu["bin_hu"]
    if not counts:
        return ""
    top = math.log10(max(*counts, 10))
    wide = WIDE / len(counts)
    path = [f"M0 {HIGH}"]
    for n, count in enumerate(counts):
        y = HIGH * (1 - (math.log10(count) / top if count > 1 else 0.02 if count else 0))
        path.append(f"V{y:.1f}H{(n + 1) * wide:.1f}")
    ticks = []
    for value in TICKS_HU:
        x = (value - first) / step * wide
        ticks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HIGH + 4}"/>')
        ticks.append(f'<text x="{x:.1f}" y="{HIGH + FLOOR - 4}">{value}</text>')
    return (
        f'<svg class="histogram" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH + FLOOR}" role="img" '
        f'aria-label="Histogram of HU">{"".join(ticks)}<path d="{"".join(path)}V{HIGH}z"/></svg>'
    )


def cell(value: Any, text: str | None = None, kind: str = "") -> str:
    """A table cell that sorts by `value`; None is shown as a dash and sorts last."""
    shown = "–" if value is None else escape(str(value) if text is None else text)
    kind = f' class="{kind}"' if kind else ""
    return f'<td{kind} data-value="{escape("" if value is None else str(value))}">{shown}</td>'


def badge(severity: str | None) -> str:
    return f'<span class="badge {severity or "clean"}">{severity or "clean"}</span>'


def list_of(heading: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>{escape(heading)}</h2>\n<ul class="lines">{items}</ul>'
