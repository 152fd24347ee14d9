"""CT files to a volume: every voxel where it was scanned, with its HU, or a refusal that names the reason."""

from itertools import permutations, product

import numpy as np
import pytest
from dicom_factory import CODED_INTERCEPT, Ct, rotation, write_ct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from data_prep.errors import GeometryError, SeriesError, UnreadableFileError
from data_prep.files import read_header
from data_prep.options import StackOptions
from data_prep.pixels import read_stored
from data_prep.series import arrange, read_series, read_volume, same_pixels
from data_prep.slices import SLICE_TAGS, slice_header

RESAMPLE, KEEP = StackOptions(gaps="resample"), StackOptions(gaps="keep-uniform-part")
SHEAR = StackOptions(tilt="shear")
GE = "dicom-awkward/ge-tilt-mixed-spacing"


def headers(files):
    return [slice_header(path, read_header(path, SLICE_TAGS)) for path in files]


def leaning(degrees):
    """What turns upright axes into those of a gantry tilted by `degrees`: slices move along j."""
    return np.array([[1, 0, 0], [0, 1, np.tan(np.radians(degrees))], [0, 0, 1]])


def signed_axes():
    """All right-handed ways to lay rows, columns and slices along the patient's axes."""
    for order, signs in product(permutations(range(3)), product([1, -1], repeat=3)):
        axes = np.zeros((3, 3))
        axes[list(order), range(3)] = signs
        if np.linalg.det(axes) > 0:
            yield axes


def assert_right(array, grid, ct):
    """Each stored value names the voxel it was written for: it must lie where that voxel lay."""
    assert sorted(array.ravel()) == list(range(CODED_INTERCEPT, CODED_INTERCEPT + array.size))
    written = np.stack(np.unravel_index(array.ravel() - CODED_INTERCEPT, ct.shape), axis=-1)
    read = np.stack(np.unravel_index(np.arange(array.size), array.shape), axis=-1)
    assert np.linalg.norm(grid.points_mm(read) - ct.points_mm(written), axis=1).max() < 0.01
    assert np.linalg.det(grid.affine_lps) > 0


@pytest.mark.parametrize("axes", signed_axes(), ids=lambda axes: "".join(f"{v:+.0f}" for v in axes.ravel()))
@pytest.mark.parametrize("against_the_normal", [False, True])
def test_world_coordinates_in_all_48_signed_axis_permutations(tmp_path, axes, against_the_normal):
    # A series is the same written upwards or downwards: turned twice, the slices run against row x column.
    ct = Ct(shape=(6, 5, 4), axes=axes * [1, 1, -1] if against_the_normal else axes)
    assert_right(*read_series(write_ct(tmp_path, ct)), ct)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.3, 9)] * 3),
    st.tuples(*[st.floats(-900, 900)] * 3),
    st.booleans(),
)
def test_world_coordinates_oblique(tmp_path_factory, degrees, spacing, origin, descending):
    axes = rotation(*degrees) * ([1, 1, -1] if descending else [1, 1, 1])
    ct = Ct(shape=(7, 4, 3), spacing_mm=spacing, origin_mm=origin, axes=axes)
    assert_right(*read_series(write_ct(tmp_path_factory.mktemp("ct"), ct)), ct)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.floats(-30, 30).filter(lambda tilt: abs(tilt) > 0.2), st.booleans())
def test_world_coordinates_under_a_tilted_gantry(tmp_path_factory, degrees, tilt, descending):
    axes = rotation(*degrees) @ leaning(tilt) * ([1, 1, -1] if descending else [1, 1, 1])
    ct = Ct(shape=(7, 4, 5), axes=axes)
    files = write_ct(tmp_path_factory.mktemp("ct"), ct)
    array, grid = read_series(files, SHEAR)
    assert_right(array, grid, ct)
    assert grid.is_sheared
    with pytest.raises(GeometryError, match=f"{abs(tilt):.2f} degrees"):
        read_series(files)


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "FFP", "HFDR", "FFDL"])
@pytest.mark.parametrize("turned", [(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180), (90, 0, 0), (0, 90, 90)])
def test_names_of_positions_and_numbers_of_slices_decide_nothing(tmp_path, position, turned):
    ct = Ct(shape=(5, 4, 6), axes=rotation(*turned), tags={"PatientPosition": position})

    def edit(data, k):
        data.InstanceNumber, data.SliceLocation = 7 * k % 5, (k * 3) % 7 * 10.0
        data.SpacingBetweenSlices, data.SliceThickness = 9.0, 8.0
        return data

    assert_right(*read_series(write_ct(tmp_path, ct, edit=edit)), ct)


