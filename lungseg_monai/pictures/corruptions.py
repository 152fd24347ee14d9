"""Named, graded damage to a radiograph whose lungs are known: what other hospitals, machines and files do to films.

To measure with, not to train with: forms and numbers are not those of the augmentation in transforms/. What each has in
common with it, and what not, is said by `kin` and `beyond`. Grades are ours; none was tuned on a network's score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures import corruptions_film as film
from lungseg_monai.pictures import corruptions_patient as patient
from lungseg_monai.pictures import corruptions_place as place
from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.sides import Labels

LEVELS = ("mild", "strong")
Change = Callable[..., tuple[Picture, Labels]]


@dataclass(frozen=True)
class Corruption:
    """about: what it stands for. change(picture, labels, random, **numbers) -> both.

    levels: the numbers of each of LEVELS. moves: whether the labels change with the picture, in place or in shape.
    kin: names of transforms.radiograph_chains.AUGMENTATIONS that do something alike in training, none if nothing does.
    beyond: what training does not show.
    """

    about: str
    change: Change
    levels: Mapping[str, Mapping[str, float]]
    kin: tuple[str, ...] = ()
    beyond: str = ""
    moves: bool = field(default=False)


CORRUPTIONS: dict[str, Corruption] = {
    "inverted": Corruption(
        "dense is dark",
        film.inverted,
        {"mild": {"curve": 0.0}, "strong": {"curve": 7.0}},
        ("inversion",),
        "strong: through an S-shaped curve, as a negative on film",
    ),
    "rotated": Corruption(
        "turned, black beyond",
        place.rotated,
        {"mild": {"degrees": 10.0}, "strong": {"degrees": 20.0}},
        ("affine",),
        "strong: training ends at 17 degrees",
        moves=True,
    ),
    "child": Corruption(
        "a small, broad chest in a big field, the film's grey going on about it",
        place.child,
        {"mild": {"size": 0.68, "broad": 1.08}, "strong": {"size": 0.48, "broad": 1.16}},
        ("affine", "borders"),
        "half the size (training: 0.7), with grey about it in place of a frame",
        moves=True,
    ),
    "cropped": Corruption(
        "cut close to the lungs; strong: into them. The shape changes",
        place.cropped,
        {"mild": {"margin": 0.03}, "strong": {"margin": -0.06}},
        ("cropping", "affine"),
        "another ratio of the sides; two edges run through the lungs",
        moves=True,
    ),
    "mirrored": Corruption(
        "hangs the wrong way round; labels stay the patient's",
        place.mirrored,
        {"mild": {}},
        ("flip",),
        "nothing",
        moves=True,
    ),
    "borders": Corruption(
        "mild: black frame; strong: broad white frame about a turned, eight-cornered field",
        place.framed,
        {
            "mild": {"share": 0.07, "value": 0.0, "corners": 0.0},
            "strong": {"share": 0.17, "value": 1.0, "corners": 0.3},
        },
        ("borders",),
        "oblique edges and corners cut off, all sides at once",
        moves=True,
    ),
    "text": Corruption(
        "markers, a ruler and lines of text burnt in, a black box over a name",
        patient.marked,
        {"mild": {"lines": 2, "height": 0.025, "ruler": 0}, "strong": {"lines": 6, "height": 0.05, "ruler": 1}},
        ("text",),
        "other words; rulers, arrows, blocks of lines, black boxes",
    ),
    "devices": Corruption(
        "leads with electrodes, tube, catheter; strong: also a pacemaker, clips and a brace's rods",
        patient.with_devices,
        {"mild": {"leads": 2, "metal": 0}, "strong": {"leads": 4, "metal": 1}},
        ("tubes",),
        "metal at full white, with boxes, screws and rods; straight where training's are curves",
    ),
    "pneumonia": Corruption(
        "patchy, structured opacities: mild in one lung, strong at the periphery of both",
        patient.pneumonia,
        {"mild": {"share": 0.3, "density": 0.6, "both": 0}, "strong": {"share": 0.65, "density": 0.85, "both": 1}},
        ("opacities",),
        "clouds with texture, at the lung's border; training draws one to four smooth ones",
    ),
    "white_lung": Corruption(
        "one lung white, as by a large effusion with its meniscus; strong: all of it",
        patient.white_lung,
        {"mild": {"level": 0.5, "density": 0.8}, "strong": {"level": -0.5, "density": 0.97}},
        ("opacities",),
        "strong: no lung border left on that side (training leaves the upper 0.4 of a lung)",
    ),
    "portable": Corruption(
        "bedside film: scattered light, low contrast, grid cut off at one side, grain",
        film.portable,
        {"mild": {"scatter": 0.35, "width": 0.65, "cut": 0.12}, "strong": {"scatter": 0.55, "width": 0.4, "cut": 0.3}},
        ("portable", "shading", "contrast"),
        "scatter as a wide blur, less contrast, grain with it",
    ),
    "noise": Corruption(
        "too few quanta: grain that grows with density; strong: dead pixels too",
        film.quantum_noise,
        {"mild": {"quanta": 800.0, "dead": 0.0}, "strong": {"quanta": 150.0, "dead": 0.01}},
        ("noise",),
        "depends on the grey value: up to 0.1 where it is dense; training adds the same everywhere, up to 0.06",
    ),
    "blur": Corruption(
        "the patient moved: smeared along one direction",
        film.motion_blur,
        {"mild": {"length": 0.015}, "strong": {"length": 0.04}},
        ("blur",),
        "along a line, up to 10 of 256 pixels; training: round, sigma up to 1.5",
    ),
    "gamma": Corruption(
        "another look-up table, darker or brighter",
        film.gamma,
        {"mild": {"factor": 1.6}, "strong": {"factor": 3.0}},
        ("gamma", "histogram"),
        "strong: training ends at 2.2",
    ),
    "clahe": Corruption(
        "equalised at the source, hard, in fine tiles",
        film.equalised_at_source,
        {"mild": {"clip": 6.0, "tiles": 12}, "strong": {"clip": 20.0, "tiles": 16}},
        ("clahe",),
        "training: clip limit up to 5, up to 9 tiles, mixed with the picture itself",
    ),
    "squeezed": Corruption(
        "few of the 256 grey values used, the rest of the range empty",
        film.squeezed,
        {"mild": {"values": 64}, "strong": {"values": 12}},
        ("contrast",),
        "rounded to whole grey values, so that few levels are left",
    ),
    "jpeg": Corruption(
        "small and pressed hard as JPEG before it came",
        film.pressed,
        {"mild": {"quality": 30, "size": 300}, "strong": {"quality": 8, "size": 180}},
        (),
        "all: training has nothing like it",
    ),
}


def corrupt(picture: Picture, labels: Labels, name: str, level: str, seed: int = 0) -> tuple[Picture, Labels]:
    """picture (H, W) float32 in 0 ... 1, labels (H, W) uint8 -> both with the corruption `name` of CORRUPTIONS.

    level: "mild" or "strong", where the corruption has it. labels: 0 no lung, 1 right, 2 left, or 1 both; they stay
    those of the lungs that can lie in the picture: turned, shrunk, mirrored or cut with it, kept under opacities.
    The shape may change ("cropped"). The same arguments give the same pixels; neither input is changed. Raises
    ConfigError for an unknown name or level, for a picture without this range or form, and labels of another shape.
    """
    numbers = _numbers(name, level)
    if picture.ndim != 2 or picture.shape != labels.shape:
        raise ConfigError(f"a picture of {picture.shape} with labels of {labels.shape}; wanted both (rows, columns)")
    if not (float(picture.min()) >= 0 and float(picture.max()) <= 1):  # not so for NaN either
        raise ConfigError(f"grey values from {picture.min():.4g} to {picture.max():.4g}; wanted 0 to 1")
    random = np.random.default_rng([seed, crc32(name.encode())])  # not of the level: both grades hit the same places
    values = np.array(picture, np.float32)
    out, moved = CORRUPTIONS[name].change(values, labels.copy(), random, **numbers)
    return np.clip(out, 0, 1).astype(np.float32), np.ascontiguousarray(moved, np.uint8)


def grades() -> list[tuple[str, str]]:
    """(name, level) of all there are."""
    return [(name, level) for name, one in CORRUPTIONS.items() for level in one.levels]


def mixed(picture: Picture, labels: Labels, seed: int, count: int = 3) -> tuple[Picture, Labels, list[str]]:
    """As `corrupt`, with `count` different ones drawn by `seed`, one after the other; and their "name/level"."""
    random = np.random.default_rng([seed, crc32(b"mixed")])
    names = [list(CORRUPTIONS)[at] for at in sorted(random.permutation(len(CORRUPTIONS))[:count])]
    done = []
    for name in names:
        level = str(random.choice(list(CORRUPTIONS[name].levels)))
        picture, labels = corrupt(picture, labels, name, level, seed)
        done.append(f"{name}/{level}")
    return picture, labels, done


def _numbers(name: str, level: str) -> Mapping[str, float]:
    if name not in CORRUPTIONS:
        raise ConfigError(f"there is no corruption {name!r}; there are: {', '.join(CORRUPTIONS)}")
    levels = CORRUPTIONS[name].levels
    if level not in levels:
        raise ConfigError(f"the corruption {name} has no level {level!r}; it has: {', '.join(levels)}")
    return levels[level]
