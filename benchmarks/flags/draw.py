"""Cases with known lungs, segmented with their uncertainty: one row of numbers and flags each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.chests import as_sample
from benchmarks.lungs.judge import dice, judge
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.image import Image
from lungseg_monai.synthesis.scene import SceneOptions, make_scene

SEED = 1000033  # training draws from 0, validation from 1000003, benchmarks.lungs from 777 and 778
SCENE = SceneOptions(elsewhere=0.0)
LITTLE = 0.05  # of the larger lung: a smaller one is not judged by Dice
LONGEST = 768  # pixels of a film
MEASURES = ("border_percent", "flip_percent", "dice", "ragged")


@dataclass
class Row:
    """One case. bad: whether a lung has Dice below 0.9, is missed, swapped, or drawn where none is.

    rois: name -> the Dice it truly has ("true"), its confidence, and MEASURES. flags: code -> severity.
    """

    name: str
    bad: bool
    rois: dict[str, dict[str, float | None]] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@lru_cache(maxsize=1)
def model(name: str) -> Any:
    from lungseg_monai.segment.models import open_model

    return open_model(name, device="cpu", threads=1, uncertainty=True)


def chest(number: int) -> Row:
    """A made CT with any body, findings and scanner: of difficulty 1, as training draws them, from SEED."""
    scene = make_scene(SEED, number, SCENE)
    sample = as_sample(scene.hu, scene.lung, (scene.spacing_mm,) * 3)
    name = f"chest {number}"
    try:
        found = model("ct_lungs").segment(Image(sample.hu, sample.affine_ras))
    except ImageError:
        return Row(name, True, flags={"refused": "alarm"})
    said = judge(found.labels_ijk, sample)
    return _row(name, bool(said.failures), {"lung_right": said.dice.get(1), "lung_left": said.dice.get(2)}, found)


def film(data: Path, at: int, name: str = "cxr_lung_unet") -> Row:
    """A film of the validation list: every other one as it is, the others with three kinds of damage at once."""
    from benchmarks.radiographs.prepared import cases_of
    from lungseg_monai.pictures.corruptions import mixed
    from lungseg_monai.segment.radiographs.doubts import doubts

    case = cases_of(data, "validation")[at]
    picture, truth = _at_most(*case.read())
    damage: list[str] = []
    if at % 2:
        picture, truth, damage = mixed(picture, truth, at)
    found = model(name).segment(picture, flipped="mirrored/mild" in damage)  # as DICOM would say
    seen = doubts(picture, found.labels_ijk, found.confidence, bool(found.facts["inverted"]))
    sizes = [int(np.count_nonzero(truth == side)) for side in (1, 2)]
    scores = {
        roi: dice(found.labels_ijk == side, truth == side) if size > LITTLE * max(sizes) else None
        for (side, roi), size in zip(found.names.items(), sizes, strict=True)
    }
    bad = any(one is not None and one < 0.9 for one in scores.values())
    return _row(f"film {case.case_id}{' damaged' if at % 2 else ''}", bad, scores, found, seen)


def _at_most(picture: NDArray[Any], labels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    step = -(-max(picture.shape) // LONGEST)
    return picture[::step, ::step], labels[::step, ::step]


def _row(name: str, bad: bool, scores: Mapping[str, float | None], found: Any, more: tuple[Any, ...] = ()) -> Row:
    rois = {
        roi: {"true": score, "confidence": found.confidence.get(roi)}
        | {one: found.uncertainty["rois"][roi][one] for one in MEASURES}
        for roi, score in scores.items()
    }
    flags = {one.code: one.severity for one in (*found.flags, *more)}
    return Row(name, bad, {roi: _plain(of) for roi, of in rois.items()}, flags)


def _plain(of: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: None if value is None else round(float(value), 4) for name, value in of.items()}