@pytest.mark.parametrize("degrees", [0.0, 12.0])
def test_missing_slices_are_interpolated_on_request_and_the_others_stay(tmp_path, degrees):
    ct = Ct(shape=(7, 4, 12), axes=rotation(20, -30, 50) @ leaning(degrees))
    files = write_ct(tmp_path, ct, edit=lambda data, k: None if k in (3, 7, 8) else data)
    series = arrange(headers(files), StackOptions("resample", None, "shear"))
    volume = read_volume(series)
    np.testing.assert_allclose(volume.grid.affine_lps, ct.affine_lps, atol=1e-4)
    assert volume.array_ijk.dtype == np.int16
    expected = ct.coded() + CODED_INTERCEPT  # linear in k, so that interpolation is exact but for rounding
    there = [k for k in range(12) if k not in (3, 7, 8)]
    assert np.array_equal(volume.array_ijk[..., there], expected[..., there])
    assert np.abs(volume.array_ijk - expected).max() <= 0.5
    assert "12 slices of 9, 3 of them interpolated (1 across 7.00 mm, 2 across 10.50 mm)" in volume.repairs[0]
    assert series.planes.shape_ijk == (7, 4, 9) and not series.dropped
    index = np.array([[0, 0, k] for k in range(9)])
    np.testing.assert_allclose(series.planes.points_mm(index), ct.points_mm([[0, 0, k] for k in there]), atol=1e-4)


def test_the_longest_even_part_is_kept_on_request_and_the_rest_named(tmp_path):
    ct = Ct(shape=(7, 4, 12), axes=rotation(20, -30, 50))
    files = write_ct(tmp_path, ct, edit=lambda data, k: None if k == 3 else data)
    twice = files + write_ct(tmp_path / "copy", ct, edit=lambda data, k: data if k in (0, 6) else None)
    series = arrange(headers(twice), KEEP)
    volume = read_volume(series)
    index = np.moveaxis(np.indices(volume.array_ijk.shape), 0, -1)
    np.testing.assert_allclose(volume.grid.points_mm(index), ct.points_mm(np.add(index, [0, 0, 4])), atol=1e-4)
    assert np.array_equal(volume.array_ijk, ct.coded()[..., 4:] + CODED_INTERCEPT)
    assert len(series.dropped) == 4  # three slices, one of them twice
    assert "8 of 11 slices" in volume.repairs[0] and "left out 3" in volume.repairs[0]


def test_masks_go_where_the_image_goes(tmp_path):
    ct = Ct(shape=(9, 8, 12), axes=leaning(15))
    files = write_ct(tmp_path, ct, 3000 * (ct.coded() % 7 < 3), lambda data, k: None if k == 5 else data)
    series = arrange(headers(files), StackOptions("resample", None, "resample"))
    scanned = np.stack([np.asarray(place[0].position_mm) for place in series.places])
    assert np.abs(series.planes.points_mm([[0, 0, k] for k in range(11)]) - scanned).max() < 1e-6
    image = read_volume(series).array_ijk
    mask = series.to_grid(np.delete(ct.coded() % 7 < 3, 5, axis=2).astype(np.uint8))
    assert mask.shape == image.shape == series.grid.shape_ijk and mask.dtype == np.uint8
    inside = image > -1024 + 1500 + 1
    assert np.array_equal(mask[image != 476] == 1, inside[image != 476])  # but where exactly half is in
    even = arrange(headers(files[:5]), SHEAR)
    assert even.to_grid(mask) is mask and even.planes is even.grid


def test_a_resampled_volume_may_hold_floats(tmp_path):
    ct = Ct(shape=(7, 4, 6), tags={"RescaleSlope": 0.5})
    files = write_ct(tmp_path, ct, edit=lambda data, k: None if k == 3 else data)
    array, _ = read_series(files, RESAMPLE)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, ct.coded() * 0.5 + CODED_INTERCEPT, atol=1e-4)


