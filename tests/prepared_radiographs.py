"""A tiny PREPARED folder of X-rays (docs/reference/files.md) and predictions for it: off-centre, sizes differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

RIGHT, LEFT = (0.52, 0.28, 0.30, 0.13), (0.50, 0.70, 0.28, 0.12)  # row, column and half axes in shares of the sides


def lungs(shape: tuple[int, int]) -> np.ndarray:
    """uint8 (rows, columns): an ellipse 1 on the picture's left, the patient's right lung, and a smaller one 2."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint8)
    for label, (row, column, high, wide) in ((1, RIGHT), (2, LEFT)):
        y, x = (rows / shape[0] - row) / high, (columns / shape[1] - column) / wide
        labels[x**2 + y**2 < 1] = label
    return labels


def film(labels: np.ndarray, bits: int = 8) -> np.ndarray:
    """Dark lungs on bright ground, with a gradient and bones' stripes; never black."""
    rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
    ground = 0.75 + 0.1 * columns / labels.shape[1] + 0.03 * np.sin(rows / 3)
    grey = np.where(labels > 0, 0.2 + 0.03 * np.sin(rows / 3), ground)
    return np.round(grey * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def make_radiographs(
    folder: Path,
    count: int = 3,
    sections: Mapping[str, Sequence[int]] | None = None,
    shape: tuple[int, int] = (96, 120),
    sides: bool = False,
    convention: str | None = "visible",
) -> Path:
    """Write cases X1 ... XN with masks `lungs` (or, with `sides`, one a lung), dataset.json and datalist.json.

    Each later case is 7 rows and 4 columns larger; X2 has 16 bits, and pixels of 0.4 x 0.5 mm; the last two share a
    group. `sections`: cases of each list by number from 0; by default the last tests, the others train.
    """
    cases = [_write(folder, at, (shape[0] + 7 * at, shape[1] + 4 * at), sides, convention) for at in range(count)]
    for case in cases[-2:]:
        case["group"] = cases[-1]["id"]
    dataset = {"schema_version": "1.2", "created_by": {}, "cases": cases, "refused": []}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    sections = sections or {"training": range(count - 1), "test": [count - 1]}
    lists = {name: [_entry(cases[at]) for at in sections.get(name, [])] for name in ("training", "validation", "test")}
    split = {"by": "patient", "seed": 0, "ratio": [2, 1], "folds": None, "counted": "images"}
    content = {"schema_version": "1.0", "dataset": "dataset.json", "split": split, **lists}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def _write(folder: Path, number: int, shape: tuple[int, int], sides: bool, convention: str | None) -> dict:
    name, labels = f"X{number + 1}", lungs(shape)
    save(folder / name / "image.png", film(labels, 16 if number == 1 else 8))
    masks = {"lung_right": labels == 1, "lung_left": labels == 2} if sides else {"lungs": labels > 0}
    rois = []
    for label, mask in masks.items():
        file = f"{name}/masks/{label}.png"
        save(folder / file, mask.astype(np.uint8) * 255)
        rois.append({"name": label, "number": None, "kind": "picture", "label": label, "status": "ok", "reason": None,
                     "file": file, "area": {"pixels": int(mask.sum()), "cm2": None}})  # fmt: skip
    return {
        "id": name, "patient_id": name, "group": name, "status": "ok", "reason": None, "image": f"{name}/image.png",
        "modality": "CR", "shape": list(shape), "spacing_mm": [0.4, 0.5] if number == 1 else None,
        "orientation": "L/F" if number == 1 else "", "convention": convention, "source": {}, "repairs": [],
        "flags": [], "rois": rois,
    }  # fmt: skip


def _entry(case: dict) -> dict:
    return {
        "case_id": case["id"], "patient_id": case["patient_id"], "group": case["group"], "image": case["image"],
        "convention": case["convention"], "label": [roi["file"] for roi in case["rois"]],
        "label_names": [roi["label"] for roi in case["rois"]],
    }  # fmt: skip
