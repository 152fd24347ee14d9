"""RTSTRUCTs read from their bytes: whenever that gives an answer, it is pydicom's, field by field."""

import subprocess
import sys

import numpy as np
import pytest
from dicom_factory import Ct, square, write_rtstruct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from data_prep.elements import Elements
from data_prep.files import _parse_with_pydicom, quiet_pydicom, read_header
from data_prep.rtstruct import _plain_rois, _rois_by_pydicom, struct_header
from data_prep.scan import TAGS

CT = Ct()
ROIS = {
    "Lungenflügel 左": [square(CT, k, (2.5, 2.5), (6.5, 7.5)) for k in (1, 2)],
    "R": [square(CT, 3, (9, 2), (14, 8))],
}
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def rich(undefined=False):
    """An edit that adds what clinical RTSTRUCTs hold besides, with lengths given or left open."""

    def edit(data):
        images = [Dataset(), Dataset()]
        for n, image in enumerate(images):
            image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{n}"
        first, second = data.ROIContourSequence[1].ContourSequence
        first.ContourImageSequence, second.ContourImageSequence = images[:1], images
        second.AttachedContours = [1, 2]
        roi = data.StructureSetROISequence[0]
        roi.ROIGenerationAlgorithm, roi.ROIDescription = "", "drawn\\by hand"
        observation = Dataset()
        observation.ObservationNumber, observation.RTROIInterpretedType = 1, "ORGAN"
        data.RTROIObservationsSequence, data.ApprovalStatus = [observation], "UNAPPROVED"
        data.StructureSetLabel, data.ReferencedStudySequence = "plan", [Dataset()]
        data.private_block(0x3287, "MAKER", create=True).add_new(0x10, "SQ", [observation])
        _leave_open(data, undefined)

    return edit


def _leave_open(data, undefined):
    for element in data:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
                _leave_open(item, undefined)


def fields(rois):
    return [
        (r.number, r.name, r.frame_uid, r.problem, r.unusable, r.image_uids, [one.tolist() for one in r.contours_mm])
        for r in rois
    ]


def assert_like_pydicom(path):
    """Compare the answers of both ways; return how many of (ROIs, header) were read without pydicom."""
    rois = _plain_rois(path.read_bytes())
    if rois is not None:
        with quiet_pydicom():
            assert fields(rois) == fields(_rois_by_pydicom(path.read_bytes()))
    try:
        header = read_header(path, TAGS)
    except Exception:  # noqa: BLE001  # damaged on purpose: that is pydicom's verdict
        return int(rois is not None)
    plain = header is not None and isinstance(header.dataset, Elements)
    if plain:
        with path.open("rb") as stream, quiet_pydicom():
            slow = _parse_with_pydicom(stream, path.stat().st_size, TAGS)
            assert struct_header(path, header) == struct_header(path, slow)
            assert (header.sop_class, header.transfer_syntax) == (slow.sop_class, slow.transfer_syntax)
    return (rois is not None) + plain


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
def test_plain_files_need_no_pydicom(tmp_path, syntax, undefined):
    path = write_rtstruct(tmp_path / "rs", CT, ROIS, edit=rich(undefined), syntax=syntax)
    assert assert_like_pydicom(path) == 2
    first, second = _plain_rois(path.read_bytes())
    assert (first.name, second.name) == tuple(ROIS) and first.image_uids == ["1.2.3.0", ""]
    np.testing.assert_allclose(first.contours_mm, ROIS[first.name], atol=1e-6)


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
def test_headers_behind_contours_of_more_than_a_mebibyte(tmp_path, syntax):
    turn = np.linspace(0, 2 * np.pi, 1500, endpoint=False)
    many = [np.column_stack([np.cos(turn), np.sin(turn), 0 * turn]) * 50.123456 + [0, 0, k] for k in range(40)]
    path = write_rtstruct(tmp_path / "rs", CT, {"A": many}, syntax=syntax)
    assert path.stat().st_size > 1 << 20 and assert_like_pydicom(path) == 2


@pytest.mark.parametrize(
    ("tags", "answers"),
    [
        ({"SpecificCharacterSet": "ISO_IR 100"}, 2),
        ({"SpecificCharacterSet": "ISO_IR 101"}, 0),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, 0),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, 0),
        ({"StructureSetROISequence": []}, 2),
        ({"ROIContourSequence": []}, 2),
        ({"ReferencedFrameOfReferenceSequence": []}, 2),
    ],
)
@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
def test_unusual_values(tmp_path, tags, answers, syntax):
    def edit(data):
        for keyword, value in tags.items():
            setattr(data, keyword, value)

    path = write_rtstruct(tmp_path / "rs", CT, {"Lungenfl\xfcgel": ROIS["R"]}, edit=edit, syntax=syntax)
    if answers:
        assert assert_like_pydicom(path) == answers
    else:
        assert _plain_rois(path.read_bytes()) is None
        assert not isinstance(read_header(path, TAGS).dataset, Elements)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name)
def test_other_encodings_are_left_to_pydicom(tmp_path, syntax):
    path = write_rtstruct(tmp_path / "rs", CT, ROIS, syntax=syntax)
    assert _plain_rois(path.read_bytes()) is None and len(_rois_by_pydicom(path.read_bytes())) == 2


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
def test_a_cut_file_is_never_answered_for(tmp_path, syntax, undefined):
    path = write_rtstruct(tmp_path / "rs", CT, ROIS, edit=rich(undefined), syntax=syntax)
    content = path.read_bytes()
    for length in range(content.index(b"\x06\x30\x39\x00") + 1, len(content)):
        path.write_bytes(content[:length])
        rois = _plain_rois(content[:length])
        assert rois is None or assert_like_pydicom(path)  # it may end between two elements


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    cases = [(syntax, undefined) for syntax in PLAIN for undefined in (False, True)]
    return [
        write_rtstruct(folder / f"{n}", CT, ROIS, edit=rich(undefined), syntax=syntax).read_bytes()
        for n, (syntax, undefined) in enumerate(cases)
    ]


def test_an_undefined_length_where_no_sequence_belongs_is_for_pydicom_to_read(originals):
    content = bytearray(originals[1])  # implicit, undefined lengths
    assert len(_plain_rois(bytes(content))) == 2
    at = content.index(b"\x06\x30\x12\x00\xff\xff\xff\xff")
    content[at] = 0x02  # (3006,0012), a sequence, becomes (3002,0012), which is none
    assert _plain_rois(bytes(content)) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_read_as_pydicom_reads_them(tmp_path, originals, data):
    content = bytearray(data.draw(st.sampled_from(originals)))
    start = content.index(b"\x08\x00\x05\x00") - 40
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(start, len(content) - 1))
        if data.draw(st.booleans()):  # lengths and tags are small numbers
            content[at] = data.draw(st.sampled_from([0, 1, 2, 4, 0x20, 0x30, 0x5C, 0xFF]))
        else:
            content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "rs"
    path.write_bytes(content)
    assert_like_pydicom(path)


def test_pydicom_is_not_imported_for_a_plain_file(tmp_path):
    path = write_rtstruct(tmp_path / "rs", CT, ROIS)
    code = (
        "import sys; from pathlib import Path; from data_prep.rtstruct import read_rtstruct; "
        "from data_prep.scan import scan; path = Path(sys.argv[1]); "
        "assert len(read_rtstruct(path)) == 2 and len(scan(path).structs) == 1; "
        "sys.exit('pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0
