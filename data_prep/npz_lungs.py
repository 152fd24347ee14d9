"""NPZ masks of both lungs beside DICOM slices, as in Gao's data set: which array it is, and what can't be one."""

from collections.abc import Sequence
from dataclasses import replace

from numpy.typing import NDArray

from data_prep.drawn import Drawn
from data_prep.errors import SeriesError
from data_prep.roi_names import label_of

LUNGS = "lungs"
KEYS = ("masks", "mask", "segmentations", "segmentation", "seg", "labels", "label", "lung", "lungs")
UNITED = "its values 1 and 2 were united: which of them is the left lung, an NPZ does not say"
LIGHTEST_PICTURE, BRIGHTEST_PICTURE = 0, 255


def as_lungs(found: Sequence[Drawn]) -> list[Drawn]:
    """The arrays of one archive, that of both lungs labelled so.

    It is the only one, whatever its key; or those whose names the table of ROI names knows as lungs; or the only one
    whose key is among KEYS. Else which it is can't be told, and each gets a `problem`.
    """
    if len(found) == 1:
        return [replace(found[0], label=LUNGS)]
    if any((label_of(one.name) or "").startswith("lung") for one in found):
        return list(found)
    named = [one for one in found if one.name.casefold() in KEYS]
    if len(named) == 1:
        return [replace(one, label=LUNGS) if one is named[0] else one for one in found]
    names = ", ".join(one.name for one in found[:6])
    problem = (
        f"its archive holds {len(found)} arrays ({names}): which one is the lungs can't be told; keep that one alone, "
        "or give it the key masks"
    )
    return [replace(one, problem=problem) for one in found]


def why_no_order(shape: tuple[int, ...], shape_ijk: tuple[int, int, int]) -> str:
    """Why a mask of `shape` is not one of an image of columns, rows, slices; counts of slices and colours named."""
    columns, rows, slices = shape_ijk
    told = f"its shape {shape} is not the image's: {slices} slices of {rows} rows and {columns} columns"
    if len(shape) == 4 and shape[-1] in (3, 4):
        return f"{told}; it holds colours: wanted one value a pixel, 0 or 1"
    for masks, plane in ((shape[:1], shape[1:]), (shape[-1:], shape[:-1])):
        if len(shape) == 3 and sorted(plane) == sorted((rows, columns)) and masks[0] != slices:
            return f"{told}; it holds {'more' if masks[0] > slices else 'fewer'} masks than slices"
    return told


def refuse_pictures(array_ijk: NDArray) -> None:
    """Raise SeriesError for grey values from 0 to 255, those of an 8-bit picture: they are no HU."""
    low, high = float(array_ijk.min()), float(array_ijk.max())
    if low >= LIGHTEST_PICTURE and high <= BRIGHTEST_PICTURE:
        raise SeriesError(
            f"its values go from {low:g} to {high:g}, as those of an 8-bit picture, and are no HU (air has -1000): "
            "export the CT again as it came from the scanner"
        )
