"""Made chests of a kind: found by drawing bodies until one fits, so that nothing about a body is out of its range."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.sample import Sample, lps_affine, peek, stream
from lungseg_monai.synthesis.acquisition import noise, sharpness, surroundings
from lungseg_monai.synthesis.build import draw_pose, make_chest
from lungseg_monai.synthesis.chest import Chest
from lungseg_monai.synthesis.elsewhere import MAKERS, make_elsewhere
from lungseg_monai.synthesis.frame import Pose
from lungseg_monai.synthesis.habitus import Habitus, draw_habitus
from lungseg_monai.synthesis.pathology import FINDINGS, FINDINGS_HELP, afflict
from lungseg_monai.synthesis.scene import SceneOptions, make_scene, trim

EXTENT_MM = (420.0, 300.0, 366.0)  # holds the lungs of any body whole
MIDDLE_MM = (-40.0, 15.0)  # of the grid, for that
MARGIN_MM = np.full((2, 2), 20.0)
ORDINARY, ANY = 0.5, 1.0  # difficulty
NOISE_HU = 15.0
Fits = Callable[[Habitus, Pose], bool]
BODIES: dict[str, tuple[str, Fits]] = {
    "child": ("a body of less than 0.8 of an adult's size", lambda body, pose: max(pose.scale) < 0.8),
    "obese": ("more than 36 mm of fat under the skin", lambda body, pose: body.fat > 36),
    "thin": ("less than 6 mm of fat", lambda body, pose: body.fat < 6),
    "female": ("breasts", lambda body, pose: body.female),
    "arms-down": ("arms beside the chest", lambda body, pose: body.arms == "down"),
    "prone": ("lying on the front", lambda body, pose: body.prone),
    "kyphosis": ("a bent back", lambda body, pose: body.kyphosis > 18),
    "scoliosis": ("a crooked spine", lambda body, pose: abs(body.scoliosis) > 14),
    "hollow-chest": ("a funnel chest", lambda body, pose: body.hollow_chest > 18),
    "shifted-heart": ("heart and midline off by over 15 mm", lambda body, pose: abs(body.shift) > 15),
    "raised-left-dome": ("left dome 30 mm higher", lambda body, pose: body.dome_left > body.dome_right + 30),
    "full-stomach": ("gas of over 50 mm radius under the dome", lambda body, pose: body.stomach_gas > 50),
    "dense-lungs": ("lungs above -700 HU, breathed out", lambda body, pose: body.lung_hu > -700),
    "airy-lungs": ("lungs below -925 HU", lambda body, pose: body.lung_hu < -925),
    "bright-veins": ("contrast of over 600 HU in the veins", lambda body, pose: body.vein_hu > 600),
    "turned": ("turned by over 10 degrees", lambda body, pose: max(map(abs, pose.turn_deg)) > 10),
}


def draw_chest(
    words: Sequence[object], fits: Fits | None = None, difficulty: float = ORDINARY, spacing_mm: float = 3.0
) -> tuple[Chest, np.random.Generator]:
    """The first healthy chest of the stream `words` with the lungs whole in the grid, and what to draw on with."""
    i, j, k = (round(mm / spacing_mm) for mm in EXTENT_MM)
    for attempt in range(100_000):
        random = stream(*words, attempt)
        ahead = peek(random)  # make_chest draws its body and pose first
        body, pose = draw_habitus(ahead, difficulty), draw_pose(ahead, difficulty)
        if MIDDLE_MM[0] < pose.centre_mm[2] < MIDDLE_MM[1] and (fits is None or fits(body, pose)):
            return make_chest((i, j, k), spacing_mm, random, difficulty), random
    raise ValueError(f"no body of {'/'.join(map(str, words))} fits")


def scanned(chest: Chest, random: np.random.Generator) -> NDArray[np.float32]:
    """hu of an ordinary scan: a table, a little blur and noise."""
    hu, _ = surroundings.add_table(chest.hu.astype(np.float32), chest.body, chest.spacing_mm, random)
    sigma = 1.2 / chest.spacing_mm
    hu = sharpness.blur(hu, (sigma, sigma, sigma))
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    return hu + noise.make_noise(shape, NOISE_HU, 0.0, random)


def finished(chest: Chest, random: np.random.Generator) -> Sample:
    """The ordinary scan of a chest as an image."""
    chest = trim(chest, MARGIN_MM)
    return as_sample(scanned(chest, random), chest.lung, (chest.spacing_mm,) * 3)


def as_sample(hu: NDArray[np.generic], lung: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> Sample:
    values = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
    return Sample(values, np.ascontiguousarray(lung), lps_affine(spacing_mm))


def healthy(row: str, number: int) -> Sample:
    return finished(*draw_chest(("healthy", number)))


def with_finding(row: str, number: int, spacing_mm: float = 3.0) -> Sample:
    chest, random = draw_chest(("finding", row, number), spacing_mm=spacing_mm)
    if row != "none":
        afflict(chest, random, only=[row])
    return finished(chest, random)


def fine(row: str, number: int) -> Sample:
    return with_finding(row, number, 1.5)


def of_body(row: str, number: int) -> Sample:
    return finished(*draw_chest(("body", row, number), BODIES[row][1], ANY))


def drawn_mix(row: str, number: int) -> Sample:
    """A scene as training draws it."""
    options = SceneOptions(elsewhere=0) if row == "everything" else SceneOptions(difficulty=0, elsewhere=0)
    scene = make_scene(SEED_OF_MIX[row], number, options)
    return as_sample(scene.hu, scene.lung, (scene.spacing_mm,) * 3)


def elsewhere(row: str, number: int, spacing_mm: float = 3.0) -> Sample:
    names = list(MAKERS)
    shares = [MAKERS[name][1] for name in names]
    i, j, k = (round(mm / spacing_mm) for mm in EXTENT_MM)
    for attempt in range(100_000):
        random = stream("elsewhere", row, number, attempt)
        if str(peek(random).choice(names, p=shares)) == row:  # make_elsewhere draws this first
            return finished(make_elsewhere((i, j, k), spacing_mm, random), random)
    raise ValueError(f"nothing is called {row}")


SEED_OF_MIX = {"easy": 778, "everything": 777}
MIX = {"easy": "scenes of difficulty 0", "everything": "scenes of difficulty 1: any body, findings and faults together"}
FINDING_ROWS = {"none": "no finding", **{name: FINDINGS_HELP[name] for name in FINDINGS}}
BODY_ROWS = {name: help_line for name, (help_line, _) in BODIES.items()}
ELSEWHERE_ROWS = dict.fromkeys(MAKERS, "no lung in the image")
FINE_ROWS = {name: FINDING_ROWS[name] for name in ("none", "effusion", "lobar_consolidation", "bullae", "pneumothorax")}
