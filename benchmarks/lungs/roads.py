"""The two ways to lungs that are compared: the network with all its rules, and thresholds alone."""

import time
from functools import lru_cache
from typing import Any

from benchmarks.lungs.judge import Verdict, judge
from benchmarks.lungs.sample import Sample
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.image import Image

NETWORK, THRESHOLD = "network", "threshold"
ROADS = (NETWORK, THRESHOLD)


@lru_cache(maxsize=1)
def model(threads: int) -> Any:
    """The bundle ct_lungs, loaded once a process."""
    from lungseg_monai.segment.models import open_model

    return open_model("ct_lungs", device="cpu", threads=threads)


def segmented(sample: Sample, road: str, threads: int = 1) -> tuple[Any, tuple[str, ...]]:
    """labels (I, J, K) uint8 and the codes of flags that ask for a look. An image that is refused has no labels."""
    import numpy as np

    from lungseg_monai.segment.checks import check_image
    from lungseg_monai.segment.threshold import threshold_lungs

    image = Image(sample.hu, sample.affine_ras)
    try:
        if road == NETWORK:
            found = model(threads).segment(image)
            return found.labels_ijk, tuple(one.code for one in found.flags if one.severity != "note")
        return threshold_lungs(check_image(image)[0].array_ijk, sample.affine_ras), ()
    except ImageError as error:
        return np.zeros(sample.hu.shape, np.uint8), (f"refused: {error}",)


def tried(sample: Sample, threads: int = 1) -> dict[str, Verdict]:
    """Both roads' verdicts on one sample."""
    verdicts = {}
    for road in ROADS:
        start = time.perf_counter()
        labels, flagged = segmented(sample, road, threads)
        verdicts[road] = judge(labels, sample, flagged, time.perf_counter() - start)
    return verdicts
