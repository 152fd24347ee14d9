"""A whole made radiograph: a patient, findings, projection, masks, film."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import UsageError
from lungseg_monai.synthesis.chest import LEFT, RIGHT
from lungseg_monai.synthesis.fields import Field
from lungseg_monai.synthesis.pathology import afflict
from lungseg_monai.synthesis.radiograph.beam import Beam, beam_frame
from lungseg_monai.synthesis.radiograph.body import Standing, build_body
from lungseg_monai.synthesis.radiograph.film import develop, draw_exposure, expose
from lungseg_monai.synthesis.radiograph.marks import add_lines, add_text, draw_field
from lungseg_monai.synthesis.radiograph.masks import LUNG_MM, Paths, anatomical, completed, visible
from lungseg_monai.synthesis.radiograph.patient import CARDIOMEGALY, LARGE_HEART, Patient, draw_patient
from lungseg_monai.synthesis.radiograph.shadows import attenuation, draw_quality, onto_film, path_through
from lungseg_monai.synthesis.radiograph.vessels import Onto, vessel_chords_mm

BODY = 0.6  # a line integral that air about the patient does not reach
DEEPER = 1.5  # a step along the beam, against the grid's across it
HEART = "cardiomegaly"  # a finding of the habitus, beside those of pathology.FINDINGS


@dataclass(frozen=True)
class RadiographOptions:
    """What is made. shape: (rows, columns) of the film. grid_mm: of the body's grid on the receptor, DEEPER along the
    beam. difficulty: 0 upright ordinary people on good film, 1 everything. view: "PA", "AP" or None, which draws.

    findings: exactly these (names of pathology.FINDINGS, or "cardiomegaly"), None draws them. sickness: how many are
    sick, against the usual mix (1). children: their share. through_findings: whether the masks count what findings
    take from the lung (fluid, air beside it, large masses), as readers do who draw the border where they expect it.
    film: whether scatter, noise, text, wires and borders are added.
    """

    shape: tuple[int, int] = (512, 512)
    grid_mm: float = 2.4
    difficulty: float = 1.0
    view: str | None = None
    findings: tuple[str, ...] | None = None
    sickness: float = 1.0
    children: float = 0.1
    through_findings: bool = False
    film: bool = True


DEFAULTS = RadiographOptions()
TINY = RadiographOptions(shape=(128, 128), grid_mm=4.5)
"""For tests: a tenth of the default's time."""


@dataclass(frozen=True)
class Radiograph:
    """image: (rows, columns) float32 from 0 to 1, dense bright unless facts["inverted"], the patient's right on the
    image's left. anatomical, visible, completed: uint8, 0, 1 right lung, 2 left, see `masks`.
    spacing_mm: of pixels, on the receptor. facts: view, findings, cardiothoracic_ratio (None where no lung
    is left), habitus and the rest that was drawn.
    """

    image: NDArray[np.float32]
    anatomical: NDArray[np.uint8]
    visible: NDArray[np.uint8]
    completed: NDArray[np.uint8]
    spacing_mm: float
    facts: dict[str, Any] = field(default_factory=dict)


def make_radiograph(seed: int, index: int, options: RadiographOptions = DEFAULTS) -> Radiograph:
    """Radiograph number `index` of `seed`: the same arguments give the same pixels.

    Raises UsageError for an unknown view or finding, or a film or grid too small to hold a chest.
    """
    _check(options)
    random = np.random.default_rng([seed, index, 2])
    patient, wanted = _who(random, options)
    spacing_mm = patient.field_mm / options.shape[0]
    beam, standing = _stand(patient, options, random)
    chest = standing.chest
    afflict(chest, random, only=wanted, difficulty=options.difficulty * options.sickness)
    path_mm = beam.path_mm(chest.hu.shape)
    paths = _paths(standing, path_mm, options)
    integral = _integral(standing, patient, path_mm, paths, options, random)
    image, inside, marks = _film(integral, anatomical(paths), patient, spacing_mm, options, random)
    whole, seen, filled = (np.where(inside, draw(paths), np.uint8(0)) for draw in (anatomical, visible, completed))
    heart = onto_film(path_through(standing.heart, path_mm), options.shape)
    facts = {**chest.facts, **marks, "source_mm": patient.source_mm, "cardiothoracic_ratio": _ratio(heart, paths)}
    return Radiograph(image, whole, seen, filled, spacing_mm, facts)


def _check(options: RadiographOptions) -> None:
    if options.view not in (None, "PA", "AP"):
        raise UsageError(f"view is {options.view!r}; give 'PA', 'AP', or None to draw one")
    if min(options.shape) < 32 or not 0.5 <= options.grid_mm <= 12:
        raise UsageError(
            f"shape {options.shape} with grid_mm {options.grid_mm} holds no chest; give 32 pixels or more, 0.5 to 12 mm"
        )


