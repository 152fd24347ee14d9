"""Masks of radiographs by a row's rules at the picture's own size, and their scores; also of damaged pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.evaluation.pictures import picture_scores, summarise_pictures
from lungseg_monai.pictures.files import picture_grid, read_masks, read_picture
from lungseg_monai.pictures.resize import resize
from lungseg_monai.postprocessing_cxr import CxrRules, lung_mask_on_image
from lungseg_monai.reproduce.cohort import Patient
from lungseg_monai.reproduce.kept import keep_scores, read_probability, scores_path
from lungseg_monai.reproduce.radiographs.predicting import Ask

SCHEMA = 1  # of the kept scores: raise it when what a score means changes
TWO_CLASSES = "iou_two_classes"
Mask = NDArray[np.bool_]
# Of pictures/corruptions.py: (name, level), one of each sort. For each patient the same damage whatever the network.
DAMAGES = (
    ("portable", "strong"),
    ("gamma", "strong"),
    ("noise", "strong"),
    ("borders", "strong"),
    ("text", "strong"),
    ("pneumonia", "strong"),
)


def shape_of(patient: Patient) -> tuple[int, int]:
    """Rows and columns of the picture's file."""
    (rows, columns, _), _ = picture_grid(patient.image)
    return rows, columns


def reference_of(patient: Patient) -> Mask:
    """bool (rows, columns)."""
    return np.asarray(read_masks(patient.masks, shape_of(patient)) > 0)


def predicted_of(probabilities: Path, patient: Patient, rules: CxrRules) -> Mask:
    """bool at the picture's own size, of kept probabilities. Raises ValueError for a damaged file."""
    probability = read_probability(probabilities, patient).astype(np.float32)
    return np.asarray(lung_mask_on_image(probability, shape_of(patient), rules).labels > 0)


def score_row(
    run: Path, probabilities: Path, patients: Sequence[Patient], rules: CxrRules
) -> tuple[dict[str, Any], list[str]]:
    """`summary_of` all pictures by `rules`, and which could not be scored, and why. Scores are kept."""

    def score(patient: Patient) -> dict[str, Any]:
        return _scores(
            read_probability(probabilities, patient).astype(np.float32), reference_of(patient), patient, rules
        )

    cases, failed = keep_scores(scores_path(run, probabilities, rules), patients, rules, SCHEMA, score)
    return (summary_of(cases) if cases else {}), failed


def score_damaged(
    run: Path, probabilities: Path, patients: Sequence[Patient], rules: CxrRules, make_ask: Callable[[], Ask]
) -> tuple[dict[str, Any], list[str]]:
    """As `score_row`, of the pictures damaged in each of the ways of DAMAGES: {"name/level": summary}."""
    from lungseg_monai.pictures.corruptions import corrupt
    from lungseg_monai.pictures.grey import grey

    asks: list[Ask] = []
    found, failed = {}, list[str]()
    for name, level in DAMAGES:

        def score(patient: Patient, name: str = name, level: str = level) -> dict[str, Any]:
            if not asks:
                asks.append(make_ask())
            picture, labels = grey(read_picture(patient.image)), reference_of(patient).astype(np.uint8)
            damaged, moved = corrupt(picture, labels, name, level)
            return _scores(asks[0](damaged), np.asarray(moved > 0), patient, rules)

        path = scores_path(run, probabilities, rules)
        path = path.with_name(f"{path.stem}-{name}-{level}.json")
        cases, problems = keep_scores(path, patients, rules, SCHEMA, score)
        failed += [f"{problem} ({name})" for problem in problems]
        if cases:
            found[f"{name}/{level}"] = summary_of(cases)
    return found, failed


def summary_of(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """summarise_pictures, with the mean over images of the IoU of lung and background (TWO_CLASSES), and `cases`:
    each image's Dice."""
    both = [case[TWO_CLASSES] for case in cases if case[TWO_CLASSES] is not None]
    return {
        **summarise_pictures(cases),
        TWO_CLASSES: float(np.mean(both)) if both else None,
        "cases": {case["case_id"]: case["dice"] for case in cases},
    }


def _scores(probability: NDArray[np.float32], reference: Mask, patient: Patient, rules: CxrRules) -> dict[str, Any]:
    mask = np.asarray(lung_mask_on_image(probability, _two(reference), rules).labels > 0)
    whole = np.clip(resize(probability, reference.shape), 0, 1)
    scores = picture_scores(mask, reference, whole, patient.spacing_mm)
    background = picture_scores(~mask, ~reference)["iou"]
    lung = scores["iou"]
    both = None if lung is None or background is None else (lung + background) / 2
    return {"case_id": patient.case_id, "group": patient.group, **scores, TWO_CLASSES: both}


def cxr_rules(rules: Any) -> CxrRules:
    """For the type checker: the rules of such a plan are of this kind."""
    if not isinstance(rules, CxrRules):
        raise TypeError(f"wanted CxrRules, got {type(rules).__name__}")
    return rules


def _two(mask: Mask) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]


def rules_text(rules: CxrRules) -> str:
    """Rules in a few words: "p > 0.5; opened by 0.6 % of the width; 2 pieces; holes filled"."""
    cuts = []
    if rules.global_threshold is not None:
        level = rules.global_threshold
        cuts.append("Otsu's threshold" if isinstance(level, str) else f"p > {level:g}")
    if rules.local_block:
        cuts.append(f"the mean of {rules.local_block:g} of the width around")
    said = [" or ".join(cuts)]
    said += [f"opened by {100 * rules.opening:g} % of the width"] if rules.opening else []
    said += [f"closed by {100 * rules.closing:g} %"] if rules.closing else []
    said += [f"the {rules.pieces} largest pieces"] if rules.pieces else []
    said += ["holes filled"] if rules.holes else []
    return ", ".join(said)
