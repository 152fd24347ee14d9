"""Predictions and runs (docs/reference/files.md) made from a tiny prepared folder, without a network."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

WARNING = "Split within one patient: these scores say nothing about other patients."
LABELS = {"lungs": ["lung_left", "lung_right"]}


def truth(prepared: Path, case_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Both lungs of a case, bool (I, J, K), and their affine."""
    masks = [nib.load(path) for path in sorted((prepared / case_id / "masks").glob("*.nii.gz"))]
    return np.any([np.asarray(mask.dataobj) > 0 for mask in masks], axis=0), masks[0].affine


def save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels.astype(np.uint8), affine), path)
    return path


def shifted(mask: np.ndarray) -> np.ndarray:
    """A prediction with errors: one column too far, nothing in the lowest slice with lung, a speck where none is."""
    moved = np.roll(mask, 1, axis=0)
    used = np.flatnonzero(mask.any(axis=(0, 1)))
    moved[:, :, used[0]] = False
    moved[3, 4, 0] = not mask[:, :, 0].any()
    return moved


def make_predictions(
    prepared: Path,
    folder: Path,
    sections: Mapping[str, str],
    slices: Mapping[str, Mapping[str, Sequence[Sequence[int]]]] | None = None,
) -> Path:
    """Write <case>/lungs.nii.gz and predictions.json for `sections`, case -> section; return `folder`.

    `slices` makes it a split within one patient: section -> case -> ranges, in place of `sections`.
    """
    entries = [(case, section, None) for case, section in sections.items()]
    if slices:
        entries = [(case, section, ranges) for section, of in slices.items() for case, ranges in of.items()]
    for case in dict.fromkeys(case for case, _, _ in entries):
        mask, affine = truth(prepared, case)
        save(folder / case / "lungs.nii.gz", shifted(mask), affine)
    split = {"by": "slice", "seed": 0, "warning": WARNING} if slices else {"by": "patient", "seed": 0}
    cases = [
        {
            "case_id": case,
            "section": section,
            "files": {"lungs": f"{case}/lungs.nii.gz"},
            "slices": ranges,
            "seconds": 1,
        }
        for case, section, ranges in entries
    ]
    content = {
        "schema_version": "1.0",
        "bundle": "ct_lung_unet2d",
        "checkpoint": {"file": "best.pt", "sha256": "5a" * 32},
        "labels": LABELS,
        "split": split,
        "cases": cases,
    }
    (folder / "predictions.json").write_text(json.dumps(content))
    return folder


def make_run(folder: Path, prepared: Path, facts: Mapping | None = None) -> Path:
    """Write run.json and curves.csv of three epochs; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "bundle": "ct_lung_unet2d",
        "setting": "recommended",
        "seed": 7,
        "dataset_dir": str(prepared),
        "data_sha256": "c0ffee" * 10,
        "numbers": {"learning_rate": 0.001, "optimizer": {"name": "Adam"}},
        "versions": {"monai": "1.6.1"},
        "split": {"by": "patient", "seed": 0},
    }
    (folder / "run.json").write_text(json.dumps(content | dict(facts or {})))
    rows = [f"{epoch},{split},{1 / epoch},0.9,,0.001,2" for epoch in (1, 2, 3) for split in ("training", "validation")]
    (folder / "curves.csv").write_text("\n".join(["epoch,split,loss,accuracy,dice,learning_rate,seconds", *rows, ""]))
    return folder
