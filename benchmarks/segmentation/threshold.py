"""`lungseg segment` with the classical threshold method in the network's place: `... threshold INPUT OUT`."""

import sys
from typing import Any

import numpy as np

from data_prep.stages import Stages


class ThresholdModel:
    """See lungseg_monai.segment.models.Model."""

    stem = "lungs"
    modality = "CT"

    def __init__(self) -> None:
        self.names = {1: "lung_right", 2: "lung_left"}
        self.facts: dict[str, Any] = {"bundle": "threshold", "version": None, "weights_sha256": None}
        self.facts |= {"backend": "numpy", "device": "cpu"}

    def segment(self, image: Any, *, probabilities: bool = False) -> Any:
        from lungseg_monai.segment.result import Segmentation
        from lungseg_monai.segment.threshold import threshold_lungs

        stages = Stages()
        with stages.stage("threshold"):
            labels = np.empty_like(image.array_ijk, np.uint8)  # laid out in memory as the image is, as ours are
            labels[...] = threshold_lungs(image.array_ijk, image.affine_ras)
        return Segmentation(labels, self.names, timings_s=dict(stages.seconds))


def main() -> int:
    from lungseg_monai.cli import main as lungseg
    from lungseg_monai.segment import models

    models.open_model = lambda *_, **__: ThresholdModel()  # type: ignore[assignment]
    return lungseg(["segment", sys.argv[1], "--out", sys.argv[2], "--timings"])


if __name__ == "__main__":
    sys.exit(main())
