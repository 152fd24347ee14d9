"""A PREPARED folder of radiographs projected from made chests, split, for trying a plan without any real data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lungseg_monai.errors import UsageError
from lungseg_monai.segment.phantom_only import MAKER
from lungseg_monai.synthesis.radiograph import RadiographOptions, make_radiograph

LEAST = 6  # radiographs: one to validate, two to test
FILM = RadiographOptions(shape=(256, 256), grid_mm=3.2)
RECORD = "made.json"  # of how many, by which seed and options the folder was made


def make_radiographs(
    folder: Path, count: int, seed: int, say: Callable[[str], None], options: RadiographOptions = FILM
) -> Path:
    """Make `count` radiographs with masks `lungs` (convention "visible") in `folder`/prepared, split 2:1, a fifth of
    the training cases validating; returns that folder. Radiographs that are there already are kept.

    Raises UsageError for fewer than LEAST, or where the folder was made in another way.
    """
    from data_prep.dataset import write_dataset
    from data_prep.split import SplitOptions, write_split

    if count < LEAST:
        raise UsageError(f"--phantom {count}: wanted {LEAST} or more, to train, validate and test on")
    prepared = folder / "prepared"
    wanted = json.loads(json.dumps({"count": count, "seed": seed, "options": vars(options)}))
    if _record(prepared) not in (None, wanted):
        raise UsageError(f"{prepared} was made with other numbers: choose another --out, or remove it")
    if _record(prepared) == wanted and (prepared / "datalist.json").is_file():
        return prepared
    say(f"makes {count} radiographs in {folder}")
    prepared.mkdir(parents=True, exist_ok=True)
    (prepared / RECORD).write_text(json.dumps(wanted))
    cases = [_case(prepared, seed, number, options) for number in range(count)]
    write_dataset(prepared, cases, [])
    write_split(prepared, SplitOptions(ratio=(2, 1), validation=0.2, seed=seed))
    return prepared


def _record(prepared: Path) -> Any:
    path = prepared / RECORD
    return json.loads(path.read_text()) if path.is_file() else None


def _case(prepared: Path, seed: int, number: int, options: RadiographOptions) -> dict[str, Any]:
    """Write one case, made anew where it is not whole; its entry of dataset.json."""
    from data_prep.dataset import file_hashes, write_json
    from data_prep.radiographs.png import write_png
    from data_prep.radiographs.radiograph import pixels_sha256
    from data_prep.versions import tool_versions

    name = f"made{number + 1:04d}"
    known = prepared / name / "case.json"
    if known.is_file():
        kept: dict[str, Any] = json.loads(known.read_text(encoding="utf-8"))["case"]
        return kept
    made = make_radiograph(seed, number, options)
    pixels, lungs = np.rint(made.image * 255).astype(np.uint8), np.asarray(made.visible > 0)
    (prepared / name / "masks").mkdir(parents=True, exist_ok=True)
    write_png(prepared / name / "image.png", pixels)
    write_png(prepared / name / "masks" / "lungs.png", lungs.astype(np.uint8) * 255)
    area = {"pixels": int(lungs.sum()), "cm2": round(float(lungs.sum()) * made.spacing_mm**2 / 100, 3)}
    entry: dict[str, Any] = {
        "id": name, "patient_id": name, "group": name, "status": "ok", "reason": None, "image": f"{name}/image.png",
        "modality": "CR", "shape": list(pixels.shape), "spacing_mm": [round(made.spacing_mm, 9)] * 2,
        "spacing_from": None, "orientation": "L\\F", "convention": "visible",
        "pixels_sha256": pixels_sha256(pixels),
        "values": {"bits": 8, "low": int(pixels.min()), "high": int(pixels.max())}, "class_name": None,
        "source": {"kind": "picture", "series_uid_hash": None, "manufacturer": MAKER, "series_description": None},
        "created_by": tool_versions(), "repairs": [], "flags": [],
        "rois": [{
            "name": "lungs", "number": None, "kind": "picture", "label": "lungs", "status": "ok", "reason": None,
            "file": f"{name}/masks/lungs.png", "area": area, "repairs": [], "flags": [],
        }],
    }  # fmt: skip
    entry["files"] = file_hashes(prepared / name)
    write_json(known, {"case": entry})
    return entry
