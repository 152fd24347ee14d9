"""The ways to lungs that are compared: the network with all its rules, thresholds alone, and the rules alone."""

import time
from functools import lru_cache
from typing import Any

from benchmarks.lungs.judge import Verdict, judge
from benchmarks.lungs.sample import Sample
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.image import Image

NETWORK, THRESHOLD = "network", "threshold"
ROADS = (NETWORK, THRESHOLD)
CEILING = "ceiling"  # as the network's, with the truth in the network's place: what grid, rules and border cost


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
        if road in (NETWORK, CEILING):
            found = model(threads).segment(image) if road == NETWORK else _by_truth(image, sample, threads)
            return found.labels_ijk, tuple(one.code for one in found.flags if one.severity != "note")
        return threshold_lungs(check_image(image)[0].array_ijk, sample.affine_ras), ()
    except ImageError as error:
        return np.zeros(sample.hu.shape, np.uint8), (f"refused: {error}",)


def _by_truth(image: Image, sample: Sample, threads: int) -> Any:
    """The model's answer if its network drew the truth on its grid as well as that grid can hold it."""
    from unittest.mock import patch

    import numpy as np

    from lungseg_monai.segment import lungs
    from lungseg_monai.segment.body import body_box
    from lungseg_monai.segment.checks import check_image
    from lungseg_monai.segment.grid import to_network_grid

    whole = model(threads)
    box = body_box(to_network_grid(check_image(image)[0], whole.spacing_mm).hu, whole.spacing_mm)
    shares = []
    for side in (1, 2):
        drawn = Image((sample.truth == side).astype(np.int16) * 1000, sample.affine_ras)
        shares.append(np.clip(to_network_grid(drawn, whole.spacing_mm).hu[box] / 1000, 0, 1))
    probability = np.stack([1 - shares[0] - shares[1], *shares]).astype(np.float32)
    with patch.object(lungs, "infer", lambda *_: probability):
        return whole.segment(image)


def tried(sample: Sample, threads: int = 1) -> dict[str, Verdict]:
    """Every road's verdict on one sample."""
    verdicts = {}
    for road in (*ROADS, CEILING):
        start = time.perf_counter()
        labels, flagged = segmented(sample, road, threads)
        verdicts[road] = judge(labels, sample, flagged, time.perf_counter() - start)
    return verdicts
