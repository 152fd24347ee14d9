"""Whether an image is one that lungs can be found in: refused by name, repaired by name, or flagged."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.hounsfield import finite, to_hounsfield
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.result import Flag

THIN_MM = 80.0  # thinner slabs were seen to fail
LARGEST_MM = (15.0, 20.0)  # of pixels, of slices
SMALLEST_MM = 0.05
EXTENT_MM = (20.0, 2500.0)  # of the image along its longest axis
KINDS = {"MR": "magnetic resonance", "PT": "PET", "NM": "nuclear medicine", "US": "ultrasound", "SEG": "a mask"}


def check_image(image: Image) -> tuple[Image, tuple[Flag, ...]]:
    """The image with int16 or float32 HU of at least -1024, and what was found on the way.

    Never changes the caller's array; copies it only where values change. Flags: "not_finite", "hu_offset", "not_ct",
    "spacing", "partial". Raises ImageError where this can't be a CT volume.
    """
    _check_modality(image.modality)
    array = _check_array(image.array_ijk)
    _check_affine(image.affine_ras)
    array, unreal = finite(array)
    hu, repaired = to_hounsfield(array)
    flags = (*unreal, *repaired, *_spacing(image), *_extent(image))
    return (image if hu is image.array_ijk else replace(image, array_ijk=hu)), flags


def _check_modality(modality: str | None) -> None:
    if modality in (None, "", "CT"):
        return
    kind = f" ({KINDS[modality]})" if modality in KINDS else ""
    raise ImageError(f"the image's modality is {modality!r}{kind}; wanted CT; choose the CT series of this study")


def _check_array(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim != 3 or not array.size:
        raise ImageError(f"the image has shape {array.shape}; wanted a volume of three axes; give one CT series")
    if array.dtype.kind not in "iuf":
        raise ImageError(f"the image's values are {array.dtype}; wanted numbers in HU; give the CT itself")
    return array


def _check_affine(affine_ras: NDArray[np.float64]) -> None:
    if affine_ras.shape != (4, 4) or not np.isfinite(affine_ras).all():
        raise ImageError("the image's affine is no finite 4 x 4 matrix; wanted index to mm; export the image again")
    if not np.allclose(affine_ras[3], (0, 0, 0, 1), atol=1e-6):
        raise ImageError(f"the affine's last row is {affine_ras[3].tolist()}; wanted 0, 0, 0, 1: is it transposed?")
    edges = affine_ras[:3, :3]
    spacing_mm = np.linalg.norm(edges, axis=0)
    # relative to the lengths: a grid of 0.5 mm is no flatter than one of 5 mm
    if spacing_mm.min() <= 0 or abs(np.linalg.det(edges / spacing_mm)) < 1e-3:
        steps = ", ".join(f"{step:g}" for step in spacing_mm)
        raise ImageError(
            f"the image's affine is singular (steps of {steps} mm): its axes span no volume; "
            "wanted three that do; export the image again"
        )


def _spacing(image: Image) -> tuple[Flag, ...]:
    ordered = sorted(image.spacing_mm)
    steps = " x ".join(f"{step:.3g}" for step in image.spacing_mm)
    if ordered[1] > LARGEST_MM[0] or ordered[2] > LARGEST_MM[1]:
        return (Flag("spacing", f"voxels of {steps} mm are too coarse for lungs to be drawn well"),)
    longest = max(size * step for size, step in zip(image.array_ijk.shape, image.spacing_mm, strict=True))
    if ordered[0] < SMALLEST_MM or not EXTENT_MM[0] <= longest <= EXTENT_MM[1]:
        what = f"voxels of {steps} mm make an image of {longest:.3g} mm: is the spacing in mm?"
        return (Flag("spacing", what),)
    return ()


def _extent(image: Image) -> tuple[Flag, ...]:
    sizes_mm = [size * step for size, step in zip(image.array_ijk.shape, image.spacing_mm, strict=True)]
    axis = int(np.argmin(sizes_mm))
    if sizes_mm[axis] >= THIN_MM:
        return ()
    slices = image.array_ijk.shape[axis]
    what = "a single slice" if slices == 1 else f"a slab of {slices} slices, {sizes_mm[axis]:.0f} mm thick"
    return (Flag("partial", f"{what}: sides and borders are less certain than in a whole chest"),)
