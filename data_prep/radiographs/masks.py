"""A mask file -> pixels inside, on the image's grid. What is assumed is named; what is unclear is refused."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError
from data_prep.radiographs.grey import Grey
from data_prep.radiographs.picture import QUARTERS, decode, turn

THRESHOLD = 127  # above it is inside; grey edges, as JPEG makes them, fall to either side
MOST_COVERED = 0.9  # of the image; more is another picture, or an inverted mask
MOST_GREY = 0.25  # share of values between black and white; a JPEG's edges make a few hundredths


@dataclass(eq=False)
class Mask:
    """inside: (rows, columns) bool."""

    inside: NDArray[np.bool_]
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


def read_mask(path: Path, shape: tuple[int, int], turned: int = 1) -> Mask:
    """The mask of an image of `shape` (rows, columns) that was turned as EXIF orientation `turned` says.

    Resized by nearest neighbour where its sides have the same ratio to a pixel. Raises UnreadableFileError for a mask
    of another shape, one that is empty or covers nearly all, and for values that are no mask's.
    """
    grey, own, _ = decode(path)
    mask = Mask(*_inside(grey))
    mask.inside = turn(mask.inside, own)
    if own != 1:
        mask.repairs.append(f"turned as its EXIF orientation {own} says")
    elif turned != 1:
        _turn_like_image(mask, shape, turned)
    if mask.inside.shape != shape:
        mask.repairs.append("x".join(map(str, mask.inside.shape)) + " resized by nearest neighbour")
        mask.inside = resize_nearest(mask.inside, shape)
    share = float(mask.inside.mean())
    if share in (0.0, 1.0) or share > MOST_COVERED:
        raise UnreadableFileError("is empty" if not share else f"covers {share:.0%} of the image: inverted?")
    return mask


def _inside(grey: Grey) -> tuple[NDArray[np.bool_], list[str]]:
    """The pixels inside, and what was assumed."""
    values, alpha = grey.pixels, grey.alpha
    repairs = [repair for repair in grey.repairs if "equal channels" not in repair]
    if alpha is not None and values.max() == 0 and alpha.min() != alpha.max():
        values, repairs = alpha, ["read from its alpha channel"]
    counts = np.bincount(values.ravel(), minlength=256)
    found = np.flatnonzero(counts)
    white = 255 if values.dtype == np.uint8 else 65535
    if found.size <= 2 and found[0] == 0:
        value = int(found[-1])
        return values > 0, [*repairs, f"{value} taken for inside"] if value not in (0, white) else repairs
    if found[-1] <= THRESHOLD * (white // 255):
        listed = ", ".join(map(str, found[:5])) + (" ..." if found.size > 5 else "")
        raise UnreadableFileError(f"holds the values {listed}; wanted 0 and {white} (or 0 and one other)")
    between = int(values.size - counts[0] - counts[white]) if counts.size > white else int(values.size - counts[0])
    if between > MOST_GREY * values.size:
        raise UnreadableFileError(f"is {between / values.size:.0%} grey: a picture, no mask of black and white")
    threshold = THRESHOLD if white == 255 else 32767
    if between:
        repairs.append(f"{between} grey pixels: above {threshold} is inside")
    return values > threshold, repairs


def _turn_like_image(mask: Mask, shape: tuple[int, int], turned: int) -> None:
    """A mask without EXIF on an image with it: its sides may say whether it was drawn before or after the turn."""
    if turned in QUARTERS and same_ratio(mask.inside.shape[::-1], shape) and not same_ratio(mask.inside.shape, shape):
        mask.inside = turn(mask.inside, turned)
        mask.repairs.append(f"turned as the image was, by EXIF orientation {turned}")
    elif turned not in QUARTERS or same_ratio(mask.inside.shape[::-1], shape):
        mask.flags.append(f"the image was turned (EXIF orientation {turned}), the mask was not: check that they fit")


def same_ratio(mask: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether a mask of these (rows, columns) is the image at another size: to one pixel of the smaller of the two."""
    small, large = sorted((mask, image))
    scale = small[0] / large[0]
    return abs(large[1] * scale - small[1]) <= 1 or abs(large[0] * small[1] / large[1] - small[0]) <= 1


def resize_nearest(inside: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """`inside` at `shape` (rows, columns): each pixel's centre takes the value that lies there.

    Raises UnreadableFileError where the sides have another ratio.
    """
    if not same_ratio(inside.shape, shape):
        raise UnreadableFileError(
            f"has {inside.shape[0]} rows and {inside.shape[1]} columns, its image {shape[0]} and {shape[1]}: "
            "another shape, so they can't be laid on each other"
        )
    rows, columns = (
        ((2 * np.arange(new) + 1) * old) // (2 * new) for new, old in zip(shape, inside.shape, strict=True)
    )
    return inside[np.ix_(rows, columns)]
