"""Nothing that identifies a patient comes out, in no file, no file name and no message."""

import gzip
import json

import pytest
from dicom_factory import Ct, boxes, make_patient, tree, write_ct

from data_prep.convert import ConvertOptions, convert

OPTIONS = ConvertOptions(salt=b"a salt that only the tests know!")


@pytest.fixture
def source(tmp_path):
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


SECRETS = ["doe", "jane", "4711", "19530217", "saint", "elsewhere", "westphall", "donald"]


def test_nothing_identifying_comes_out(source, out):
    ct = Ct(patient="4711-A", identity_removed=False)
    make_patient(source / "DOE_Jane" / "4711-A", ct, rois={"Lung-Left": boxes(ct, 2), "GTV": []})
    other = Ct(patient="4711-A", identity_removed=False, series="2")
    (first, *_) = write_ct(source / "jane doe" / "cut", other)
    first.write_bytes(first.read_bytes()[:-9])
    (source / "jane doe" / "4711.dcm").write_bytes(first.read_bytes()[:300])
    result = convert(source, out, options=OPTIONS)
    assert len(result.refused) == 3
    said = [result.table(), json.dumps(result.dataset), *map(str, result.refused)]
    for path, content in tree(out).items():
        said += [path, (gzip.decompress(content) if path.endswith(".gz") else content).decode("latin-1")]
    assert [word for word in SECRETS for text in said if word in text.lower()] == []
    assert result.dataset["cases"][0]["patient_id"].startswith("case-")


def test_names_that_hold_the_patients_name_are_kept_and_flagged_but_no_file_is_called_so(source, out):
    ct = Ct(identity_removed=False, tags={"SeriesDescription": "Thorax Doe"})
    make_patient(source, ct, rois={"GTV Doe": boxes(ct, 2)})
    (case,) = convert(source, out, options=OPTIONS).dataset["cases"]
    assert case["rois"][0]["name"] == "GTV Doe" and "patient's name" in case["rois"][0]["flags"][0]
    assert case["rois"][0]["file"].endswith("/roi-10.nii.gz")
    assert case["source"]["series_description"] == "Thorax Doe" and "series_description" in case["flags"][0]


def test_keep_ids(source, out):
    write_ct(source, Ct(identity_removed=False, tags={"PatientID": "../P/7"}))
    (case,) = convert(source, out, options=ConvertOptions(keep_ids=True, salt=OPTIONS.salt)).dataset["cases"]
    assert case["id"] == case["patient_id"] == "P_7"


def test_an_id_that_is_not_kept_names_no_file(source, out):
    ct = Ct(identity_removed=False, patient="ID-SECRET-77")
    make_patient(source, ct, rois={"GTV ID-SECRET-77": boxes(ct, 2), "GTV 2": boxes(ct, 10)})
    (case,) = convert(source, out, options=OPTIONS).dataset["cases"]
    assert [bool(roi["flags"]) for roi in case["rois"]] == [True, False]
    assert not any("SECRET" in path for path in tree(out))
    kept = ConvertOptions(keep_ids=True, salt=OPTIONS.salt)
    (case,) = convert(source, out.with_name("kept"), options=kept).dataset["cases"]
    assert case["id"] == "ID-SECRET-77" and not case["rois"][0]["flags"]
