"""Input that is odd but lawful: what it must not cost, and what must be said about it."""

import errno
import os

import pytest
from dicom_factory import Ct, boxes, make_patient, square, tree, write_ct, write_rtstruct
from pydicom import Dataset
from pydicom.filewriter import dcmwrite

from data_prep.convert import ConvertOptions, convert
from data_prep.dataset import read_dataset
from data_prep.errors import OutputError
from data_prep.lock import alone_in
from data_prep.phantom import PhantomOptions, cohort, write_cohort
from data_prep.report import summary

OPTIONS = ConvertOptions(salt=b"a salt that only the tests know!")
CT = Ct()


def test_paths_that_are_not_utf_8_cost_nothing_and_hide_names(tmp_path):
    ct = Ct(name="M\u00fcller^Jane", identity_removed=False)
    make_patient(tmp_path / "in", ct)
    folder = tmp_path / "in" / os.fsdecode(b"M\xfcller \xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (path, *_) = write_ct(tmp_path / "spare", Ct(patient="P2"))
    (folder / "torn").write_bytes(path.read_bytes()[:200])
    convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    dataset = read_dataset(tmp_path / "out")
    assert len(dataset["cases"]) == 1 and dataset["refused"][0]["where"] == "*** \u00ff/torn"


def test_a_dicomdir_is_passed_over(tmp_path):
    make_patient(tmp_path / "in", CT)
    data = Dataset()
    data.FileSetID, data.DirectoryRecordSequence = "DISK", []
    data.file_meta = Dataset()
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dcmwrite(tmp_path / "in" / "P1 1" / "DICOMDIR", data, enforce_file_format=True)
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert result.exit_code == 0 and result.dataset["cases"][0]["flags"] == []
    assert "Media Storage Directory" in result.dataset["ignored"][0]["reason"]


def test_overlapping_and_cancelling_contours_are_named(tmp_path):
    pair = [square(CT, 3, (1.5, 1.5), (11.5, 11.5)), square(CT, 3, (6.5, 1.5), (16.5, 11.5))]
    near = [square(CT, 3, (1.6, 1.6), (11.6, 11.6)), square(CT, 3, (1.7, 1.7), (11.7, 11.7))]
    make_patient(tmp_path / "in", CT, {"Pair": pair, "Near": near, "Lung-Left": boxes(CT, 2)})
    crossed, empty, lung = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS).dataset["cases"][0]["rois"]
    assert "1 slice(s) whose contours overlap or cross" in crossed["flags"][0]
    assert empty["status"] == "refused" and "cancel each other out" in empty["reason"]
    assert lung["flags"] == []


def test_a_label_from_two_structs_is_flagged(tmp_path):
    make_patient(tmp_path / "in", CT)
    write_rtstruct(tmp_path / "in" / "second", CT, {"Lung-Left": boxes(CT, 6), "GTV-1": boxes(CT, 10)}, number=2)
    (case,) = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS).dataset["cases"]
    assert len(case["flags"]) == 1 and case["flags"][0].startswith("lung_left comes from 2 RTSTRUCTs")


def test_a_struct_without_modality_is_one_and_its_rois_may_name_the_frame(tmp_path):
    def edit(data):
        del data.Modality, data.ReferencedFrameOfReferenceSequence

    make_patient(tmp_path / "in", CT, edit=edit)
    (case,) = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS).dataset["cases"]
    assert len(case["rois"]) == 2 and any("names no series" in note for note in case["repairs"])


def test_a_second_run_into_the_same_folder_waits_its_turn(tmp_path):
    make_patient(tmp_path / "in", CT)
    (tmp_path / "out" / ".partial-P1").mkdir(parents=True)
    with alone_in(tmp_path / "out"), pytest.raises(OutputError, match="another lungseg or lungseg-prep"):
        convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert (tmp_path / "out" / ".partial-P1").exists()
    assert convert(tmp_path / "in", tmp_path / "out", options=OPTIONS).exit_code == 0
    assert not any(path.startswith(".") for path in tree(tmp_path / "out"))


def test_a_link_to_nowhere_is_called_so(tmp_path):
    make_patient(tmp_path / "in", CT)
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match=r"link to .*gone, which does not exist"):
        convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)


def test_names_reach_the_terminal_harmless_and_short(tmp_path):
    make_patient(tmp_path / "in", CT)
    dataset = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS).dataset
    names = "evil\x1b[2J\nname", "x" * 300
    for roi, name in zip(dataset["cases"][0]["rois"], names, strict=True):
        roi["name"] = name
    table = summary(dataset, tmp_path, 0)
    assert r"evil\x1b[2J\nname" in table and "\x1b" not in table
    assert max(map(len, table.splitlines()[:3])) < 120 and "x…" in table


def test_a_full_disk_is_told_without_a_traceback(tmp_path, monkeypatch):
    def full(patient, folder):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise OSError("With tag (7fe0,0010) got exception\nTraceback (most recent call last): ...") from error

    monkeypatch.setattr(cohort, "_write", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        write_cohort(tmp_path, patients=1, seed=1, options=PhantomOptions(spacing_mm=(8.0, 6.0, 18.0)))
    assert "Traceback" not in str(caught.value)
