"""What a conversion did: report.csv and the table that people read."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.nifti import atomic_file

LONGEST_NAME = 40  # characters of a ROI's name in the table; dataset.json has the whole
COLUMNS = (
    "case_id",
    "patient_id",
    "status",
    "shape",
    "spacing_mm",
    "roi",
    "label",
    "roi_status",
    "file",
    "planes_in",
    "planes_rasterised",
    "planes_clipped",
    "planes_moved",
    "planes_skipped",
    "planes_interpolated",
    "volume_polygon_ml",
    "volume_voxel_ml",
    "reason",
    "notes",
)


def write_report(path: Path, dataset: Mapping[str, Any]) -> None:
    """Write report.csv: a row a ROI, a row a case without ROIs, a row a refusal. Raises OutputError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(dataset))
    with atomic_file(path) as stream:
        stream.write(text.getvalue().encode())


def _rows(dataset: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for case in dataset["cases"]:
        about = {
            "case_id": case["id"],
            "patient_id": case["patient_id"],
            "status": case["status"],
            "shape": "x".join(map(str, case["shape"])),
            "spacing_mm": "x".join(f"{step:g}" for step in case["spacing_mm"]),
            "notes": "; ".join([*case["repairs"], *case["flags"]]),
        }
        if not case["rois"]:
            yield about
        for roi in case["rois"]:
            yield about | {
                "roi": roi["name"],
                "label": roi["label"],
                "roi_status": roi["status"],
                "file": roi["file"],
                **{f"planes_{key}": count for key, count in roi["planes"].items()},
                **{f"volume_{key}_ml": volume for key, volume in roi["volume_ml"].items()},
                "reason": roi["reason"],
                "notes": "; ".join([*case["repairs"], *case["flags"], *roi["flags"]]),
            }
    for entry in dataset["refused"]:
        yield {"case_id": entry["where"], "status": f"refused {entry['what']}", "reason": entry["reason"]}


def summary(dataset: Mapping[str, Any], out: Path, reused: int) -> str:
    """The closing table: cases with their ROIs and volumes, then what was refused or passed over."""
    lines = []
    for case in dataset["cases"]:
        grid = (
            f"{' x '.join(map(str, case['shape']))} voxels of {' x '.join(f'{s:.4g}' for s in case['spacing_mm'])} mm"
        )
        lines.append(f"{case['id']}  {grid}  {case['orientation']}")
        lines += [f"  note: {note}" for note in (*case["repairs"], *case["flags"])]
        if case["rois"]:
            lines += [f"  {line}" for line in _columns([_roi_cells(roi) for roi in case["rois"]])]
        else:
            lines.append("  no RTSTRUCT: image only")
    if dataset["refused"]:
        lines += ["", f"Refused: {len(dataset['refused'])}"]
        lines += [f"  {entry['what']} {entry['where']}: {entry['reason']}" for entry in dataset["refused"]]
    if dataset["ignored"]:
        passed_over = "; ".join(_passed_over(entry) for entry in dataset["ignored"])
        lines += ["", f"Passed over: {passed_over}"]
    rois = [roi for case in dataset["cases"] for roi in case["rois"]]
    masks = sum(roi["status"] == "ok" for roi in rois)
    again = f" ({reused} there already)" if reused else ""
    lines += ["", f"{len(dataset['cases'])} case(s){again}, {masks} mask(s) in {out}"]
    if masks < len(rois):
        lines[-1] += f"; {len(rois) - masks} ROI(s) refused"
    return "\n".join(map(printable, lines))


def printable(line: str) -> str:
    """`line` with what a terminal would obey, or can't show, as an escape: names come from anywhere."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _passed_over(entry: Mapping[str, Any]) -> str:
    place = f" in {entry['where']}" if entry["where"] else ""
    return f"{entry['files']} {entry['reason']}{place}"


def _roi_cells(roi: Mapping[str, Any]) -> list[str]:
    if roi["status"] != "ok":
        return [_short(roi["name"]), roi["label"] or "-", "refused", f"{roi['reason']}"]
    volume, planes = roi["volume_ml"], roi["planes"]
    odd = [f"{planes[key]} {key}" for key in ("clipped", "moved", "skipped", "interpolated") if planes.get(key)]
    return [
        _short(roi["name"]),
        roi["label"] or "-",
        f"{volume['voxel']:.1f} ml",
        ", ".join([f"{volume['polygon']:.1f} ml by polygons", f"{planes['in']} contours", *odd, *roi["flags"]]),
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