def test_agrees_with_simpleitk(tmp_path):
    import SimpleITK

    ct = Ct(axes=rotation(12, -25, 40))
    array, grid = read_series(write_ct(tmp_path, ct))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0))
    np.testing.assert_allclose(image.GetOrigin(), grid.affine_lps[:3, 3], atol=1e-4)
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)), ct.axes, atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_mm, atol=1e-4)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless],
    ids=lambda uid: uid.name,
)
@pytest.mark.parametrize("signed", [False, True])
def test_encodings_give_the_same_hu(tmp_path, syntax, signed):
    ct = Ct(shape=(9, 8, 3), axes=rotation(0, 0, 30))
    stored = ct.coded() * 13 - (900 if signed else 0)
    big = syntax == ExplicitVRBigEndian
    native = ImplicitVRLittleEndian if syntax == RLELossless else syntax

    def compress(data, k):
        if syntax == RLELossless:
            data.compress(RLELossless, np.ascontiguousarray(stored[:, :, k].T.astype("<i2" if signed else "<u2")))
        return data

    files = write_ct(
        tmp_path,
        ct,
        stored,
        compress,
        syntax if syntax == RLELossless else native,
        ("<>"[big]) + ("i2" if signed else "u2"),
    )
    array, _ = read_series(files)
    assert array.dtype == np.int16
    assert np.array_equal(array, stored + CODED_INTERCEPT)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_without_preamble_and_meta_header(tmp_path, syntax):
    ct = Ct(shape=(9, 8, 3))
    files = write_ct(tmp_path, ct, syntax=syntax, dtype=">u2" if syntax == ExplicitVRBigEndian else "<u2")
    for path in files:
        data = dcmread(path)
        del data.file_meta
        data.preamble = None
        data.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        assert path.read_bytes()[:2] == (b"\x08\x00" if syntax.is_little_endian else b"\x00\x08")
    assert_right(*read_series(files), ct)


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(tmp_path):
    ct = Ct()

    def edit(data, k):
        data.RescaleSlope, data.RescaleIntercept = 1 + k % 2, -100 * k
        return data

    array, _ = read_series(write_ct(tmp_path, ct, edit=edit))
    k = np.arange(7)
    assert np.array_equal(array, ct.coded() * (1 + k % 2) - 100 * k)


@given(bits=st.integers(12, 15), shift=st.integers(0, 1), signed=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bits_beyond_bits_stored_do_not_count(tmp_path_factory, bits, shift, signed, seed):
    ct = Ct(shape=(6, 5, 2), tags={"BitsStored": bits, "HighBit": bits - 1 + shift, "PixelRepresentation": int(signed)})
    noise = np.random.default_rng(seed).integers(0, 2**16, ct.shape)
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.random.default_rng(seed + 1).integers(low, low + 2**bits, ct.shape)
    own = (2**bits - 1) << shift
    stored = ((values << shift) & own) | (noise & ~own & 0xFFFF)
    array, _ = read_series(write_ct(tmp_path_factory.mktemp("ct"), ct, stored))
    assert np.array_equal(array, values + CODED_INTERCEPT)


@pytest.mark.parametrize(
    ("slope", "intercept", "offset"),
    [(0.5, -1024, 0), (1, -0.25, 0), (1, 32000, 700)],
    ids=["half", "quarter", "large"],
)
def test_float32_where_int16_would_lose_something(tmp_path, slope, intercept, offset):
    ct = Ct(tags={"RescaleSlope": slope, "RescaleIntercept": intercept})
    array, _ = read_series(write_ct(tmp_path, ct, ct.coded() + offset))
    assert array.dtype == np.float32
    assert np.array_equal(array, (ct.coded() + offset) * slope + intercept)


@pytest.mark.parametrize(("dtype", "padding", "written"), [("<i2", -2000, -2000), ("<i2", 63536, -2000), ("<u2", 0, 0)])
def test_padding_becomes_minus_1024_hu(tmp_path, dtype, padding, written):
    intercept = 0 if dtype == "<i2" else -1500
    ct = Ct(tags={"RescaleIntercept": intercept})
    stored = np.full(ct.shape, 1040)
    stored[:4] = written

    def edit(data, k):
        data.add_new("PixelPaddingValue", "US" if padding >= 0 else "SS", padding)
        return data

    array, _ = read_series(write_ct(tmp_path, ct, stored, edit, dtype=dtype))
    assert (array[:4] == -1024).all() and (array[4:] == 1040 + intercept).all()


def test_a_padding_value_in_the_range_of_tissue_is_not_believed(tmp_path):
    ct = Ct(tags={"RescaleIntercept": 0})
    stored = np.zeros(ct.shape, int)

    def edit(data, k):
        data.add_new("PixelPaddingValue", "SS", 0)
        return data

    files = write_ct(tmp_path, ct, stored, edit, dtype="<i2")
    volume = read_volume(arrange(headers(files)))
    assert (volume.array_ijk == 0).all()
    assert "PixelPaddingValue" in volume.repairs[0]


def test_equal_duplicates_are_dropped_different_ones_refused(tmp_path):
    ct = Ct()
    files = write_ct(tmp_path / "a", ct)
    array, grid = read_series(files + write_ct(tmp_path / "b", ct)[2:4])
    assert_right(array, grid, ct)
    other = write_ct(tmp_path / "c", ct, ct.coded() + 1)[2:3]
    with pytest.raises(SeriesError, match="different pixels at one position"):
        read_series(files + other)


def test_a_slice_cut_short_is_refused_by_name(tmp_path):
    files = write_ct(tmp_path, Ct())
    files[3].write_bytes(files[3].read_bytes()[:-1])
    with pytest.raises(UnreadableFileError, match=f"{files[3].name} is cut short: 559 of 560 bytes"):
        read_series(files)


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("RescaleIntercept", "0028,1052"),
        ("RescaleSlope", "0028,1053"),
        ("ImagePositionPatient", "0020,0032"),
        ("ImageOrientationPatient", "0020,0037"),
        ("PixelSpacing", "0028,0030"),
        ("PixelRepresentation", "0028,0103"),
        ("PixelData", "7FE0,0010"),
    ],
)
def test_a_missing_tag_is_named(tmp_path, keyword, tag):
    def edit(data, k):
        if k == 2:
            delattr(data, keyword)
        return data

    with pytest.raises((SeriesError, UnreadableFileError), match=tag):
        read_series(write_ct(tmp_path, Ct(), edit=edit))


