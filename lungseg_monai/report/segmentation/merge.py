"""Several masks of one case as one volume of labels for the page: lungs keep 1 and 2, tumours come on top."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lungseg_monai.report.segmentation.read import Case, mapping
from lungseg_monai.report.segmentation.volumes import Preview, read_preview

LUNGS = {"lung_right": 1, "lung_left": 2}
FIRST_OTHER = 3


def masks_of(case: Case) -> list[tuple[str, Mapping[str, str]]]:
    """What each mask's file is called, and its labels, the model's own first; [] where there are lungs alone."""
    masks = [(str(stem), mapping(labels)) for stem, labels in mapping(case.facts.get("masks")).items()]
    lungs_alone = all(str(name).startswith("lung") for _, labels in masks for name in labels.values())
    return [] if lungs_alone else masks


def read_merged(case: Case) -> tuple[Preview | None, dict[str, Any]]:
    """The case's preview, and its labels: number -> ROI name. None where there is no preview. Raises ReportError."""
    masks = masks_of(case)
    ct, own = case.preview
    if not masks:
        return read_preview(ct, own), dict(mapping(case.facts.get("labels")))
    numbers = dict(LUNGS)
    merged: Preview | None = None
    for stem, labels in reversed(masks):
        preview = read_preview(ct, ct.with_name(f"{stem.rpartition('/')[2]}.nii.gz"))
        if preview is None:
            continue
        shown = np.zeros_like(preview.labels) if merged is None else merged.labels
        for label, name in labels.items():
            number = numbers.setdefault(str(name), max(FIRST_OTHER, max(numbers.values()) + 1))
            shown[preview.labels == int(label)] = number
        merged = replace(preview, labels=shown)
    named = {name for _, labels in masks for name in labels.values()}
    return merged, {str(number): name for name, number in numbers.items() if name in named}
