"""Which findings a chest gets: nothing, one illness with its companions, or a few drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lungseg_monai.errors import UsageError
from lungseg_monai.synthesis.pathology.part import FINDINGS, LAYER

if TYPE_CHECKING:
    from lungseg_monai.synthesis.chest import Chest

SICK_SHARE = 0.6
"""Share of chests with findings at difficulty 1; a quarter of these get only a small one."""

SMALL = ("nodules", "plate_atelectasis", "dependent_atelectasis", "apical_scar", "wall_nodule", "tree_in_bud")

SEVERE = {
    "massive_effusion": 1.0,
    "whole_collapse": 0.7,
    "whole_consolidation": 1.0,
    "pneumonectomy": 0.8,
    "pneumothorax": 1.0,
    "hydropneumothorax": 0.7,
    "lobar_collapse": 1.5,
    "hilar_mass": 1.0,
    "wall_mass": 1.0,
    "bullae": 1.0,
    "pleural_tumour": 0.7,
    "honeycombing": 0.8,
    "lobar_consolidation": 1.0,
    "dependent_consolidation": 1.0,
    "patchy_consolidation": 0.5,
    "small_pneumothorax": 0.5,
    "subcutaneous_emphysema": 0.5,
}
"""Hard findings and how often each is drawn among them."""

# (finding, chance, sides: "one" the sick side, "other", "both")
ILLNESSES: dict[str, list[tuple[str, float, str]]] = {
    "heart failure": [
        ("congestion", 0.9, "both"),
        ("septal_thickening", 0.6, "both"),
        ("effusion", 0.8, "both"),
        ("dependent_atelectasis", 0.4, "both"),
        ("pericardial_effusion", 0.3, "one"),
        ("fissure_fluid", 0.3, "one"),
    ],
    "viral pneumonia": [
        ("peripheral_opacities", 0.9, "both"),
        ("ground_glass", 0.4, "both"),
        ("crazy_paving", 0.3, "both"),
        ("dependent_consolidation", 0.2, "both"),
        ("pneumomediastinum", 0.08, "one"),
    ],
    "bacterial pneumonia": [
        ("lobar_consolidation", 0.6, "one"),
        ("patchy_consolidation", 0.5, "one"),
        ("patchy_consolidation", 0.25, "other"),
        ("tree_in_bud", 0.3, "one"),
        ("effusion", 0.4, "one"),
        ("empyema", 0.2, "one"),
    ],
    "lung cancer": [
        ("centrilobular_emphysema", 0.4, "both"),
        ("spiculated_nodule", 0.35, "one"),
        ("wall_mass", 0.35, "one"),
        ("hilar_mass", 0.35, "one"),
        ("lung_mass", 0.2, "one"),
        ("lobar_collapse", 0.2, "one"),
        ("effusion", 0.25, "one"),
        ("nodules", 0.3, "both"),
    ],
    "smoker": [
        ("centrilobular_emphysema", 0.6, "both"),
        ("diffuse_emphysema", 0.4, "both"),
        ("paraseptal_emphysema", 0.4, "both"),
        ("bullae", 0.3, "one"),
        ("bronchiectasis", 0.2, "both"),
        ("nodules", 0.3, "one"),
        ("apical_scar", 0.3, "both"),
    ],
    "fibrosis": [
        ("fibrosis", 0.9, "both"),
        ("honeycombing", 0.4, "both"),
        ("bronchiectasis", 0.2, "both"),
        ("ground_glass", 0.2, "both"),
        ("mosaic", 0.2, "both"),
    ],
    "intensive care": [
        ("dependent_consolidation", 0.5, "both"),
        ("dependent_atelectasis", 0.6, "both"),
        ("effusion", 0.6, "both"),
        ("small_pneumothorax", 0.15, "one"),
        ("lobar_collapse", 0.2, "one"),
    ],
    "trauma": [
        ("small_pneumothorax", 0.5, "one"),
        ("pneumothorax", 0.3, "one"),
        ("hydropneumothorax", 0.25, "one"),
        ("subcutaneous_emphysema", 0.6, "one"),
        ("pneumomediastinum", 0.25, "one"),
        ("patchy_consolidation", 0.4, "one"),
        ("dependent_atelectasis", 0.5, "both"),
    ],
    "asbestos": [
        ("pleural_plaques", 0.9, "both"),
        ("pleural_thickening", 0.5, "one"),
        ("round_atelectasis", 0.3, "one"),
        ("fibrosis", 0.3, "both"),
        ("pleural_tumour", 0.25, "one"),
        ("loculated_effusion", 0.2, "one"),
    ],
    "tuberculosis": [
        ("apical_scar", 0.7, "both"),
        ("miliary", 0.2, "both"),
        ("bronchiectasis", 0.4, "one"),
        ("tree_in_bud", 0.5, "both"),
        ("nodules", 0.5, "one"),
        ("pleural_thickening", 0.4, "one"),
    ],
    "metastases": [("metastases", 0.9, "both"), ("effusion", 0.4, "one"), ("massive_effusion", 0.2, "other")],
    "airways": [("bronchiectasis", 0.8, "both"), ("mosaic", 0.4, "both"), ("cysts", 0.3, "both")],
}


def afflict(
    chest: Chest, random: np.random.Generator, *, only: Sequence[str] | None = None, difficulty: float = 1.0
) -> None:
    """Draw findings into a chest in place: a realistic mix, or exactly those named in `only`, each on a random side.

    `difficulty` scales how many chests are sick and how many of those severely (0 none, 1 the usual mix, 2 most).
    Raises UsageError for a name that isn't in FINDINGS.
    """
    chest.facts.setdefault("findings", [])
    if only is not None:
        unknown = sorted(set(only) - set(FINDINGS))
        if unknown:
            raise UsageError(f"no finding is called {', '.join(unknown)}; there are: {', '.join(sorted(FINDINGS))}")
        plan = [(name, int(random.integers(1, 3))) for name in only]
    else:
        plan = plan_findings(random, difficulty)
    for name, side in sorted(plan, key=lambda item: LAYER[item[0]]):
        FINDINGS[name](chest, side, random)


def plan_findings(random: np.random.Generator, difficulty: float = 1.0) -> list[tuple[str, int]]:
    """Names and sides to draw; empty for a healthy chest."""
    if random.random() > min(0.95, SICK_SHARE * difficulty):
        return []
    side = int(random.integers(1, 3))
    kind = random.random()
    if kind < 0.2:
        return [(str(random.choice(SMALL)), int(random.integers(1, 3))) for _ in range(int(random.integers(1, 3)))]
    if kind < 0.5:
        plan = _illness(side, random)
    else:
        names = random.choice(sorted(FINDINGS), size=int(random.choice([1, 2, 2, 3, 4])), replace=False)
        plan = [(str(name), side if random.random() < 0.6 else 3 - side) for name in names]
    if random.random() < min(0.9, 0.3 * difficulty):
        chances = np.asarray(list(SEVERE.values()))
        plan.append((str(random.choice(list(SEVERE), p=chances / chances.sum())), side))
    return _one_ending_a_side(plan)


def _illness(side: int, random: np.random.Generator) -> list[tuple[str, int]]:
    plan = []
    for name, chance, where in ILLNESSES[str(random.choice(sorted(ILLNESSES)))]:
        for target in {"one": (side,), "other": (3 - side,), "both": (1, 2)}[where]:
            if random.random() < chance:
                plan.append((name, target))
    return plan


ENDINGS = ("massive_effusion", "whole_collapse", "pneumonectomy", "hydropneumothorax", "pneumothorax")
"""Findings after which little of a side is left: at most one a side, and never the end of both lungs at once."""


def _one_ending_a_side(plan: list[tuple[str, int]]) -> list[tuple[str, int]]:
    kept, ended = [], False
    for name, side in plan:
        if name in ENDINGS:
            if ended:
                continue
            ended = True
        kept.append((name, side))
    return kept
