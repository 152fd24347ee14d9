"""A tiny PREPARED folder (docs/reference/files.md) without DICOM: off-centre, anisotropic, oblique, shapes differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

LUNGS = {"Lung-Left": "lung_left", "Lung-Right": "lung_right"}


def make_prepared(
    folder: Path,
    patients: int = 3,
    seed: int = 0,
    shape: tuple[int, int, int] = (48, 40, 16),
    split_sections: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Write cases P1 ... PN, dataset.json and datalist.json; return `folder`.

    `shape` is that of P1; each later case is one column, two rows and one slice larger. P2 lies on an oblique grid.
    `split_sections` names the cases of each list by number from 0; by default the last third tests, the rest trains.
    About a third of the slices of each case hold no lung.
    """
    random = np.random.default_rng(seed)
    cases = [_write_case(folder, number, (shape[0] + number, shape[1] + 2 * number, shape[2] + number), random)
             for number in range(patients)]  # fmt: skip
    (folder / "dataset.json").write_text(
        json.dumps({"schema_version": "1.0", "created_by": {}, "cases": cases, "refused": []}, indent=1)
    )
    if split_sections is None:
        tests = max(1, patients // 3)
        split_sections = {"training": range(patients - tests), "test": range(patients - tests, patients)}
    sections = {name: [_entry(cases[i]) for i in split_sections.get(name, [])]
                for name in ("training", "validation", "test")}  # fmt: skip
    write_datalist(folder, sections)
    return folder


def write_datalist(folder: Path, sections: Mapping[str, Sequence[dict]], split: dict | None = None) -> None:
    """Write datalist.json with `sections`; `split` as in docs/reference/files.md, by patient unless told."""
    split = split or {"by": "patient", "seed": 0, "ratio": [2, 1], "folds": None}
    content = {"schema_version": "1.0", "dataset": "dataset.json", "split": split, **sections}
    (folder / "datalist.json").write_text(json.dumps(content, indent=1))


def empty_roi(name: str, label: str) -> dict:
    """An entry of dataset.json for a ROI of a template that nobody drew."""
    planes = {"in": 0, "rasterised": 0, "clipped": 0, "moved": 0, "skipped": 0}
    return {
        "name": name, "number": 9, "label": label, "status": "refused", "reason": "no contours", "file": None,
        "planes": planes, "volume_ml": {"polygon": 0.0, "voxel": 0.0},
    }  # fmt: skip


def _write_case(folder: Path, number: int, shape: tuple[int, int, int], random: np.random.Generator) -> dict:
    name = f"P{number + 1}"
    spacing = (7.0 + number, 6.5, 12.0 + number)
    affine = _affine(spacing, np.deg2rad(9.0 if number == 1 else 0.0))
    image, masks = _thorax(shape, random)
    (folder / name / "masks").mkdir(parents=True)
    _save(folder / name / "image.nii.gz", image, affine)
    rois = []
    for roi, label in LUNGS.items():
        file = f"{name}/masks/{roi}.nii.gz"
        _save(folder / file, masks[label], affine)
        millilitres = float(masks[label].sum()) * float(np.prod(spacing)) / 1000
        slices = int(masks[label].any(axis=(0, 1)).sum())
        rois.append({
            "name": roi, "number": len(rois) + 1, "label": label, "status": "ok", "reason": None, "file": file,
            "planes": {"in": slices, "rasterised": slices, "clipped": 0, "moved": 0, "skipped": 0},
            "volume_ml": {"polygon": millilitres, "voxel": millilitres},
        })  # fmt: skip
    return {
        "id": name, "patient_id": name, "status": "ok", "reason": None, "image": f"{name}/image.nii.gz",
        "modality": "CT", "shape": list(shape), "spacing_mm": list(spacing), "orientation": "LPS",
        "source": {}, "repairs": [], "rois": rois,
    }  # fmt: skip


def _thorax(shape: tuple[int, int, int], random: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """int16 HU and the two lungs: a body ellipse, off-centre, with two ellipsoids of different size inside."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    x, y, z = i - random.uniform(-0.1, 0.1), j - random.uniform(-0.1, 0.1), k - random.uniform(0.0, 0.2)
    body = (x / 0.85) ** 2 + (y / 0.75) ** 2 < 1
    right = ((x + 0.38) / 0.3) ** 2 + (y / 0.5) ** 2 + (z / random.uniform(0.6, 0.7)) ** 2 < 1
    left = ((x - 0.36) / 0.26) ** 2 + ((y + 0.05) / 0.45) ** 2 + (z / random.uniform(0.55, 0.65)) ** 2 < 1
    hu = np.where(body, 40.0, -1000.0)
    hu[right | left] = -820
    hu = np.round(hu + random.normal(0, 15, shape)).astype(np.int16)
    return hu, {"lung_left": left.astype(np.uint8), "lung_right": right.astype(np.uint8)}


def _affine(spacing_mm: tuple[float, float, float], angle: float) -> np.ndarray:
    """index -> mm in RAS of an LPS-ordered grid, turned about the patient's long axis and tilted by half of that."""
    c, s = np.cos(angle), np.sin(angle)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2]])
    affine[:3, 3] = [151.5, 103.25, -311.0]
    return affine


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    nib.save(image, path)


def _entry(case: dict) -> dict:
    return {
        "case_id": case["id"],
        "patient_id": case["patient_id"],
        "image": case["image"],
        "label": [roi["file"] for roi in case["rois"] if roi["label"]],
        "label_names": [roi["label"] for roi in case["rois"] if roi["label"]],
    }