def _who(random: np.random.Generator, options: RadiographOptions) -> tuple[Patient, tuple[str, ...] | None]:
    if options.findings is None:
        large = bool(random.random() < CARDIOMEGALY * options.sickness * options.difficulty)
        wanted = None
    else:
        large = HEART in options.findings
        wanted = tuple(name for name in options.findings if name != HEART)
    patient = draw_patient(
        random, view=options.view, difficulty=options.difficulty, children=options.children, large_heart=large
    )
    return patient, wanted


def _stand(patient: Patient, options: RadiographOptions, random: np.random.Generator) -> tuple[Beam, Standing]:
    rows, columns = options.shape
    scale = patient.field_mm / 400  # a child's grid is as fine as its body is small
    pixel = options.grid_mm * scale
    k = max(24, round(patient.field_mm / pixel))
    i = max(24, round(k * columns / rows))
    pixel = patient.field_mm / k
    beam = Beam(patient.view, patient.source_mm, patient.gap_mm, pixel, DEEPER * pixel)
    body, pose = patient.habitus, patient.pose
    deep = 2 * pose.scale[1] * (1.12 * body.half_depth + 0.7 * body.muscle + 1.1 * body.fat + 22)
    frame = beam_frame((i, max(24, round(deep / beam.step_mm)), k), beam, pose, patient.turn, random)
    standing = build_body(frame, patient, pixel, random)
    if body.heart >= LARGE_HEART:
        standing.chest.facts.setdefault("findings", []).append({"name": HEART, "side": 0})
    return beam, standing


def _paths(standing: Standing, path_mm: Field, options: RadiographOptions) -> Paths:
    chest = standing.chest
    lung = chest.cavity if options.through_findings else chest.lung
    by_label = {
        label: onto_film(path_through(standing.share * (lung == label), path_mm), options.shape, even=True)
        for label in (RIGHT, LEFT)
    }
    middle = onto_film(path_through(standing.middle, path_mm), options.shape)
    return Paths(by_label, middle, onto_film(path_through(standing.abdomen, path_mm), options.shape))


def _integral(
    standing: Standing,
    patient: Patient,
    path_mm: Field,
    paths: Paths,
    options: RadiographOptions,
    random: np.random.Generator,
) -> Field:
    """Line integrals on the film, the lungs' vessels drawn over what the grid holds."""
    quality = draw_quality(random)
    chest, shape = standing.chest, options.shape
    integral = np.maximum(onto_film(attenuation(chest.hu, path_mm, quality), shape), 0)
    grid = standing.frame.x.shape
    scale = (shape[0] / grid[2], shape[1] / grid[0])
    chords = vessel_chords_mm(
        standing.frame, chest.depth_mm, chest.hilum_mm, Onto(scale, shape, patient.field_mm / shape[0]), random
    )
    filled = standing.share * (chest.lung > 0)
    airy = path_through(filled * np.clip(-chest.hu / np.float32(1000), 0, 1), path_mm)
    room = path_through(standing.share, path_mm)
    airy /= np.maximum(room, np.float32(1))
    air_share = np.clip(onto_film(airy, shape), 0, 1)
    return np.asarray(integral + chords * air_share * np.float32(quality.mu_per_mm), np.float32)


def _film(
    integral: Field,
    lungs: NDArray[np.uint8],
    patient: Patient,
    spacing_mm: float,
    options: RadiographOptions,
    random: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, Any]]:
    hard = options.difficulty
    exposure = draw_exposure(random, patient.view, hard if options.film else 0.0)
    if not options.film:
        density = expose(integral, spacing_mm, exposure, random, noisy=False)
        inside = np.ones(integral.shape, bool)
        return develop(density, spacing_mm, exposure, integral > BODY), inside, {"inverted": False}
    lines = add_lines(integral, spacing_mm, random, hard * (0.6 if patient.view == "AP" else 0.08))
    exposed = draw_field(options.shape, lungs, random, 0.3 * hard)
    density = expose(integral, spacing_mm, exposure, random)
    grey = develop(density, spacing_mm, exposure, exposed.inside & (integral > BODY))
    grey = np.where(exposed.inside, grey, np.float32(exposed.beyond))
    text = add_text(grey, random, 0.35 * hard)
    inverted = bool(random.random() < 0.04 * hard)
    if inverted:
        grey = 1 - grey
    bordered = not bool(exposed.inside.all())
    return grey, exposed.inside, {"inverted": inverted, "lines": lines, "text": text, "collimated": bordered}


def _ratio(heart_mm: Field, paths: Paths) -> float | None:
    """The heart's greatest width against the chest's, both inside the ribs, as readers measure it."""
    lungs = (np.maximum(*paths.lung.values()) >= LUNG_MM).any(axis=0)
    heart = (heart_mm >= LUNG_MM).any(axis=0)
    if not lungs.any() or not heart.any():
        return None
    wide = [int(np.ptp(np.flatnonzero(shadow))) + 1 for shadow in (heart, lungs)]
    return round(wide[0] / wide[1], 3)
