"""CT volumes with tumours as NIfTI and the items that data.py makes of them: off-centre, anisotropic, oblique."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[-1.3, 0.1, 0, 91.5], [-0.1, -1.1, 0, 60.25], [0, 0, 3.5, -211.0], [0, 0, 0, 1]])


def make_item(
    folder: Path,
    case_id: str,
    labelled: Sequence[int],
    shape: tuple[int, int, int] = (24, 20, 16),
    affine: np.ndarray = AFFINE,
) -> dict:
    """Write a CT whose slices `labelled` show a tumour, off-centre and bright; return its item of one target, tumor."""
    random = np.random.default_rng(sum(map(ord, case_id)))
    mask = np.zeros(shape, np.uint8)
    i, j = shape[0] // 4, shape[1] // 3
    for k in labelled:
        mask[i : i + 7, j : j + 6, k] = 1
    hu = np.where(mask > 0, 60, -800) + random.integers(-30, 30, shape)
    hu += (np.arange(shape[2]) * 5)[None, None]  # so that no two slices are the same
    (folder / case_id).mkdir(parents=True, exist_ok=True)
    files = folder / case_id / "image.nii.gz", folder / case_id / "gtv.nii.gz"
    for file, voxels in zip(files, (hu.astype(np.int16), mask), strict=True):
        nib.save(nib.Nifti1Image(voxels, affine), file)
    masks = [str(files[1])] if len(labelled) else []
    return {"image": str(files[0]), "case_id": case_id, "slice_count": shape[2], "tumor": masks}
