"""Lesions: what touches is one, what overlaps is found, whatever the axes' order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.evaluation.lesions import LesionCounts, lesion_counts

SHAPE = (14, 11, 9)


def mask(*boxes):
    voxels = np.zeros(SHAPE, bool)
    for box in boxes:
        voxels[tuple(slice(start, stop) for start, stop in box)] = True
    return voxels


A, B = ((1, 4), (2, 5), (1, 3)), ((8, 12), (6, 9), (5, 8))
NEAR_A = ((3, 6), (4, 7), (2, 4))  # shares one voxel with A


@pytest.mark.parametrize(
    "predicted, reference, wanted",
    [
        ([], [], (0, 0, 0)),
        ([], [A, B], (2, 0, 0)),
        ([A], [], (0, 0, 1)),
        ([A], [A, B], (2, 1, 0)),
        ([NEAR_A], [A], (1, 1, 0)),
        ([B], [A], (1, 0, 1)),
        ([((0, 14), (0, 11), (0, 9))], [A, B], (2, 2, 0)),  # one prediction that joins both
        ([((1, 2), (2, 3), (1, 2)), ((3, 4), (4, 5), (2, 3))], [A], (1, 1, 0)),  # two pieces in one lesion
        ([A, ((1, 2), (9, 10), (8, 9))], [A], (1, 1, 1)),
    ],
)
def test_known_cases(predicted, reference, wanted):
    assert lesion_counts(mask(*predicted), mask(*reference)) == LesionCounts(*wanted)


def test_voxels_that_share_only_a_corner_are_one_lesion():
    corner = mask(((2, 3), (2, 3), (2, 3)), ((3, 4), (3, 4), (3, 4)))
    apart = mask(((2, 3), (2, 3), (2, 3)), ((3, 4), (3, 4), (4, 5)))
    assert lesion_counts(corner, corner).reference == 1
    assert lesion_counts(apart, apart).reference == 2


def test_a_least_overlap_must_be_passed():
    half = mask(((1, 4), (2, 5), (1, 2)))
    assert [lesion_counts(half, mask(A), share).found for share in (0.0, 0.49, 0.5)] == [1, 1, 0]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.tuples(*[st.integers(0, 3)] * 3),
)
def test_counts_depend_on_no_axis_and_no_place_and_agree_with_cc3d(seed, axes, flips, moved):
    cc3d = pytest.importorskip("cc3d")
    random = np.random.default_rng(seed)
    predicted, reference = (random.random(SHAPE) < 0.06 for _ in range(2))
    counts = lesion_counts(predicted, reference)

    def elsewhere(voxels):
        turned = np.flip(voxels, [axis for axis in range(3) if flips[axis]]).transpose(axes)
        return np.pad(turned, [(move, 1) for move in moved])

    assert lesion_counts(elsewhere(predicted), elsewhere(reference)) == counts
    pieces = cc3d.connected_components(reference, connectivity=26)
    false = cc3d.connected_components(predicted, connectivity=26)
    met = len(np.unique(false[reference & predicted]))
    assert counts == LesionCounts(pieces.max(), len(np.unique(pieces[reference & predicted])), false.max() - met)
