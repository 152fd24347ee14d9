"""What is measured, against brute force and known volumes, on grids of any orientation."""

from pathlib import Path

import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.errors import DatasetError
from data_prep.geometry import Grid
from data_prep.nifti import write_nifti
from data_prep.qc.body import find_body
from data_prep.qc.histogram import OFFSET, count_hu, hu_facts, lowest_peak
from data_prep.qc.masks import measure
from data_prep.qc.volumes import read_volume

SPACING = np.array([2.5, 3.5, 5.0])


def grid_of(shape: tuple[int, int, int], axes: np.ndarray | None = None) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * SPACING
    affine[:3, 3] = -31.0, 17.5, -203.0
    return Grid(shape, affine)


def chest(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(i, j, k) HU, and the left lung: an ellipse of tissue in air with two hollows."""
    i, j, k = np.ogrid[:80, :60, :24]
    hu = np.full((80, 60, 24), -1000, np.int16)
    hu[((i - 40) / 34) ** 2 + ((j - 30) / 24) ** 2 + 0 * k < 1] = 30
    left = ((i - 57) / 10) ** 2 + ((j - 28) / 14) ** 2 + ((k - 12) / 9) ** 2 < 1
    right = ((i - 23) / 11) ** 2 + ((j - 28) / 15) ** 2 + ((k - 12) / 9) ** 2 < 1
    hu[left | right] = -850
    return hu + np.random.default_rng(seed).integers(-9, 10, hu.shape, np.int16), left


@given(arrays(np.int16, (3, 4, 2)))
def test_every_voxel_is_counted_at_its_hu(volume):
    counts, not_finite = count_hu(volume)
    assert not_finite == 0
    values, times = np.unique(volume, return_counts=True)
    assert dict(zip(values.tolist(), times.tolist(), strict=True)) == {
        int(n) - OFFSET: int(counts[n]) for n in np.flatnonzero(counts)
    }


def test_floats_count_at_the_nearest_hu_and_what_is_no_number_apart():
    counts, not_finite = count_hu(np.array([[[-1000.4, 2.6, np.nan, np.inf, 1e9]]], np.float32))
    assert not_finite == 2 and counts[OFFSET - 1000] == 1 and counts[OFFSET + 3] == 1 and counts[-1] == 1


def test_facts_of_a_chest():
    hu, _ = chest()
    facts = hu_facts(hu)
    assert (facts.lowest, facts.highest) == (hu.min(), hu.max())
    assert abs(facts.air_peak + 1000) <= 10 and facts.padding_hu is None
    assert facts.air_share == np.mean(hu <= -600) and facts.tissue_share == np.mean(np.abs(hu) <= 250)
    assert sum(facts.counts) == hu.size


def test_padding_is_left_out():
    hu, _ = chest()
    hu[:12] = -3024
    facts = hu_facts(hu)
    assert facts.padding_hu == -3024 and facts.padding_share == pytest.approx(12 / 80)
    assert facts.lowest == hu[12:].min() and facts.below_share == 0


@pytest.mark.parametrize(("slope", "intercept", "peak"), [(1, 1024, 24), (1, 0, -1000), (0.5, 0, -500), (1, 700, -300)])
def test_the_lowest_peak_moves_with_the_rescaling(slope, intercept, peak):
    hu = np.rint(chest()[0] * slope + intercept).astype(np.int16)
    assert abs(hu_facts(hu).air_peak - peak) <= 10


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_lowest_and_highest_are_exact_whatever_the_type(dtype):
    hu = chest()[0].astype(dtype)
    hu[:12] = -3024
    hu[40, 30, 3], hu[41, 30, 3] = (30000, -1300) if dtype == np.int16 else (100_000.25, -1300.25)
    facts = hu_facts(hu)
    wanted = (-1300, 30000) if dtype == np.int16 else (hu[41, 30, 3], hu[40, 30, 3])
    assert (facts.lowest, facts.highest) == wanted and facts.padding_hu == -3024
    assert facts.above_share == facts.below_share == pytest.approx(1 / (hu.size * 68 / 80))


def test_an_image_of_one_value_is_not_all_padding():
    facts = hu_facts(np.full((5, 4, 3), -3024, np.int16))
    assert facts.padding_hu is None and facts.lowest == facts.highest == -3024 and facts.below_share == 1


def test_no_peak_in_nothing():
    assert lowest_peak(np.zeros(65536, np.int64), -1100) is None


@settings(deadline=None, max_examples=25)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), st.integers(0, 3))
def test_a_mask_is_measured_the_same_in_any_orientation(order, flips, seed):
    """Permuting and flipping the array along with its affine moves nothing in the patient."""
    hu, left = chest(seed)
    grid = grid_of(hu.shape, rotation(5, -8, 11))
    wanted, _ = measure(left.astype(np.uint8), hu, grid, find_body(hu, grid))
    affine = grid.affine_lps[:, [*order, 3]].copy()
    turned = [np.transpose(one, order) for one in (hu, left)]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (turned[0].shape[axis] - 1)
            affine[:3, axis] *= -1
            turned = [np.flip(one, axis) for one in turned]
    other = Grid(turned[0].shape, affine)
    found, _ = measure(turned[1].astype(np.uint8), turned[0], other, find_body(turned[0], other))
    for key in ("voxels", "volume_ml", "centre_mm", "low_mm", "high_mm", "median_hu", "soft_share", "islands_ml"):
        assert found[key] == pytest.approx(wanted[key], abs=2e-3), key
    assert found["body_share"] == wanted["body_share"] == 1


def test_measures_against_brute_force():
    hu, left = chest()
    grid = grid_of(hu.shape, rotation(0, 0, 20))
    mask = left.astype(np.uint8)
    mask[:, :, 10] = 0
    mask[2:4, 2:4, 2:4] = 1
    found, packed = measure(mask, hu, grid, find_body(hu, grid))
    index = np.argwhere(mask)
    assert found["voxels"] == len(index) == packed.slice_voxels.sum()
    assert found["volume_ml"] == pytest.approx(len(index) * 2.5 * 3.5 * 5 / 1000)
    np.testing.assert_allclose(found["centre_mm"], grid.points_mm(index.mean(axis=0)), atol=1e-3)
    assert found["median_hu"] == np.median(hu[mask == 1]) and found["one_slice_gaps"] == 1
    assert found["soft_share"] == np.mean(hu[mask == 1] > -400)
    assert found["islands_ml"] == pytest.approx(sorted(found["islands_ml"], reverse=True))
    assert len(found["islands_ml"]) == 2 and found["islands_ml"][-1] == pytest.approx(8 * 2.5 * 3.5 * 5 / 1000)


def test_the_packed_copy_is_the_mask():
    hu, left = chest()
    mask = left.astype(np.uint8)
    mask[3, 59, 7] = 1
    grid = grid_of(hu.shape)
    _, packed = measure(mask, hu, grid, find_body(hu, grid))
    for k in range(mask.shape[2]):
        plane = packed.plane(k, mask.shape[:2])
        assert (plane is None) == (not mask[:, :, k].any())
        assert plane is None or (plane == mask[:, :, k]).all()
    index = np.random.default_rng(0).integers(-3, 85, (50, 40, 3))
    inside = (index >= 0).all(axis=-1) & (index < mask.shape).all(axis=-1)
    wanted = np.zeros(inside.shape, bool)
    wanted[inside] = mask[tuple(index[inside].T)]
    assert (packed.at(index) == wanted).all() and wanted.any()
    shifted = np.roll(mask, 3, axis=1)
    _, other = measure(shifted, hu, grid, find_body(hu, grid))
    assert packed.shared(other) == other.shared(packed) == np.count_nonzero(mask & shifted)
    i, j = packed.centre_of_slice(packed.largest_slice)
    assert mask[i, j, packed.largest_slice] and abs(i - 57) <= 1 and abs(j - 28) <= 1


def test_an_empty_mask_has_no_measures():
    hu, _ = chest()
    grid = grid_of(hu.shape)
    assert measure(np.zeros(hu.shape, np.uint8), hu, grid, find_body(hu, grid)) == ({}, None)


@pytest.mark.parametrize(
    ("axis", "end", "side"), [(0, 0, "R"), (0, 1, "L"), (1, 0, "A"), (1, 1, "P"), (2, 0, "I"), (2, 1, "S")]
)
def test_the_side_that_a_mask_touches_is_named_by_the_patient(axis, end, side):
    hu, _ = chest()
    mask = np.zeros(hu.shape, np.uint8)
    box = [slice(5, 9)] * 3
    box[axis] = slice(-4, None) if end else slice(0, 4)
    mask[tuple(box)] = 1
    grid = grid_of(hu.shape)
    found, _ = measure(mask, hu, grid, find_body(hu, grid))
    assert found["edges"] == pytest.approx({side: 16 * np.delete(SPACING, axis).prod()})


def test_the_body_holds_its_lungs_and_not_the_air_around_even_if_cut_off():
    hu, left = chest()
    for cut in (slice(None), slice(0, 58)):  # the left lung's middle
        part, lung = hu[cut], left[cut]
        grid = grid_of(part.shape)
        body = find_body(part, grid)
        assert body.found
        low = np.argwhere(lung).min(axis=0)
        assert body.share_of(lung[tuple(slice(n, None) for n in low)], low) > 0.95
        corner = np.ones((3, 3, 3), bool)
        assert body.share_of(corner, np.zeros(3, int)) == 0
    assert not find_body(np.full((20, 20, 20), -1000, np.int16), grid_of((20, 20, 20))).found


def test_volumes_are_read_as_written(tmp_path):
    hu, _ = chest()
    grid = grid_of(hu.shape, rotation(3, 4, 5))
    for dtype in (np.int16, np.float32, np.uint8):
        array = np.asfortranarray(hu.astype(dtype))
        write_nifti(tmp_path / "image.nii.gz", array, grid.affine_ras)
        found, its_grid = read_volume(tmp_path / "image.nii.gz", hu.shape)
        assert found.dtype == dtype and (found == array).all()
        np.testing.assert_allclose(its_grid.affine_lps, grid.affine_lps, atol=1e-4)


def test_scaled_and_big_endian_volumes_are_read_too(tmp_path):
    import nibabel as nib

    hu, _ = chest()
    image = nib.Nifti1Image(hu.astype(">i2"), np.diag([1, 2, 3, 1]))
    image.header.set_data_dtype(">i2")
    image = nib.Nifti1Image(hu.astype(">i2"), np.diag([1, 2, 3, 1]), nib.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(">i2")
    image.header.set_slope_inter(2, -5)
    nib.save(image, tmp_path / "big.nii")
    wanted = np.asarray(nib.load(tmp_path / "big.nii").dataobj)
    np.testing.assert_allclose(read_volume(tmp_path / "big.nii", hu.shape)[0], wanted)


def damaged(path: Path) -> list[bytes]:
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    return [b"", b"no NIfTI", whole[:20], whole[: len(whole) // 2], whole[:-4], bytes(flipped), whole + whole]


def test_damaged_volumes_are_named(tmp_path):
    hu, _ = chest()
    path = tmp_path / "image.nii.gz"
    with pytest.raises(DatasetError, match="missing"):
        read_volume(path, hu.shape)
    write_nifti(path, hu, np.eye(4))
    read_volume(path, hu.shape)
    with pytest.raises(DatasetError, match="shape"):
        read_volume(path, (80, 60, 23))
    for content in damaged(path):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"image\.nii\.gz"):
            read_volume(path, hu.shape)


def test_voxels_that_are_no_numbers_are_counted_and_left_out():
    hu, left = chest()
    holes = hu.astype(np.float32)
    holes[57, 28, 12] = np.nan
    grid = grid_of(hu.shape)
    found, _ = measure(left.astype(np.uint8), holes, grid, find_body(holes, grid))
    assert hu_facts(holes).not_finite == 1
    assert found["median_hu"] == np.median(np.delete(hu[left], np.flatnonzero(np.isnan(holes[left]))))
    assert found["voxels"] == np.count_nonzero(left)
