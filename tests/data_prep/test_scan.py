"""Any folder tree: what is DICOM is found whatever it is called, the rest costs nothing, damage is named."""

import os

import pytest
from dicom_factory import ROOT, Ct, ct_slice, save, square, write_ct, write_rtstruct
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from data_prep.errors import NothingToDoError, UsageError
from data_prep.pairing import pair
from data_prep.scan import scan

CT = Ct()
CONTOURS = {"L": [square(CT, 2, (2.5, 2.5), (6.5, 7.5))]}


def reasons(found):
    return {refusal.where: refusal.reason for refusal in found.refused}


def test_names_endings_depth_and_preamble_do_not_matter(tmp_path):
    files = write_ct(tmp_path / "a b" / "Ünïcode" / "c.jpg", CT)
    files[0].write_bytes(files[0].read_bytes()[132:])  # no preamble, meta header first
    bare = ct_slice(CT, 9, CT.coded()[:, :, [0] * 10])
    bare.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)  # neither preamble nor meta header
    (tmp_path / "notes.dcm").write_text("these are notes")
    (tmp_path / "noise").write_bytes(os.urandom(4096))
    (tmp_path / "short").write_bytes(b"\x08\x00")
    found = scan(tmp_path)
    assert [len(slices) for slices in found.series.values()] == [8]
    assert found.passed_over == {("", "not DICOM"): 3} and not found.refused


def test_links_are_followed_once_and_loops_end(tmp_path):
    files = write_ct(tmp_path / "in" / "ct", CT)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "again").symlink_to(files[0])
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "gone")
    write_rtstruct(tmp_path / "elsewhere" / "rs", CT, CONTOURS)
    (tmp_path / "in" / "away").symlink_to(tmp_path / "elsewhere")
    found = scan(tmp_path / "in")
    assert [len(slices) for slices in found.series.values()] == [7] and len(found.structs) == 1


def test_a_single_file_and_a_skipped_folder(tmp_path):
    files = write_ct(tmp_path / "ct", CT)
    assert scan(files[0]).files == 1
    write_ct(tmp_path / "out" / "ct", Ct(series="2"))
    assert len(scan(tmp_path, skip=tmp_path / "out").series) == 1


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    write_ct(tmp_path / "open", CT)
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def guarded(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # the tests may run as root, whom nothing is closed to
    found = scan(tmp_path)
    assert len(found.series) == 1 and "permissions" in reasons(found)["closed"]


def test_damaged_files_are_named_and_junk_is_not(tmp_path):
    files = write_ct(tmp_path / "ct", CT)
    content = files[0].read_bytes()
    (tmp_path / "ct" / "header-cut").write_bytes(content[:200])
    (tmp_path / "ct" / "no-series").write_bytes(content[: content.index(b"\x20\x00\x0e\x00")])
    (tmp_path / "ct" / "empty").touch()
    (tmp_path / "ct" / ".hidden").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "empty").touch()
    found = scan(tmp_path)
    assert set(reasons(found)) == {"ct/header-cut", "ct/no-series", "ct/empty"}
    assert found.passed_over == {("", "not DICOM"): 2}
    assert len(next(iter(found.series.values()))) == 7


def test_localizers_and_other_kinds_are_passed_over_by_name(tmp_path):
    def scout(data, k):
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        return data

    def capture(data, k):
        data.SOPClassUID = SecondaryCaptureImageStorage
        return data

    write_ct(tmp_path / "ct", CT)
    write_ct(tmp_path / "scout", Ct(shape=(4, 4, 2)), edit=scout)  # in the very series of the slices
    write_ct(tmp_path / "dose", Ct(shape=(4, 4, 1), series="3"), edit=capture)
    found = scan(tmp_path)
    assert [len(slices) for slices in found.series.values()] == [7] and not found.refused
    assert found.passed_over == {("scout", "localizer"): 2, ("dose", "Secondary Capture Image Storage"): 1}


def test_enhanced_ct_without_its_frames_is_refused_by_name(tmp_path):
    def enhance(data, k):
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        return data

    write_ct(tmp_path, Ct(shape=(4, 4, 1)), edit=enhance)
    (refusal,) = scan(tmp_path).refused
    assert refusal.what == "series" and "FunctionalGroups" in refusal.reason


