"""Laws of the border by HU: nearer to the truth on any grid, dense lung untouched, nothing far away changed."""

import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_chests import coarse_labels, dice, made_chest
from scipy import ndimage

from lungseg_monai.segment import borders
from lungseg_monai.segment.borders import noise_hu, refine
from lungseg_monai.segment.holes import fill_small_holes
from lungseg_monai.segment.options import LungOptions
from lungseg_monai.segment.spread import grow, shrink

FINE, THICK = (1.8, 1.8, 4.0), (2.0, 2.0, 10.0)


@cache
def coarse(spacing_mm, noise=18.0):
    return coarse_labels(made_chest(2, spacing_mm, noise))


def box(shape=(40, 34, 30), hu=-850, wall=40):
    """A lung of one HU in a wall of another, off-centre: (hu, truth)."""
    truth = np.zeros(shape, np.uint8)
    truth[9:30, 8:25, 6:26] = 1
    return np.where(truth > 0, hu, wall).astype(np.int16), truth


@pytest.mark.parametrize(("spacing_mm", "noise"), [(FINE, 18.0), (THICK, 60.0)])
def test_the_border_comes_nearer_to_the_truth(spacing_mm, noise):
    chest = made_chest(2, spacing_mm, noise)
    before = coarse(spacing_mm, noise)
    after = refine(before, chest.hu, chest.spacing_mm)
    for side in (1, 2):
        assert dice(before == side, chest.truth == side) < 0.985
        assert dice(after == side, chest.truth == side) > 0.99


@pytest.mark.parametrize("lung_hu", [-870, -700])
@pytest.mark.parametrize("wall_hu", [-100, 60])
def test_a_voxel_shared_with_the_wall_goes_by_the_larger_part(lung_hu, wall_hu):
    for share, kept in ((0.65, True), (0.35, False)):  # of lung, in the outermost voxels that the network drew
        hu, truth = box(hu=lung_hu, wall=wall_hu)
        hu[29][truth[29] > 0] = round(share * lung_hu + (1 - share) * wall_hu)
        after = refine(truth, hu, (4.0, 4.0, 4.0))
        middle = after[29, 12:21, 10:22] > 0
        assert (middle == kept).all()
        np.testing.assert_array_equal(after[:29], truth[:29])


def test_consolidation_at_the_wall_is_not_eaten():
    chest = made_chest(2, FINE)
    labels = coarse(FINE)
    j = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    back = np.arange(labels.shape[1])[None, :, None] > j[0] + 0.62 * len(j)
    dense = (labels > 0) & back
    hu = np.where(dense, 45, chest.hu).astype(np.int16)
    after = refine(labels, hu, chest.spacing_mm)
    lost = dense & (after == 0)
    assert np.count_nonzero(lost) < 0.03 * np.count_nonzero(dense)
    whole = np.where(labels > 0, 45, chest.hu).astype(np.int16)
    assert (refine(labels, whole, chest.spacing_mm)[labels > 0] > 0).all()


def test_a_nodule_at_the_wall_is_not_eaten():
    hu, truth = box()
    i, j, k = np.ogrid[:40, :34, :30]
    nodule = ((i - 13) ** 2 + (j - 16) ** 2 + (k - 15) ** 2 < 8**2) & (truth > 0)
    hu[nodule] = 40
    after = refine(truth, hu, (1.0, 1.0, 1.0), LungOptions(border_mm=3.0))
    assert np.count_nonzero(after[nodule]) > 0.85 * np.count_nonzero(nodule)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.7, 0.9, 2.5)])
@pytest.mark.parametrize("error", [-2, -1, 1, 2])
def test_a_plain_edge_is_found(spacing_mm, error):
    hu, truth = box()
    change = ndimage.binary_dilation if error > 0 else ndimage.binary_erosion
    drawn = change(truth, iterations=abs(error)).astype(np.uint8)
    after = refine(drawn, hu, spacing_mm, LungOptions(border_mm=6.0))
    left = np.count_nonzero(after != truth)  # edges and corners of the box lie further than its faces
    assert left <= 0.25 * np.count_nonzero(drawn != truth)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 6), st.tuples(*[st.floats(0.5, 5)] * 3))
