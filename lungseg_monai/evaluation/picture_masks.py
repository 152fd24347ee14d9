"""Masks of radiographs from picture files: what their values mean, and whose they are by their names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import EvaluationError, ImageError
from lungseg_monai.evaluation.masks import MaskFile, Source, is_picture, path_of
from lungseg_monai.evaluation.metrics import BoolArray

SIDES = {1: "lung_right", 2: "lung_left"}  # the values that this project writes
MOST_GREY = 0.25  # of the pixels between black and white; the edges of a JPEG are a few hundredths
COLOURED = 8  # levels by which channels may differ: JPEG stores grey as colours
WANTED = (
    "wanted black and white, or 0 and one other value; of several labels say what is what: --values 1=lung_right,..."
)


@dataclass(frozen=True, eq=False)
class PictureMask:
    """mask: (rows, columns) bool. repairs: what had to be taken for granted."""

    path: Path
    mask: BoolArray
    repairs: tuple[str, ...] = ()


def read_picture_mask(source: Source) -> PictureMask:
    """Read the mask in a picture.

    Two values, 0 and another: that one is inside. Greys between black and white, as JPEG makes them at edges: above the
    middle is inside, and `repairs` counts them. Raises EvaluationError: missing, unreadable, in colours, more than a
    quarter grey, other values, or, where values were named, none of those.
    """
    path = path_of(source)
    values = stored(path)
    if isinstance(source, MaskFile):
        return PictureMask(path, _of_labels(source, values))
    white = int(np.iinfo(values.dtype).max)
    found = np.unique(values)
    if len(found) <= 1 or (len(found) == 2 and found[0] == 0):
        return PictureMask(path, values > 0)
    listed = ", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "")
    if found[-1] <= white // 2:
        raise EvaluationError(f"{path} holds the values {listed}; {WANTED}")
    grey = int(np.count_nonzero((values > 0) & (values < white)))
    if grey > MOST_GREY * values.size:
        raise EvaluationError(f"{path} is {grey / values.size:.0%} grey, a picture and no mask; {WANTED}")
    return PictureMask(path, values > white // 2, (f"{grey} grey pixels: above {white // 2} is inside",))


def read_picture_union(sources: Sequence[Source]) -> PictureMask:
    """The union of masks of one size. Raises EvaluationError as `read_picture_mask` and `check_same_size`."""
    first, *more = [read_picture_mask(source) for source in sources]
    for other in more:
        check_same_size(other, first)
    mask = np.any([one.mask for one in (first, *more)], axis=0)
    return PictureMask(first.path, mask, tuple(repair for one in (first, *more) for repair in one.repairs))


def blank_like(image: Path) -> PictureMask:
    """A mask that holds nothing, of an image's size. Raises EvaluationError."""
    return PictureMask(image, np.zeros(stored(image, colours=True).shape[:2], np.bool_))


def check_same_size(one: PictureMask, wanted: PictureMask) -> None:
    if one.mask.shape != wanted.mask.shape:
        raise EvaluationError(
            f"{one.path} has {one.mask.shape[0]} rows and {one.mask.shape[1]} columns, {wanted.path} has "
            f"{wanted.mask.shape[0]} and {wanted.mask.shape[1]}. Bring the prediction to the original image's size; "
            "scores never resample."
        )


def read_probability(path: Path) -> NDArray[np.float32]:
    """A map of 8 or 16 bits as float32 (rows, columns), 1 for white. Raises EvaluationError."""
    values = stored(path)
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def stored(path: Path, colours: bool = False) -> NDArray[np.unsignedinteger]:
    """A picture's values, uint8 or uint16, (rows, columns); with `colours` also with channels last.

    Channels that are nearly equal are one grey; opacity is left out. Raises EvaluationError for a file that is missing,
    no picture, unreadable, or in colours.
    """
    from lungseg_monai.pictures.files import read_picture

    if not is_picture(path):
        raise EvaluationError(f"{path} is no picture, and what it meets is one: X-rays are compared with X-rays.")
    if not path.is_file():
        raise EvaluationError(f"{path} is not there. Write it again, or correct the path.")
    try:
        values = read_picture(path)
    except ImageError as error:
        raise EvaluationError(f"{path}: {error}") from error
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    if values.ndim == 2 or colours:
        return values
    if values.shape[2] == 2:  # grey and opacity
        return values[..., 0]
    channels = values[..., :3]
    if np.any(channels.max(axis=2) - channels.min(axis=2) > COLOURED):
        raise EvaluationError(f"{path} is in colours, and no mask; {WANTED}")
    return channels[..., 1]


def sides_in(cases: Iterable[Mapping[str | None, Source]]) -> dict[int, str]:
    """SIDES, if each case has one picture and one of these holds 0, 1, 2 as this project writes them; else nothing.

    Values are looked for across cases: of a film on which only the right lung was found there is no 2.
    """
    singles = [next(iter(files.values())) for files in cases if len(files) == 1]
    for source in singles:
        if not isinstance(source, Path) or not is_picture(source):
            return {}
        try:
            values = stored(source)
        except EvaluationError:  # told when it is scored
            continue
        if values.max(initial=0) > len(SIDES):
            return {}
        if values.max(initial=0) == len(SIDES):
            return dict(SIDES)
    return {}


def whose(path: Path) -> tuple[str, str | None]:
    """`a.png`, `a_mask.png`, `a_left_mask.png` -> case "a" and None, None, "lung_left", by lungseg-prep cxr's rules."""
    from data_prep.radiographs.names import named

    told = named(PurePosixPath("masks", path.name))
    return told.short, None if told.roi == "lungs" else told.roi


def _of_labels(source: MaskFile, values: NDArray[np.unsignedinteger]) -> BoolArray:
    there = [int(value) for value in np.unique(values) if value]
    unknown = [value for value in there if value not in source.known]
    if unknown and len(unknown) == len(there):
        raise EvaluationError(
            f"{source.path} holds the values {', '.join(map(str, there[:5]))}, and what was named is "
            f"{', '.join(map(str, source.known))}. Correct --values or --reference-values."
        )
    return np.isin(values, source.values)
