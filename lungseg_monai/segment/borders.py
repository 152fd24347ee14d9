"""The lungs' border by HU at the image's own resolution, where there is an edge between air and tissue.

The network's border is good to a few millimetres. Within border_mm of it a voxel joins the lung where it is darker
than half-way between this lung and its wall, and the voxel that the border runs through leaves it where it is brighter
than half-way between the lung and the wall beside it. Borders of dense lung stay as they were drawn: there HU tells
nothing.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.cores_and_memory import cores
from lungseg_monai.segment.bits import Bits, labels_of, levels_of, levels_spread
from lungseg_monai.segment.holes import fill_small_holes
from lungseg_monai.segment.options import DEFAULTS, LungOptions
from lungseg_monai.segment.spread import Labels, grow, steps

THRESHOLDS_HU = (-500.0, -400.0)  # whatever the case, half-way lies here
BESIDE_HU = (-550, -250)  # and here at any place: lung is denser where it is ill, low or breathed out, walls may be fat
WALL_HU = -300.0
NOISY_HU = 35.0  # smoothed in plane above this
AERATED = 0.6  # of the lung just inside: less, and the border is not an edge of air
NEAR_MM = 7.5
SAMPLE_MM = 2.0
LOCAL_MM = 4.0  # a sample of lung or wall stands for that much
LUNG_MM, WALL_MM = 15.0, 9.0  # around a place: what the lung and the wall beside it are
BRIGHTEST_HU = 200.0  # of a wall: bone and contrast count no more
OVERALL = np.float32(0.02)  # weight of the whole image's lung and wall against those beside
BAND_WEIGHT = 0.2  # of voxels near the border against deeper ones: some of them are wall
DARKER_HU = 70.0  # a voxel this much darker than the lung is the air of an airway, a bowel or a room
SLAB_VOXELS = 2_000_000  # at a time in a thread, about 10 bytes each
PIT_WIDTH = 1.01  # of the finest spacing: pits as narrow as that are closed


def refine(
    labels: Labels,
    hu: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    options: LungOptions = DEFAULTS,
    threads: int | None = None,
) -> Labels:
    """labels with their border drawn by HU. (I, J, K) uint8, on the image's own grid or a crop of it, any orientation.

    hu: alike, int16 or float32. The crop should leave border_mm around the labels. Nothing further than
    options.border_mm from the border of `labels` changes, but for holes of vessels (options.vessels) that are closed
    or cut. The edge of the image is no border. Works slab by slab on `threads` (None: all cores), which changes nothing
    in the result.
    """
    if not labels.any() or not (options.refine or options.vessels == "out"):
        return labels.copy()
    if abs(hu.strides[0]) < abs(hu.strides[2]):  # along the memory: images are read with i running fastest
        i_mm, j_mm, k_mm = spacing_mm
        return refine(labels.T, hu.T, (k_mm, j_mm, i_mm), options, threads).T
    given = _Given(np.ascontiguousarray(labels), hu, spacing_mm, options)
    threads = threads or cores()
    slabs = _slabs(given, threads)
    refined = np.empty_like(given.labels)
    with ThreadPoolExecutor(min(threads, len(slabs))) as pool:
        edge = _judged(given, pool.map(lambda slab: _looked(given, slab), slabs))

        def draw(slab: slice) -> None:
            refined[slab] = _drawn(given, edge, slab)

        list(pool.map(draw, slabs))
    if options.refine and options.vessels == "in":
        fill_small_holes(refined, int(options.max_hole_ml * 1000 / float(np.prod(spacing_mm))))
    return refined


@dataclass(frozen=True, eq=False)
class _Given:
    """What there is to draw; slabs of it lie along the first axis."""

    labels: Labels
    hu: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    options: LungOptions

    @cached_property
    def noisy(self) -> bool:
        """Along the axis whose voxels are finest."""
        finest = int(np.argmin(self.spacing_mm))
        return noise_hu(np.moveaxis(self.hu, finest, 0), np.moveaxis(self.labels, finest, 0)) >= NOISY_HU

    @property
    def reach(self) -> int:
        """Voxels along the first axis that border_mm reaches."""
        return round(self.options.border_mm / self.spacing_mm[0])

    @property
    def blocks(self) -> list[int]:
        """Voxels along each axis that one sample stands for."""
        return [max(1, round(SAMPLE_MM / step)) for step in self.spacing_mm]

    @property
    def local_blocks(self) -> list[int]:
        """The same of a sample of what the lung and its wall are."""
        return [max(1, round(LOCAL_MM / step)) for step in self.spacing_mm]

    def sampled(self, axis: int, blocks: list[int] | None = None) -> slice:
        """The middle of each block along an axis, the last of which may be cut. blocks: self.blocks by default."""
        length, block = self.labels.shape[axis], (blocks or self.blocks)[axis]
        return slice(block // 2 if block // 2 < length else 0, None, block)

    def wider(self, slab: slice, margin: int) -> tuple[slice, slice]:
        """A slab with `margin` more on both sides, as far as the image reaches; and where in it the slab is."""
        start, stop = max(slab.start - margin, 0), min(slab.stop + margin, len(self.labels))
        return slice(start, stop), slice(slab.start - start, slab.stop - start)

    def smooth(self, wide: slice) -> NDArray[Any]:
        """HU, lightly smoothed where they are noisy; not right in the outermost planes of a slab."""
        return _smoothed(self.hu[wide], self.spacing_mm) if self.noisy else self.hu[wide]


@dataclass(frozen=True, eq=False)
class _Look:
    """What a slab tells. deep: well inside the lung. inside, around: HU of some of that, and just outside.

    samples: HU of the middle of each block.
    """

    deep: Bits
    inside: NDArray[Any]
    around: NDArray[Any]
    samples: NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Edge:
    """threshold_hu: lung is below. beside_hu: the same by local blocks. darkest_hu: below, it is free air.

    aerated: 1 in blocks where HU can be trusted.
    """

    deep: Bits
    threshold_hu: float
    beside_hu: NDArray[np.int16]
    darkest_hu: float
    aerated: Labels


def _slabs(given: _Given, threads: int) -> list[slice]:
    """A slab for each thread, or more where they would be large; each at least as thick as what it needs around it."""
    length, plane = len(given.labels), given.labels[0].size
    least = 4 * given.reach + 8
    thickness = max(min(-(-length // threads), SLAB_VOXELS // plane), least)
    return [slice(start, min(start + thickness, length)) for start in range(0, length, thickness)]


def _looked(given: _Given, slab: slice) -> _Look:
    wide, core = given.wider(slab, given.reach + 1)
    lung = Bits.of(given.labels[wide])
    deep = lung.shrunk(steps(given.options.border_mm, given.spacing_mm)).planes(core)
    beside = lung.spread([0, 1, 2]).without(lung).planes(core).mask().view(bool)
    smooth = given.smooth(wide)[core]
    some = np.s_[:, ::2, ::3]
    planes = np.arange(len(given.labels))[given.sampled(0)]
    planes = planes[(planes >= slab.start) & (planes < slab.stop)] - slab.start
    samples = smooth[:, given.sampled(1), given.sampled(2)][planes]
    return _Look(deep, smooth[some][deep.mask()[some].view(bool)], smooth[beside], samples)


def _judged(given: _Given, looks: Iterable[_Look]) -> _Edge:
    """How the border is to be drawn, by all slabs together."""
    seen = list(looks)
    deep = Bits(np.concatenate([look.deep.words for look in seen]), seen[0].deep.length)
    inside = np.concatenate([look.inside for look in seen])
    if not inside.size:
        inside = given.hu[given.labels > 0]
    around = np.concatenate([look.around for look in seen])
    threshold_hu = given.options.threshold_hu or border_threshold(inside, around)
    dark = np.concatenate([look.samples for look in seen]) < threshold_hu
    darkest_hu = float(np.median(inside)) - DARKER_HU
    return _Edge(deep, threshold_hu, _half_way(given, deep), darkest_hu, _aerated(given, deep, dark))


def border_threshold(inside_hu: NDArray[Any], around_hu: NDArray[Any]) -> float:
    """HU half-way between the lung and what surrounds it, between THRESHOLDS_HU. inside_hu, around_hu: samples."""
    wall = around_hu[around_hu > WALL_HU]
    lung = inside_hu[inside_hu < WALL_HU - 200]
    if not wall.size or not lung.size:
        return sum(THRESHOLDS_HU) / 2
    return float(np.clip((np.median(lung) + np.median(wall)) / 2, *THRESHOLDS_HU))


def _half_way(given: _Given, deep: Bits) -> NDArray[np.int16]:
    """HU half-way between lung and wall around each local block; what is far from either goes by the whole image's."""
    every = tuple(given.sampled(axis, given.local_blocks) for axis in range(3))
    labels, hu = given.labels[every], given.hu[every].astype(np.float32)
    if given.options.threshold_hu:
        return np.full(hu.shape, round(given.options.threshold_hu), np.int16)
    mm = [n * step for n, step in zip(given.local_blocks, given.spacing_mm, strict=True)]
    near = grow((labels > 0).view(np.uint8), 2 * LOCAL_MM, (mm[0], mm[1], mm[2])) > 0
    lung = (deep.planes(every[0]).mask()[:, every[1], every[2]] > 0) & (hu < WALL_HU)
    wall = (labels == 0) & near & (hu > WALL_HU)
    if not lung.any() or not wall.any():
        return np.full(hu.shape, round(sum(THRESHOLDS_HU) / 2), np.int16)
    sums = _around(lung, hu, LUNG_MM, mm) + _around(wall, np.minimum(hu, BRIGHTEST_HU), WALL_MM, mm)
    return np.clip(sums / 2, *BESIDE_HU).astype(np.int16)


