"""The real scans, with the lungs that somebody drew in them, as the bundles' inference reads images."""

from pathlib import Path

import numpy as np

from benchmarks.lungs import real
from benchmarks.lungs.sample import Sample

SIDES = {"lung_right": 1, "lung_left": 2}


def write_real(data: Path, folder: Path) -> list[str]:
    """`<case>/image.nii.gz` and `<case>/masks/<side>.nii.gz` of each scan below `data` with a reference; their names.

    Raises FileNotFoundError where one is missing.
    """
    cases = [real.lung1(data / "nsclc-radiomics" / "LUNG1-001"), next(iter(real.cip(data / "cip-ct64")))]
    names = {case.name: case.name.partition(",")[0].replace(" ", "-") for case in cases}
    for case in cases:
        if not (folder / names[case.name] / "masks" / "lung_left.nii.gz").is_file():  # the last that is written
            _write(case.sample, folder / names[case.name])
    return list(names.values())


def _write(sample: Sample, folder: Path) -> None:
    import nibabel as nib

    (folder / "masks").mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(sample.hu.astype(np.int16), sample.affine_ras), folder / "image.nii.gz")
    for name, value in SIDES.items():
        mask = (sample.truth == value).astype(np.uint8)
        nib.save(nib.Nifti1Image(mask, sample.affine_ras), folder / "masks" / f"{name}.nii.gz")
