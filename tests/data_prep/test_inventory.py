"""`lungseg-prep scan`: what is there, what refers to what, and what a conversion would do; it agrees with `convert`."""

import json

import pytest
from dicom_factory import Ct, boxes, make_patient, tree, write_ct, write_rtstruct

from data_prep.cli import main
from data_prep.convert import ConvertOptions, convert
from data_prep.errors import NothingToDoError, UsageError
from data_prep.inventory import exit_code, summary, take_inventory

OPTIONS = ConvertOptions(salt=b"0" * 32)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    make_patient(folder, Ct())
    write_ct(folder / "gap", Ct(patient="P2"), edit=lambda data, k: None if k == 3 else data)
    write_ct(folder / "localizer", Ct(series="9", tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}))
    write_rtstruct(folder / "orphan", Ct(patient="P3"), {"L": boxes(Ct(), 2)})
    (folder / "notes.txt").write_text("x")
    return folder


def series_of(inventory):
    return {one["where"]: one for patient in inventory["patients"] for one in patient["series"]}


def test_everything_is_listed(source):
    inventory = take_inventory(source, options=OPTIONS)
    good, bad = series_of(inventory)["P1 1"], series_of(inventory)["gap"]
    assert good["status"] == "ok" and good["shape"] == [20, 14, 7] and good["spacing_mm"] == [1.5, 2.25, 3.5]
    assert good["drawn"][0]["kind"] == "rtstruct"
    assert good["drawn"][0]["rois"] == [
        {"name": "Lung-Left", "label": "lung_left", "flagged": False},
        {"name": "Lung-Right", "label": "lung_right", "flagged": False},
    ]
    assert bad["status"] == "refused" and "missing" in bad["reason"]
    assert [one["where"] for one in inventory["refused"]] == ["orphan"]
    assert {(one["reason"], one["files"]) for one in inventory["ignored"]} == {("localizer", 7), ("not DICOM", 1)}
    assert exit_code(inventory) == 1
    text = summary(inventory)
    assert "1 of 2 series of 2 patient(s)" in text and "Lung-Left (lung_left)" in text and "would be refused" in text


def test_it_says_what_convert_does(source, tmp_path):
    before = tree(source)
    inventory = take_inventory(source, options=OPTIONS)
    assert tree(source) == before
    dataset = convert(source, tmp_path / "out", options=OPTIONS).dataset
    listed = series_of(inventory).values()
    assert {one["case_id"] for one in listed if one["status"] == "ok"} == {case["id"] for case in dataset["cases"]}
    refused = {(one["where"], one["reason"]) for one in dataset["refused"]}
    assert refused == {(one["where"], one["reason"]) for one in listed if one["status"] != "ok"} | {
        (one["where"], one["reason"]) for one in inventory["refused"]
    }


def test_as_a_command(source, tmp_path, capsys):
    salt = ["--salt-file", str(tmp_path / "salt")]
    assert main(["scan", str(source), "--json", *salt]) == 1
    inventory = json.loads(capsys.readouterr().out)
    assert inventory["files"] == 23
    assert main(["scan", str(source / "gap"), *salt]) == 3
    assert "would be refused" in capsys.readouterr().out
    assert main(["scan", str(source / "P1 1"), *salt]) == 0


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError):
        take_inventory(tmp_path / "nowhere", options=OPTIONS)
    with pytest.raises(NothingToDoError):
        take_inventory(tmp_path, options=OPTIONS)


def test_names_of_people_stay_out(tmp_path):
    ct = Ct(identity_removed=False, patient="77123", tags={"SeriesDescription": "Chest"})
    make_patient(tmp_path / "Doe Jane", ct)
    text = json.dumps(take_inventory(tmp_path, options=OPTIONS))
    for secret in ("Doe", "Jane", "77123", "19530217", "Elsewhere", "Westphall"):
        assert secret not in text
