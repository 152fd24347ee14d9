"""What regions are called in DICOM, their codes and colours. The table is data, structures.json."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data_prep.export.regions import ExportOptions, Region
from data_prep.roi_names import label_of

TABLE = Path(__file__).with_name("structures.json")
TISSUE = "85756007"  # what everything is that has no code of its own
CATEGORIES = {
    "91723000": "Anatomical Structure",
    "49755003": "Morphologically Abnormal Structure",
    TISSUE: "Tissue",
}
# Colours of regions without one of their own; told apart on grey.
OTHER_COLOURS = ((255, 200, 120), (160, 255, 90), (110, 120, 255), (255, 130, 200), (60, 190, 150), (220, 220, 80))
LONGEST, LONGEST_SHORT = 64, 16  # characters: of LO (PS3.5 6.2), and what some planning systems keep


@dataclass(frozen=True)
class Structure:
    """What a region is. kind: RTROIInterpretedType. category, type_code: SNOMED CT, value and meaning.

    tg263: its name after AAPM's Task Group 263. label: None where the table does not know it.
    """

    label: str | None
    tg263: str
    colour: tuple[int, int, int]
    kind: str
    category: tuple[str, str]
    type_code: tuple[str, str]


def structures() -> dict[str, Structure]:
    """What the table has a code of its own for, by label."""
    return {label: one for label, one in all_structures().items() if one.type_code[0] != TISSUE}


@cache
def all_structures() -> dict[str, Structure]:
    """The whole table, by label."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        row["label"]: Structure(
            row["label"],
            row["tg263"],
            tuple(row["colour"]),
            row["kind"],
            (row["category"], CATEGORIES[row["category"]]),
            tuple(row["type"]),
        )
        for row in rows
    }


def structure_of(region_name: str, label: str | None, number: int) -> Structure:
    """What the table says of a region; one that it does not know is coded as tissue, with a colour by its number."""
    for key in (label, region_name, label_of(region_name)):
        if key in all_structures():
            return all_structures()[key]
    tissue = (TISSUE, CATEGORIES[TISSUE])
    return Structure(None, "", OTHER_COLOURS[number % len(OTHER_COLOURS)], "", tissue, tissue)


def dicom_name(region: Region, structure: Structure, options: ExportOptions, taken: set[str]) -> tuple[str, list[str]]:
    """What `region` is called in the file, no longer than DICOM allows and not in `taken`, and notes about that."""
    by_table = region.name == structure.label if options.names == "auto" else options.names == "tg263"
    wanted = structure.tg263 if by_table and structure.tg263 else region.name
    name = "".join(" " if one == "\\" or not one.isprintable() else one for one in wanted).strip() or "region"
    notes = [] if name == wanted else ["characters replaced that DICOM does not allow"]
    longest = LONGEST_SHORT if options.short_names else LONGEST
    if len(name) > longest:
        notes.append(f"name cut to {longest} characters")
    elif len(name) > LONGEST_SHORT:
        notes.append(f"its name has {len(name)} characters and some planning systems cut at 16: see --short-names")
    unique, number = name[:longest].strip(), 2
    while unique.casefold() in taken:
        ending = f"-{number}"
        unique, number = name[: longest - len(ending)].strip() + ending, number + 1
    if unique != name[:longest].strip():
        notes.append("numbered: another region has its name")
    taken.add(unique.casefold())
    return unique, notes
