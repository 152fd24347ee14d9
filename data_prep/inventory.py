"""What a folder holds, who refers to whom, and what a conversion would do with it. Nothing is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.case import public
from data_prep.errors import PrepError
from data_prep.identity import hashed, load_or_create_salt
from data_prep.options import DEFAULTS, ConvertOptions
from data_prep.pairing import Pair
from data_prep.pixels import refuse_pixels
from data_prep.plan import CasePlan, Context, make_plans
from data_prep.progress import Progress, silent
from data_prep.report import printable
from data_prep.roi_names import RoiMap
from data_prep.rtstruct import read_rtstruct
from data_prep.scan import scan
from data_prep.segments import SegHeader, read_segments
from data_prep.series import arrange


def take_inventory(source: Path, *, options: ConvertOptions = DEFAULTS, progress: Progress = silent) -> dict[str, Any]:
    """Patients, their studies and series, what was drawn on each, what would be refused and why.

    Headers are read, pixels are not, so a file cut short inside its pixels is found by `convert` alone.
    Raises UsageError and NothingToDoError as `scan` does.
    """
    found = scan(source, keep_ids=options.keep_ids, progress=progress)
    salt = options.salt or load_or_create_salt()
    plans = make_plans(found, salt, options)
    context = Context(found.source, salt, found.secrets, options.stack, options.masks, found.archived)
    patients: dict[str, list[dict[str, Any]]] = {}
    for plan in progress(plans, "looking at series"):
        patients.setdefault(plan.name.patient_id, []).append(_series(plan, context))
    return {
        "source": found.secrets.hide(str(source)),
        "files": found.files,
        "patients": [{"patient_id": patient, "series": series} for patient, series in sorted(patients.items())],
        "refused": [public(one, context) for one in found.refused],
        "ignored": [
            {"where": found.secrets.hide(where), "reason": why, "files": count}
            for (where, why), count in sorted(found.passed_over.items())
            if count
        ],
    }


def _series(plan: CasePlan, context: Context) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "case_id": plan.name.case_id,
        "where": context.secrets.hide(context.where(plan.files[0].parent)) if plan.files[0] != context.source else "",
        "format": "DICOM" if plan.slices else "volume",
        "files": len(plan.files) - len(plan.pairs) - len(plan.npz),
        "separated_by": plan.rule or None,
    }
    if plan.slices:
        facts |= _dicom_facts(plan, context.salt)
        facts["description_flagged"] = context.secrets.in_name(plan.slices[0].description)
    facts |= _geometry(plan, context)
    facts["drawn"] = [_drawn(pair, context) for pair in plan.pairs]
    facts["drawn"] += [{"kind": "npz", "where": context.where(path), "rois": None} for path in plan.npz]
    if plan.volume is not None:
        facts["drawn"] += [{"kind": "volume", "where": context.where(path), "rois": None} for path in plan.volume.masks]
    return facts


def _dicom_facts(plan: CasePlan, salt: bytes) -> dict[str, Any]:
    first = plan.slices[0]
    return {
        "study_uid_hash": hashed(salt, first.study_uid),
        "series_uid_hash": hashed(salt, first.series_uid),
        "description": first.description,
        "manufacturer": first.manufacturer,
        "kernel": first.kernel,
        "thickness_mm": first.thickness_mm,
        "slices": len(plan.slices),
        "rows": first.rows,
        "columns": first.columns,
    }


def _geometry(plan: CasePlan, context: Context) -> Mapping[str, Any]:
    """The grid it would become, or why it would be refused."""
    if plan.volume is not None:
        return {"status": "ok", "reason": None}
    try:
        for one in plan.slices:
            refuse_pixels(one)
        series = arrange(plan.slices, context.stack)
    except PrepError as error:
        reason = context.secrets.hide_files(str(error), [one.path for one in plan.slices])
        return {"status": "refused", "reason": reason}
    return {
        "status": "ok",
        "reason": None,
        "shape": list(series.grid.shape_ijk),
        "spacing_mm": [round(step, 6) for step in series.grid.spacing_mm],
        "orientation": series.grid.orientation,
        "repairs": list(series.notes),
    }


def _drawn(pair: Pair, context: Context) -> dict[str, Any]:
    is_seg = isinstance(pair.struct, SegHeader)
    facts: dict[str, Any] = {
        "kind": "seg" if is_seg else "rtstruct",
        "where": context.secrets.hide(context.where(pair.struct.path)),
        "note": pair.note,
        "reason": None,
        "rois": None,
    }
    if pair.struct.path in context.archived:
        return facts
    roi_map = RoiMap.load(context.masks.roi_map)
    try:
        read = read_segments if is_seg else read_rtstruct
        facts["rois"] = [
            {"name": one.name, "label": roi_map.label_of(one.name), "flagged": context.secrets.in_name(one.name)}
            for one in read(pair.struct.path)
        ]
    except PrepError as error:
        facts["reason"] = context.secrets.hide_files(str(error), [pair.struct.path])
    return facts


def exit_code(inventory: Mapping[str, Any]) -> int:
    """0 all can be converted; 1 something would be refused; 3 nothing can be converted."""
    series = [one for patient in inventory["patients"] for one in patient["series"]]
    if not any(one["status"] == "ok" for one in series):
        return 3
    return 1 if inventory["refused"] or any(one["status"] != "ok" for one in series) else 0


def summary(inventory: Mapping[str, Any]) -> str:
    """The table for people."""
    lines = []
    for patient in inventory["patients"]:
        lines.append(f"patient {patient['patient_id']}")
        for one in patient["series"]:
            lines += _lines(one)
    lines += [f"refused {one['what']} {one['where']}: {one['reason']}" for one in inventory["refused"]]
    lines += [
        f"passed over {one['files']} {one['reason']}" + (f" in {one['where']}" if one["where"] else "")
        for one in inventory["ignored"]
    ]
    series = [one for patient in inventory["patients"] for one in patient["series"]]
    good = sum(one["status"] == "ok" for one in series)
    lines.append(f"{good} of {len(series)} series of {len(inventory['patients'])} patient(s) can be converted")
    return "\n".join(map(printable, lines))


def _lines(one: Mapping[str, Any]) -> list[str]:
    what = [one["case_id"], f"{one['files']} file(s)", one["where"], one.get("description"), one.get("kernel")]
    if "shape" in one:
        what.append(f"{'x'.join(map(str, one['shape']))} at {'x'.join(f'{s:.4g}' for s in one['spacing_mm'])} mm")
        what.append(one["orientation"])
    lines = ["  " + "  ".join(str(part) for part in what if part)]
    if one["separated_by"]:
        lines.append(f"    part of a series, separated by {one['separated_by']}")
    if one.get("description_flagged"):
        lines.append("    flag: its description holds a part of the patient's name")
    if one["status"] != "ok":
        lines.append(f"    would be refused: {one['reason']}")
    lines += [f"    note: {note}" for note in one.get("repairs", [])]
    for drawn in one["drawn"]:
        rois = drawn["rois"]
        named = "" if rois is None else ": " + ", ".join(f"{r['name']} ({r['label'] or 'unmapped'})" for r in rois)
        if any(roi["flagged"] for roi in rois or []):
            lines.append("    flag: a ROI's name holds a part of the patient's name")
        lines.append(f"    {drawn['kind']} {drawn['where']}{named}")
        lines += [f"      {text}" for text in (drawn.get("note"), drawn.get("reason")) if text]
    return lines
