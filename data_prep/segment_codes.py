"""What a segment of a DICOM SEG is by its code, for names that say nothing."""

from typing import Any

from data_prep.slices import text

TISSUE = "85756007"  # says as good as nothing
# Beside the codes that SEGs are written with here: more of SNOMED CT, and what older files have in its place, SRT
# (PS3.16 annex D).
MORE_CODES = {
    "T-28000": "lungs",
    "T-28100": "lung_right",
    "T-28500": "lung_left",
    "86049000": "gtv",  # primary neoplasm
    "M-80003": "gtv",
    "M-8FFFF": "gtv",  # neoplasm
    "T-32000": "heart",
    "T-56000": "esophagus",
    "T-A7010": "spinal_cord",
    "T-25000": "trachea",
}
SIDES = {"24028007": "right", "G-A100": "right", "7771000": "left", "G-A101": "left"}


def coded_label(item: Any) -> str | None:
    """The label of an item of SegmentSequence by its SegmentedPropertyTypeCodeSequence: lung_right, gtv, heart, ...

    A lung is the one that its modifier names, else both. None for a code that is not known. Raises nothing.
    """
    for kind in items(item, "SegmentedPropertyTypeCodeSequence")[:1]:
        code = text(kind, "CodeValue")
        label = MORE_CODES.get(code) or _by_table().get(code)
        if label == "lungs":
            for modifier in items(kind, "SegmentedPropertyTypeModifierCodeSequence"):
                if side := SIDES.get(text(modifier, "CodeValue")):
                    return f"lung_{side}"
        return label
    return None


def _by_table() -> dict[str, str]:
    """Code -> the first label that has it."""
    from data_prep.export.structures import structures

    found: dict[str, str] = {}
    for label, one in structures().items():
        if one.type_code[0] != TISSUE:
            found.setdefault(one.type_code[0], label)
    return found


def items(data: Any, keyword: str) -> list[Any]:
    """The items of a sequence; none where it is missing or damaged."""
    try:
        return list(data.get(keyword) or [])
    except (ValueError, TypeError, LookupError, AttributeError, OSError, NotImplementedError):
        return []
