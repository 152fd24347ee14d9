"""One made patient on one scan grid: HU and truth at any point, as volumes, and as contours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import UsageError
from data_prep.geometry import Grid
from data_prep.phantom.contours import Contour, trace
from data_prep.phantom.habitus import Habitus, draw_habitus
from data_prep.phantom.options import DEFAULTS, PhantomOptions
from data_prep.phantom.scan import kept_slices, rotation, scan_grid
from data_prep.phantom.scene import Scene, build_scene, paint
from data_prep.phantom.solids import Array, Points, Solid
from data_prep.phantom.tiles import CHUNK, SLAB, tiles
from data_prep.phantom.tumours import Tumour, kind_of

HU_RANGE = (-1024, 3071)  # what 12 bits hold with an intercept of -1024
# Each purpose draws from its own stream, so that how a patient is scanned changes nothing of the anatomy.
ANATOMY, SCAN, NOISE = 1, 2, 3


@dataclass(frozen=True, eq=False)
class Patient:
    """A made chest with known truth. Points are in mm, LPS; arrays are indexed [i, j, k] as data_prep.geometry says.

    grid: the whole regular grid. slices: the k that exist, all of them unless some are left out.
    """

    seed: int
    number: int
    options: PhantomOptions
    scene: Scene
    grid: Grid
    slices: tuple[int, ...]
    body_from_world: Array  # (4, 4), mm to mm

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.number:03d}"

    @property
    def habitus(self) -> Habitus:
        return self.scene.habitus

    @property
    def tumours(self) -> tuple[Tumour, ...]:
        return self.scene.tumours

    @property
    def labels(self) -> tuple[str, ...]:
        """The contoured structures: Lung-Left, Lung-Right, GTV-1 ... where there are tumours, Spinal-Cord."""
        return self.scene.rois

    def hu(self, points_mm: ArrayLike) -> NDArray[np.float32]:
        """(..., 3) points -> (...) HU, without noise and partial volume."""
        return self._at(points_mm, lambda points: paint(self.scene.layers, points))

    def inside(self, label: str, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """(..., 3) points -> (...) whether they lie inside `label`, exactly.

        label: a contoured structure, or one of the others in `scene.solids`. Raises UsageError for any other name.
        """
        solid = self._solid(label)
        return self._at(points_mm, lambda points: np.broadcast_to(np.asarray(solid.at(points)) < 0, points.x.shape))

    def volume_hu(self) -> NDArray[np.int16]:
        """The whole grid with partial volume and noise, int16 HU [i, j, k]."""
        return np.concatenate([slab for _, slab in self.slabs_hu()], axis=2)

    def slabs_hu(self) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """The volume a few slices at a time: (first k, int16 HU [i, j, k])."""
        columns, rows, slices = self.grid.shape_ijk
        blur_mm = float(np.mean(self.grid.spacing_mm[:2]))
        for start in range(0, slices, SLAB):
            stop = min(start + SLAB, slices)
            slab = np.empty((columns, rows, stop - start), np.float32)
            for where, points in tiles((columns, rows), range(start, stop), self._body_from_index()):
                slab[where] = paint(self.scene.layers, points, blur_mm)
            for k in range(start, stop):
                slab[:, :, k - start] += self._noise_hu(k)
            yield start, np.clip(np.rint(slab), *HU_RANGE).astype(np.int16)

    def truth_mask(self, label: str) -> NDArray[np.uint8]:
        """uint8 0/1 [i, j, k]: which voxel centres lie inside `label`. Raises UsageError for an unknown name."""
        solid, mask = self._solid(label), np.zeros(self.grid.shape_ijk, np.uint8)
        for start in range(0, mask.shape[2], SLAB):
            ks = range(start, min(start + SLAB, mask.shape[2]))
            for where, points in tiles(mask.shape[:2], ks, self._body_from_index(), solid):
                mask[:, :, ks.start : ks.stop][where] = np.asarray(solid.at(points)) < 0
        return mask

    def contours_mm(self, label: str) -> list[Array]:
        """Closed polygons, (n, 3) mm in LPS each, one plane each, on the slices that exist; holes are polygons too.

        The last point is not the first one again. Raises UsageError for an unknown name.
        """
        return [contour.points_mm for contour in self.contours(label)]

    def contours(self, label: str) -> list[Contour]:
        """As `contours_mm`, with the slice of each."""
        return trace(self._solid(label), self.grid, self.slices, self.body_from_world)

    def _solid(self, label: str) -> Solid:
        if label not in self.scene.solids:
            known = ", ".join(self.scene.solids)
            raise UsageError(f"{self.patient_id} has no structure {label!r}; it has {known}")
        return self.scene.solids[label]

    def _at(self, points_mm: ArrayLike, function: Callable[[Points], NDArray]) -> NDArray:
        points = np.asarray(points_mm, float)
        flat = points.reshape(-1, 3) @ self.body_from_world[:3, :3].T + self.body_from_world[:3, 3]
        parts = [function(Points.of(flat[start : start + CHUNK])) for start in range(0, len(flat), CHUNK)]
        return np.concatenate(parts).reshape(points.shape[:-1])

    def _body_from_index(self) -> Array:
        return self.body_from_world @ self.grid.affine_lps

    def _noise_hu(self, k: int) -> NDArray[np.float32]:
        """(columns, rows) noise of slice k: half of its variance smooth over neighbours, half white."""
        random = np.random.default_rng([self.seed, self.number, NOISE, k])
        white, smooth = random.standard_normal((2, *self.grid.shape_ijk[:2]), dtype=np.float32)
        for axis in (0, 1):
            smooth = (2 * smooth + np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis)) / np.float32(6**0.5)
        return (white + smooth) * (self.options.noise_hu / 2**0.5)


def make_patient(seed: int, number: int, options: PhantomOptions = DEFAULTS) -> Patient:
    """Patient `number` (from 1) of `seed`, the same however many others are made.

    Raises UsageError for a negative seed, a number below 1, or options that leave no scan.
    """
    if seed < 0 or number < 1:
        raise UsageError(f"a phantom needs a seed of 0 or more and a number of 1 or more, got {seed} and {number}")
    random = np.random.default_rng([seed, number, ANATOMY])
    habitus = draw_habitus(random, female=(seed + number) % 2 == 0)
    turn = rotation(habitus.turn_deg)
    scene = build_scene(habitus, turn, kind_of(seed, number), random)

    scan_random = np.random.default_rng([seed, number, SCAN])
    heights = np.concatenate([pleura.inner_mm[:, 2] for pleura in scene.pleurae.values()])
    grid = scan_grid(habitus, (float(heights.min()), float(heights.max())), options, scan_random)
    slices = kept_slices(grid.shape_ijk[2], options.missing_slices, scan_random)

    body_from_world = np.eye(4)
    body_from_world[:3, :3] = turn.T
    body_from_world[:3, 3] = -turn.T @ habitus.position_mm
    return Patient(seed, number, options, scene, grid, slices, body_from_world)
