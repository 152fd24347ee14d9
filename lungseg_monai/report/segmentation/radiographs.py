"""OUT of radiographs -> report.html: a grid of their overlays, those to look at first. No scripts, nothing fetched."""

import base64
import io
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.nifti import atomic_file
from lungseg_monai.report.segmentation.read import DONE, SEVERITIES, Case, Segmented, mapping, read_segmentation
from lungseg_monai.report.segmentation.stills import HEAT, HEAT_FROM, HEAT_TO, heat_level
from lungseg_monai.report.segmentation.table import write_table
from lungseg_monai.segment.look import dice_between

OVERLAY, UNCERTAINTY = "overlay.png", "uncertainty.png"
TILE_PX = 420  # of the longer side
QUALITY = 80  # of JPEG
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2530; --soft: #5b6875; --line: #d5dce3; --alarm: #b00020;
  --check: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --paper: #12171d; --ink: #e6ebf0; --soft: #9dabb8; --line: #36414c;
  --alarm: #ff7d8a; --check: #f0b35a; } }
body { margin: 1rem; background: var(--paper); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.2rem; margin: 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
#cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; margin: 1rem 0; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem; break-inside: avoid; }
figure.alarm, figure.failed { border: 2px solid var(--alarm); }
figure.check, figure.refused { border: 2px solid var(--check); }
figure img { display: block; width: 100%; background: #000; }
figcaption { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
figcaption p { margin: 0.15rem 0 0; font-size: 0.9rem; }
.alarm p.alarm, .failed p.error { color: var(--alarm); }
p.check, .refused p.error { color: var(--check); }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; }
"""


def is_of_radiographs(found: Segmented) -> bool:
    """Whether a model of X-rays made this segmentation."""
    return found.model.get("modality") == "CR"


def write_report(out: Path, target: Path | None = None) -> Path:
    """Write the page of the X-rays in `out`, by default OUT/report.html, and a CSV beside it; return its path.

    Raises NothingToDoError and ReportError (see read_segmentation), and data_prep's OutputError.
    """
    found = read_segmentation(out)
    path = target or out / "report.html"
    with atomic_file(path) as stream:
        for part in render(found):
            stream.write(part.encode("utf-8"))
    write_table(found, path.with_suffix(".csv"))
    return path


def render(found: Segmented) -> Iterator[str]:
    """The page in parts, never whole in memory."""
    title = escape(f"{len(found.cases)} chest X-ray(s) – {found.folder.resolve().name}")
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="referrer" content="no-referrer"><title>{title}</title><style>{CSS}</style></head><body>\n'
        f'<h1>{title}</h1>\n<p class="soft">{escape(_about(found))}</p>\n<div id="cases">\n'
    )
    for case in found.cases:
        yield _figure(case)
    yield "</div>\n"
    for heading, lines in (("Refused", found.refused), ("Passed over", found.ignored)):
        if lines:
            listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
            yield f"<h2>{heading}</h2><ul>{listed}</ul>\n"
    there = any((case.folder / UNCERTAINTY).is_file() for case in found.cases)
    heat = f" Uncertainty: violet {HEAT_FROM} % to yellow {HEAT_TO} %, below its film." if there else ""
    yield (
        '<p class="soft">The patient\'s right lung is drawn in orange, on the left of a film as it hangs; the left one '
        f"in blue.{heat} For research, not a medical device. Written by lungseg-monai {escape(__version__)}.</p>\n"
        "</body></html>\n"
    )


def _about(found: Segmented) -> str:
    model = found.model
    flagged = sum(case.worst in SEVERITIES[:2] or case.status != DONE for case in found.cases)
    convention = f"convention {model['convention']}" if model.get("convention") else ""
    told = [
        f"{flagged} flagged; those most worth a look first",
        f"model {model.get('bundle')} {model.get('version') or ''}".strip(),
    ]
    return "; ".join([*told, *filter(None, [convention])])


def _figure(case: Case) -> str:
    kind = case.worst if case.status == DONE else case.status
    lines = [f"<b>{escape(case.name)}</b>"]
    sizes = list(_sizes(mapping(case.facts.get("areas"))))
    if sizes:
        lines.append(f"<p>{escape(', '.join(sizes))}</p>")
    told = [f"look {case.look['score']:.2f}", f"confidence {case.confidence:.2f}" if case.confidence <= 1 else ""]
    told += [
        f"Dice of two answers {one:.2f}" for one in sorted(dice_between(mapping(case.facts.get("uncertainty"))))[:1]
    ]
    lines.append(f'<p class="soft">{", ".join(filter(None, told))}</p>')
    if case.error:
        lines.append(f'<p class="error">{escape(case.status)}: {escape(case.error)}</p>')
    for flag in sorted(case.flags, key=lambda one: SEVERITIES.index(one["severity"])):
        lines.append(f'<p class="{flag["severity"]}">{escape(flag["severity"])}: {escape(flag["what"])}</p>')
    return f'<figure class="{escape(kind)}">{_picture(case)}<figcaption>{"".join(lines)}</figcaption></figure>\n'


def _sizes(areas: Mapping[str, Any]) -> Iterator[str]:
    for name, area in areas.items():
        of = mapping(area)
        cm2, share = of.get("cm2"), of.get("share_of_picture")
        if isinstance(cm2, int | float):
            yield f"{name} {cm2:.0f} cm²"
        elif isinstance(share, int | float):
            yield f"{name} {100 * share:.1f} %"


def _picture(case: Case) -> str:
    """The overlay, small and inline, and the uncertainty on it; a line in its place where it can't be read."""
    if case.status != DONE:
        return ""
    picture = _opened(case.folder / OVERLAY, "RGB")
    if picture is None:
        return f'<p class="soft">no picture: {OVERLAY} is missing or damaged (--no-preview leaves it out)</p>'
    spread = _opened(case.folder / UNCERTAINTY, "L")
    picture.thumbnail((TILE_PX, TILE_PX))
    tiles = [_tile(case.name, picture)]
    if spread is not None:
        tiles.append(_tile(f"{case.name}, uncertainty", _heated(picture, spread)))
    return "".join(tiles)


def _opened(path: Path, mode: str) -> Any:
    """A PNG file as a Pillow image of `mode`; None where it is missing or damaged."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as held:
            return held.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _heated(picture: Any, spread: Any) -> Any:
    """The overlay with the uncertainty's colours on it; a line of text below the film stays."""
    import numpy as np
    from PIL import Image

    rows = min(picture.height, round(picture.width * spread.height / spread.width))
    percent = np.asarray(spread.resize((picture.width, rows), Image.Resampling.BILINEAR), np.float32)
    pixels = np.array(picture)
    warm = percent >= HEAT_FROM
    pixels[:rows][warm] = np.array(HEAT, np.uint8)[heat_level(percent[warm])]
    return Image.fromarray(pixels)


def _tile(name: str, picture: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    source = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{source}">'
