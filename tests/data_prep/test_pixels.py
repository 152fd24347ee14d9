"""Stored values to HU: as float64 arithmetic says, whichever way they are read; odd pixels refused by name."""

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, save
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.files import read_header
from data_prep.pixels import PADDING_HU, believes_padding, hounsfield, read_hu_into, read_stored
from data_prep.slices import SLICE_TAGS, slice_header

SHAPE = (11, 7, 1)


def written(path, stored, signed=False, syntax=ExplicitVRLittleEndian, allocated=16, **tags):
    """One slice of `stored` [i, j, 0] in a file, as the header that was read of it."""
    ct = Ct(SHAPE, tags={"BitsAllocated": allocated, "BitsStored": allocated, "HighBit": allocated - 1, **tags})
    data = ct_slice(ct, 0, stored, f"<{'i' if signed else 'u'}{allocated // 8}")
    data.PixelRepresentation = int(signed)
    data.PixelData += bytes(len(data.PixelData) % 2)
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if keyword in tags:
            data.add_new(keyword, "SS" if signed else "US", tags[keyword])
    for keyword, value in tags.items():
        if value is None:
            delattr(data, keyword)
    save(data, path, syntax)
    return slice_header(path, read_header(path, SLICE_TAGS))


def reference(stored, slope, intercept, signed, padding, limit):
    """HU in float64, and where padding lies that can be no tissue."""
    hu = stored.astype(float) * slope + intercept
    ends = [padding, padding if limit is None else limit]
    if padding is None or max(end * slope + intercept for end in ends) > -1000:
        return hu
    return np.where((stored >= min(ends)) & (stored <= max(ends)), PADDING_HU, hu)


@st.composite
def slices(draw):
    signed, bits = draw(st.booleans()), draw(st.sampled_from([12, 13, 15, 16]))
    low = -(2 ** (bits - 1)) if signed else 0
    narrow = draw(st.booleans())  # as CT is: few values, far from the ends
    span = (max(low, -1200), 2000) if narrow else (low, low + 2**bits)
    stored = np.random.default_rng(draw(st.integers(0, 99))).integers(*span, SHAPE)
    values = st.integers(low, low + 2**bits - 1)
    padding = draw(st.none() | values | st.sampled_from([low, max(low, -2000)]))
    if padding is not None and draw(st.booleans()):
        stored[2:5, 1:3] = padding
    limit = None if padding is None else draw(st.none() | values)
    slope = draw(st.sampled_from([1, 1, 1, 2, -1, 0.5, 0.1, 17, 300]))
    intercept = draw(st.sampled_from([-1024, -8192, 0, 1000, -1023.5, 31000, -40000]))
    return stored, signed, bits, slope, intercept, padding, limit


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(slices(), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]))
@example((np.full(SHAPE, 40), False, 12, 1, -1024, None, None), ExplicitVRLittleEndian)
def test_hu_as_float64_says(tmp_path_factory, case, syntax):
    stored, signed, bits, slope, intercept, padding, limit = case
    tags = {"BitsStored": bits, "HighBit": bits - 1, "RescaleSlope": slope, "RescaleIntercept": intercept}
    if padding is not None:
        tags["PixelPaddingValue"] = padding
    if limit is not None:
        tags["PixelPaddingRangeLimit"] = limit
    header = written(tmp_path_factory.getbasetemp() / "slice", stored, signed, syntax, **tags)
    wanted = reference(stored[:, :, 0].T, slope, intercept, signed, padding, limit)
    hu, changed = hounsfield(read_stored(header), header.pixels)
    np.testing.assert_allclose(hu, wanted, rtol=1e-6, atol=1e-4)
    assert changed == np.count_nonzero(wanted != stored[:, :, 0].T * slope + intercept)
    whole = float(slope).is_integer() and float(intercept).is_integer()
    assert not whole or np.array_equal(hu, wanted)
    plane = np.empty(SHAPE[1::-1], np.int16)
    fits = whole and wanted.min() >= -(2**15) and wanted.max() < 2**15
    assert read_hu_into(header, plane) == (changed if fits else None)
    assert not fits or np.array_equal(plane, wanted)


@pytest.mark.parametrize(("allocated", "signed"), [(8, False), (8, True), (32, False), (32, True)])
def test_other_widths_into_a_plane(tmp_path, allocated, signed):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE) - (50 if signed else 0)
    header = written(tmp_path / "x", stored, signed, allocated=allocated)
    assert read_stored(header).dtype.itemsize == allocated // 8
    plane = np.empty(SHAPE[1::-1], np.int16)
    assert read_hu_into(header, plane) in (0, None)
    np.testing.assert_array_equal(hounsfield(read_stored(header), header.pixels)[0], stored[:, :, 0].T - 1024)


