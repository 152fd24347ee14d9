"""What a model makes of one image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flag:
    """A reason to look at a case. code: stable, for machines, e.g. "one_lung". what: a sentence for people.

    severity: "note" (worth knowing), "check" (look at this one), "alarm" (most likely wrong).
    """

    code: str
    what: str
    severity: str = "check"


@dataclass(frozen=True)
class Segmentation:
    """labels_ijk: uint8 on exactly the image's grid, 0 background. names: label -> ROI name, e.g. 1 -> "lung_right".

    probability: (C, I, J, K) float16 for the labels in the order of `names`, only where it was asked for.
    Of a radiograph labels_ijk is (rows, columns), and probability float32 (1, rows, columns), of either lung.
    confidence: by ROI name, 0 to 1. timings_s: seconds by stage. beside: what else was found on the way, by what its
    masks are called ("lungs"), on the same grid; its flags and times are among these.
    uncertainty_percent: uint8 on the image's grid, 0 to 50, the standard deviation of the probability when the network
    is asked again with small changes; uncertainty: that in numbers, for case.json. Both only where asked for.
    """

    labels_ijk: NDArray[np.uint8]
    names: Mapping[int, str]
    flags: tuple[Flag, ...] = ()
    confidence: Mapping[str, float] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    probability: NDArray[np.floating] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # whatever else belongs into case.json
    beside: Mapping[str, "Segmentation"] = field(default_factory=dict)
    uncertainty_percent: NDArray[np.uint8] | None = None
    uncertainty: Mapping[str, Any] = field(default_factory=dict)
