"""A PREPARED folder of chests with a bright tumour, some without one, as a phantom or as patients."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from tumor_items import AFFINE, make_item

from lungseg_monai.segment.phantom_only import MAKER

SECTIONS = {"training": 3, "validation": 1, "test": 3}  # the last test case has no tumour


def make_tumor_prepared(
    folder: Path,
    sections: Mapping[str, int] = SECTIONS,
    maker: str = MAKER,
    free: Sequence[str] = ("test3",),
    affine: np.ndarray = AFFINE,
) -> Path:
    """Cases training1 ..., validation1 ..., test1 ... with dataset.json and datalist.json; `free` have no GTV ROI."""
    cases, lists = [], {}
    for section, count in sections.items():
        names = [f"{section}{number}" for number in range(1, count + 1)]
        lists[section] = [
            _write(folder, name, [] if name in free else range(5, 10), maker, cases, affine) for name in names
        ]
    dataset = {"schema_version": "1.1", "created_by": {}, "cases": cases, "refused": []}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    split = {"by": "patient", "seed": 0, "ratio": [2, 1], "folds": None}
    content = {"schema_version": "1.0", "dataset": "dataset.json", "split": split, "validation": [], **lists}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def _write(folder: Path, name: str, slices: Sequence[int], maker: str, cases: list, affine: np.ndarray) -> dict:
    make_item(folder, name, list(slices), affine=affine)
    masks = {"lung_left": f"{name}/lung.nii.gz", **({"gtv": f"{name}/gtv.nii.gz"} if slices else {})}
    lung = nib.load(folder / name / "image.nii.gz")
    nib.save(nib.Nifti1Image(np.ones(lung.shape, np.uint8), lung.affine), folder / masks["lung_left"])
    rois = [
        {"name": label, "number": number, "label": label, "status": "ok", "reason": None, "file": file}
        for number, (label, file) in enumerate(masks.items(), 1)
    ]
    cases.append({
        "id": name, "patient_id": name, "status": "ok", "reason": None, "image": f"{name}/image.nii.gz",
        "source": {"manufacturer": maker}, "shape": list(lung.shape), "rois": rois,
    })  # fmt: skip
    return {
        "case_id": name, "patient_id": name, "image": f"{name}/image.nii.gz",
        "label": list(masks.values()), "label_names": list(masks),
    }  # fmt: skip
