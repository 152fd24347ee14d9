"""Trees of NIfTI, NRRD or MetaImage files instead of DICOM: which file is an image, and whose mask is which.

Layouts, tried in this order:
1. `images*/` beside `labels*/`, as nnU-Net (`imagesTr/x_0000.nii.gz`, `labelsTr/x.nii.gz`) and the Medical
   Segmentation Decathlon (the same without `_0000`) have it: label and image of one name belong together, and
   `dataset.json` above them names the labels. `masks/` and `segmentations/` serve as `labels/`.
2. A folder a case: one image, and masks beside it or in a subfolder named in MASK_FOLDERS.
3. Folders with images alone: each is a case.
In 2 and 3 the voxels tell images from masks: whole numbers from 0, at most 128 of them, make a mask.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import PrepError
from data_prep.volume_files import ending, first_values, read_voxels, stem
from data_prep.volume_voxels import label_values, read_image, read_image_volume, read_masks

__all__ = ["VolumeCase", "VolumeScan", "find_volumes", "is_mask", "read_image", "read_image_volume", "read_masks"]

MASK_FOLDERS = {"mask", "masks", "label", "labels", "seg", "segs", "segmentation", "segmentations", "roi", "rois"}
IMAGES = re.compile(r"images(|tr|ts|va|val)", re.IGNORECASE)
CHANNEL = re.compile(r"(.+)_(\d{4})")
LARGEST_JSON = 64 * 2**20


@dataclass(frozen=True)
class VolumeCase:
    """One image and its masks, in a fixed order. label_names: of values, where a dataset.json gives them."""

    name: str
    image: Path
    masks: tuple[Path, ...] = ()
    label_names: Mapping[int, str] = field(default_factory=dict)


@dataclass
class VolumeScan:
    """refused: files that become no case or mask, with the reason."""

    cases: list[VolumeCase] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def find_volumes(files: Iterable[Path]) -> VolumeScan:
    """Sort volumes among `files` (others are left alone) into cases. Raises nothing: what fails is in `refused`."""
    scan = VolumeScan()
    folders: dict[Path, list[Path]] = {}
    for path in sorted(Path(one) for one in files):
        if ending(path):
            folders.setdefault(path.parent, []).append(path)
    for folder in sorted(folders):
        labels = _labels_beside(folder, folders)
        if labels is not None and folder in folders:
            _pair_by_name(folder, folders.pop(folder), folders.pop(labels, []), scan)
    groups: dict[Path, tuple[list[Path], list[Path]]] = {}
    for folder, paths in sorted(folders.items()):
        below = folder.name.lower() in MASK_FOLDERS
        group = groups.setdefault(folder.parent if below else folder, ([], []))
        group[below].extend(paths)
    for folder, (own, under) in sorted(groups.items()):
        _one_folder(folder, own, under, scan)
    scan.cases = _with_unique_names(scan.cases)
    return scan


def is_mask(path: Path) -> bool:
    """By its voxels: labels, not HU. Raises SeriesError or its kin where the file can't be read."""
    if path.name.lower().endswith(".seg.nrrd"):
        return True
    first = first_values(path)
    if first is not None and len(first) and not _may_be_labels(first):
        return False  # most images show themselves in the first corner
    return not isinstance(label_values(read_voxels(path)), str)


def _may_be_labels(values: NDArray) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= 0 and (values == np.rint(values)).all())


def _labels_beside(folder: Path, folders: Mapping[Path, list[Path]]) -> Path | None:
    """The folder of labels that belongs to one of images; one that need not exist for imagesTr and imagesTs."""
    found = IMAGES.fullmatch(folder.name)
    if found is None:
        return None
    kind = found[1].lower()
    wanted = [f"labels{kind}"] if kind else ["labels", "masks", "segmentations"]
    for other in sorted(folders):
        if other.parent == folder.parent and other.name.lower() in wanted:
            return other
    return folder.with_name(f"labels{found[1]}") if kind else None


def _pair_by_name(folder: Path, images: Sequence[Path], labels: Sequence[Path], scan: VolumeScan) -> None:
    names = _label_names(folder.parent / "dataset.json")
    by_stem: dict[str, list[Path]] = {}
    for path in labels:
        by_stem.setdefault(stem(path), []).append(path)
    numbered = all(CHANNEL.fullmatch(stem(path)) for path in images)
    by_case: dict[str, list[Path]] = {}
    for path in images:
        channel = CHANNEL.fullmatch(stem(path))
        strip = channel and stem(path) not in by_stem and (numbered or channel[1] in by_stem)
        by_case.setdefault(channel[1] if channel and strip else stem(path), []).append(path)
    for case, paths in sorted(by_case.items()):
        if len(paths) > 1:
            scan.refused += [(path, f"{len(paths)} images (channels) of one case: wanted one CT") for path in paths]
            by_stem.pop(case, None)
            continue
        scan.cases.append(VolumeCase(case, paths[0], tuple(by_stem.pop(case, ())), names))
    for paths in by_stem.values():
        scan.refused += [(path, f"no image of its name in {folder.name}") for path in paths]


def _label_names(path: Path) -> dict[int, str]:
    """Value -> name, from {"1": "lung"} or {"lung": 1}; empty where there is none that can be read."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            return {}
        labels = json.loads(path.read_bytes())["labels"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    names: dict[int, str] = {}
    for one, other in labels:
        if isinstance(other, str) and str(one).isdecimal():
            names[int(one)] = other
        elif isinstance(other, int) and not isinstance(other, bool):
            names[other] = str(one)
    return names


def _one_folder(folder: Path, own: Sequence[Path], below: Sequence[Path], scan: VolumeScan) -> None:
    images: list[Path] = []
    masks = list(below)
    for path in own:
        try:
            (masks if is_mask(path) else images).append(path)
        except PrepError as error:
            scan.refused.append((path, str(error)))
    if len(images) == 1:
        scan.cases.append(VolumeCase(folder.name or stem(images[0]), images[0], tuple(sorted(masks))))
    elif not masks:
        copies = Counter(stem(path) for path in images)
        for path in images:
            if copies[stem(path)] == 1:
                scan.cases.append(VolumeCase(stem(path), path))
            else:
                scan.refused.append((path, f"{copies[stem(path)]} images of one name in one folder: keep one"))
    elif not images:
        scan.refused += [(path, "a mask without an image beside it") for path in masks]
    else:
        why = f"{len(images)} images and {len(masks)} mask(s) in one folder: which belong together can't be told"
        scan.refused += [(path, f"{why}; give each case a folder") for path in (*images, *masks)]


def _with_unique_names(cases: Sequence[VolumeCase]) -> list[VolumeCase]:
    """Cases of one name get the folders above in front, as many as it takes."""
    result = list(cases)
    for depth in range(1, 32):
        uses = Counter(case.name.casefold() for case in result)
        if max(uses.values(), default=0) < 2:
            break
        result = [
            VolumeCase(
                "-".join((*case.image.parent.parts[1:][-depth:], stem(case.image))),
                case.image,
                case.masks,
                case.label_names,
            )
            if uses[case.name.casefold()] > 1
            else case
            for case in result
        ]
    return result