def test_padding_that_would_break_int16_does_not(tmp_path):
    stored = np.full(SHAPE, 1000)
    stored[:3] = 63536 - 2**16  # -2000, then times 30
    header = written(tmp_path / "x", stored, True, RescaleSlope=30, RescaleIntercept=-1024, PixelPaddingValue=-2000)
    plane = np.empty(SHAPE[1::-1], np.int16)
    assert read_hu_into(header, plane) == 21
    assert (plane[:, :3] == -1024).all() and (plane[:, 3:] == 28976).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_how_values_are_shown_does_not_change_them(tmp_path, photometric):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    header = written(tmp_path / "x", stored, PhotometricInterpretation=photometric)
    assert np.array_equal(hounsfield(read_stored(header), header.pixels)[0], stored[:, :, 0].T - 1024)


def test_indices_into_a_palette_are_refused(tmp_path):
    header = written(tmp_path / "x", np.zeros(SHAPE), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(SeriesError, match=r"PhotometricInterpretation \(0028,0004\) is PALETTE COLOR"):
        read_stored(header)


def table(entries, first, bits=16, kind="HU", words=True, count=None):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [(count or len(entries)) % 2**16, first, bits])
    item.ModalityLUTType = kind
    item.add_new("LUTData", "OW" if words else "US", np.asarray(entries, "<u2").tobytes() if words else list(entries))
    return [item]


NO_SLOPE = {"RescaleSlope": None, "RescaleIntercept": None}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_modality_lookup_table(tmp_path, signed, words, syntax):
    first = -10 if signed else 10
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE) - (30 if signed else 0)
    entries = (np.arange(50) ** 2 + 7).astype(int)
    tags = {"ModalityLUTSequence": table(entries, first, words=words), **NO_SLOPE}
    header = written(tmp_path / "x", stored, signed, syntax, **tags)
    wanted = entries[np.clip(stored[:, :, 0].T - first, 0, 49)]  # PS3.3 C.11.1.1.1: both ends go on
    assert np.array_equal(hounsfield(read_stored(header), header.pixels)[0], wanted)
    plane = np.empty(SHAPE[1::-1], np.int16)
    assert read_hu_into(header, plane) == 0 and np.array_equal(plane, wanted)


def test_a_lookup_table_of_all_65536_values(tmp_path):
    entries = np.arange(2**16)[::-1] // 4
    stored = np.random.default_rng(1).integers(0, 2**16, SHAPE)
    header = written(tmp_path / "x", stored, ModalityLUTSequence=table(entries, 0, 14), **NO_SLOPE)
    assert np.array_equal(hounsfield(read_stored(header), header.pixels)[0], entries[stored[:, :, 0].T])


@pytest.mark.parametrize(
    ("lookup", "slope", "named"),
    [
        (table([1, 2, 3], 0, kind="OD"), {}, r"ModalityLUTType \(0028,3004\) is OD"),
        (table([1, 2, 3], 0, kind="US"), {}, "ModalityLUTType"),
        (table([1, 2, 3], 0, count=9), {}, "contradicts itself"),
        (table([1, 2, 3], 0, bits=40), {}, "contradicts itself"),
        (table([1, 2, 999], 0, bits=8), {}, "contradicts itself"),
        (table([1, 2, 3], 0), {"RescaleSlope": 1, "RescaleIntercept": 0}, "both a ModalityLUTSequence"),
    ],
)
def test_lookup_tables_that_do_not_lead_to_hu_are_refused(tmp_path, lookup, slope, named):
    header = written(tmp_path / "x", np.zeros(SHAPE), ModalityLUTSequence=lookup, **{**NO_SLOPE, **slope})
    with pytest.raises(SeriesError, match=named):
        read_stored(header)


@pytest.mark.parametrize(("keyword", "value"), [("Rows", 3), ("Columns", 5), ("Rows", 6)])
def test_pixels_beyond_what_the_header_says_are_refused(tmp_path, keyword, value):
    header = written(tmp_path / "x", np.zeros(SHAPE), **{keyword: value})
    with pytest.raises(SeriesError, match="one of them is wrong"):
        read_stored(header)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("cut", [1, 100, 153, 154, 160])
def test_pixels_cut_short_are_refused_both_ways(tmp_path, syntax, cut):
    header = written(tmp_path / "x", np.zeros(SHAPE), syntax=syntax)
    content = header.path.read_bytes()
    header.path.write_bytes(content[:-cut])  # after the header was read: the bytes count, not what was promised
    for read in (read_stored, lambda one: read_hu_into(one, np.empty(SHAPE[1::-1], np.int16))):
        with pytest.raises(UnreadableFileError, match="cut short"):
            read(header)


def test_padding_is_believed_where_no_tissue_can_be(tmp_path):
    believed = written(tmp_path / "a", np.zeros(SHAPE), True, PixelPaddingValue=-2000, RescaleIntercept=0)
    water = written(tmp_path / "b", np.zeros(SHAPE), True, PixelPaddingValue=0, RescaleIntercept=0)
    assert believes_padding(believed.pixels) and not believes_padding(water.pixels)
