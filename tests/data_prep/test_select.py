"""Rules of which series to convert."""

import pytest
from dicom_factory import Ct, make_patient, write_ct

from data_prep.convert import ConvertOptions, convert
from data_prep.errors import UsageError
from data_prep.files import read_header
from data_prep.select import parse_rules, selected
from data_prep.slices import SLICE_TAGS, slice_header


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    ct = Ct(tags={"SeriesDescription": "Thorax, 3.0 mm", "AcquisitionNumber": "4"})
    files = write_ct(tmp_path_factory.mktemp("series"), ct)
    return [slice_header(path, read_header(path, SLICE_TAGS)) for path in files]


@pytest.mark.parametrize(
    "rule",
    [
        "description~thorax",
        "description=THORAX, 3.0 MM",
        "description!~abdomen",
        "kernel=b30f",
        "kernel!=B70f",
        "thickness<=3.5",
        "thickness>3,thickness<4",
        "slices=7",
        "slices>=7",
        "acquisition=4",
        r"type~original\\primary",
        "modality=CT",
        "manufacturer~^mak",
        "phase=",
        " description ~ thorax , slices > 2 ",
    ],
)
def test_what_fits(slices, rule):
    assert selected(slices, parse_rules([rule]))
    assert selected(slices, parse_rules(["slices>1000", rule]))  # either rule will do


@pytest.mark.parametrize(
    "rule", ["description~abdomen", "thickness<3.5", "slices!=7", "kernel=B70f", "kernel=b30f,slices<7", "phase=2"]
)
def test_what_does_not_fit(slices, rule):
    assert not selected(slices, parse_rules([rule]))


@pytest.mark.parametrize(
    "rule", ["", "thickness", "colour=red", "thickness~3", "thickness<thin", "kernel<3", "description~(", "=3", "a b=2"]
)
def test_what_makes_no_sense(rule):
    with pytest.raises(UsageError, match="--select"):
        parse_rules([rule])


def test_what_is_not_selected_is_counted_not_converted(tmp_path):
    make_patient(tmp_path / "in", Ct())
    write_ct(tmp_path / "in" / "other", Ct(series="2", tags={"ConvolutionKernel": "B70f"}))
    options = ConvertOptions(salt=b"0" * 32, select=("kernel=B30f",))
    dataset = convert(tmp_path / "in", tmp_path / "out", options=options).dataset
    assert [case["source"]["kernel"] for case in dataset["cases"]] == ["B30f"] and not dataset["refused"]
    assert {"where": "other", "reason": "series not selected", "files": 7} in dataset["ignored"]


def test_that_nothing_fits_is_said(tmp_path):
    make_patient(tmp_path / "in", Ct())
    result = convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=b"0" * 32, select=("slices<3",)))
    assert result.exit_code == 3 and "none of 1 series fits slices<3" in result.table()
