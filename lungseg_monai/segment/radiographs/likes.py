"""One radiograph as Python holds it -> LoadedRadiograph: a path, an array, a tensor, a Pillow image."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError
from data_prep.identity import CaseId, Secrets
from data_prep.options import MaskOptions, StackOptions
from data_prep.plan import CasePlan, Context
from data_prep.radiographs.radiograph import Radiograph, check
from data_prep.stages import Stages
from lungseg_monai.errors import ImageError, UsageError
from lungseg_monai.pictures.grey import grey
from lungseg_monai.segment.inputs import expanded
from lungseg_monai.segment.radiographs.find import RadiographCase, find_radiographs
from lungseg_monai.segment.radiographs.reading import LoadedRadiograph, facts_of, load_radiograph
from lungseg_monai.segment.result import Flag

KINDS = "a path (PNG, JPEG, TIFF, BMP, DICOM CR or DX), a Pillow image, or an array (rows, columns), dense is bright"


def take_radiograph(image: Any) -> LoadedRadiograph:
    """`image` read and checked. Arrays: (H, W), (1, H, W), or (H, W, 3 or 4) colours; bool, integers from 0 to 65535,
    or floats, 0 to 1 or of any range. Raises UsageError for other kinds, ImageError for what can be no X-ray."""
    if isinstance(image, str | os.PathLike):
        return _from_path(Path(image))
    held = Radiograph(_pixels(_array(image)))
    try:
        check(held)
    except UnreadableFileError as error:
        raise ImageError(f"the picture {error}") from error
    flags = tuple(Flag("input", one) for one in held.flags)
    return LoadedRadiograph(_nameless(), held, flags, facts_of(held), Stages())


def _nameless() -> RadiographCase:
    context = Context(Path(), b"", Secrets(), StackOptions(), MaskOptions(), {})
    return RadiographCase("array", CasePlan(CaseId("array", "array", ""), []), context, "", "", 0)


def _from_path(path: Path) -> LoadedRadiograph:
    from lungseg_monai.segment.cases import InputOptions

    with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
        options = InputOptions(salt_file=Path(scratch, "salt"))  # no name is kept
        cases = find_radiographs(expanded([path]), Path(scratch, "unpacked"), options=options).cases
        if len(cases) != 1 or not isinstance(cases[0], RadiographCase):
            raise UsageError(
                f"{path} holds {len(cases)} X-rays: name one of them, or use lungseg segment, which takes many at once"
            )
        try:
            return load_radiograph(cases[0])
        except UnreadableFileError as error:
            raise ImageError(f"{path.name} {error}") from error


def _array(image: Any) -> NDArray[Any]:
    """What holds numbers as an array; torch's tensors are taken from where they are."""
    if hasattr(image, "detach"):
        image = image.detach().cpu()
        image = image.as_tensor() if hasattr(image, "as_tensor") else image
    module = type(image).__module__.partition(".")[0]
    if module == "PIL":
        from data_prep.radiographs.grey import to_grey

        try:
            return to_grey(image).pixels
        except UnreadableFileError as error:
            raise ImageError(f"the picture {error}") from error
    if not isinstance(image, np.ndarray) and module != "torch":
        raise UsageError(f"a {type(image).__module__}.{type(image).__qualname__} is no radiograph; wanted {KINDS}")
    array = np.asarray(image)
    array = array[0] if array.ndim == 3 and array.shape[0] == 1 else array
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise UsageError(f"an array of the shape {array.shape} is no radiograph; wanted {KINDS}")
    return array


def _pixels(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W) uint8 or uint16: integers as they are, floats and colours over all of 16 bits."""
    if array.dtype.kind in "iu" and array.ndim == 2:
        if not array.size:
            raise ImageError(f"the picture has the shape {array.shape}: it holds nothing")
        if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
            raise ImageError(
                f"the picture holds values from {array.min()} to {array.max()}; wanted 0 to 65535: give CT to ct_lungs"
            )
        return array if array.dtype == np.uint8 else array.astype(np.uint16)
    values = grey(array)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        values = (values - low) / np.float32(max(high - low, 1e-30))
    return np.rint(values * 65535).astype(np.uint16)
