"""All ROI names of a tree: counted by RTSTRUCT and patient, unmatched first, nobody's name without a flag."""

import argparse
import json

import pytest
from dicom_factory import Ct, boxes, make_patient, write_rtstruct

from data_prep.commands import rois
from data_prep.errors import NothingToDoError, RtstructError, UsageError
from data_prep.roi_list import IN_NAME, list_rois
from data_prep.roi_names import RoiMap
from data_prep.rtstruct import read_roi_names, read_rtstruct


def struct(folder, patient, names, number=1, **options):
    """An RTSTRUCT with one box for each name, given as name or as (name, number of the ROI to repeat)."""
    ct = Ct(patient=patient, **options)
    return write_rtstruct(folder / patient / f"rs{number}", ct, {name: boxes(ct, 2) for name in names}, number=number)


@pytest.fixture
def tree(tmp_path):
    struct(tmp_path / "in", "P1", ["Lung-Left", "Blob", "GTV-1"])
    struct(tmp_path / "in", "P1", ["Lung-Left", "Blob 2"], number=2)
    struct(tmp_path / "in", "P2", ["Lung-Left", "Blob"])
    return tmp_path / "in"


def table_of(found):
    return [(one.name, one.label, len(one.structs), len(one.patients)) for one in found.names]


def test_names_are_counted_by_rtstruct_and_patient_unmatched_first(tree):
    found = list_rois(tree)  # there is no CT in it
    assert table_of(found) == [
        ("Blob", None, 2, 2), ("Blob 2", None, 1, 1), ("Lung-Left", "lung_left", 3, 2), ("GTV-1", "gtv", 1, 1)
    ]  # fmt: skip
    assert (found.structs, found.patients, found.exit_code) == (3, 2, 0)
    lines = found.table().splitlines()
    assert lines[1].split() == ["UNMATCHED", "2", "2", "Blob"] and "2 unmatched" in lines[-1]


def test_a_map_of_ones_own_names_what_is_unmatched_and_unmaps(tree, tmp_path):
    (tmp_path / "map").write_text("blob.* = lesion\nGTV-1 = null\n")
    found = list_rois(tree, RoiMap.load(tmp_path / "map"))
    assert {one.name: (one.label, one.matched) for one in found.names} == {
        "Blob": ("lesion", True), "Blob 2": ("lesion", True), "Lung-Left": ("lung_left", True), "GTV-1": (None, True)
    }  # fmt: skip
    assert "no label" in found.table() and "unmatched" not in found.table()


def test_a_copy_of_an_rtstruct_counts_once(tree):
    (tree / "copy").write_bytes((tree / "P1" / "rs1").read_bytes())
    assert table_of(list_rois(tree))[0] == ("Blob", None, 2, 2)


def test_one_file_and_a_tree_with_ct(tree, tmp_path):
    assert len(list_rois(tree / "P1" / "rs2").names) == 2
    make_patient(tmp_path / "whole", Ct())
    assert [one.label for one in list_rois(tmp_path / "whole").names] == ["lung_left", "lung_right"]


def test_a_part_of_the_patients_name_is_flagged(tmp_path):
    struct(tmp_path, "P7", ["GTV Jane", "Heart"], identity_removed=False)
    found = list_rois(tmp_path)
    assert {one.name: one.flags for one in found.names} == {"GTV Jane": [IN_NAME], "Heart": []}
    assert IN_NAME in found.table()


def test_a_damaged_rtstruct_is_named_and_costs_no_other(tree):
    path = tree / "P2" / "rs1"
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x06\x30\x20\x00") + 30])
    found = list_rois(tree)
    assert found.exit_code == 1 and found.structs == 2
    assert [one.where for one in found.refused] == ["P2/rs1"] and "refused" in found.table()


def test_nothing_to_list_is_said(tmp_path):
    with pytest.raises(UsageError):
        list_rois(tmp_path / "nowhere")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(NothingToDoError):
        list_rois(tmp_path)
    make_patient(tmp_path / "x", Ct(), rois={})
    with pytest.raises(NothingToDoError, match="no RTSTRUCT that can be read"):
        list_rois(tmp_path)


def test_names_that_would_break_the_table_are_escaped(tmp_path):
    struct(tmp_path, "P1", ["a\x1b[31mb", "左肺"])
    table = list_rois(tmp_path).table()
    assert "\x1b" not in table and "a\\x1b[31mb" in table and "左肺" in table


def test_names_are_those_of_the_whole_reader(tree):
    path = tree / "P1" / "rs1"
    assert sorted(read_roi_names(path)) == sorted(roi.name for roi in read_rtstruct(path))
    path.write_bytes(b"no DICOM at all")
    with pytest.raises(RtstructError):
        read_roi_names(path)


def test_the_command_prints_json(tree, tmp_path, capsys):
    top = argparse.ArgumentParser()
    rois.add(top.add_subparsers())
    (tmp_path / "map").write_text("blob = lesion\n")
    arguments = top.parse_args(["rois", str(tree), "--roi-map", str(tmp_path / "map"), "--json"])
    assert arguments.run(arguments) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["rtstructs"], data["patients"], data["unmatched"]) == (3, 2, 1)
    assert data["names"][0] == {
        "name": "Blob 2", "label": None, "matched": False, "rtstructs": 1, "patients": 1, "flags": []
    }  # fmt: skip
    arguments = top.parse_args(["rois", str(tree)])
    assert arguments.run(arguments) == 0 and "UNMATCHED" in capsys.readouterr().out