def _around(there: NDArray[np.bool_], hu: NDArray[np.float32], within_mm: float, mm: list[float]) -> NDArray[Any]:
    """Mean of hu `there` in a box of within_mm around each voxel, whose sides are `mm`."""
    from scipy import ndimage

    reach = [2 * round(within_mm / step) + 1 for step in mm]
    count = ndimage.uniform_filter(there.astype(np.float32), reach, mode="constant")
    total = ndimage.uniform_filter(np.where(there, hu, 0), reach, mode="constant")
    around: NDArray[Any] = (total + OVERALL * np.median(hu[there])) / (count + OVERALL)
    return around


def _drawn(given: _Given, edge: _Edge, slab: slice) -> Labels:
    """A slab of the result, but for its holes."""
    width_mm = PIT_WIDTH * min(given.spacing_mm)
    wide, core = given.wider(slab, 2 * given.reach + 2 * round(width_mm / given.spacing_mm[0]) + 2)
    labels, smooth = given.labels[wide], given.smooth(wide)
    dark = smooth < edge.threshold_hu
    refined = labels
    if given.options.refine:
        levels = levels_of(labels)
        outside = _outside(given, edge, wide, smooth, levels[0])
        drawn = [level.without(outside) for level in levels]
        free = Bits.of(dark & (smooth > edge.darkest_hu)).without(levels[0])
        for step in steps(given.options.border_mm, given.spacing_mm):
            drawn = levels_spread(drawn, step, free)
        narrow = list(steps(width_mm, given.spacing_mm))
        pits = drawn[0].grown(narrow).shrunk(narrow).without(drawn[0])  # that vessels left
        refined = labels_of([new | (old & pits) for new, old in zip(drawn, levels, strict=True)])
    refined = refined[core]
    return refined * dark[core] if given.options.vessels == "out" else refined


