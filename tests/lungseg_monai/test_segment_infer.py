"""A network on whole volumes: what it gets, and that blocks change nothing that a local network finds."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from scipy.special import softmax

from lungseg_monai.segment.infer import OVERLAP, SIDE, probabilities


def local(x):
    """Logits that depend on the nearest voxels alone."""
    smooth = uniform_filter(x[0, 0], 3, mode="nearest")
    return np.stack([smooth, 2 * x[0, 0], 1 - smooth])[None].astype(np.float32)


def test_the_network_gets_windowed_hu_in_air_up_to_whole_blocks():
    given = []

    def network(x):
        given.append(x)
        return local(x)

    hu = np.random.default_rng(0).uniform(-3024, 3000, (33, 20, 64)).astype(np.float32)
    found = probabilities(hu, network)
    (x,) = given
    assert x.shape == (1, 1, 64, 32, 64) and x.dtype == np.float32
    np.testing.assert_allclose(x[0, 0, :33, :20], (np.clip(hu, -1024, 600) + 400) / 600, atol=1e-6)
    np.testing.assert_allclose([x[0, 0, 33:].min(), x[0, 0, :, 20:].max()], (-1024 + 400) / 600, atol=1e-6)
    np.testing.assert_allclose(found, softmax(local(x)[0], axis=0)[:, :33, :20], atol=1e-6)


@pytest.mark.parametrize("length", [130, 200, 333, 640])
def test_blocks_find_what_the_whole_does(length):
    hu = np.random.default_rng(length).uniform(-1000, 500, (20, 30, length)).astype(np.float32)
    lengths = []

    def network(x):
        lengths.append(x.shape[4])
        return local(x)

    whole = probabilities(hu, local)
    found = probabilities(hu, network, most_voxels=32 * 32 * 2 * OVERLAP)
    assert len(lengths) > 1 and set(lengths) == {2 * OVERLAP} and (2 * OVERLAP) % SIDE == 0
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    ends = np.abs(found - whole).max(axis=(0, 1, 2))
    assert (ends > 1e-3).sum() <= 2 * len(lengths)  # only where a block ends, there is less to see
    assert ends.max() < 0.05  # and what is seen there counts little
