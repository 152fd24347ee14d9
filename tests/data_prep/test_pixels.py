"""Stored values to HU: as float64 arithmetic says, whichever way they are read; odd pixels refused by name."""

import zlib

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, save
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

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


SYNTAXES = [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "high"), [(12, 11), (12, 15), (12, 13), (7, 15)])
def test_the_bits_that_high_bit_names_count_in_every_encoding(tmp_path, syntax, signed, bits, high):
    rng, low = np.random.default_rng(bits + high), -(2 ** (bits - 1)) if signed else 0
    wanted = rng.integers(low, low + 2**bits, SHAPE)
    above, shift = rng.integers(0, 2**16, SHAPE), high + 1 - bits
    mask = (2**bits - 1) << shift
    words = ((wanted << shift) & mask) | (above & ~mask & 0xFFFF)  # noise in all the unused bits
    words = (words ^ 0x8000) - 0x8000 if signed else words
    if syntax == ExplicitVRBigEndian:
        words = words.astype("<i2" if signed else "<u2").byteswap()  # the factory writes words as they are
    header = written(
        tmp_path / "x",
        words,
        signed,
        ExplicitVRLittleEndian if syntax == RLELossless else syntax,
        BitsStored=bits,
        HighBit=high,
    )
    if syntax == RLELossless:
        data = dcmread(tmp_path / "x")
        data.BitsStored, data.HighBit = 16, 15  # else the encoder refuses the other bits
        data.compress(RLELossless)
        data.BitsStored, data.HighBit = bits, high
        data.save_as(tmp_path / "x")
        header = slice_header(tmp_path / "x", read_header(tmp_path / "x", SLICE_TAGS))
    assert np.array_equal(hounsfield(read_stored(header), header.pixels)[0], wanted[:, :, 0].T - 1024)


@pytest.mark.parametrize(
    ("slope", "intercept"), [("1e308", "0"), ("1", "-1e300"), ("1e37", "0"), ("1.5e308", "-1e308")]
)
def test_hu_beyond_float32_are_refused_by_name(tmp_path, slope, intercept):
    header = written(tmp_path / "x", np.full(SHAPE, 999), RescaleSlope=slope, RescaleIntercept=intercept)
    with pytest.raises(SeriesError, match=r"RescaleSlope \(0028,1053\) is .* and RescaleIntercept \(0028,1052\)"):
        hounsfield(read_stored(header), header.pixels)
    with pytest.raises(SeriesError, match="beyond what float32 holds"):
        read_hu_into(header, np.empty(SHAPE[1::-1], np.int16))


def inflated(path):
    """A deflated file as what comes before its data set, and the data set."""
    raw = path.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")  # FileMetaInformationGroupLength (0002,0000)
    return raw[:start], zlib.decompress(raw[start:], -zlib.MAX_WBITS)


def test_a_deflated_file_that_inflates_without_end_is_refused_at_once(tmp_path):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    header = written(tmp_path / "x", stored, syntax=DeflatedExplicitVRLittleEndian)
    before, content = inflated(tmp_path / "x")
    assert np.array_equal(read_stored(header), stored[:, :, 0].T)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = [packer.compress(bytes(2**20)) for _ in range(20)]
    (tmp_path / "x").write_bytes(before + packer.compress(content) + b"".join(tail) + packer.flush())
    with pytest.raises(UnreadableFileError, match="inflates to more than"):
        read_stored(header)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_nothing_behind_the_pixels_is_parsed(tmp_path, syntax):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    header = written(tmp_path / "x", stored.astype("<u2").byteswap() if "Big" in syntax.name else stored, syntax=syntax)
    before, content = inflated(tmp_path / "x") if "Deflated" in syntax.name else ((tmp_path / "x").read_bytes(), b"")
    tail = b"\xff" * 1000  # no element at all
    if content:
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        (tmp_path / "x").write_bytes(before + packer.compress(content + tail) + packer.flush())
    else:
        (tmp_path / "x").write_bytes(before + tail)
    assert np.array_equal(read_stored(header), stored[:, :, 0].T)


def test_a_deflated_file_cut_short_is_refused(tmp_path):
    header = written(tmp_path / "x", np.arange(np.prod(SHAPE)).reshape(SHAPE), syntax=DeflatedExplicitVRLittleEndian)
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-9])
    with pytest.raises(UnreadableFileError, match="cut short"):
        read_stored(header)


@pytest.mark.parametrize("signed", [True, False])
def test_high_bits_beyond_a_compressed_image_are_refused(tmp_path, signed):
    from pydicom.uid import JPEGLSLossless

    written(tmp_path / "x", np.full(SHAPE, 77), signed, BitsStored=12, HighBit=11)
    data = dcmread(tmp_path / "x")
    data.compress(JPEGLSLossless)  # of 12 bits
    data.HighBit = 15
    data.save_as(tmp_path / "x")
    header = slice_header(tmp_path / "x", read_header(tmp_path / "x", SLICE_TAGS))
    with pytest.raises(SeriesError, match=r"HighBit \(0028,0102\) is 15"):
        read_stored(header)
