"""Facts and pictures -> one HTML page: everything inline, nothing fetched, every name escaped."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from data_prep.qc.flags import SEVERITIES
from data_prep.qc.markup import badge, cell, histogram_svg, list_of, picture_svg

Entry = Mapping[str, Any]
COLUMNS = (
    "worst",
    "case",
    "first flag",
    "flags",
    "shape",
    "spacing, mm",
    "axes",
    "HU",
    "left, ml",
    "right, ml",
    "tumour, ml",
    "masks",
)
TEXT_COLUMNS = 3
ROW_REM = 24  # how high a row of pictures may get
SAYS = {"bad": "wrong unless explained", "look": "may be wrong", "note": "good to know", "clean": "nothing found"}
LEGEND = ("ROI", "label", "voxels, ml", "contours, ml", "slices", "median HU", "in the body", "contours")


def render(content: Entry, entries: Sequence[Entry]) -> Iterator[str]:
    """The page in parts, never in memory twice. content: qc.json; entries: what qc.case.examine returns."""
    count = len(entries)
    head = {
        "title": f"Quality of {count} prepared case{'s' if count != 1 else ''}",
        "css": _file("page.css"),
        "counts": "\n    ".join(_count(key, content["counts"][key]) for key in (*SEVERITIES, "clean")),
        "columns": "".join(_column(n, name) for n, name in enumerate(COLUMNS)),
        "rows": "\n".join(_row(n, entry) for n, entry in enumerate(entries)),
    }
    yield Template(_file("page.html")).substitute(head)
    for n, entry in enumerate(entries):
        yield _card(n, entry)
    refused = [f"{one.get('what')} {one.get('where')}: {one.get('reason')}" for one in content["refused"]]
    ignored = [f"{one.get('files')} {one.get('reason')}{_place(one)}" for one in content["ignored"]]
    yield Template(_file("page_end.html")).substitute(
        lists=list_of("Refused by the conversion", refused) + list_of("Passed over by the conversion", ignored),
        versions=escape(
            f"Looked at with {_versions(content['created_by'])}; converted with {_versions(content['converted_by'])}."
        ),
        command="lungseg-prep qc OUT",
        js=_file("page.js"),
    )


def _file(name: str) -> str:
    return files("data_prep.qc").joinpath(name).read_text(encoding="utf-8")


def _versions(versions: Any) -> str:
    pairs = versions.items() if isinstance(versions, Mapping) else ()
    return ", ".join(f"{name} {version}" for name, version in pairs) or "an unknown version"


def _place(entry: Entry) -> str:
    return f" in {entry['where']}" if entry.get("where") else ""


def _count(worst: str, count: int) -> str:
    return (
        f'<button type="button" class="{worst}" data-worst="{worst}" aria-pressed="false"><b>{count}</b>{worst} '
        f'<span class="soft small">{SAYS[worst]}</span></button>'
    )


def _column(n: int, name: str) -> str:
    kind = ' class="text"' if n < TEXT_COLUMNS else ""
    order = ' aria-sort="ascending"' if n == 0 else ""
    return f'<th scope="col"{kind}{order}><button type="button">{name}</button></th>'


def _row(n: int, entry: Entry) -> str:
    facts, flags = entry["facts"], entry["flags"]
    worst = flags[0]["severity"] if flags else None
    hu = facts.get("hu")
    masks = [roi for roi in facts["rois"] if roi["status"] == "ok"]
    name = escape(facts["case_id"])
    link = f'<td class="text name" data-value="{name}" title="{name}"><a href="#case-{n}">{name}</a></td>'
    cells = [
        f'<td class="text" data-value="{n}">{badge(worst)}</td>',
        link,
        cell(_about(flags[0]) if flags else None, kind="text first-flag"),
        cell(len(flags)),
        cell(facts["shape"][2], _times(facts["shape"])),
        cell(max(facts["spacing_mm"]), _times(facts["spacing_mm"])),
        cell(facts["orientation"]),
        cell(hu["lowest"] if hu else None, f"{hu['lowest']:g} to {hu['highest']:g}" if hu else None),
        *(_volume(masks, *labels) for labels in (("lung_left",), ("lung_right",), ("gtv", "gtv_nodes"))),
        cell(len(masks)),
    ]
    return f'<tr data-card="case-{n}" data-worst="{worst or "clean"}">{"".join(cells)}</tr>'


def _volume(rois: Sequence[Entry], *labels: str) -> str:
    volumes = [roi["volume_ml"] for roi in rois if roi["label"] in labels and roi["problem"] is None]
    return cell(round(sum(volumes), 1) if volumes else None, f"{sum(volumes):.1f}")


def _about(flag: Entry) -> str:
    return f"{flag['roi']}: {flag['text']}" if flag["roi"] else str(flag["text"])


def _times(values: Sequence[float]) -> str:
    return " × ".join(f"{value:.4g}" for value in values)


def _card(n: int, entry: Entry) -> str:
    facts, flags, pictures = entry["facts"], entry["flags"], entry["pictures"]
    worst = flags[0]["severity"] if flags else None
    words = [facts["case_id"], worst or "clean", *(f"{flag['code']} {_about(flag)}" for flag in flags)]
    words += [f"{roi['name']} {roi['label'] or ''}" for roi in facts["rois"]]
    listed = "".join(f"<li>{badge(flag['severity'])}<span>{_flag(flag)}</span></li>" for flag in flags)
    name, search = escape(facts["case_id"]), escape(" ".join(words).lower())
    size = f"{_times(facts['shape'])} voxels of {_times(facts['spacing_mm'])} mm, {facts['orientation']}"
    parts = [
        f'<article class="card {worst or "clean"}" id="case-{n}" data-search="{search}">',
        f'<div class="head"><h3>{name}</h3>{badge(worst)}<span class="soft">{escape(size)}</span></div>',
    ]
    if flags:
        parts.append(f'<ul class="flags">{listed}</ul>')
    if pictures:
        parts.append(_pictures(pictures, entry["colours"]))
        legend = _legend(facts["rois"], entry["colours"])
        parts.append(f'<div class="facts"><div class="scroll">{legend}</div><div>{_image(facts)}</div></div>')
    return "\n".join([*parts, "</article>\n"])


def _flag(flag: Entry) -> str:
    return (f"<b>{escape(flag['roi'])}</b>: " if flag["roi"] else "") + escape(flag["text"])


def _pictures(pictures: Entry, colours: Sequence[str]) -> str:
    figures = "".join(
        f'<figure style="flex-grow:{one["size_mm"][0] / one["size_mm"][1]:.3f}">'
        f'<button type="button" class="picture" title="Enlarge">{picture_svg(one, colours)}</button>'
        f"<figcaption>{escape(one['title'])}</figcaption></figure>"
        for one in pictures["planes"]
    )
    levels = "".join(picture_svg(one, colours) for one in pictures["levels"])
    # Widths in proportion to the pictures' own make all of a row equally high; few of them don't fill the row.
    wide = sum(one["size_mm"][0] / one["size_mm"][1] for one in pictures["planes"])
    row = f'<div class="pictures" style="max-width:{wide * ROW_REM:.1f}rem">{figures}</div>'
    return f"{row}\n<template>{levels}</template>"


def _legend(rois: Sequence[Entry], colours: Sequence[str]) -> str:
    if not rois:
        return '<p class="soft">No ROIs.</p>'
    kinds = (' class="text"' if n < 2 else "" for n in range(len(LEGEND)))
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for kind, name in zip(kinds, LEGEND, strict=True))
    rows = []
    for roi, colour in zip(rois, colours, strict=True):
        there = roi["voxels"] > 0
        swatch = f'<i class="swatch" style="background:{colour}"></i>' if there else ""
        cells = [
            f'<td class="text name" title="{escape(roi["name"])}">{swatch}{escape(roi["name"])}</td>',
            cell(roi["label"], kind="text"),
            cell(f"{roi['volume_ml']:.1f}" if there else _without_voxels(roi)),
            cell(None if roi["polygon_ml"] is None else f"{roi['polygon_ml']:.1f}"),
            cell(roi["slices"] if there else None),
            cell(None if roi["median_hu"] is None else f"{roi['median_hu']:.0f}"),
            cell(f"{roi['body_share'] * 100:.0f} %" if there else None),
            cell(_contours(roi["planes"]) if roi["planes"] else None),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _without_voxels(roi: Entry) -> str:
    if roi["status"] != "ok":
        return str(roi["status"])
    return "unreadable" if roi["problem"] else "empty"


def _contours(planes: Entry) -> str:
    odd = [f"{planes[key]} {key}" for key in ("clipped", "moved", "skipped") if planes.get(key)]
    return ", ".join([str(planes.get("in", 0)), *odd])


def _image(facts: Entry) -> str:
    hu, source = facts["hu"], facts["source"]
    pairs = [
        ("HU", f"{hu['lowest']:g} to {hu['highest']:g}, air at {'–' if hu['air_peak'] is None else hu['air_peak']}")
    ]
    if hu["padding_hu"] is not None:
        pairs.append(("padding", f"{hu['padding_share'] * 100:.1f} % of the voxels are {hu['padding_hu']}"))
    if facts["tilt_deg"] >= 0.5:
        pairs.append(("oblique", f"{facts['tilt_deg']:.1f}° off the patient's axes"))
    pairs += [(key.replace("_", " "), str(value)) for key, value in source.items()]
    pairs += [("repair", text) for text in facts["repairs"]]
    listed = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in pairs)
    return f"{histogram_svg(hu)}<dl>{listed}</dl>"