def test_nothing_usable_says_what_was_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        scan(tmp_path / "gone")
    with pytest.raises(NothingToDoError, match="holds no files"):
        scan(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(NothingToDoError, match=r"no CT .*1 not DICOM"):
        scan(tmp_path)


def found_pairs(tmp_path, *, cts=(CT,), edit=None):
    for n, ct in enumerate(cts):
        write_ct(tmp_path / f"ct{n}", ct)
    write_rtstruct(tmp_path / "rs", CT, CONTOURS, edit=edit)
    found = scan(tmp_path)
    return pair(found.structs, {uid: slices[0] for uid, slices in found.series.items()})


def reference(data):
    return data.ReferencedFrameOfReferenceSequence[0]


def no_series(data):
    del reference(data).RTReferencedStudySequence


def test_a_struct_belongs_to_the_series_it_names_not_to_its_neighbours(tmp_path):
    result = found_pairs(tmp_path, cts=(CT, Ct(series="2")))
    assert list(result.by_series) == [CT.series_uid] and not result.unpaired


@pytest.mark.parametrize(
    ("cts", "edit", "problem"),
    [
        ([Ct(series="2")], None, "not here"),
        ([Ct(frame="2")], None, "frame of reference"),
        ([Ct(study="2")], no_series, "none here"),
        ([CT, Ct(series="2")], no_series, "2 here"),
    ],
    ids=["missing series", "other frame", "other study", "ambiguous"],
)
def test_a_struct_that_fits_nothing_is_refused_by_name(tmp_path, cts, edit, problem):
    result = found_pairs(tmp_path, cts=cts, edit=edit)
    assert not result.by_series and problem in result.unpaired[0][1]


def test_assumptions_are_noted(tmp_path):
    def no_frame(data):
        del reference(data).FrameOfReferenceUID

    by_frame = found_pairs(tmp_path / "a", edit=no_series).by_series[CT.series_uid][0]
    by_name = found_pairs(tmp_path / "b", edit=no_frame).by_series[CT.series_uid][0]
    assert "names no series" in by_frame.note and "SeriesInstanceUID alone" in by_name.note


def test_copies_of_a_struct_count_once_and_contradicting_ones_are_refused(tmp_path):
    write_ct(tmp_path / "ct", CT)
    write_rtstruct(tmp_path / "rs" / "a", CT, CONTOURS)
    write_rtstruct(tmp_path / "rs" / "copy", CT, CONTOURS)
    write_rtstruct(tmp_path / "rs" / "other", CT, {"Other": CONTOURS["L"]})
    found = scan(tmp_path)
    result = pair(found.structs, {uid: slices[0] for uid, slices in found.series.items()})
    assert len(result.by_series[CT.series_uid]) == 1 and result.copies == 1
    assert "same SOPInstanceUID" in result.unpaired[0][1]


def test_the_factory_writes_what_it_says(tmp_path):
    """Uids under one root, one series a Ct: what the tests above rely on."""
    data = ct_slice(CT, 0, CT.coded())
    assert save(data, tmp_path / "x", ExplicitVRLittleEndian).exists() and data.SeriesInstanceUID.startswith(ROOT)


def test_a_number_of_odd_length_costs_its_tag_alone(tmp_path):
    files = write_ct(tmp_path, CT)
    raw = files[0].read_bytes()
    at = raw.index(b"\x18\x00\x50\x00DS")  # SliceThickness
    length = int.from_bytes(raw[at + 6 : at + 8], "little")
    odd = b"\x18\x00\x50\x00FD" + (6).to_bytes(2, "little") + b"Doe^Ja"
    files[0].write_bytes(raw[:at] + odd + raw[at + 8 + length :])
    found = scan(tmp_path)
    (slices,) = found.series.values()
    assert not found.refused and [one.thickness_mm for one in slices].count(None) == 1


@pytest.mark.parametrize("kind", ["slice", "rtstruct", "enhanced"])
def test_damaged_values_are_read_without_a_word(tmp_path, kind, recwarn, caplog):
    ct = Ct(identity_removed=False)
    data = ct_slice(ct, 0, ct.coded())
    if kind == "enhanced":
        data.SOPClassUID, data.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.2.1", 1
        data.PerFrameFunctionalGroupsSequence = [Dataset()]
        data.PerFrameFunctionalGroupsSequence[0].CTReconstructionSequence = [Dataset()]
        data.PerFrameFunctionalGroupsSequence[0].CTReconstructionSequence[0].ConvolutionKernel = "NAME"
    path = save(data, tmp_path / "x") if kind != "rtstruct" else write_rtstruct(tmp_path / "x", ct, CONTOURS)
    raw = path.read_bytes()
    for value in (ct.series_uid.encode(), data.FrameOfReferenceUID.encode(), b"NAME"):
        raw = raw.replace(value, b"Doe^Jane\xff\\ Do\xe9"[: len(value)].ljust(len(value)))
    path.write_bytes(raw.replace(b"YES", b"NO\xff"))
    recwarn.clear()
    found = scan(tmp_path)
    assert found.files == 1
    assert not list(recwarn) and not caplog.records
