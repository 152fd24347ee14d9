"""One series that holds several volumes -> its volumes, by named rules. What is one volume is never split."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from data_prep.errors import GeometryError, SeriesError, UnreadableFileError
from data_prep.geometry import slice_normal
from data_prep.separation_keys import GEOMETRY, IN_PLANE, KEYS, Key, Label, clusters
from data_prep.series import same_pixels, same_place_mm
from data_prep.slices import SliceHeader
from data_prep.stack import is_even

FEWEST_SLICES = 3  # of a volume; what is less beside one is a localizer or a leftover
APART_STEPS = 5  # a gap of more steps than this lies between two scans; a narrower one is missing slices
STRAY_SHARE = 0.1  # of the slices may be left over by a rule that is believed
Slices = list[SliceHeader]
Same = Callable[[SliceHeader, SliceHeader], bool]


@dataclass(frozen=True, eq=False)
class Part:
    """Slices that belong together. rule: by what they were separated from the others, in words, "" if they are all.

    label: a short suffix for names, of letters, digits, `-`, `.` and `_`, "" if they are all. minor: too few slices to
    be a volume, beside a part that is one.
    """

    slices: Slices
    rule: str = ""
    label: str = ""
    minor: bool = False


@dataclass(frozen=True, eq=False)
class _Group:
    slices: Slices
    labels: tuple[Label, ...] = ()
    tags: tuple[str, ...] = ()


@np.errstate(over="ignore", invalid="ignore")  # impossible numbers are refused by name later, not warned of
def separate(slices: Sequence[SliceHeader], same: Same = same_pixels) -> list[Part]:
    """The volumes among the slices of one series, by label, minor parts last; each slice is in one of them.

    First by what no volume can mix: FrameOfReferenceUID, ImageOrientationPatient, Rows and Columns, PixelSpacing. Then,
    only where several different slices lie in one plane, or where two stacks interleave or lie far apart, by the first
    of these (or the first pair, or three of them) that gives whole stacks: TemporalPositionIdentifier,
    AcquisitionNumber (numbers that go on where the one before ended stay together), ConvolutionKernel, ImageType,
    SliceThickness, position within the plane. Copies of a slice, same place and same pixels, stay together; pixels are
    read, by `same`, only where slices lie at one place.
    What can't be separated comes back as one part, and what is wrong with it is `arrange`'s to say. Nothing is raised
    but what `same` raises beyond SeriesError and UnreadableFileError, which make two slices differ.
    """
    groups = [_Group(list(slices))]
    for key in GEOMETRY:
        groups = [part for group in groups for part in _by_geometry(group, key)]
    copies = _Copies(same)
    parts = [part for group in groups for part in _by_keys(group, copies)]
    most = max((_places_count(part.slices) for part in parts), default=0)
    named = _named(parts)
    if most >= FEWEST_SLICES:
        named = [replace(part, minor=_places_count(part.slices) < FEWEST_SLICES) for part in named]
    return sorted(named, key=lambda part: (part.minor, _natural(part.label)))


def _by_geometry(group: _Group, key: Key) -> list[_Group]:
    """`group` by a key that a volume can't mix. Slices that lack it stay with the most, where they are refused."""
    known = [one for one in group.slices if key.value(one) is not None]
    parts = clusters(known, key)
    volumes = sum(len(own) for _, own in parts if _places_count(own) >= FEWEST_SLICES)
    if len(parts) < 2 or volumes < len(known) / 2:  # shattered: no rule, but a fault that is refused by name
        return [group]
    lacking = [one for one in group.slices if key.value(one) is None]
    most = max(parts, key=lambda part: len(part[1]))
    return [
        _Group([*own, *(lacking if own is most[1] else [])], (*group.labels, label), (*group.tags, key.tag))
        for label, own in parts
    ]


def _by_keys(group: _Group, copies: "_Copies") -> list[_Group]:
    """`group`, all of one geometry, by the first keys that give whole stacks; as it is where it is one or none do."""
    known = _located(group.slices)
    if len(known) < 2:
        return [group]
    whole = replace(group, slices=known)
    if copies.conflict_in(known):
        parts = _without_conflict(whole, copies)
    else:
        even = _is_even(known)
        splits = (_split(whole, (key,), copies) for key in KEYS if not even or key.never_mixed)
        parts = next((one for one in splits if len(one) > 1 and _lie_beside(one, even)), None)
    return _with_rest(parts, group) if parts else [group]


def _without_conflict(group: _Group, copies: "_Copies") -> list[_Group] | None:
    """Parts free of conflicts by as few keys as possible, even ones if there are any."""
    keys = (*KEYS, IN_PLANE)
    fallback = None
    for chosen in (chosen for size in (1, 2, 3) for chosen in combinations(keys, size)):
        parts = _split(group, chosen, copies)
        if len(parts) < 2 or not _few_strays(parts) or any(copies.conflict_in(part.slices) for part in parts):
            continue
        if all(_is_even(part.slices) for part in parts):
            return parts
        fallback = fallback or parts
    return fallback


def _split(group: _Group, keys: Sequence[Key], copies: "_Copies") -> list[_Group]:
    """`group` by each key in turn; acquisitions that go on where the one before ended stay together."""
    groups = [group]
    for key in keys:
        parted: list[_Group] = []
        for one in groups:
            parts = clusters(one.slices, key)
            if key.joins:
                parts = _joined(parts, copies)
            parted += [
                _Group(own, (*one.labels, label), (*one.tags, key.tag)) if len(parts) > 1 else one
                for label, own in parts
            ]
        if len(parted) == len(groups):
            return [group]  # a key that adds nothing: the shorter list of keys was tried before
        groups = parted
    return groups