@pytest.mark.parametrize(
    ("keyword", "value", "named"),
    [
        ("PixelSpacing", [2.25, 1.6], "PixelSpacing differ"),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0], "ImageOrientationPatient differ"),
        ("Rows", 7, "Rows and Columns differ"),
        ("FrameOfReferenceUID", "1.2.3", "2 different frames of reference"),
        ("ImagePositionPatient", [0, 0, 0], "not one|unevenly|place|one stack|tilt"),
        ("RescaleType", "MGML", "RescaleType"),
        ("SamplesPerPixel", 3, "3 sample"),
        ("BitsAllocated", 12, "BitsAllocated"),
        ("RescaleSlope", 0, "RescaleSlope"),
    ],
)
def test_one_odd_slice_refuses_the_series_and_says_what_differs(tmp_path, keyword, value, named):
    def edit(data, k):
        if k == 2:
            setattr(data, keyword, value)
        return data

    with pytest.raises(SeriesError, match=named):
        read_series(write_ct(tmp_path, Ct(), edit=edit))


@pytest.mark.parametrize(
    ("syntax", "named"), [(JPEGBaseline8Bit, "8 or 12 bits"), (JPEGLosslessSV1, "nothing installed|can't be decoded")]
)
def test_compressions_that_go_wrong_are_refused(tmp_path, syntax, named):
    from pydicom.encaps import encapsulate

    def edit(data, k):
        data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        data["PixelData"].VR = "OB"
        return data

    with pytest.raises((SeriesError, UnreadableFileError), match=named):
        read_series(write_ct(tmp_path, Ct(shape=(6, 5, 2)), edit=edit, syntax=syntax))


def test_two_series_and_gaps_are_refused(tmp_path):
    ct = Ct()
    files = write_ct(tmp_path / "a", ct)
    with pytest.raises(SeriesError, match="several series"):
        read_series(files + write_ct(tmp_path / "b", Ct(series="2")))
    with pytest.raises(GeometryError, match=r"7\.00 mm between"):
        read_series(files[:3] + files[4:])


@pytest.mark.parametrize("name", ["nsclc-radiomics/LUNG1-001/ct", "cip-ct64/dicom"])
def test_real_series_as_simpleitk_reads_them(real_data, name):
    import SimpleITK

    array, grid = read_series(list((real_data / name).iterdir()))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(real_data / name)))
    image = reader.Execute()
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0))
    np.testing.assert_allclose(image.GetOrigin(), grid.affine_lps[:3, 3], atol=2e-3)
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_mm, atol=1e-3)
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)), np.eye(3), atol=1e-6)


