"""Surface scores without torch: equal to MONAI's to 1e-6, a tolerance that means what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.evaluation.surface import surface_scores

SPACING = (0.7, 1.3, 3.0)
SHAPE = (19, 15, 10)


def lumps(seed):
    """Two overlapping, unlike, off-centre lumps; one touches the volume's end."""
    random = np.random.default_rng(seed)
    grid = np.indices(SHAPE).astype(float)
    found = []
    for centre in ((7.0, 8.0, 2.0), (8.0, 7.0, 3.5)):
        radius = random.uniform(2.5, 5.5, 3)
        where = [c + random.uniform(-1, 1) for c in centre]
        found.append(sum(((g - c) / r) ** 2 for g, c, r in zip(grid, where, radius, strict=True)) < 1)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 3.0])
def test_all_three_are_monais(seed, tolerance):
    import torch
    from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric

    predicted, reference = lumps(seed)
    batch = [torch.as_tensor(mask)[None, None] for mask in (predicted, reference)]
    metrics = {
        "hd95_mm": HausdorffDistanceMetric(include_background=True, percentile=95),
        "msd_mm": SurfaceDistanceMetric(include_background=True, symmetric=True),
        "surface_dice": SurfaceDiceMetric(include_background=True, class_thresholds=[tolerance]),
    }
    scores = surface_scores(predicted, reference, SPACING, None, tolerance)
    theirs = {name: metric(*batch, spacing=SPACING).item() for name, metric in metrics.items()}
    assert scores == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_a_plate_within_the_tolerance_is_right_and_beyond_it_wrong():
    """Moved by 3 voxels of 0.7 mm, a little more than 2.1 mm as floats subtract: the tolerance is no coin toss."""
    reference = np.zeros((20, 12, 12), bool)
    reference[6] = True
    predicted = np.roll(reference, 3, axis=0)
    assert 9 * 0.7 - 6 * 0.7 > 2.1
    for tolerance, wanted in ((2.1, 1.0), (2.09, 0.0), (3.0, 1.0)):
        assert surface_scores(predicted, reference, SPACING, None, tolerance)["surface_dice"] == wanted


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 6), st.floats(0, 6), st.tuples(*[st.booleans()] * 3))
def test_surface_dice_rises_with_the_tolerance_and_knows_no_direction(seed, one, other, flips):
    predicted, reference = lumps(seed)
    low, high = (surface_scores(predicted, reference, SPACING, None, t)["surface_dice"] for t in sorted((one, other)))
    assert 0 <= low <= high <= 1
    turned = [np.flip(mask, [axis for axis in range(3) if flips[axis]]) for mask in (predicted, reference)]
    assert surface_scores(*turned, SPACING, None, one) == pytest.approx(
        surface_scores(predicted, reference, SPACING, None, one)
    )
    assert surface_scores(reference, predicted, SPACING, None, one) == pytest.approx(
        surface_scores(predicted, reference, SPACING, None, one)
    )


def test_a_surface_missed_is_0_and_no_surface_at_all_is_not_computed():
    lump, nothing = lumps(0)[0], np.zeros(SHAPE, bool)
    for pair, wanted in (((lump, nothing), 0.0), ((nothing, lump), 0.0), ((nothing, nothing), None)):
        assert surface_scores(*pair, SPACING, None, 3.0) == {"hd95_mm": None, "msd_mm": None, "surface_dice": wanted}
    assert surface_scores(lump, lump, SPACING, None, 0.0) == {"hd95_mm": 0.0, "msd_mm": 0.0, "surface_dice": 1.0}


def test_only_the_slices_that_count_have_a_surface():
    predicted, reference = lumps(1)
    part = surface_scores(predicted, reference, SPACING, [(2, 5)], 1.0)
    predicted[:, :, 6:] ^= True
    predicted[:, :, 0] ^= True
    assert surface_scores(predicted, reference, SPACING, [(2, 5)], 1.0) == part