def _outside(given: _Given, edge: _Edge, wide: slice, smooth: NDArray[Any], lung: Bits) -> Bits:
    """What is no lung, and the wall in `lung`: what of the border's band is as dense as a wall and reached from outside
    through such, and the voxel beside it that lung and wall share, where more of it is wall. Ground glass between air
    and wall stays.
    """
    band = lung.without(edge.deep.planes(wide)) & _aerated_bits(given, edge, wide)
    dense = Bits.of(smooth > WALL_HU)
    outside = lung.inverted().grown(steps(given.options.border_mm, given.spacing_mm), band & dense)
    half_way = _unblocked(edge.beside_hu, given.local_blocks, smooth.shape, wide.start)
    blurred = band & Bits.of(smooth >= half_way)
    return outside | ((outside & (dense | lung)).spread([0, 1, 2]) & blurred)


def _aerated(given: _Given, deep: Bits, dark: NDArray[np.bool_]) -> Labels:
    """1 in blocks beside which the lung holds air: judged by samples within NEAR_MM, the deeper ones counting most."""
    from scipy import ndimage

    every = tuple(given.sampled(axis) for axis in range(3))
    inner = deep.planes(every[0]).mask()[:, every[1], every[2]]
    lung = (given.labels[every] > 0) * np.float32(BAND_WEIGHT) + inner * np.float32(1 - BAND_WEIGHT)
    reach = [2 * round(NEAR_MM / (n * step)) + 1 for n, step in zip(given.blocks, given.spacing_mm, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda part: ndimage.uniform_filter(part, reach, mode="constant"), (lung * dark, lung))
        near, all_near = parts
    return (near > AERATED * all_near + 1e-6).view(np.uint8)


def _unblocked(coarse: NDArray[Any], blocks: list[int], shape: tuple[int, ...], start: int) -> NDArray[Any]:
    """coarse on the grid it was sampled from, planes from `start` on: each sample stands for its block, the last one
    for what is left."""
    for axis in (2, 1, 0):  # whole rows and planes are copied last
        coarse = np.take(coarse, _block_of(axis, coarse.shape, blocks, shape, start), axis=axis)
    return coarse


def _aerated_bits(given: _Given, edge: _Edge, wide: slice) -> Bits:
    """edge.aerated as _unblocked has it."""
    coarse, shape = edge.aerated, given.labels[wide].shape
    index = [_block_of(axis, coarse.shape, given.blocks, shape, wide.start) for axis in range(3)]
    along = Bits.of(np.take(coarse, index[2], axis=2))
    return Bits(along.words[index[0][:, None], index[1]], along.length)


def _block_of(
    axis: int, coarse: tuple[int, ...], blocks: list[int], shape: tuple[int, ...], start: int
) -> NDArray[np.intp]:
    """For each voxel along an axis the sample that stands for it."""
    return np.minimum((np.arange(shape[axis]) + (0 if axis else start)) // blocks[axis], coarse[axis] - 1)


def _smoothed(hu: NDArray[Any], spacing_mm: tuple[float, float, float]) -> NDArray[Any]:
    """hu, lightly smoothed along the axes whose voxels are fine."""
    for axis in range(3):
        if spacing_mm[axis] > 1.5 or hu.shape[axis] < 3:
            continue
        before = np.moveaxis(hu, axis, 0)
        after = before.copy()
        after[1:-1] = before[:-2] // 4 + before[1:-1] // 2 + before[2:] // 4
        hu = np.moveaxis(after, 0, axis)
    return hu


def noise_hu(hu: NDArray[Any], mask: Labels) -> float:
    """Standard deviation of the noise, from neighbours along the first axis in the lungs; vessels are outliers."""
    some = np.s_[::2, ::3, ::3]
    inside = (mask[1:][some] > 0) & (mask[:-1][some] > 0)
    if not inside.any():
        return 0.0
    first, second = hu[:-1][some][inside], hu[1:][some][inside]
    return float(np.median(np.abs(second.astype(np.float32) - first))) / 0.6745 / 2**0.5
