"""What the names of folders and files say: image or mask, of which lung, of which picture."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from data_prep.roi_names import label_of, squashed

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".dic"}
MASK_FOLDER = re.compile(
    r"(manual|left|right|lungs?|binary|cxr|true)*(masks?|annotations?|segmentations?|segs?|groundtruth|gt)(png)?"
)
IMAGE_FOLDER = re.compile(
    r"(chest|cxr|xrays?)*(images?|imgs?|pictures?|radiographs?|scans?|png|jpe?g|dicom|dcm)|cxrs?|xrays?"
)
# The ends of a file's name, part by part: `a_mask`, `a-left-mask`, `a lung seg`.
MASK_WORD = re.compile(r"masks?|segs?|segmentations?|labels?|gt|(left|right|lungs?)masks?", re.IGNORECASE)
BESIDE_WORD = re.compile(r"left|right|lungs?|(left|right)lung", re.IGNORECASE)
IMAGE_WORD = re.compile(r"images?|img|cxr|xray", re.IGNORECASE)
PARTS = re.compile(r"[^ _.\-]+")
CLASSES = {"covid": "COVID", "normal": "Normal", "lungopacity": "Lung_Opacity", "viralpneumonia": "Viral_Pneumonia"}


@dataclass(frozen=True)
class Named:
    """base: folders without those that say image or mask. stem: the name without ending. short: without its suffix.

    is_mask: a folder or suffix says so. roi: what the mask shows.
    """

    base: tuple[str, ...]
    stem: str
    short: str
    is_mask: bool
    roi: str = "lungs"


def named(place: PurePosixPath) -> Named:
    """What `place`, relative to the input, says."""
    stem = stem_of(place)
    base: list[str] = []
    in_masks, sides = False, list[str]()
    for folder in place.parent.parts:
        name = squashed(folder)
        if MASK_FOLDER.fullmatch(name):
            in_masks = True
            sides += _sides(name)
        elif in_masks and label_of(folder):
            sides.append(str(label_of(folder)))
        elif not IMAGE_FOLDER.fullmatch(name):
            base.append(folder)
    short, words = _without_suffix(stem, in_masks)
    is_mask = in_masks or any(MASK_WORD.fullmatch(word) for word in words)
    if not is_mask:
        return Named(tuple(base), stem, _without_image_word(stem), False)
    sides += [side for word in words for side in _sides(word.casefold())]
    return Named(tuple(base), stem, short, True, sides[-1] if sides else "lungs")


def stem_of(place: PurePosixPath) -> str:
    """The name without an ending of picture or DICOM files; names of DICOM files may hold other dots."""
    return place.stem if place.suffix.lower() in ENDINGS else place.name


def class_of(place: PurePosixPath) -> str | None:
    """The class folder of the COVID-19 Radiography Database that `place` lies in, or None."""
    return next((CLASSES[squashed(part)] for part in place.parent.parts if squashed(part) in CLASSES), None)


def _sides(name: str) -> list[str]:
    return [f"lung_{side}" for side in ("left", "right") if name.startswith(side)]


def _without_suffix(stem: str, in_masks: bool) -> tuple[str, list[str]]:
    """`stem` without the words at its end that say mask (in a folder of masks: or lung, left, right), and those."""
    words: list[str] = []
    end = len(stem)
    for part in reversed(list(PARTS.finditer(stem))[1:]):
        word = part.group()
        if not (MASK_WORD.fullmatch(word) or BESIDE_WORD.fullmatch(word)):
            break
        words.append(word)
        end = part.start()
    if not in_masks and not any(MASK_WORD.fullmatch(word) for word in words):
        return stem, []
    return stem[:end].rstrip(" _.-"), words


def _without_image_word(stem: str) -> str:
    parts = list(PARTS.finditer(stem))
    if len(parts) > 1 and IMAGE_WORD.fullmatch(parts[-1].group()):
        return stem[: parts[-1].start()].rstrip(" _.-")
    return stem