def test_nothing_further_than_border_mm_changes(seed, border_mm, spacing_mm):
    random = np.random.default_rng(seed)
    hu = ndimage.gaussian_filter(random.normal(-400, 6000, (24, 20, 18)), 2).astype(np.int16)
    labels = (ndimage.gaussian_filter(random.normal(size=hu.shape), 3) > 0).astype(np.uint8)
    labels[12:] *= 2
    after = refine(labels, hu, spacing_mm, LungOptions(border_mm=border_mm, max_hole_ml=0))
    distance = np.maximum(
        ndimage.distance_transform_edt(labels > 0, spacing_mm), ndimage.distance_transform_edt(labels == 0, spacing_mm)
    )
    reach = np.sqrt(3) * (border_mm + 0.5 * max(spacing_mm)) + max(spacing_mm)
    assert not (after != labels)[distance > reach].any()
    kept = (after > 0) & (labels > 0)
    np.testing.assert_array_equal(after[kept], labels[kept])
    assert set(np.unique(after)) <= set(np.unique(labels))


def test_air_beside_the_lung_does_not_join():
    hu, truth = box(hu=-830)
    hu[30:33, 12:20, 10:20] = 40  # a thin wall, and a bronchus behind it that the network's border reaches into
    hu[32:38, 12:20, 10:20] = -990
    drawn = truth.copy()
    drawn[30:32, 12:20, 10:20] = 1
    after = refine(drawn, hu, (1.0, 1.0, 1.0))
    assert not after[32:38].any()
    hu[30:32, 12:20, 10:20] = -990  # and one that opens into the lung
    assert not refine(truth, hu, (1.0, 1.0, 1.0))[31:].any()


def test_vessels_inside_count_as_lung_or_are_cut_out():
    hu, truth = box()
    hu[18:21, 15:18, 12:22] = 60
    inside = np.zeros(hu.shape, bool)
    inside[18:21, 15:18, 12:22] = True
    drawn = np.where(inside, 0, truth).astype(np.uint8)
    assert refine(drawn, hu, (1.0, 1.0, 1.0))[inside].all()
    out = refine(truth, hu, (1.0, 1.0, 1.0), LungOptions(vessels="out"))
    assert not out[inside].any()
    np.testing.assert_array_equal(out > 0, (truth > 0) & ~inside)


@pytest.mark.parametrize(("half", "stays_open"), [(5, False), (8, True)])
def test_large_holes_stay_open(half, stays_open):
    hu, truth = box((60, 60, 60))
    truth[5:55, 5:55, 5:55] = 1
    hu[truth > 0] = -850
    hole = (slice(30 - half, 30 + half),) * 3
    truth[hole], hu[hole] = 0, 40
    after = refine(truth, hu, (1.6, 1.6, 1.6))
    assert after[hole].any() != stays_open


def test_the_image_edge_is_no_border():
    hu, truth = box()
    cut = (slice(12, None), slice(None), slice(10, 20))
    np.testing.assert_array_equal(refine(truth[cut], hu[cut], (1.0, 1.0, 1.0)), truth[cut])


def test_without_refinement_labels_stay_and_nothing_is_changed_in_place():
    hu, truth = box()
    before = truth.copy(), hu.copy()
    np.testing.assert_array_equal(refine(truth, hu, (1.0, 1.0, 1.0), LungOptions(refine=False)), truth)
    refine(truth, hu.astype(np.float32), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(truth, before[0])
    np.testing.assert_array_equal(hu, before[1])
    assert not refine(truth * 0, hu, (1.0, 1.0, 1.0)).any()


def test_memory_order_and_type_change_nothing():
    chest = made_chest(2, FINE)
    labels = coarse(FINE)
    expected = refine(labels, chest.hu, chest.spacing_mm)
    other = refine(np.asfortranarray(labels), np.asfortranarray(chest.hu.astype(np.float32)), chest.spacing_mm)
    assert other.shape == expected.shape
    assert dice(other > 0, expected > 0) > 0.9995  # the threshold is judged on other samples


@pytest.mark.parametrize("vessels", ["in", "out"])
@pytest.mark.parametrize(
    ("spacing_mm", "noise", "border_mm"), [(FINE, 0.0, 3.5), (FINE, 90.0, 6.0), ((1.4, 2.1, 2.5), 60.0, 3.5)]
)
def test_slabs_change_nothing(spacing_mm, noise, border_mm, vessels, monkeypatch):
    part = np.s_[20:110, 20:90, 5:70]
    labels, hu = coarse(FINE)[part].copy(), made_chest(2, FINE).hu[part]
    hu = (hu + np.random.default_rng(0).normal(0, noise, hu.shape)).astype(np.int16)
    middle = hu.shape[2] // 2
    labels[:, :, middle] *= hu[:, :, middle] < -700  # holes across a slab's end
    options = LungOptions(vessels=vessels, border_mm=border_mm, max_hole_ml=1.0)
    layouts = [(labels, hu), (np.asfortranarray(labels), np.asfortranarray(hu))]
    whole = [refine(*one, spacing_mm, options, threads=1) for one in layouts]
    slabs = []
    cut = borders._slabs
    monkeypatch.setattr(borders, "SLAB_VOXELS", 1)
    monkeypatch.setattr(borders, "_slabs", lambda *given: slabs.append(cut(*given)) or slabs[-1])
    for one, expected in zip(layouts, whole, strict=True):
        np.testing.assert_array_equal(refine(*one, spacing_mm, options, threads=3), expected)
        assert (expected != labels).any()
    assert all(len(found) > 2 for found in slabs)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40))
