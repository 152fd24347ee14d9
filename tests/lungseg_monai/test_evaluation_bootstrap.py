"""Intervals over patients: equal to scipy's where it can, repeatable, around the score, none from one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.evaluation.bootstrap import Bootstrap, draws, intervals

FEW = Bootstrap(resamples=300, seed=5)
PATIENTS = st.lists(st.lists(st.floats(0, 1), max_size=6), min_size=2, max_size=9).filter(
    lambda patients: sum(map(bool, patients)) > 1
)


@settings(max_examples=40, deadline=None)
@given(PATIENTS)
def test_a_draw_is_the_pooled_values_of_the_patients_drawn(patients):
    mean, median = intervals(patients, FEW)
    drawn = [
        [value for patient, times in zip(patients, row, strict=True) for value in patient * times]
        for row in draws(len(patients), FEW).tolist()
    ]
    drawn = [values for values in drawn if values]
    assert mean == pytest.approx(np.percentile([np.mean(values) for values in drawn], [2.5, 97.5]), abs=1e-12)
    assert median == pytest.approx(np.percentile([np.median(values) for values in drawn], [2.5, 97.5]), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(PATIENTS, st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_mean_and_the_same_seed_gives_the_same(patients, seed):
    how = Bootstrap(500, seed)
    (low, high), _ = intervals(patients, how)
    pooled = np.concatenate(patients)
    assert low - 1e-12 <= pooled.mean() <= high + 1e-12 and pooled.min() <= low + 1e-12
    assert intervals(patients, how) == intervals(patients, how)


def test_one_value_a_patient_is_scipys_percentile_bootstrap():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).beta(5, 2, 23)
    mean, median = intervals([[value] for value in values], Bootstrap(2000, 11))
    for mine, statistic in ((mean, np.mean), (median, np.median)):
        theirs = bootstrap(
            (values,),
            statistic,
            n_resamples=2000,
            method="percentile",
            rng=np.random.default_rng(11),
            vectorized=statistic is np.mean,
        ).confidence_interval
        assert mine == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_more_patients_give_a_narrower_interval_and_another_seed_another():
    values = np.random.default_rng(0).random(160)
    widths = [np.diff(intervals([[v] for v in values[:count]], FEW)[0])[0] for count in (10, 160)]
    assert widths[1] < widths[0] / 2
    some = [[v] for v in values[:20]]
    assert intervals(some, Bootstrap(300, 1)) != intervals(some, Bootstrap(300, 2))


def test_slices_of_one_patient_count_together():
    """Two patients of 100 equal slices each are two observations, not two hundred."""
    mean, median = intervals([[0.2] * 100, [0.8] * 100], FEW)
    assert mean == pytest.approx((0.2, 0.8)) and median == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("patients", [[], [[]], [[0.5]], [[0.5, 0.6], []]])
def test_fewer_than_two_patients_have_no_interval(patients):
    assert intervals(patients, FEW) == (None, None)
