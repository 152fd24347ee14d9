"""Images as other libraries hold them -> Image, and labels back as the same kind, on the same grid.

Kinds are told by the names of their classes' modules: no library is imported to find out that it is not in use.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import LPS_TO_RAS
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.image import Image

Labels = NDArray[np.uint8]
Back = Callable[[Labels], Any]
KINDS = (
    "a path (DICOM folder or zip, NIfTI, NRRD, MHA), a SimpleITK image, a nibabel image, a MONAI MetaTensor, or an "
    "array (I, J, K) with its affine_ras (4, 4)"
)


def take(image: Any, affine_ras: Any = None) -> tuple[Image, Back]:
    """`image` of any kind as Image, and what turns its labels (I, J, K) into the like kind.

    path -> nibabel image. SimpleITK -> SimpleITK, same origin, spacing and direction. nibabel -> nibabel, same shape
    and affine. MetaTensor, (I, J, K) or (1, I, J, K) -> MetaTensor on the same device, same shape, affine and applied
    operations. (array, affine_ras) -> the same pair; an array and its affine_ras apart -> an array.
    Raises UsageError for other kinds and shapes; what reading raises for paths (data_prep's errors, ImageError).
    """
    if isinstance(image, tuple) and len(image) == 2 and affine_ras is None:
        array, affine = image
        held = _from_array(array, affine)
        return held, lambda labels: (labels, affine)
    if affine_ras is not None:
        return _from_array(image, affine_ras), lambda labels: labels
    if isinstance(image, str | os.PathLike):
        return _from_path(Path(image))
    for module, name, taking in (
        ("SimpleITK", "Image", _from_sitk),
        ("nibabel", "SpatialImage", _from_nibabel),
        ("monai", "MetaTensor", _from_metatensor),
    ):
        if _is(image, module, name):
            return taking(image)
    raise UsageError(f"a {type(image).__module__}.{type(image).__qualname__} can't be segmented; wanted {KINDS}")


def _is(image: Any, module: str, name: str) -> bool:
    return any(one.__name__ == name and one.__module__.partition(".")[0] == module for one in type(image).__mro__)


def _from_array(array: Any, affine_ras: Any) -> Image:
    """Of numbers and a 4 x 4 matrix; the checks of the image say the rest."""
    try:
        affine = np.array(affine_ras, np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"affine_ras must be a (4, 4) matrix of numbers, index to mm in RAS: {error}") from error
    if affine.shape != (4, 4):
        raise UsageError(f"affine_ras must be (4, 4), index to mm in RAS; got the shape {affine.shape}")
    return Image(_volume(np.asarray(array)), affine)


def _volume(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim != 3:
        raise UsageError(f"wanted one volume (I, J, K), got an array of the shape {array.shape}")
    return array


def _from_path(path: Path) -> tuple[Image, Back]:
    """The one image that a path holds, read by the rules of `lungseg segment`."""
    import tempfile

    from lungseg_monai.segment.cases import InputOptions, find_cases
    from lungseg_monai.segment.reading import load

    with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
        cases = find_cases([path], options=InputOptions(salt_file=Path(scratch, "salt"))).cases  # no name is kept
        if len(cases) != 1:
            raise UsageError(
                f"{path} holds {len(cases)} images: name one of them, or use lungseg segment, which takes many at once"
            )
        loaded = load(cases[0], Path(scratch, "unpacked"))
        loaded.close()
    affine = loaded.image.affine_ras

    def back(labels: Labels) -> Any:
        import nibabel as nib

        return nib.Nifti1Image(labels, affine)

    return loaded.image, back


def _from_sitk(image: Any) -> tuple[Image, Back]:
    import SimpleITK

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise UsageError(
            f"wanted a SimpleITK image with 3 dimensions and one value a voxel, got {image.GetDimension()} and "
            f"{image.GetNumberOfComponentsPerPixel()}"
        )
    affine_lps = np.eye(4)
    affine_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine_lps[:3, 3] = image.GetOrigin()
    array = SimpleITK.GetArrayViewFromImage(image).transpose(2, 1, 0)

    def back(labels: Labels) -> Any:
        made = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.transpose(2, 1, 0)))
        made.CopyInformation(image)
        return made

    return Image(array, LPS_TO_RAS @ affine_lps), back


def _from_nibabel(image: Any) -> tuple[Image, Back]:
    shape = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise UsageError(f"wanted a nibabel image of one volume, got the shape {tuple(shape)}")
    stored = np.asanyarray(image.dataobj)
    array = stored.astype(np.float32) if stored.dtype == np.float64 else stored  # nibabel's scaled values

    def back(labels: Labels) -> Any:
        header = image.header.copy()
        header.set_data_dtype(np.uint8)
        return type(image)(labels.reshape(shape, order="A"), image.affine, header)

    return Image(array.reshape(shape[:3], order="A"), np.array(image.affine, np.float64)), back


def _from_metatensor(image: Any) -> tuple[Image, Back]:
    shape = tuple(image.shape)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise UsageError(f"wanted a MetaTensor (I, J, K) or (1, I, J, K), got the shape {shape}: take one image a time")
    affine = np.array(image.affine.detach().cpu(), np.float64)
    space = str(getattr(image.meta.get("space"), "value", image.meta.get("space")))
    affine_ras = LPS_TO_RAS @ affine if space == "LPS" else affine
    held = image.as_tensor().detach().cpu()
    array = (held.float() if str(held.dtype) == "torch.bfloat16" else held).numpy()  # NumPy has no bfloat16

    def back(labels: Labels) -> Any:
        import torch

        held = torch.from_numpy(np.ascontiguousarray(labels)).to(image.device).reshape(shape)
        return type(image)(held, meta=dict(image.meta), applied_operations=list(image.applied_operations))

    return Image(array.reshape(shape[-3:]), affine_ras), back
