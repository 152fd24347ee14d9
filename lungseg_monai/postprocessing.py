"""From tumour probabilities to a mask: threshold, dilation in plane, the lungs around, pieces that are too small.

Source: Kamal et al., section 3.4: threshold 0.7, then dilation with a "(7x7) circular kernel".
Differs from the paper: nothing by default. The text does not say on which grid both run; that it is the network's is
our reading ("to convert the network prediction to binary masks"); the authors' code enlarges the probabilities first.
The lungs, the pieces by volume, a kernel in millimetres and empty ends are options.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Box = tuple[slice, slice, slice]
KERNELS = ("disk", "square", "none")
GRIDS = ("network", "image")
GROUP = 8  # voxels
AT_ONCE = 16  # slices that are floats on the image's grid
EPSILON = 1e-6  # a pixel whose distance is the radius but for rounding belongs to the disk


@dataclass(frozen=True)
class TumorRules:
    """What is done to probabilities, in this order: threshold, dilation in plane, empty ends, lungs, small pieces.

    threshold: tumour is what lies above it. kernel: "disk" (radius 3: 29 pixels), "square" (radius 3: 7x7, as the
    authors' code has it), "none". radius: in pixels of the grid. radius_mm: instead of it, in millimetres: the same
    growth on any grid. grid: the in-plane grid on which both run: "network" (the paper's 256x256), "image" (the
    original 512x512, authors' code). within_mm: keep what lies within this distance of the lungs, where a lung mask is
    given; None keeps all. least_mm3: pieces (voxels that touch, also by a corner) of less are dropped.
    skip_ends: the share of the slices at either end that stays empty (authors' code: 0.2).
    Raises ConfigError for what can't be.
    """

    threshold: float = 0.7
    kernel: str = "disk"
    radius: int = 3
    grid: str = "network"
    within_mm: float | None = None
    least_mm3: float = 0.0
    radius_mm: float | None = None
    skip_ends: float = 0.0

    def __post_init__(self) -> None:
        _one_of("kernel", self.kernel, KERNELS)
        _one_of("grid", self.grid, GRIDS)
        _number("threshold", self.threshold, 0.0, 1.0)
        _number("radius", self.radius, 0, 1000, kind=int)
        _number("least_mm3", self.least_mm3, 0.0, float("inf"))
        _number("skip_ends", self.skip_ends, 0.0, 0.5)
        for name, value in (("within_mm", self.within_mm), ("radius_mm", self.radius_mm)):
            if value is not None:
                _number(name, value, 0.0, float("inf"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `rules_from` is the way back."""
        return asdict(self)


def rules_from(values: Mapping[str, Any]) -> TumorRules:
    """Rules from the content of a JSON or YAML file; what it leaves out is as in TumorRules. Raises ConfigError."""
    known = {one.name for one in fields(TumorRules)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"rules of tumours: {', '.join(unknown)} not known; wanted some of {', '.join(sorted(known))}"
        )
    return TumorRules(**values)


def tumor_mask(
    probability: NDArray[np.floating], rules: TumorRules, spacing_mm: Spacing, lungs: Mask | None = None
) -> Mask:
    """bool (I, J, K) of probability (I, J, K), 0 to 1, by all rules on this one grid.

    spacing_mm: between voxels along I, J, K. lungs: (I, J, K), not 0 where lung is; without it, or where
    rules.within_mm is None, tumours may lie anywhere. rules.grid is the caller's business: `mask_on_image` obeys it.
    Raises ConfigError where shapes or spacings can't be right.
    """
    _check(probability, spacing_mm, lungs)
    return select(drawn(probability, rules, spacing_mm), rules, spacing_mm, lungs)


def mask_on_image(
    probability: NDArray[np.floating],
    rules: TumorRules,
    spacing_mm: Spacing,
    shape_ij: tuple[int, int],
    lungs: Mask | None = None,
) -> Mask:
    """bool (*shape_ij, K) of probability (I, J, K) on the network's in-plane grid, which covers the same area.

    By rules.grid, threshold and dilation run on the network's grid, and the mask is enlarged (nearest); or the
    probabilities are enlarged first (linear), a few slices at a time. spacing_mm and lungs belong to the image.
    Raises ConfigError.
    """
    from lungseg_monai.inplane import resize_linear, resize_nearest

    _check(probability, spacing_mm, None)
    ratios = [new / old for new, old in zip(shape_ij, probability.shape[:2], strict=True)]
    network_mm = (spacing_mm[0] * ratios[0], spacing_mm[1] * ratios[1], spacing_mm[2])
    mask = np.zeros((*shape_ij, probability.shape[2]), bool)
    for first in range(0, probability.shape[2], AT_ONCE):
        some = probability[:, :, first : first + AT_ONCE]
        if not (some > rules.threshold).any():  # nor are values between these any larger
            continue
        mask[:, :, first : first + AT_ONCE] = (
            drawn(resize_linear(some, shape_ij), rules, spacing_mm)
            if rules.grid == "image"
            else resize_nearest(drawn(some, rules, network_mm), shape_ij)
        )
    _check(mask, spacing_mm, lungs)
    return select(mask, rules, spacing_mm, lungs)


def drawn(probability: NDArray[np.floating], rules: TumorRules, spacing_mm: Spacing) -> Mask:
    """The rules that run in plane: threshold and dilation. (I, J, K) -> bool (I, J, K)."""
    return dilate_in_plane(probability > rules.threshold, footprint(rules, spacing_mm))


def select(mask: Mask, rules: TumorRules, spacing_mm: Spacing, lungs: Mask | None = None) -> Mask:
    """The rules that know the whole volume: empty ends, what lies near the lungs, pieces that are large enough."""
    skipped = int(rules.skip_ends * mask.shape[2])
    if skipped:
        mask = mask.copy()
        mask[..., :skipped] = mask[..., mask.shape[2] - skipped :] = False
    if lungs is not None and rules.within_mm is not None:
        mask = _near(mask, lungs.astype(bool, copy=False), rules.within_mm, spacing_mm)
    return _large(mask, rules.least_mm3, spacing_mm) if rules.least_mm3 > 0 else mask


def footprint(rules: TumorRules, spacing_mm: Spacing) -> Mask:
    """The kernel, bool (2a + 1, 2b + 1): a true disk or a square of `radius` pixels, or of `radius_mm` millimetres."""
    if rules.kernel == "none":
        return np.ones((1, 1), bool)
    if rules.radius_mm is None:
        radius, steps = float(rules.radius), (1.0, 1.0)
    else:
        radius, steps = rules.radius_mm, (spacing_mm[0], spacing_mm[1])
    reach = [int(radius / step + EPSILON) for step in steps]
    i, j = (np.arange(-far, far + 1) * step for far, step in zip(reach, steps, strict=True))
    if rules.kernel == "square":
        return np.ones((len(i), len(j)), bool)
    inside: Mask = i[:, None] ** 2 + j[None] ** 2 <= radius**2 * (1 + EPSILON)
    return inside


def dilate_in_plane(mask: Mask, kernel: Mask) -> Mask:
    """mask (I, J, K) dilated slice by slice with a kernel whose columns are centred runs, such as a disk.

    By shifted copies within the box round what is set: first along I by each run's half length, then along J.
    """
    found = _box(mask, (kernel.shape[0] // 2, kernel.shape[1] // 2, 0))
    if found is None or kernel.size == 1:
        return mask.copy()
    held = mask[found]
    out = np.zeros_like(mask)
    grown = out[found]
    far = kernel.shape[1] // 2
    halves = [int(count) // 2 for count in kernel.sum(axis=0)]  # of the run at each offset along J
    run, length = held.copy(), 0
    for half in sorted(set(halves)):
        for step in range(length + 1, half + 1):
            _add_shifted(run, held, 0, step)
        length = half
        for offset in {abs(place - far) for place, one in enumerate(halves) if one == half}:
            _add_shifted(grown, run, 1, offset)
    return out


def _add_shifted(grown: Mask, mask: Mask, axis: int, step: int) -> None:
    """Set in `grown` what `mask` sets, moved by `step` voxels both ways along the axis."""
    size = mask.shape[axis]
    if step >= size:
        return
    for source, target in ((slice(0, size - step), slice(step, size)), (slice(step, size), slice(0, size - step))):
        ahead = (slice(None),) * axis
        np.logical_or(grown[(*ahead, target)], mask[(*ahead, source)], out=grown[(*ahead, target)])


def _near(mask: Mask, lungs: Mask, within_mm: float, spacing_mm: Spacing) -> Mask:
    """mask without what is farther than within_mm from the nearest voxel of the lungs. No lungs: nothing is near."""
    from scipy.ndimage import distance_transform_edt

    kept = mask & lungs
    outside = mask & ~lungs
    margin = tuple(int(np.ceil(within_mm / step)) for step in spacing_mm)
    for part, own in _groups(outside):
        box = tuple(
            slice(max(one.start - more, 0), min(one.stop + more, size))
            for one, more, size in zip(part, margin, mask.shape, strict=True)
        )
        if lungs[box].any():
            away_mm = distance_transform_edt(~lungs[box], sampling=spacing_mm)
            inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True))
            kept[part] |= own & (away_mm[inner] <= within_mm * (1 + EPSILON))
    return kept


def _large(mask: Mask, least_mm3: float, spacing_mm: Spacing) -> Mask:
    """mask without its pieces of less than least_mm3."""
    from scipy.ndimage import label

    out = np.zeros_like(mask)
    for part, own in _groups(mask):
        pieces, _ = label(own, np.ones((3, 3, 3)))
        keep = np.bincount(pieces.ravel()) * float(np.prod(spacing_mm)) >= least_mm3 * (1 - EPSILON)
        keep[0] = False
        out[part] |= keep[pieces]
    return out


def _groups(mask: Mask) -> Iterator[tuple[Box, Mask]]:
    """Boxes, and what of `mask` in each of them belongs to it: no voxel of one group touches one of another.

    Groups are pieces of a grid coarser by GROUP, so that specks far apart don't cost the volume between them.
    """
    from scipy.ndimage import find_objects, label

    whole = _box(mask, (0, 0, 0))
    if whole is None:
        return
    coarse = mask[whole]
    for axis, size in enumerate(coarse.shape):
        coarse = np.logical_or.reduceat(coarse, np.arange(0, size, GROUP), axis=axis)
    numbers, _ = label(coarse, np.ones((3, 3, 3)))
    for number, found in enumerate(find_objects(numbers), start=1):
        part = tuple(
            slice(outer.start + one.start * GROUP, min(outer.start + one.stop * GROUP, outer.stop))
            for outer, one in zip(whole, found, strict=True)
        )
        own = numbers[found] == number
        for axis in range(3):
            own = own.repeat(GROUP, axis=axis)
        held = mask[part]
        i, j, k = held.shape
        yield (part[0], part[1], part[2]), held & own[:i, :j, :k]


def _box(mask: Mask, margin: tuple[int, int, int]) -> Box | None:
    """The smallest box round what is set, wider by `margin` within the array; None where nothing is set."""
    plane = np.asarray(mask.any(axis=2))
    sides = (plane.any(axis=1), plane.any(axis=0), mask.any(axis=(0, 1)))
    places = [np.flatnonzero(side) for side in sides]
    if not len(places[0]):
        return None
    low = [max(int(at[0]) - more, 0) for at, more in zip(places, margin, strict=True)]
    high = [min(int(at[-1]) + 1 + more, n) for at, more, n in zip(places, margin, mask.shape, strict=True)]
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _check(values: NDArray, spacing_mm: Spacing, lungs: NDArray | None) -> None:
    if values.ndim != 3:
        raise ConfigError(f"probabilities of shape {values.shape}; wanted one volume (I, J, K)")
    if len(spacing_mm) != 3 or not all(np.isfinite(one) and one > 0 for one in spacing_mm):
        raise ConfigError(f"voxel spacing {tuple(spacing_mm)} mm; wanted three lengths above 0")
    if lungs is not None and lungs.shape != values.shape:
        raise ConfigError(f"a lung mask of shape {lungs.shape} for {values.shape} voxels; wanted the same grid")


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} {value!r} is not known; choose one of {', '.join(known)}")


def _number(name: str, value: Any, low: float, high: float, kind: type = float) -> None:
    fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name} is {value!r}; wanted {wanted} from {low:g} to {high:g}")


RULES = {  # by the names of settings
    "recommended": TumorRules(),
    "paper": TumorRules(),
    "authors_code": TumorRules(kernel="square", grid="image", skip_ends=0.2),
}
