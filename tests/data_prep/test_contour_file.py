"""contours.npz: what was written is read, the same bytes each time, and nothing but sense is accepted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.contour_file import read_contours, write_contours
from data_prep.errors import DatasetError

sizes = st.dictionaries(st.integers(0, 40), st.lists(st.integers(0, 9), max_size=4), max_size=5)


@given(sizes)
def test_round_trip_in_any_order_of_rois(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("npz") / "contours.npz"
    points = np.random.default_rng(1)
    drawn = {roi: [points.normal(size=(n, 3)) * 300 for n in lengths] for roi, lengths in sizes.items()}
    write_contours(path, drawn)
    first = path.read_bytes()
    write_contours(path, dict(reversed(drawn.items())))
    assert path.read_bytes() == first
    found = read_contours(path)
    assert set(found) == {roi for roi, contours in drawn.items() if contours}
    for roi, contours in found.items():
        assert [one.dtype for one in contours] == [np.float32] * len(contours)
        for one, wanted in zip(contours, drawn[roi], strict=True):
            np.testing.assert_array_equal(one, wanted.astype(np.float32))


def test_the_arrays_are_what_others_rely_on(tmp_path):
    write_contours(tmp_path / "c.npz", {3: [np.ones((4, 3))], 1: [np.zeros((5, 3)), np.full((3, 3), 2.0)]})
    with np.load(tmp_path / "c.npz") as archive:
        assert archive["points_mm"].shape == (12, 3) and archive["points_mm"].dtype == np.float32
        assert archive["contour_start"].tolist() == [0, 5, 8, 12] and archive["contour_start"].dtype == np.int32
        assert archive["contour_roi"].tolist() == [1, 1, 3] and archive["contour_roi"].dtype == np.int32


def good() -> dict[str, np.ndarray]:
    points = np.zeros((7, 3), np.float32)
    return {"points_mm": points, "contour_start": np.array([0, 3, 7], "i4"), "contour_roi": np.array([0, 2], "i4")}


@pytest.mark.parametrize(
    "change",
    [
        {"points_mm": np.zeros((7, 2), np.float32)},
        {"points_mm": np.zeros((7, 3))},
        {"contour_start": np.array([0, 9, 7], "i4")},
        {"contour_start": np.array([0, 3, 8], "i4")},
        {"contour_start": np.array([1, 3, 7], "i4")},
        {"contour_start": np.array([0, 7], "i4")},
        {"contour_roi": np.array([[0, 2]], "i4")},
        {"contour_roi": np.array([0.0, 2.0])},
        {"points_mm": np.array([{}], object)},
    ],
)
def test_contradictions_are_refused(tmp_path, change):
    np.savez(tmp_path / "c.npz", **good())
    assert set(read_contours(tmp_path / "c.npz")) == {0, 2}
    np.savez(tmp_path / "c.npz", **{**good(), **change})
    with pytest.raises(DatasetError, match=r"c\.npz"):
        read_contours(tmp_path / "c.npz")


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(DatasetError, match="missing"):
        read_contours(path)
    write_contours(path, {0: [np.ones((4, 3))]})
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:100], whole[: len(whole) // 2], b"\x93NUMPY" + whole):
        path.write_bytes(content)
        with pytest.raises(DatasetError):
            read_contours(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DatasetError):
        read_contours(tmp_path / "one.npy")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("far_mm", [1.1e6, 1e300, np.inf, np.nan])
def test_contours_that_no_mask_takes_are_left_out(tmp_path, far_mm):
    near, far = np.ones((4, 3)), np.ones((4, 3))
    far[2, 1] = far_mm
    write_contours(tmp_path / "c.npz", {0: [far, near], 1: [far], 2: [near * 2]})
    found = read_contours(tmp_path / "c.npz")
    assert {roi: len(contours) for roi, contours in found.items()} == {0: 1, 2: 1}
    np.testing.assert_array_equal(found[0][0], near.astype(np.float32))
