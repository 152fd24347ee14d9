"""A tiny PREPARED folder of radiographs (docs/reference/files.md): two dark fields on bright ground, off centre."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from prepared import write_datalist

from data_prep.dataset import read_dataset
from data_prep.radiographs import RadiographOptions, prepare

SALT = b"a salt that only the tests know!"


def fields(shape: tuple[int, int], side: str = "both") -> np.ndarray:
    """bool: the right and the left field, off centre, of different sizes."""
    rows, columns = np.indices(shape) / np.array(shape).reshape(2, 1, 1)
    right = (rows > 0.2) & (rows < 0.8) & (columns > 0.1) & (columns < 0.42)
    left = (rows > 0.2) & (rows < 0.7) & (columns > 0.55) & (columns < 0.85)
    return {"both": right | left, "right": right, "left": left}[side]


def make_pictures(folder: Path, count: int = 3, seed: int = 0, shape: tuple[int, int] = (90, 76)) -> Path:
    """IMAGES/images/P1.png ... and IMAGES/masks/P1.png; each later one is six rows larger."""
    random = np.random.default_rng(seed)
    for number in range(count):
        size = (shape[0] + 6 * number, shape[1])
        picture = random.integers(150, 250, size)
        picture[fields(size)] //= 3
        for name, pixels in (("images", picture.astype(np.uint8)), ("masks", fields(size).astype(np.uint8) * 255)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"P{number + 1}.png")
    return folder


def make_prepared_pictures(
    folder: Path, count: int = 3, sections: dict[str, Sequence[int]] | None = None, **options: object
) -> Path:
    """As `lungseg-prep cxr` writes it, and split: the last picture tests, the one before validates, or `sections`."""
    raw = make_pictures(folder / "raw", count, **options)  # type: ignore[arg-type]
    out = folder / "prepared"
    prepare(raw, out, options=RadiographOptions(salt=SALT, keep_ids=True))
    cases = read_dataset(out)["cases"]
    sections = sections or {"training": range(count - 2), "validation": [count - 2], "test": [count - 1]}
    entries = {name: [_entry(cases[i]) for i in numbers] for name, numbers in sections.items()}
    write_datalist(out, {name: entries.get(name, []) for name in ("training", "validation", "test")})
    return out


def _entry(case: dict) -> dict:
    drawn = [roi for roi in case["rois"] if roi["status"] == "ok"]
    return {
        "case_id": case["id"], "patient_id": case["patient_id"], "image": case["image"],
        "label": [roi["file"] for roi in drawn], "label_names": [roi["label"] for roi in drawn],
    }  # fmt: skip
