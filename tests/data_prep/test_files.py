"""Headers: the quick reading of plain ones says what pydicom says, or leaves them to it."""

import struct

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, save, write_ct, write_rtstruct
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from data_prep.elements import TABLE, Elements
from data_prep.errors import UnreadableFileError
from data_prep.files import _parse, _parse_with_pydicom, quiet_pydicom, read_header
from data_prep.scan import TAGS
from data_prep.slices import slice_header, text

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def rich(tags=()):
    """A slice with what clinical headers hold besides: nested sequences, private elements, binary values."""
    data = ct_slice(Ct(tags=dict(tags)), 3, Ct().coded())
    inner, outer = Dataset(), Dataset()
    inner.PixelSpacing, inner.SOPInstanceUID = [9, 9], "1.2.3"
    outer.SourceImageSequence, outer.Rows = [inner, Dataset()], 77
    data.ReferencedStudySequence = [outer, inner]
    data.RequestAttributesSequence = []
    data.InstitutionAddress = "Street 1\r\nTown"
    data.AccessionNumber, data.OtherPatientIDs = "", ["A1", "B2"]
    data.AcquisitionNumber, data.RescaleType, data.PixelPaddingValue = "3", "HU", 63536
    data.TemporalPositionIndex = 5
    block = data.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "OB", b"\x01\x02\x03\x04" * 700)
    block.add_new(0x11, "SQ", [inner])
    return data


def both(path):
    """What the two ways of reading make of a file: each (values, slice, offset, class), or None where it fails."""
    found = []
    for way in (_parse, lambda stream, tags: _parse_with_pydicom(stream, path.stat().st_size, tags)):
        with path.open("rb") as stream, quiet_pydicom():
            try:
                header = way(stream, TAGS)
                values = {tag: text(header.dataset, tag) for tag in TAGS}
                found.append((values, slice_header(path, header), header.sop_class, header.transfer_syntax))
            except Exception:  # noqa: BLE001  # damaged on purpose: both have to fail alike
                found.append(None)
    return found


@pytest.mark.parametrize("keyword", TABLE)
def test_the_table_is_the_standard_s(keyword):
    tag, vr = TABLE[keyword]
    assert (tag_for_keyword(keyword), dictionary_VR(tag)) == (tag, vr)


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("charset", ["", "ISO_IR 100", "ISO_IR 192"])
def test_a_plain_header_is_read_quickly_and_as_pydicom_reads_it(tmp_path, syntax, undefined, charset):
    data = rich({"SpecificCharacterSet": charset})
    if charset:
        data.InstitutionName, data.SeriesDescription = "Krankenhaus Köln", "Thorax nüchtern"
    data["ReferencedStudySequence"].is_undefined_length = undefined
    for item in data.ReferencedStudySequence:
        item.is_undefined_length_sequence_item = undefined
    path = save(data, tmp_path / "x", syntax)
    assert isinstance(read_header(path, TAGS).dataset, Elements)
    quick, slow = both(path)
    assert quick == slow and quick[0]["PixelSpacing"] == "2.25\\1.5" and quick[1].rows == 14


@pytest.mark.parametrize(
    ("tags", "quick"),
    [
        ({"RescaleSlope": "1.0E+00"}, True),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, False),
        ({"SpecificCharacterSet": "ISO_IR 101"}, False),
        ({"PixelRepresentation": 1, "PixelPaddingValue": -2000}, True),
        ({"SliceThickness": None}, True),
        ({"PatientName": "Doe^Jane=Doe^Jane"}, False),
    ],
)
@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
def test_unusual_values(tmp_path, tags, quick, syntax):
    data = ct_slice(Ct(tags=tags), 3, Ct().coded())
    path = save(data, tmp_path / "x", syntax)
    assert isinstance(read_header(path, TAGS).dataset, Elements) == quick
    one, other = both(path)
    assert one == other


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_what_is_not_plain_is_left_to_pydicom(tmp_path, syntax):
    (path, *_) = write_ct(tmp_path, Ct(), syntax=syntax, dtype=">u2" if syntax == ExplicitVRBigEndian else "<u2")
    assert not isinstance(read_header(path, TAGS).dataset, Elements)
    rtstruct = write_rtstruct(tmp_path / "rs", Ct(), {"A": []}, syntax=syntax)
    assert not isinstance(read_header(rtstruct, TAGS).dataset, Elements)
    bare = tmp_path / "bare"
    ct_slice(Ct(), 0, Ct().coded()).save_as(bare, implicit_vr=True, little_endian=True)
    assert read_header(bare, TAGS).transfer_syntax == ImplicitVRLittleEndian


def test_a_long_header_is_read_to_its_pixels(tmp_path):
    data = rich()
    data.private_block(0x0031, "MAKER", create=True).add_new(0x10, "OB", bytes(300_000))
    path = save(data, tmp_path / "x")
    quick, slow = both(path)
    assert quick == slow and quick[1].pixels.offset > 300_000
    assert isinstance(read_header(path, TAGS).dataset, Elements)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    undefined = rich()
    undefined["ReferencedStudySequence"].is_undefined_length = True
    paths = [save(rich(), folder / f"{n}", syntax) for n, syntax in enumerate(PLAIN)]
    paths += [save(undefined, folder / f"u{n}", syntax) for n, syntax in enumerate(PLAIN)]
    return [path.read_bytes() for path in paths]


HEADER = st.integers(128, 4000)
CHANGE = st.tuples(HEADER, st.sampled_from(["set", "flip", "cut", "drop", "repeat", "long"]), st.integers(0, 255))


@settings(max_examples=400, deadline=None)
@given(which=st.integers(0, 3), changes=st.lists(CHANGE, min_size=1, max_size=3))
def test_damaged_headers_are_never_read_otherwise_than_by_pydicom(tmp_path_factory, originals, which, changes):
    content = bytearray(originals[which])
    for at, how, value in changes:
        at %= len(content)
        if how == "set":
            content[at] = value
        elif how == "flip":
            content[at] ^= 1 << value % 8
        elif how == "cut":
            del content[max(at, 132) :]
        elif how == "drop":
            del content[at : at + value % 9]
        elif how == "repeat":
            content[at:at] = content[at : at + value % 40]
        else:
            content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF - value % 2)
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    quick, slow = both(path)
    assert quick == slow


def test_headers_of_the_real_sets(real_data):
    files = [*(real_data / "nsclc-radiomics/LUNG1-001/ct").iterdir(), *(real_data / "cip-ct64/dicom").iterdir()]
    files += (real_data / "dicom-awkward").rglob("*.dcm")
    quick = 0
    for path in files:
        one, other = both(path)
        assert one == other
        quick += isinstance(read_header(path, TAGS).dataset, Elements)
    assert quick >= len(files) - 2


def test_pixels_start_where_pydicom_finds_them(tmp_path):
    path = save(rich(), tmp_path / "x")
    header = read_header(path, TAGS)
    content = path.read_bytes()
    assert content[header.pixel_offset :][:4] == b"\xe0\x7f\x10\x00"
    assert np.array_equal(np.frombuffer(content[header.pixel_offset + 12 :], "<u2"), dcmread(path).pixel_array.ravel())


def test_a_file_that_may_not_be_opened_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"can't be opened"):
        read_header(tmp_path / "gone", TAGS)
