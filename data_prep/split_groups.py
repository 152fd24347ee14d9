"""What a split must not part: the cases of one patient and, among X-rays, those with the same pixels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.dataset import is_radiograph


def unit_of(cases: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Case id -> name of the unit that stays together: its patient, joined with others that share a `group`.

    Without groups, as in CT, the patient alone. A unit is called by the first of its patients.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for case in cases:
        patient = root(("", case["patient_id"]))
        if case.get("group"):
            ends = sorted((patient, root(("group", case["group"]))))
            parent[ends[1]] = ends[0]  # "" sorts first: a root is a patient wherever there is one
    return {case["id"]: root(("", case["patient_id"]))[1] for case in cases}


def sizes_of(cases: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Unit -> what it counts for in a split: one, as a patient; among X-rays the number of its images."""
    images = Counter(unit_of(cases).values())
    return dict(images) if any(map(is_radiograph, cases)) else dict.fromkeys(images, 1)


def fill(units: Sequence[str], size: Mapping[str, int], count: int) -> tuple[list[str], list[str]]:
    """Take units in turn until they count for `count`; one that is too large for what is left is passed by.

    Returns those taken and the others, both in order. Where each is larger than `count`, the smallest is taken.
    """
    taken: list[str] = []
    left = count
    for unit in units:
        if size[unit] <= left:
            taken.append(unit)
            left -= size[unit]
    if count and not taken and units:
        taken = [min(units, key=size.__getitem__)]
    chosen = set(taken)
    return taken, [unit for unit in units if unit not in chosen]
