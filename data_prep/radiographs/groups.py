"""Which cases must never be parted: those of one patient, and those with the same pixels."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def grouped(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`cases` with `group` set, the first patient_id of all that hang together, and a flag on each copy.

    Cases hang together through their patient_id or their pixels_sha256, over any number of steps.
    """
    from data_prep.split_groups import unit_of

    unit = unit_of([{**case, "group": case["pixels_sha256"]} for case in cases])
    same: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        same[case["pixels_sha256"]].append(case["id"])
    result = []
    for case in cases:
        others = [name for name in same[case["pixels_sha256"]] if name != case["id"]]
        flags = [*case["flags"], *([f"the same pixels as {', '.join(others[:5])}"] if others else [])]
        result.append({**case, "group": unit[case["id"]], "flags": flags})
    return result