@example(235742, 2)  # a bay in a corner, which fill_voids fills
def test_small_holes_are_closed_from_their_edges(seed, most_voxels):
    random = np.random.default_rng(seed)
    labels = (ndimage.gaussian_filter(random.normal(size=(15, 13, 11)), 1.2) > -0.1).astype(np.uint8)
    labels[8:] *= 2
    filled = labels.copy()
    fill_small_holes(filled, most_voxels)
    pieces, count = ndimage.label(labels == 0)
    touching = {int(one) for face in (0, -1) for axis in range(3) for one in np.unique(np.take(pieces, face, axis))}
    sizes = np.bincount(pieces.ravel())
    small = [n for n in range(1, count + 1) if n not in touching and sizes[n] <= most_voxels]
    hole = np.isin(pieces, small)
    np.testing.assert_array_equal(filled > 0, (labels > 0) | hole)
    np.testing.assert_array_equal(filled[~hole], labels[~hole])
    wanted = labels.copy()
    while (hole & (wanted == 0)).any():  # voxel by voxel, the largest label beside
        held = np.pad(wanted, 1)
        beside = np.max([np.roll(held, step, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for step in (1, -1)], axis=0)
        wanted = np.where(hole & (wanted == 0), beside, wanted)
    np.testing.assert_array_equal(filled, wanted)


def test_a_tall_volume_takes_little_memory_besides():
    labels = np.zeros((1200, 100, 110), np.uint8)
    labels[40:1100, 10:90, 10:100] = 1
    hu = np.where(labels > 0, -850, 40).astype(np.int16).transpose(2, 1, 0)
    tracemalloc.start()
    refined = refine(labels.transpose(2, 1, 0), hu, (0.8, 0.8, 0.5), threads=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refined.any() and peak < 4 * labels.nbytes + 2 * 16 * borders.SLAB_VOXELS, peak / 2**20


@pytest.mark.parametrize("sigma", [0, 20, 80])
def test_noise_is_measured(sigma):
    hu, truth = box()
    noisy = hu + np.random.default_rng(0).normal(0, sigma, hu.shape)
    assert noise_hu(noisy.astype(np.int16), truth) == pytest.approx(sigma, abs=2 + 0.06 * sigma)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(1, 6), st.tuples(*[st.floats(0.5, 3)] * 3))
def test_growing_reaches_about_as_far_as_asked(seed, distance_mm, spacing_mm):
    mask = np.zeros((40, 40, 40), np.uint8)
    mask[tuple(np.random.default_rng(seed).integers(18, 22, 3))] = 1
    grown = grow(mask, distance_mm, spacing_mm)
    distance = ndimage.distance_transform_edt(mask == 0, spacing_mm)
    slack = 0.5 * max(spacing_mm)
    assert distance[grown > 0].max() <= np.sqrt(3) * (distance_mm + slack) + 1e-6
    assert (grown[distance <= 0.6 * distance_mm - 2 * slack] > 0).all()
    np.testing.assert_array_equal(shrink(1 - mask, distance_mm, spacing_mm), 1 - grown)
