"""What is timed: a chest of 512 x 512 x 200 as DICOM, copies of it, and an image of 2000 slices."""

from pathlib import Path

import numpy as np

from benchmarks.peers.speed_case import copies

SPACING_MM = (0.9766, 0.9766, 1.83)
SHAPE = (512, 512, 200)
TALL = 2000
AIR_HU = -1024
FINER = 3  # slices of the tall image for one of the chest


def one_case(folder: Path) -> Path:
    """The phantom as a DICOM folder, CT and RTSTRUCT, written once. Takes half a minute."""
    from data_prep.phantom import PhantomOptions, write_cohort

    if not folder.exists():
        partial = folder.with_name(f".{folder.name}")
        write_cohort(partial, patients=1, seed=0, options=PhantomOptions(size="full", spacing_mm=SPACING_MM))
        count = len(list(partial.rglob("ct/*.dcm")))
        if count != SHAPE[2]:
            raise RuntimeError(f"the phantom has {count} slices now, wanted {SHAPE[2]}: choose another spacing")
        partial.rename(folder)
    return folder


def cohort(case: Path, folder: Path, count: int) -> Path:
    """The case under `count` names."""
    folder.mkdir(exist_ok=True)
    copies(case, folder, count)
    return folder


def tall_image(case: Path, path: Path) -> Path:
    """512 x 512 x 2000 int16 as .nii: the chest with FINER times its slices, above a body without lungs."""
    if path.exists():
        return path
    from data_prep.nifti import nifti_header

    hu, affine_ras = _read(case)
    affine_ras[:3, 2] /= FINER
    shape = (hu.shape[0], hu.shape[1], TALL)
    body = hu[:, :, 0]
    random = np.random.default_rng(0)
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as stream:
        stream.write(nifti_header(shape, np.dtype(np.int16), affine_ras).ljust(352, b"\0"))  # no extensions
        for k in range(TALL):
            chest = (k - (TALL - FINER * hu.shape[2])) / FINER
            below = max(int(np.floor(chest)), 0)
            share = np.float32(max(chest, 0) - below)
            above = min(below + 1, hu.shape[2] - 1)
            plane = body if chest < 0 else hu[:, :, below] * (1 - share) + hu[:, :, above] * share
            noise = random.standard_normal(body.shape, np.float32) * np.float32(15 if chest < 0 else 5)
            stream.write(np.rint(np.maximum(plane + noise, AIR_HU)).astype(np.int16).tobytes(order="F"))
    partial.rename(path)
    return path


def _read(case: Path) -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) int16 HU with i to the patient's left, j to the back, k up, and the affine (RAS)."""
    import SimpleITK

    folder = next(case.rglob("ct"))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    hu = SimpleITK.GetArrayFromImage(image).astype(np.int16).transpose(2, 1, 0)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return hu, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
