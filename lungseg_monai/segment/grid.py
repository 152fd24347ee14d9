"""From an image's own voxels to the network's grid (LPS axes, isotropic), and from there back, exactly.

Anything that a 4 x 4 affine can say is taken: flipped, permuted, oblique, anisotropic, sheared. Along the image's own
axes both ways are products with small matrices (interpolation.py), which multiply in one pass over the voxels; the
image is never copied as floats, but for a few slices at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import LPS_TO_RAS
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.interpolation import Banded, down, up

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Box = tuple[slice, slice, slice]
Part = TypeVar("Part")
Work = Callable[[Part], Floats]
AIR_HU = -1024.0
UPRIGHT_DEGREES = 0.5  # below this, the image's own axes are the network's
FINE = 0.5  # oblique images: half the network's spacing along their own axes first, then across
AT_ONCE = 2**20  # voxels that are floats at a time: they stay in a core's cache
SLICES, THREADS = 16, 2  # made smaller at a time, and by how many threads


@dataclass(frozen=True, eq=False)
class View:
    """An image on the network's grid, and the way back.

    hu: (I, J, K) float32; i to the patient's left, j to the back, k up. affine_lps: (4, 4), index here -> mm in LPS.
    to_here: (4, 4), index in the image -> index here. shape_ijk, order: the image's; order lists its axes from that
    with the largest step in memory to that with the smallest. upright: whether each axis here is one of the image's.
    """

    hu: Floats
    affine_lps: Array
    to_here: Array
    shape_ijk: tuple[int, int, int]
    order: tuple[int, int, int]
    spacing_mm: float
    upright: bool

    def crop(self, box: tuple[slice, ...]) -> "View":
        """The part of the grid in `box` (three slices with both ends given), with its own affines."""
        start = np.array([one.start for one in box], float)
        affine, to_here = self.affine_lps.copy(), self.to_here.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        to_here[:3, 3] -= start
        return replace(self, hu=np.ascontiguousarray(self.hu[box]), affine_lps=affine, to_here=to_here)


def to_network_grid(image: Image, spacing_mm: float = 3.0) -> View:
    """The whole of `image` at `spacing_mm` along left, back and up: Gaussian where it is made coarser, then linear.

    Axes within half a degree of the patient's are kept as they are, others are resampled to the patient's. Corners
    that an oblique image does not reach are air.
    """
    affine_lps = LPS_TO_RAS @ np.asarray(image.affine_ras, float)
    order = _memory_order(image.array_ijk)
    axes, signs, upright = _nearest_axes(affine_lps[:3, :3])
    if upright:
        hu, to_own = _reduced(image.array_ijk, order, _spacings(affine_lps), [spacing_mm] * 3, spacing_mm)
        turned = np.ascontiguousarray(_turned(hu, axes, signs))
        to_here = _turn_matrix(hu.shape, axes, signs) @ to_own
        grid = affine_lps @ np.linalg.inv(to_here)
    else:
        turned, grid = _across(image.array_ijk, order, affine_lps, spacing_mm)
        to_here = np.linalg.inv(grid) @ affine_lps
    i, j, k = image.array_ijk.shape
    return View(turned, grid, to_here, (i, j, k), order, spacing_mm, upright)


def to_image_grid(values: Floats, view: View, box: Box, threads: int = 1) -> Iterator[tuple[Box, Floats]]:
    """Values on the network's grid, (C, I, J, K), at the image's voxels in `box`, linearly, a few slices at a time.

    Yields boxes (three slices, in the image) and their values (C, i, j, k). Up to one voxel beyond the grid's outermost
    centres the value there goes on; farther out it is 0.
    """
    slow = view.order[0]
    sizes = [one.stop - one.start for one in box]
    if min(sizes) < 1:
        return
    step = max(1, AT_ONCE // max(len(values) * sizes[view.order[1]] * sizes[view.order[2]], 1))
    parts = []
    for start in range(box[slow].start, box[slow].stop, step):
        part = list(box)
        part[slow] = slice(start, min(start + step, box[slow].stop))
        parts.append((part[0], part[1], part[2]))
    work = _up_along_axes(values, view, box) if view.upright else _up_across(values, view)
    yield from _in_turn(work, parts, threads)


def image_box(view: View, box: tuple[slice, ...]) -> Box:
    """The image's voxels that lie in `box` of the network's grid or within one voxel around it."""
    ends = np.array(list(product(*((one.start - 1.0, float(one.stop)) for one in box))))
    back = np.linalg.inv(view.to_here)
    index = ends @ back[:3, :3].T + back[:3, 3]
    low = np.clip(np.ceil(index.min(axis=0) - 1e-6), 0, view.shape_ijk).astype(int).tolist()
    high = np.clip(np.floor(index.max(axis=0) + 1e-6) + 1, low, view.shape_ijk).astype(int).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def box_of(inside: NDArray[np.bool_], margin: int) -> Box | None:
    """The smallest box round what is set, wider by `margin` voxels within the array; None if nothing is."""
    found = []
    for axis in range(3):
        where = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(where):
            return None
        found.append(slice(max(int(where[0]) - margin, 0), min(int(where[-1]) + 1 + margin, inside.shape[axis])))
    return found[0], found[1], found[2]


def _memory_order(array: NDArray) -> tuple[int, int, int]:
    slow, middle, fast = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    return slow, middle, fast


def _spacings(affine: Array) -> list[float]:
    spacings: list[float] = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return spacings


def _nearest_axes(matrix: Array) -> tuple[tuple[int, ...], list[int], bool]:
    """For left, back, up: the image's axis that lies nearest, whether along (1) or against (-1); whether all are near.

    Sheared axes count by the one that lies farthest off.
    """
    directions = matrix / np.linalg.norm(matrix, axis=0)
    axes = max(permutations(range(3)), key=lambda axes: sum(abs(directions[to, axis]) for to, axis in enumerate(axes)))
    along = np.array([directions[to, axis] for to, axis in enumerate(axes)])
    upright = bool(np.abs(along).min() > np.cos(np.radians(UPRIGHT_DEGREES)))
    return axes, [1 if one >= 0 else -1 for one in along], upright


def _turned(array: NDArray, axes: tuple[int, ...], signs: list[int]) -> NDArray:
    return array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]


def _turn_matrix(shape: tuple[int, ...], axes: tuple[int, ...], signs: list[int]) -> Array:
    """Index before -> index after `_turned`."""
    matrix = np.eye(4)
    for to, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[to, :] = 0
        matrix[to, axis] = sign
        matrix[to, 3] = 0 if sign > 0 else shape[axis] - 1
    return matrix


def _reduced(
    array: NDArray, order: tuple[int, ...], spacings: list[float], wanted: list[float], blur_mm: float
) -> tuple[Floats, Array]:
    """`array` on a grid of `wanted` spacings along its own axes, and the matrix index before -> index after."""
    matrices, to_own = [], np.eye(4)
    for axis, (size, spacing, want) in enumerate(zip(array.shape, spacings, wanted, strict=True)):
        matrix, ratio, first = down(size, spacing, want, blur_mm)
        matrices.append(matrix)
        to_own[axis, axis], to_own[axis, 3] = 1 / ratio, -first / ratio
    slow, middle, fast = (matrices[axis] for axis in order)
    stored = array.transpose(order)
    out = np.zeros((middle.shape[0], slow.shape[0], fast.shape[0]), np.float32)

    def flat(start: int) -> Floats:
        planes = (plane.astype(np.float32) for plane in stored[start : start + SLICES])
        return np.stack([fast.along(middle.along(plane, -2), -1) for plane in planes], axis=1)

    for start, planes in _in_turn(flat, list(range(0, len(stored), SLICES)), THREADS):
        slow.add(planes, start, out)
    return out.transpose(1, 0, 2).transpose(np.argsort(order)), to_own


def _across(array: NDArray, order: tuple[int, ...], affine_lps: Array, spacing_mm: float) -> tuple[Floats, Array]:
    """An oblique image on the patient's axes, and the affine (LPS) of that grid."""
    from scipy.ndimage import affine_transform

    spacings = _spacings(affine_lps)
    fine, to_own = _reduced(array, order, spacings, [max(one, FINE * spacing_mm) for one in spacings], spacing_mm)
    edges = np.array(list(product(*((-0.5, size - 0.5) for size in array.shape))))
    corners_mm = edges @ affine_lps[:3, :3].T + affine_lps[:3, 3]
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    shape = np.maximum(np.ceil((high_mm - low_mm) / spacing_mm - 1e-6), 1).astype(int)
    grid = np.diag([spacing_mm] * 3 + [1.0])
    grid[:3, 3] = (low_mm + high_mm) / 2 - (shape - 1) / 2 * spacing_mm
    to_fine = to_own @ np.linalg.inv(affine_lps) @ grid
    held = np.pad(fine, 1, mode="edge")  # the outer half of the outermost voxels is image, too
    offset = to_fine[:3, 3] + 1
    out: Floats = affine_transform(held, to_fine[:3, :3], offset, tuple(shape.tolist()), order=1, cval=AIR_HU)
    return out, grid


