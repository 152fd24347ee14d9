"""Laws of the checks: CT passes untouched, whatever its patient; what is no HU is repaired or refused by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_chests import made_chest
from scipy import ndimage

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.checks import check_image
from lungseg_monai.segment.image import Image

AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])
RANDOM = np.random.default_rng(3)


def checked(array, affine=AFFINE, modality="CT"):
    return check_image(Image(array, np.asarray(affine, float), modality))


def codes(array, **kwargs):
    return [flag.code for flag in checked(array, **kwargs)[1]]


def hu(seed=1):
    return made_chest(seed).hu


def one_lung():
    there = np.argwhere(made_chest(1).truth == 1)
    low, high = there.min(axis=0), there.max(axis=0)
    return hu()[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]


def emphysema():
    return np.where(made_chest(1).truth > 0, -970, hu()).astype(np.int16)


def contrast():
    array = hu().copy()
    heart = array[36:60, 30:55, 25:50]
    heart[heart > 20] = 450
    return array


def metal():
    array = hu().copy()
    array[20:23, 40:43] = 30000
    array[23:26, 40:43] = -1024
    return array


def circle():
    array = hu().copy()
    i, j = np.ogrid[: array.shape[0], : array.shape[1]]
    array[(i - array.shape[0] / 2) ** 2 + (j - array.shape[1] / 2) ** 2 > (array.shape[0] / 2) ** 2] = -1024
    return array


GOOD = {
    "ordinary": hu,
    "other patient": lambda: hu(2),
    "low dose": lambda: (hu() + RANDOM.normal(0, 120, hu().shape)).astype(np.int16).clip(-1024, None),
    "contrast": contrast,
    "metal": metal,
    "emphysema": emphysema,
    "circle": circle,
    "one lung": one_lung,
    "no room around": lambda: hu()[22:-22, 30:-30],
    "no bone": lambda: np.minimum(hu(), 80),
    "lung window": lambda: hu().clip(-1000, 400),
    "obese": lambda: np.pad(hu()[25:-25, 32:-32], ((30, 30), (30, 30), (0, 0)), constant_values=-101),
    "abdomen": lambda: hu()[:, :, :24],
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("modality", ["CT", None])
def test_a_ct_passes_untouched_whatever_its_patient(name, modality):
    array = np.ascontiguousarray(GOOD[name]())
    before = array.copy()
    image, flags = checked(array, modality=modality)
    assert image.array_ijk is array
    assert {flag.code for flag in flags} <= {"partial"}
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", ["ordinary", "low dose", "contrast", "metal", "emphysema", "one lung", "lung window"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_a_forgotten_intercept_is_put_right_and_named(name, dtype):
    array = GOOD[name]()
    image, flags = checked((array.astype(np.int32) + 1024).astype(dtype))
    assert "hu_offset" in [flag.code for flag in flags]
    np.testing.assert_array_equal(image.array_ijk, array)


def test_an_intercept_applied_twice_is_put_right_and_named():
    image, flags = checked((hu().astype(np.int32) - 1024).astype(np.int16))
    assert [flag.code for flag in flags] == ["hu_offset"]
    np.testing.assert_array_equal(image.array_ijk, hu())


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_padding_becomes_air_without_a_word(padding):
    array = circle()
    padded = np.where(array == -1024, padding, array).astype(np.int16)
    image, flags = checked(padded)
    assert flags == ()
    np.testing.assert_array_equal(image.array_ijk, array)
    assert padded.min() == padding


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 500), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_voxels_without_a_number_become_air_and_are_counted(count, value):
    array = hu().astype(np.float32)
    where = np.random.default_rng(count).permutation(array.size)[:count]
    array.flat[where] = value
    image, flags = checked(array)
    assert [flag.code for flag in flags] == ["not_finite"]
    assert flags[0].what.startswith(f"{count} voxels")
    assert (image.array_ijk.flat[where] == -1024).all()
    assert np.isfinite(image.array_ijk).all()
    assert not np.isfinite(array.flat[where]).any()


def windowed(low, high, dtype):
    share = (hu().clip(low, high) - low) / (high - low)
    return (share * 255).astype(dtype) if np.dtype(dtype).kind in "ui" else share.astype(dtype)


def mr():
    smooth = ndimage.gaussian_filter(RANDOM.normal(0, 1, hu().shape), 3)
    tissue = 700 + 3000 * smooth + RANDOM.normal(0, 60, hu().shape)
    return np.abs(np.where(hu() > -300, tissue, RANDOM.rayleigh(25, hu().shape))).astype(np.uint16)


BAD = {
    "constant": (lambda: np.full((9, 9, 9), -1000, np.int16), "every voxel is -1000"),
    "8 bits": (lambda: windowed(-1000, 400, np.uint8), "8-bit"),
    "8 bits kept as int16": (lambda: windowed(-160, 240, np.int16), "8-bit"),
    "8 bits resampled": (lambda: windowed(-1000, 400, np.uint8) * 1.05 - 6.5, "8-bit"),
    "signed 8 bits": (lambda: windowed(-1000, 400, np.int16) - 128, "8-bit"),
    "0 to 1": (lambda: windowed(-1000, 400, np.float32), "normalised"),
    "-1 to 1": (lambda: windowed(-1000, 400, np.float32) * 2 - 1, "normalised"),
    "z-scores": (lambda: ((hu() - hu().mean()) / hu().std()).astype(np.float32), "normalised"),
    "mask": (lambda: made_chest(1).truth, "mask"),
    "MR": (mr, "Hounsfield"),
    "NaN": (lambda: np.full((5, 5, 5), np.nan), "every one of the 125 voxels"),
    "2-D": (lambda: hu()[:, :, 0], "three axes"),
    "empty": (lambda: hu()[:0], "three axes"),
    "complex": (lambda: hu().astype(complex), "complex"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_ct_is_refused_and_told_what_is_wanted(name):
    make, what = BAD[name]
    with pytest.raises(ImageError, match=what) as caught:
        checked(make(), modality=None)
    assert name == "constant" or "wanted" in str(caught.value)


@pytest.mark.parametrize("modality", ["MR", "PT", "CR", "SEG"])
def test_another_modality_is_refused_by_its_name(modality):
    with pytest.raises(ImageError, match=f"{modality}.*wanted CT"):
        checked(hu(), modality=modality)


def test_a_soft_tissue_window_has_no_air_and_raises_an_alarm():
    flags = checked(hu().clip(-160, 240))[1]
    assert [(flag.code, flag.severity) for flag in flags] == [("not_ct", "alarm")]


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [
        ((16, 16, 4), ["spacing"]),
        ((4, 4, 25), ["spacing"]),
        ((25, 4, 4), ["spacing"]),
        ((0.04, 0.04, 4), ["spacing", "partial"]),
        ((40, 40, 40), ["spacing"]),
        ((2, 2, 10), []),
    ],
)
def test_a_spacing_that_makes_no_body_is_flagged(diagonal, expected):
    assert codes(hu(), affine=np.diag([*diagonal, 1])) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_and_single_slices_are_flagged_along_any_axis(axis):
    for slices, what in ((1, "single slice"), (19, "76 mm")):
        flags = checked(np.take(hu(), range(30, 30 + slices), axis=axis))[1]
        assert [flag.code for flag in flags] == ["partial"]
        assert what in flags[0].what
    assert codes(np.take(hu(), range(30, 51), axis=axis)) == []


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([4, 4, 0, 1]),
        np.diag([4, np.nan, 4, 1]),
        [[1, 2, 0, 0], [2, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        np.eye(3),
    ],
)
def test_an_affine_that_spans_no_volume_is_refused(affine):
    with pytest.raises(ImageError, match="affine"):
        checked(hu(), affine=affine)


def test_fine_and_oblique_grids_are_no_singular_ones():
    turn = np.linalg.qr(RANDOM.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.3, 0.3, 0.5]
    assert "spacing" not in codes(np.repeat(hu(), 2, axis=2), affine=affine)
