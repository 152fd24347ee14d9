"""Which figure of Gao, "Unet-based Model for Lung Segment", a figure of a run's page is."""

from collections.abc import Mapping
from typing import Any

BUNDLE = "ct_lung_unet2d"
CURVES = "Figures 2 and 3 (10 and 20 epochs)"
SLICES = {"training": "Figure 4", "test": "Figure 5"}
GRIDS = {
    "training": {"Best": "Figure 6", "Worst": "Figure 7", "In-between": "Figure 8"},
    "test": {"Best": "Figure 9", "Worst": "Figure 10", "In-between": "Figure 11"},
}


def as_in_paper(facts: Mapping[str, Any], which: str | None) -> str:
    """ "as Figure 4 of the paper" for a run of Gao's network, whose facts are run.json's; else empty."""
    return f"as {which} of the paper" if which and facts.get("bundle") == BUNDLE else ""
