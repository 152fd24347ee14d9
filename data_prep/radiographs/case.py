"""One case -> image.png, masks and its record: what case.json holds, and dataset.json under `cases`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.dataset import CASE_FILE, SCHEMA_VERSION, file_hashes, write_json
from data_prep.errors import UnreadableFileError
from data_prep.identity import hashed
from data_prep.output import writing
from data_prep.radiographs.masks import read_mask
from data_prep.radiographs.picture import read_picture
from data_prep.radiographs.plan import CasePlan, Context
from data_prep.radiographs.png import write_png
from data_prep.radiographs.radiograph import Radiograph, check, pixels_sha256
from data_prep.roi_names import label_of, safe_name
from data_prep.versions import tool_versions

NO_MASK = "no mask was found for it"
LEAST_AREA = 0.02  # of the image, of all lungs together


def make_case(plan: CasePlan, partial: Path, fingerprint: str, context: Context) -> dict[str, Any]:
    """Build the case in the folder `partial`, which must not exist; return its record.

    Raises UnreadableFileError where the image can't be used, OutputError where `partial` can't be written. A mask
    that can't be used stands in the record, with the reason.
    """
    image = read_image(plan)
    with writing(partial):
        partial.mkdir()
    write_png(partial / "image.png", image.pixels)
    rois, inside = _masks(plan, image, partial)
    entry = _entry(plan, image, rois, context)
    entry["flags"] += [NO_MASK] if plan.unpaired else []
    entry["flags"] += _doubts(image.pixels, inside)
    with writing(partial):
        entry["files"] = file_hashes(partial)
    record = {
        "schema_version": SCHEMA_VERSION,
        "xray_fingerprint": fingerprint,
        "salt_hash": hashed(context.salt, "salt"),
        "patient_hash": plan.name.patient_hash,
        "case": entry,
    }
    write_json(partial / CASE_FILE, record)
    return record


def read_image(plan: CasePlan) -> Radiograph:
    """The case's X-ray, checked. Raises UnreadableFileError."""
    if plan.image.dicom:
        from data_prep.radiographs.dicom import read_dicom

        image = read_dicom(plan.image.path)
    else:
        image = read_picture(plan.image.path)
    check(image)
    return image


def _masks(
    plan: CasePlan, image: Radiograph, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.bool_]]]:
    """Entries of all masks, each written or refused with a reason, and the pixels inside by label."""
    rois: list[dict[str, Any]] = []
    inside: dict[str, NDArray[np.bool_]] = {}
    taken: set[str] = set()
    for name, source in plan.masks:
        label = label_of(name) or (name if name.startswith("lung") else None)
        entry: dict[str, Any] = {
            "name": name, "number": None, "kind": "picture", "label": label, "status": "refused", "reason": None,
            "file": None, "area": {"pixels": 0, "cm2": None}, "repairs": [], "flags": [],
        }  # fmt: skip
        rois.append(entry)
        try:
            mask = read_mask(source.path, image.shape, image.turned)
        except UnreadableFileError as error:
            entry["reason"] = f"its mask {error}"
            continue
        file = f"{safe_name(name, taken)}.png"
        write_png(folder / "masks" / file, mask.inside.astype(np.uint8) * 255)
        entry |= {"status": "ok", "file": f"{plan.name.case_id}/masks/{file}", "area": _area(mask.inside, image)}
        entry |= {"repairs": mask.repairs, "flags": mask.flags}
        inside[label or name] = mask.inside
    return rois, inside


def _area(inside: NDArray[np.bool_], image: Radiograph) -> dict[str, Any]:
    pixels = int(np.count_nonzero(inside))
    if image.spacing_mm is None:
        return {"pixels": pixels, "cm2": None}
    return {"pixels": pixels, "cm2": round(pixels * image.spacing_mm[0] * image.spacing_mm[1] / 100, 3)}


def _doubts(pixels: NDArray, inside: dict[str, NDArray[np.bool_]]) -> list[str]:
    """What the masks say against the picture, or against each other."""
    flags = []
    sides = [inside.get(side) for side in ("lung_right", "lung_left")]
    if sides[0] is not None and sides[1] is not None:
        right, left = (float(np.flatnonzero(side.any(0)).mean()) for side in sides if side is not None)
        if right > left:
            flags.append("lung_right lies right of lung_left in the image: masks swapped, or the image is mirrored")
        if np.count_nonzero(sides[0] & sides[1]):
            flags.append("lung_left and lung_right overlap")
    lungs = [mask for label, mask in inside.items() if label.startswith("lung")]
    if not lungs:
        return flags
    both = np.logical_or.reduce(lungs)
    if both.mean() < LEAST_AREA:
        flags.append(f"the lungs cover {both.mean():.1%} of the image only")
    rows, columns = (np.flatnonzero(both.any(axis)) for axis in (1, 0))
    box = np.ix_(np.arange(rows[0], rows[-1] + 1), np.arange(columns[0], columns[-1] + 1))
    outside = ~both[box]
    if outside.any() and pixels[box][~outside].mean() > pixels[box][outside].mean():
        flags.append("the lungs are brighter than what lies between and around them: inverted grey?")
    return flags


def _entry(plan: CasePlan, image: Radiograph, rois: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    facts = plan.image.dicom
    named_in = facts is not None and context.secrets.in_name(facts.description)
    return {
        "id": plan.name.case_id,
        "patient_id": plan.name.patient_id,
        "status": "ok",
        "reason": None,
        "image": f"{plan.name.case_id}/image.png",
        "modality": image.modality,
        "shape": list(image.shape),
        "spacing_mm": None if image.spacing_mm is None else [round(step, 9) for step in image.spacing_mm],
        "spacing_from": image.spacing_from,
        "orientation": image.orientation,
        "convention": context.convention if any(roi["file"] for roi in rois) else None,
        "pixels_sha256": pixels_sha256(image.pixels),
        "values": {
            "bits": image.pixels.dtype.itemsize * 8,
            "low": int(image.pixels.min()),
            "high": int(image.pixels.max()),
        },
        "class_name": plan.class_name,
        "source": {
            "kind": "dicom" if facts else "picture",
            "series_uid_hash": hashed(context.salt, plan.key),
            "manufacturer": facts.manufacturer or None if facts else None,
            "series_description": facts.description or None if facts else None,
            **image.about,
        },
        "created_by": tool_versions(),
        "repairs": image.repairs + ([plan.name.note] if plan.name.note else []),
        "flags": image.flags + (["series_description holds a part of the patient's name"] if named_in else []),
        "rois": rois,
    }