def _up_along_axes(values: Floats, view: View, box: Box) -> Work[Box]:
    """How to make one box where each axis of the image is one of the grid's: a matrix for each."""
    axes = [int(np.argmax(np.abs(view.to_here[:3, axis]))) for axis in range(3)]  # of the grid, by axis of the image

    def matrix(axis: int, part: slice) -> Banded:
        at = np.arange(part.start, part.stop) * view.to_here[axes[axis], axis] + view.to_here[axes[axis], 3]
        return up(at, values.shape[1 + axes[axis]])

    ordered = np.ascontiguousarray(values.transpose(0, *(1 + axes[axis] for axis in view.order)))
    back = (0, *(1 + one for one in np.argsort(view.order)))
    slow, middle, fast = view.order
    across, along = matrix(middle, box[middle]), matrix(fast, box[fast])  # the same in each part

    def work(part: Box) -> Floats:
        rows = matrix(slow, part[slow])
        planes = rows.along(ordered.transpose(0, 2, 1, 3), -2).transpose(0, 2, 1, 3)
        return across.along(along.along(planes, -1), -2).transpose(back)

    return work


def _up_across(values: Floats, view: View) -> Work[Box]:
    """How to make one box where the image lies obliquely in the grid."""
    from scipy.ndimage import affine_transform

    held = np.pad(values, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    matrix = view.to_here[:3, :3]

    def work(part: Box) -> Floats:
        start = np.array([one.start for one in part], float)
        offset = matrix @ start + view.to_here[:3, 3] + 1
        shape = tuple(one.stop - one.start for one in part)
        return np.stack([affine_transform(one, matrix, offset, shape, order=1) for one in held])

    return work


def _in_turn(work: Work[Part], parts: list[Part], threads: int) -> Iterator[tuple[Part, Floats]]:
    """The results in the order of `parts`, no more than twice as many in memory as there are threads."""
    if threads <= 1 or len(parts) < 2:
        yield from ((part, work(part)) for part in parts)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(parts), 2 * threads):
            some = parts[first : first + 2 * threads]
            yield from zip(some, pool.map(work, some), strict=True)