def _joined(parts: list[tuple[Label, Slices]], copies: "_Copies") -> list[tuple[Label, Slices]]:
    """Neighbouring parts together as long as each continues the stack."""
    joined: list[tuple[Label, Slices]] = []
    for label, own in parts:
        if joined and _continues(joined[-1][1], own, copies):
            joined[-1] = joined[-1][0], joined[-1][1] + own
        else:
            joined.append((label, own))
    return joined


def _continues(before: Slices, after: Slices, copies: "_Copies") -> bool:
    """Whether two sets of slices are one stack that may lack a few slices in between."""
    if copies.conflict_in(before + after):
        return False
    a, b = _along(before), _along(after)
    gap = max(b.min() - a.max(), a.min() - b.max())
    if gap < 0:
        return _is_even(before + after)
    return bool(gap <= APART_STEPS * _step(a, b))


def _lie_beside(parts: list[_Group], whole_is_even: bool) -> bool:
    """Whether parts without a conflict are stacks of their own all the same: interleaved, or far from each other."""
    if any(_places_count(part.slices) < FEWEST_SLICES or not _is_even(part.slices) for part in parts):
        return False
    pairs = list(combinations([_along(part.slices) for part in parts], 2))
    gaps = [max(b.min() - a.max(), a.min() - b.max()) for a, b in pairs]
    if all(gap < 0 for gap in gaps):
        return True
    return not whole_is_even and all(gap > APART_STEPS * _step(*pair) for gap, pair in zip(gaps, pairs, strict=True))


def _few_strays(parts: list[_Group]) -> bool:
    counts = [len(part.slices) for part in parts]
    strays = sum(count for part, count in zip(parts, counts, strict=True) if _places_count(part.slices) < FEWEST_SLICES)
    return strays <= max(1, STRAY_SHARE * sum(counts))


class _Copies:
    """Which slices of one plane are copies of each other: same place, same pixels. Each pair is read once."""

    def __init__(self, same: Same) -> None:
        self.same = same
        self.known: dict[tuple[int, int], bool] = {}

    def conflict_in(self, slices: Slices) -> bool:
        """Whether slices lie in one plane that are no copies of each other."""
        return any(
            not self._is_copy(plane[0], other, same_mm) for plane, same_mm in _planes(slices) for other in plane[1:]
        )

    def _is_copy(self, one: SliceHeader, other: SliceHeader, same_mm: float) -> bool:
        if np.linalg.norm(np.subtract(one.position_mm or (), other.position_mm or ())) > same_mm:
            return False
        pair = id(one), id(other)
        if pair not in self.known:
            try:
                self.known[pair] = self.same(one, other)
            except (SeriesError, UnreadableFileError):
                self.known[pair] = False
        return self.known[pair]


def _located(slices: Slices) -> Slices:
    """Those whose position and orientation are known; none where an orientation makes no sense."""
    known = [one for one in slices if one.position_mm is not None and one.orientation is not None]
    try:
        for orientation in {one.orientation for one in known if one.orientation is not None}:
            slice_normal(orientation)
    except GeometryError:
        return []
    return known


def _planes(slices: Slices) -> list[tuple[Slices, float]]:
    """Slices by plane, ascending along the normal, and how near to each other slices of one plane lie."""
    along = _along(slices)
    order = np.argsort(along, kind="stable")
    same_mm = same_place_mm(along)
    planes: list[tuple[Slices, float]] = []
    last = -np.inf
    for n in order.tolist():
        if along[n] - last > same_mm:
            planes.append(([], same_mm))
            last = along[n]
        planes[-1][0].append(slices[n])
    return planes


def _is_even(slices: Slices) -> bool:
    positions = np.array([plane[0].position_mm for plane, _ in _planes(slices)], float)
    return len(positions) < 2 or is_even(positions, slices[0].orientation or ())


def _places_count(slices: Slices) -> int:
    known = _located(slices)
    return len(slices) - len(known) + (len(_planes(known)) if known else 0)


def _along(slices: Slices) -> np.ndarray:
    return np.array([one.position_mm for one in slices], float) @ slice_normal(slices[0].orientation or ())


def _step(*along: np.ndarray) -> float:
    """The wider of the usual steps; of single slices nothing is known, so anything goes."""
    steps = [np.diff(np.unique(np.round(one, 3))) for one in along]
    return max((float(np.median(step)) for step in steps if len(step)), default=np.inf)


def _with_rest(parts: list[_Group], group: _Group) -> list[_Group]:
    """Slices without a position go with the most, where they are refused by name."""
    taken = {id(one) for part in parts for one in part.slices}
    rest = [one for one in group.slices if id(one) not in taken]
    most = max(parts, key=lambda part: len(part.slices))
    return [replace(part, slices=part.slices + rest) if part is most else part for part in parts]


def _named(groups: list[_Group]) -> list[Part]:
    """Parts with labels that differ, on file systems that don't tell cases apart too."""
    if len(groups) == 1:
        return [Part(groups[0].slices)]
    taken: set[str] = set()
    parts = []
    for group in groups:
        stem = "_".join(label.text for label in group.labels) or "rest"
        label, n = stem, 1
        while label.lower() in taken:
            n += 1
            label = f"{stem}_{n}"
        taken.add(label.lower())
        parts.append(Part(group.slices, "separated by " + " and ".join(dict.fromkeys(group.tags)), label))
    return parts


def _natural(label: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", label))