def test_real_slice_in_many_encodings_is_right_or_refused(real_data):
    folder = real_data / "dicom-awkward/one-slice-many-encodings"
    truth, _ = read_series([folder / "CTImage.dcm"])
    right = []
    for path in sorted(folder.glob("*.dcm")):
        try:
            array, _ = read_series([path])
        except SeriesError:
            continue
        largest = 5 if path.name.endswith(".4.91.dcm") else 10 if path.name.endswith(".4.81.dcm") else 0  # lossy
        assert np.abs(array.astype(int) - truth).max() <= largest, path.name
        right.append(path)
    assert len(right) >= 8


def test_real_small_chest_as_its_nrrd(real_data):
    import SimpleITK

    array, grid = read_series(list((real_data / "cip-ct64/dicom").iterdir()))
    image = SimpleITK.ReadImage(str(next((real_data / "cip-ct64").glob("ct*.nrrd"))))
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0))
    for index in [(0, 0, 0), (63, 0, 78), (63, 63, 0), (10, 20, 30)]:
        expected = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(grid.points_mm(index), expected, atol=0.01)


def test_real_series_with_three_slices_lost(real_data, tmp_path):
    folder = real_data / "nsclc-radiomics/LUNG1-001/ct"
    whole = sorted(headers(folder.iterdir()), key=lambda one: one.position_mm[2])
    lost = (20, 70, 71)
    for k, one in enumerate(whole):
        if k not in lost:
            (tmp_path / one.path.name).symlink_to(one.path)
    files = list(tmp_path.iterdir())
    truth, grid = read_series([one.path for one in whole])
    low, high = (whole[k].position_mm[2] for k in (69, 72))
    with pytest.raises(GeometryError, match=rf"9\.00 mm between {low:.2f} and {high:.2f} .*--gaps resample"):
        read_series(files)

    array, resampled = read_series(files, RESAMPLE)
    np.testing.assert_allclose(resampled.affine_lps, grid.affine_lps, atol=1e-4)
    there = [k for k in range(134) if k not in lost]
    assert np.array_equal(array[..., there], truth[..., there])
    between = (truth[..., 69].astype(float) * 2 + truth[..., 72]) / 3
    assert np.abs(array[..., 70] - between).max() <= 0.51

    series = arrange(headers(files), KEEP)
    assert series.grid.shape_ijk == (512, 512, 62) and len(series.dropped) == 69
    assert np.array_equal(read_volume(series).array_ijk, truth[..., 72:])
    np.testing.assert_allclose(series.grid.points_mm([0, 0, 0]), whole[72].position_mm, atol=1e-3)


