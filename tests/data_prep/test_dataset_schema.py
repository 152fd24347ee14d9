"""dataset.schema.json: what is written fits it, and what it refuses the reader refuses too."""

import copy
import json

import pytest
from dicom_factory import Ct, boxes, make_patient, rotation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prepared import make_prepared

from data_prep.convert import ConvertOptions, convert
from data_prep.dataset import CASE_KEYS, ROI_KEYS, SCHEMA, SCHEMA_VERSION, file_hashes, read_dataset, stays_inside
from data_prep.errors import DatasetError

SCHEMA_JSON = json.loads(SCHEMA.read_text())
VALIDATOR = Draft202012Validator(SCHEMA_JSON)
OPTIONS = ConvertOptions(salt=b"a salt that only the tests know!")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.one_of(st.integers(-1, 9), st.floats(-1, 9), st.text(max_size=2), st.booleans()), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(
        ["..", "a/../b", "/a", ".", "./", "a\\b", "a/..", "...", "..\n", ".\n", "//a", "é/ü.nii.gz", "1.7"]
    ),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("schema")
    make_patient(folder / "in", Ct(), {"Lung-Left": boxes(Ct(), 2), "GTV": [], "../evil\n": boxes(Ct(), 8)})
    make_patient(folder / "in", Ct(patient="Ü 2", axes=rotation(12, -7, 31), name="Roe^R", identity_removed=False))
    (folder / "in" / "torn").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\0\x18")
    (folder / "in" / "notes.txt").write_text("nothing")
    convert(folder / "in", folder / "out", options=OPTIONS)
    return json.loads((folder / "out" / "dataset.json").read_text())


def problems(content: dict) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message}" for error in VALIDATOR.iter_errors(content)]


def test_the_schema_is_one_and_says_the_version():
    Draft202012Validator.check_schema(SCHEMA_JSON)
    assert SCHEMA_JSON["$id"].endswith(f":{SCHEMA_VERSION}")


def test_what_is_written_fits(dataset, tmp_path):
    assert problems(dataset) == [] and dataset["schema_version"] == SCHEMA_VERSION
    assert len(dataset["cases"]) == 2 and dataset["refused"] and dataset["ignored"]
    make_prepared(tmp_path)
    assert problems(json.loads((tmp_path / "dataset.json").read_text())) == []


def test_the_fields_of_1_1_fit(dataset):
    new = copy.deepcopy(dataset)
    for case in new["cases"]:
        case["files"] = {"image.nii.gz": "0" * 64, "masks/Lung-Left.nii.gz": "a" * 64}
        case["created_by"] = {"lungseg-monai": "1"}
        case["source"] |= {"kind": "dicom", "slices": 7, "separated_by": None, "affine_lps": [[1.0, 0, 0, 0]] * 4}
        for roi in case["rois"]:
            roi |= {"kind": "rtstruct", "coverage_file": None}
            roi["planes"]["interpolated"] = 0
    assert problems(new) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda case: case["source"].update(PatientName="x"),
        lambda case: case.update(StudyDate="20200101"),
        lambda case: case.update(files={"../a": "0" * 64}),
        lambda case: case.update(files={"a": "0" * 63}),
        lambda case: case["source"].update(kind="jpeg"),
        lambda case: case["source"].update(series_uid_hash="1.2.840.113619"),
        lambda case: case["rois"][0].update(coverage_file="/a"),
        lambda case: case["rois"][0]["planes"].update({"in": -1}),
    ],
)
def test_what_must_not_be_written_does_not_fit(dataset, spoil):
    spoiled = copy.deepcopy(dataset)
    spoil(spoiled["cases"][0])
    assert problems(spoiled)


def readable(content: dict, folder) -> bool:
    (folder / "dataset.json").write_text(json.dumps(content))
    try:
        return bool(read_dataset(folder))
    except DatasetError:
        return False


PLACES = (
    [("case", key) for key in CASE_KEYS]
    + [("roi", key) for key in ROI_KEYS]
    + [("top", "schema_version"), ("top", "cases")]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=VALUES, drop=st.integers(0, 9))
@example(place=("case", "image"), value="...", drop=1)
@example(place=("case", "image"), value="a\n/../b", drop=1)
def test_what_the_schema_refuses_the_reader_refuses(dataset, tmp_path, place, value, drop):
    spoiled = copy.deepcopy(dataset)
    case = spoiled["cases"][0]
    entry = {"top": spoiled, "case": case, "roi": case["rois"][0]}[place[0]]
    if drop:
        entry[place[1]] = value
    else:
        del entry[place[1]]
    if problems(spoiled):
        assert not readable(spoiled, tmp_path)


@given(file=st.one_of(st.text("./\\a\n\0", max_size=7), VALUES.filter(lambda one: isinstance(one, str))))
def test_schema_and_reader_mean_the_same_by_inside(file):
    fits = Draft202012Validator(SCHEMA_JSON["$defs"]["file"]).is_valid(file)
    assert stays_inside(file) or not fits
    if "\n" not in file:
        assert stays_inside(file) == fits


def test_hashes_are_those_of_sha256_in_order(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("masks/b", "masks/a", "image", "case.json", ".partial-x"):
        (tmp_path / name).write_bytes(b"abc" if name == "image" else b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(file_hashes(tmp_path).items()) == [("image", abc), ("masks/a", empty), ("masks/b", empty)]
