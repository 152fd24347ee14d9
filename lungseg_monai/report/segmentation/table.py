"""OUT -> report.csv: a line for each case, in the order in which they should be looked at."""

import csv
import io
from pathlib import Path
from typing import Any

from data_prep.nifti import atomic_file
from lungseg_monai.report.segmentation.read import Case, Segmented, mapping
from lungseg_monai.segment.look import dice_between

COLUMNS = ("case", "status", "look", "reasons", "flags", "confidence", "dice_between_answers", "sizes", "error")


def write_table(found: Segmented, path: Path) -> None:
    """look: the score; reasons, flags: codes; confidence, dice_between_answers: the lowest of all ROIs; sizes: ml; of
    X-rays cm2, or the share of the picture where its spacing is unknown. Raises data_prep's OutputError.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_row(case) for case in found.cases)
    with atomic_file(path) as stream:
        stream.write(text.getvalue().encode("utf-8"))


def _row(case: Case) -> list[Any]:
    between = dice_between(mapping(case.facts.get("uncertainty")))
    return [
        _plain(case.name),
        case.status,
        case.look["score"],
        " ".join(case.look["reasons"]),
        " ".join(flag["code"] for flag in case.flags),
        case.confidence if case.confidence <= 1 else "",
        min(between, default=""),
        _sizes(case),
        _plain(case.error or ""),
    ]


def _sizes(case: Case) -> str:
    told = [f"{name} {ml}" for name, ml in mapping(case.facts.get("volumes_ml")).items()]
    for name, area in mapping(case.facts.get("areas")).items():
        of = mapping(area)
        told.append(f"{name} {of.get('share_of_picture') if of.get('cm2') is None else of['cm2']}")
    return "; ".join(told)


def _plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
