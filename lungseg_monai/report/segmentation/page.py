"""OUT -> report.html: everything inline or in files beside it, nothing fetched from a network, every name escaped."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import IO, Any

from data_prep import __version__
from data_prep.nifti import atomic_file
from lungseg_monai.errors import ReportError
from lungseg_monai.report.segmentation import stills, volumes
from lungseg_monai.report.segmentation.merge import masks_of, read_merged
from lungseg_monai.report.segmentation.read import SEVERITIES, Case, Segmented, read_segmentation
from lungseg_monai.report.segmentation.table import write_table

MOST_INLINE_BYTES = 60e6  # of volumes in base64; browsers take long over larger pages
PACKED = 0.8  # of the preview's int16 volumes, roughly, once they are greys in base64
SCRIPTS = ("store.js", "list.js", "viewer.js", "details.js", "main.js")
EXPORTED = {
    "outputs",
    "outputs_refused",
    "notes",
    "volumes_ml",
    "hu",
    "confidence",
    "uncertainty",
    "timings_s",
    "image",
    "labels",
    "hashes",
    "versions",
}


def write_report(out: Path, target: Path | None = None) -> Path:
    """Write the page of the segmentation in `out`, by default OUT/report.html, and a CSV beside it; return its path.

    Where the cases' volumes together are larger than MOST_INLINE_BYTES, each goes into a file of its own in the
    folder <stem>_files beside the page, which the page loads when the case is chosen. Raises NothingToDoError and
    ReportError (see read_segmentation), and data_prep's OutputError.
    """
    found = read_segmentation(out)
    path = target or out / "report.html"
    beside = path.with_name(f"{path.stem}_files") if _volume_bytes(found) > MOST_INLINE_BYTES else None
    with atomic_file(path) as stream:
        for part in render(found, beside):
            stream.write(part.encode("utf-8"))
    write_table(found, path.with_suffix(".csv"))
    _remove_old(path.with_name(f"{path.stem}_files"), len(found.cases) if beside else 0)
    return path


def render(found: Segmented, beside: Path | None) -> Iterator[str]:
    """The page in parts, never whole in memory. `beside`: the folder for the volumes, None to have them inline."""
    niivue, ours = _vendored(), _ours()
    head = {
        "title": escape(_title(found)),
        "css": _file("page.css"),
        "policy": _policy((niivue, ours), beside is not None),
        "version": escape(__version__),
    }
    yield Template(_file("page.html")).substitute(head)
    entries = []
    for number, case in enumerate(found.cases):
        entry, data = _entry(case)
        if data and beside:
            entry["file"] = f"{beside.name}/{number:04}.js"
            with atomic_file(beside / f"{number:04}.js") as stream:
                _write_call(stream, found.key(), number, data)
        elif data:
            yield f'<script type="application/json" id="data-{number}">{as_json(data)}</script>\n'
        entries.append(entry)
    yield f'<script type="application/json" id="report">{as_json(_content(found, entries))}</script>\n'
    yield f"<script>{niivue}</script>\n<script>{ours}</script>\n</body>\n</html>\n"


def as_json(value: Any) -> str:
    """JSON in ASCII that can stand inside a script element and inside a script: no tag, no comment, no U+2028."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _entry(case: Case) -> tuple[dict[str, Any], dict[str, str] | None]:
    """What the list shows of a case, and its pictures and volumes, None where there is no preview."""
    entry: dict[str, Any] = {
        "name": case.name,
        "status": case.status,
        "worst": case.worst,
        "look": case.look,
        "flags": case.flags,
        "error": case.error,
        "seconds": case.seconds,
        "result": case.result(),
        "facts": _finite({key: value for key, value in case.facts.items() if key in EXPORTED}),
    }
    try:
        preview, labels = read_merged(case)
        spread = None if preview is None else volumes.read_beside(case.uncertainty, preview)
    except (ReportError, ValueError) as error:
        return entry | {"unseen": str(error)}, None
    if masks_of(case):
        entry["facts"]["labels"] = labels
    if preview is None:
        return entry | {"unseen": "no preview was written for this case"}, None
    drawn = stills.draw(preview)
    data = {
        "still": drawn.still,
        "ct": volumes.grey_nifti(preview),
        "labels": volumes.label_nifti(preview),
        "solid": volumes.cropped_nifti(preview),
    }
    if spread is not None:
        data |= {"uncertain": stills.draw(preview, spread).still, "spread": volumes.label_nifti(preview, spread)}
    return entry | {"thumb": drawn.thumb, "centre": drawn.centre}, data


def _content(found: Segmented, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "key": found.key(),
        "folder": found.folder.resolve().name,
        "model": _finite(found.model),
        "settings": _finite(found.settings),
        "versions": _finite(found.versions),
        "severities": SEVERITIES,
        "colours": {str(label): colour for label, colour in stills.COLOURS.items()},
        "other": stills.OTHER,
        "heat": {"from": stills.HEAT_FROM, "to": stills.HEAT_TO, "colours": stills.HEAT},
        "cases": entries,
        "refused": found.refused,
        "ignored": found.ignored,
    }


def _finite(value: Any) -> Any:
    """Without numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def _title(found: Segmented) -> str:
    count = len(found.cases)
    return f"Segmentation of {count} case{'s' if count != 1 else ''} – {found.folder.resolve().name}"


def _policy(scripts: tuple[str, ...], beside: bool) -> str:
    """Only these very scripts run, and files beside the page where there are any; nothing is fetched."""
    allowed = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    allowed += ["'self'", "file:"] if beside else []
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {' '.join(allowed)}"


def _vendored() -> str:
    text = (files("lungseg_monai.report") / "vendor" / "niivue" / "niivue.umd.js").read_text(encoding="utf-8")
    return re.sub("</(?=script)", "<\\/", text, flags=re.IGNORECASE)


def _ours() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(map(_file, SCRIPTS)) + "})();\n"


def _file(name: str) -> str:
    return (files("lungseg_monai.report.segmentation") / name).read_text(encoding="utf-8")


def _volume_bytes(found: Segmented) -> float:
    return sum(path.stat().st_size for case in found.cases for path in case.preview if path.is_file()) * PACKED


def _write_call(stream: IO[bytes], key: str, number: int, data: Mapping[str, str]) -> None:
    stream.write(f"lungsegCase({as_json(key)},{number},{as_json(data)});\n".encode("ascii"))


def _remove_old(folder: Path, used: int) -> None:
    """Files of a former page with more cases."""
    for path in folder.glob("*.js"):
        if re.fullmatch(r"\d{4,}", path.stem) and int(path.stem) >= used:
            path.unlink(missing_ok=True)
