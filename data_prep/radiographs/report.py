"""What a preparation of X-rays did: report.csv and the table that people read."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.nifti import atomic_file
from data_prep.report import printable

MOST_LISTED = 12  # refusals that the table names; dataset.json and report.csv have all
COLUMNS = (
    "case_id", "patient_id", "group", "status", "shape", "bits", "spacing_mm", "convention", "roi", "label",
    "roi_status", "file", "area_pixels", "area_cm2", "reason", "notes",
)  # fmt: skip


def write_report(path: Path, dataset: Mapping[str, Any]) -> None:
    """Write report.csv: a row a mask, a row a case without masks, a row a refusal. Raises OutputError."""
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
            "group": case["group"],
            "status": case["status"],
            "shape": "x".join(map(str, case["shape"])),
            "bits": case["values"]["bits"],
            "spacing_mm": "x".join(f"{step:g}" for step in case["spacing_mm"] or ()),
            "convention": case["convention"],
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
                "area_pixels": roi["area"]["pixels"],
                "area_cm2": roi["area"]["cm2"],
                "reason": roi["reason"],
                "notes": "; ".join([*case["repairs"], *case["flags"], *roi["repairs"], *roi["flags"]]),
            }
    for entry in dataset["refused"]:
        yield {"case_id": entry["where"], "status": f"refused {entry['what']}", "reason": entry["reason"]}


def summary(dataset: Mapping[str, Any], refused: list[dict[str, Any]], out: Path, reused: int) -> str:
    """The closing table: sizes, masks and repairs in numbers, then what was refused or passed over."""
    cases = dataset["cases"]
    lines = [f"{count} x {name}" for name, count in _kinds(cases).most_common(MOST_LISTED)]
    rois = [roi for case in cases for roi in case["rois"]]
    for title, notes in (
        ("Repaired", [note for one in (*cases, *rois) for note in one["repairs"]]),
        ("To look at", [note for one in (*cases, *rois) for note in one["flags"]]),
    ):
        counts = Counter(map(_without_numbers, notes))
        lines += ["", f"{title}:"] if counts else []
        lines += [f"  {count} x {note}" for note, count in counts.most_common(MOST_LISTED)]
    if refused:
        lines += ["", f"Refused: {len(refused)}"]
        lines += [f"  {one['what']} {one['where']}: {one['reason']}" for one in refused[:MOST_LISTED]]
        lines += [f"  and {len(refused) - MOST_LISTED} more: see report.csv"] if len(refused) > MOST_LISTED else []
    if dataset["ignored"]:
        lines += ["", "Passed over: " + "; ".join(f"{one['files']} {one['reason']}" for one in dataset["ignored"])]
    masks = Counter(roi["label"] or roi["name"] for roi in rois if roi["status"] == "ok")
    listed = ", ".join(f"{count} {label}" for label, count in sorted(masks.items())) or "no masks"
    again = f" ({reused} there already)" if reused else ""
    groups = len({case["group"] for case in cases})
    lines += ["", f"{len(cases)} X-ray(s){again} in {groups} group(s), {listed}, in {out}"]
    return "\n".join(map(printable, lines))


def _kinds(cases: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(
        f"{case['modality']} of {case['shape'][0]} x {case['shape'][1]} pixels, {case['values']['bits']} bits, "
        + (f"{case['spacing_mm'][0]:.4g} x {case['spacing_mm'][1]:.4g} mm" if case["spacing_mm"] else "no spacing")
        for case in cases
    )


def _without_numbers(note: str) -> str:
    """Notes that differ in their counts alone are counted as one; sizes and thresholds stay."""
    note = re.sub(r"^the same pixels as .*", "the same pixels as another case", note)
    return re.sub(r"^\d+(?= grey| pixels)|\d+\.\d+%", "some", note)
