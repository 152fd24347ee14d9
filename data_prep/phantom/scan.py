"""The voxel grid that one made patient is scanned on."""

import numpy as np

from data_prep.errors import UsageError
from data_prep.geometry import Grid
from data_prep.phantom.habitus import Habitus
from data_prep.phantom.options import PhantomOptions
from data_prep.phantom.solids import Array

PIXELS = {"small": 128, "full": 512}
SLICE_SPACING_MM = {"small": (5.0, 5.5, 6.0), "full": (1.5, 2.0, 2.5, 3.0)}
FIELD_OF_VIEW_MM = {"small": (333, 430), "full": (410, 500)}
AROUND_BODY = {"small": 1.0, "full": 1.22}
SMALL_SLICES = (48, 60)


def rotation(turn_deg: tuple[float, float, float]) -> Array:
    """(3, 3): turns about x, then y, then z, by right-hand angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def scan_grid(
    body: Habitus, lung_z_mm: tuple[float, float], options: PhantomOptions, random: np.random.Generator
) -> Grid:
    """A grid around the chest, off-centre. lung_z_mm: lowest and highest point of the lungs in the body's own frame.

    A third to two fifths of its length holds no lung. `random` is used for the scanner's choices only.
    """
    share_without, above = float(random.uniform(0.34, 0.42)), float(random.uniform(0.25, 0.4))
    shift_mm, any_step = random.uniform(-8, 8, 2), float(random.random())
    low, high = lung_z_mm
    length = (high - low) / (1 - share_without)
    middle_z = high + above * (length - (high - low)) - length / 2

    field_of_view, spacing = _pixels(body, options.size), options.spacing_mm
    if spacing is None:
        pixel = field_of_view / PIXELS[options.size]
        spacing = (pixel, pixel, _slice_step(options.size, length, any_step))
    shape = [round(field_of_view / spacing[0]), round(field_of_view / spacing[1]), round(length / spacing[2])]
    if options.size == "small" and options.spacing_mm is None:
        shape[2] = int(np.clip(shape[2], *SMALL_SLICES))

    directions = rotation(options.oblique_deg)
    middle = np.add(body.position_mm, (shift_mm[0], 8 + shift_mm[1], middle_z))
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = np.round(middle - affine[:3, :3] @ (np.array(shape) - 1) / 2, 3)
    return Grid((shape[0], shape[1], shape[2]), affine)


def kept_slices(slices: int, missing: int, random: np.random.Generator) -> tuple[int, ...]:
    """The slices that exist: all but `missing` inner ones. Raises UsageError where fewer than 3 would be left."""
    if slices - missing < 3:
        raise UsageError(
            f"missing_slices is {missing}, but this scan has {slices} slices and needs 3; ask for at most {slices - 3}"
        )
    left_out = set((1 + random.permutation(slices - 2)[:missing]).tolist())
    return tuple(k for k in range(slices) if k not in left_out)


def _pixels(body: Habitus, size: str) -> int:
    width = 2 * (body.half_width + 12 + body.muscle + body.fat) + 30
    return int(np.clip(round(width * AROUND_BODY[size]), *FIELD_OF_VIEW_MM[size]))


def _slice_step(size: str, length_mm: float, any_step: float) -> float:
    steps = SLICE_SPACING_MM[size]
    if size == "full":
        return steps[int(any_step * len(steps))]
    return next((step for step in steps if length_mm / step <= SMALL_SLICES[1]), steps[-1])