def test_real_tilted_series_with_gaps_each_voxel_from_its_neighbours(real_data):
    files = list((real_data / GE).glob("*.dcm"))
    data = sorted((dcmread(path) for path in files), key=lambda one: one.ImagePositionPatient[2])
    hu = [one.pixel_array.astype(float) * one.RescaleSlope + one.RescaleIntercept for one in data]
    hu = [np.where(one.pixel_array == one.PixelPaddingValue, -1024, own) for one, own in zip(data, hu, strict=True)]
    row, column = np.reshape(np.array(data[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(row, column)
    along = np.array([np.array(one.ImagePositionPatient, float) @ normal for one in data])
    spacing = float(data[0].PixelSpacing[0])

    def at(k, point):
        """HU of slice k under `point`, linear between four pixels, from the slice's own tags; None near its edge."""
        x, y = (point - np.array(data[k].ImagePositionPatient, float)) @ np.stack([row, column]).T / spacing
        i, j = int(np.floor(x)), int(np.floor(y))
        if not (0 <= i < 511 and 0 <= j < 511):
            return None
        square = hu[k][j : j + 2, i : i + 2]
        return np.array([1 - (y - j), y - j]) @ square @ np.array([1 - (x - i), x - i])

    series = arrange(headers(files), StackOptions("resample", None, "resample"))
    volume = read_volume(series)
    assert not series.grid.is_sheared and series.planes.is_sheared
    rng, checked = np.random.default_rng(1), 0
    for index in rng.integers(0, series.grid.shape_ijk, (4000, 3)):
        point = series.grid.points_mm(index)
        below = int(np.clip(np.searchsorted(along, point @ normal + 1e-4, side="right") - 1, 0, len(data) - 2))
        share = (point @ normal - along[below]) / (along[below + 1] - along[below])
        low, high = at(below, point), at(below + 1, point)
        if low is not None and high is not None:
            assert abs(volume.array_ijk[tuple(index)] - (low + share * (high - low))) < 0.6
            checked += 1
    assert checked > 2000

    series = arrange(headers(files), StackOptions("resample", None, "shear"))
    last = series.grid.points_mm([0, 0, series.grid.shape_ijk[2] - 1])
    np.testing.assert_allclose(series.grid.points_mm([0, 0, 0]), data[0].ImagePositionPatient, atol=1e-3)
    line = np.subtract(data[-1].ImagePositionPatient, data[0].ImagePositionPatient)
    assert (
        np.linalg.norm(np.cross(last - np.array(data[0].ImagePositionPatient, float), line / np.linalg.norm(line)))
        < 0.01
    )
    np.testing.assert_allclose(
        series.planes.points_mm([[0, 0, k] for k in range(28)]), [one.ImagePositionPatient for one in data], atol=1e-3
    )


@pytest.mark.parametrize("options", [SHEAR, RESAMPLE], ids=["tilt alone", "gaps alone"])
def test_real_tilted_series_needs_both_options(real_data, options):
    with pytest.raises(GeometryError, match=r"gantry tilt.*18\.50 degrees.*1\.08 mm between"):
        read_series(list((real_data / GE).glob("*.dcm")), options)


def test_real_tilted_series_is_refused(real_data):
    with pytest.raises(GeometryError, match=r"gantry tilt: .* 18\.50 degrees .* 1\.08 mm between"):
        read_series(list((real_data / "dicom-awkward/ge-tilt-mixed-spacing").glob("*.dcm")))


@pytest.mark.parametrize("encoding", ["", "*1.2.2", "*1.99", "*4.90", "*1.2.5"], ids=str)
def test_real_slice_cut_anywhere_is_refused_never_wrong(real_data, tmp_path, encoding):
    (path,) = (real_data / "dicom-awkward/one-slice-many-encodings").glob(
        f"CTImage.dcm{encoding and encoding + '.dcm'}"
    )
    content, cut = path.read_bytes(), tmp_path / "cut"
    truth, _ = read_series([path])
    for length in [int(len(content) * share) for share in (0.3, 0.5, 0.8, 0.9, 0.99, 0.999)] + [len(content) - 1]:
        cut.write_bytes(content[:length])
        try:
            array, _ = read_series([cut])
        except UnreadableFileError:
            continue
        assert np.array_equal(array, truth), length  # the closing delimiter alone may be missing


def test_copies_with_another_lookup_table_are_no_copies(tmp_path):
    def with_table(step):
        def edit(data, k):
            data.RescaleSlope = data.RescaleIntercept = None
            item = Dataset()
            item.LUTDescriptor, item.ModalityLUTType = [300, 0, 16], "HU"
            item.add_new("LUTData", "OW", (np.arange(300) * step).astype("<u2").tobytes())
            data.ModalityLUTSequence = [item]
            return data

        return edit

    files = [write_ct(tmp_path / str(n), Ct(shape=(6, 5, 4)), edit=with_table(n)) for n in (1, 2)]
    one, other = (headers(some)[0] for some in files)
    again = headers(write_ct(tmp_path / "again", Ct(shape=(6, 5, 4)), edit=with_table(1)))[0]
    assert np.array_equal(read_stored(one), read_stored(other))
    assert same_pixels(one, again) and not same_pixels(one, other)
    with pytest.raises(SeriesError, match="different pixels at one position"):
        read_series(files[0] + files[1])


def test_damage_is_refused_by_name_whatever_it_leads_to(tmp_path):
    files = write_ct(tmp_path, Ct())
    raw = files[1].read_bytes()
    at = raw.index(b"\x20\x00\x37\x00DS")  # ImageOrientationPatient
    length = int.from_bytes(raw[at + 6 : at + 8], "little")
    odd = b"\x20\x00\x37\x00FD" + (6).to_bytes(2, "little") + b"Doe^Ja"
    files[1].write_bytes(raw[:at] + odd + raw[at + 8 + length :])
    with pytest.raises(SeriesError, match=f"ImageOrientationPatient.* first in {files[1].name}"):
        read_series(files)
