"""CT files to a volume: every voxel where it was scanned, with its HU, or a refusal that names the reason."""

from itertools import permutations, product

import numpy as np
import pytest
from dicom_factory import CODED_INTERCEPT, Ct, rotation, write_ct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
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
from data_prep.series import read_series


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
    from data_prep.files import read_header
    from data_prep.series import arrange, read_volume
    from data_prep.slices import SLICE_TAGS, slice_header

    ct = Ct(tags={"RescaleIntercept": 0})
    stored = np.zeros(ct.shape, int)

    def edit(data, k):
        data.add_new("PixelPaddingValue", "SS", 0)
        return data

    files = write_ct(tmp_path, ct, stored, edit, dtype="<i2")
    volume = read_volume(arrange([slice_header(path, read_header(path, SLICE_TAGS)) for path in files]))
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
