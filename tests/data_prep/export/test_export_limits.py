"""Contours and points are counted as they are traced, and a speckle is refused before that, alone and soon."""

import time

import numpy as np
import pytest
from dicom_factory import Ct, rotation, write_ct
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import NothingToDoError
from data_prep.export import Region, limits, read_reference, write_rtstruct, write_seg
from data_prep.export.outline import outlines
from data_prep.geometry import Grid
from data_prep.rtstruct import read_rtstruct


def touching_corners(plane):
    """Corners that two voxels share, and no third."""
    a, b, c, d = plane[1:, 1:], plane[:-1, :-1], plane[1:, :-1], plane[:-1, 1:]
    return int(((a == b) & (c == d) & (a != c)).sum())


@given(seed=st.integers(0, 999), shape=st.tuples(st.integers(1, 9), st.integers(1, 12)), share=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_what_is_counted_is_what_is_traced(seed, shape, share):
    plane = np.random.default_rng(seed).random(shape) < share
    rings = outlines(plane)
    assert limits._points(plane) == sum(len(ring.points_ij) for ring in rings)
    least = limits._contours(plane)
    assert least <= len(rings) <= least + touching_corners(plane)  # contours are cut where they touch themselves


@pytest.fixture
def chest(tmp_path):
    ct = Ct(shape=(12, 9, 5), axes=rotation(3, 5, -7))
    write_ct(tmp_path / "ct", ct)
    return ct, read_reference(tmp_path / "ct"), tmp_path / "rs.dcm"


@pytest.mark.parametrize("limit", ["MOST_CONTOURS", "MOST_POINTS"])
def test_a_speckle_is_named_with_its_count_and_costs_only_itself(chest, monkeypatch, limit):
    ct, series, path = chest
    specks = np.zeros(ct.shape, np.uint8)
    specks[::2, ::2] = 1  # 6 x 5 voxels a slice, none beside another
    organ = np.zeros(ct.shape, np.uint8)
    organ[2:9, 3:7, 1:4] = 1
    count = {"MOST_CONTOURS": 6 * 5 * 5, "MOST_POINTS": 6 * 5 * 5 * 4}[limit]
    regions = [Region(name, mask, Grid(ct.shape, ct.affine_lps)) for name, mask in (("s", specks), ("o", organ))]

    monkeypatch.setattr(limits, limit, count)
    assert not write_rtstruct(regions, series, path).refused
    monkeypatch.setattr(limits, limit, count - 1)
    report = write_rtstruct(regions, series, path)
    (refused,) = report.refused
    assert refused.name == "s" and f"{count:,}" in refused.reason and f"{count - 1:,}" in refused.reason
    assert "150 contours or more with 600 points" in refused.reason and "DICOM SEG" in refused.reason
    assert [roi.name for roi in read_rtstruct(path)] == ["o"]
    assert not write_seg(regions, series, path.with_name("seg.dcm")).refused
    with pytest.raises(NothingToDoError, match="s: its outlines are 150 contours"):
        write_rtstruct(regions[:1], series, path)


def test_noise_is_refused_in_seconds_and_an_organ_of_its_size_is_not(monkeypatch):
    noise = np.random.default_rng(0).random((16, 512, 512)) < 0.5
    began = time.process_time()
    with pytest.raises(limits.MaskError, match="contours"):
        limits.refuse_speckle(noise)
    assert time.process_time() - began < 5  # tracing and writing it takes minutes
    j, i = np.indices((512, 512)) - 255.5
    limits.refuse_speckle(np.repeat([np.hypot(i, j) < 250], 100, axis=0))
