"""`lungseg-prep nifti2rtstruct` and `nifti2seg`: from files to a file, and back to the same masks."""

import argparse
import json
import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Ct, make_patient, write_ct
from pydicom import dcmread

from data_prep.commands import nifti2rtstruct, nifti2seg
from data_prep.convert import ConvertOptions, convert
from data_prep.errors import NothingToDoError, UsageError
from data_prep.export import find_masks, read_masks, read_reference, write_rtstruct

SALT = b"0123456789abcdef"


def command(*words):
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    nifti2rtstruct.add(commands)
    nifti2seg.add(commands)
    arguments = parser.parse_args(list(map(str, words)))
    return arguments.run(arguments)


@pytest.fixture
def prepared(tmp_path):
    """A patient, and what dicom2nifti makes of it."""
    make_patient(tmp_path / "in", Ct())
    convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=SALT))
    return tmp_path, tmp_path / "in" / "P1 1", tmp_path / "out" / "P1"


def test_there_and_back_gives_identical_masks(prepared):
    folder, ct, case = prepared
    assert command("nifti2rtstruct", case, ct, folder / "again" / "rs.dcm") == 0
    for path in ct.iterdir():
        (folder / "again" / path.name).write_bytes(path.read_bytes())
    convert(folder / "again", folder / "out2", options=ConvertOptions(salt=SALT))
    for before in sorted((case / "masks").iterdir()):
        after = folder / "out2" / "P1" / "masks" / before.name
        assert nib.load(after).get_fdata().sum() == 4 * 6 * 3
        assert after.read_bytes() == before.read_bytes()


def test_seg_of_a_case(prepared, capsys):
    folder, ct, case = prepared
    assert command("nifti2seg", case / "masks", ct, folder / "to") == 0
    seg = hd.seg.segread(folder / "to" / "seg.dcm")
    assert [one.SegmentLabel for one in seg.SegmentSequence] == ["Lung-Left", "Lung-Right"]
    assert [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in seg.SegmentSequence] == [
        "44029006",
        "3341006",
    ]
    assert "2 region(s)" in capsys.readouterr().out


def test_a_label_map_with_names_flipped_and_permuted(prepared, capsys):
    folder, ct, case = prepared
    left, right = (nib.load(case / "masks" / f"Lung-{side}.nii.gz") for side in ("Left", "Right"))
    both = np.asanyarray(left.dataobj) + 2 * np.asanyarray(right.dataobj)
    image = nib.as_closest_canonical(nib.Nifti1Image(both, left.affine))
    image = nib.Nifti1Image(np.asanyarray(image.dataobj).transpose(2, 0, 1), image.affine[:, [2, 0, 1, 3]])
    nib.save(image, folder / "both.nii")
    words = ["--labels", "1=lung_left,2=lung_right", "--json", "--names", "as-found"]
    assert command("nifti2rtstruct", folder / "both.nii", ct, folder, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["voxels"]) for one in told["written"]] == [("lung_left", 72), ("lung_right", 72)]
    assert command("nifti2rtstruct", case, ct, folder / "from-case.dcm") == 0
    flat = [
        sorted(
            tuple(np.round(np.array(item.ContourData, float), 3))
            for item in dcmread(path).ROIContourSequence[0].ContourSequence
        )
        for path in (folder / "rtstruct.dcm", folder / "from-case.dcm")
    ]
    assert flat[0] == flat[1]


def test_exit_codes(prepared, capsys):
    folder, ct, case = prepared
    (case / "masks" / "torn.nii.gz").write_bytes(b"\x1f\x8b")
    assert command("nifti2rtstruct", case, ct, folder / "rs.dcm") == 1
    assert "torn: left out: torn.nii.gz is no readable NIfTI" in capsys.readouterr().out
    with pytest.raises(NothingToDoError):
        command("nifti2rtstruct", case / "masks" / "torn.nii.gz", ct, folder / "rs.dcm")
    with pytest.raises(UsageError):
        command("nifti2rtstruct", case, folder / "nowhere", folder / "rs.dcm")


def test_which_series_must_be_clear(tmp_path, capsys):
    for series in "12":
        ct = Ct(
            series=series, identity_removed=False, tags={"SeriesNumber": series, "SeriesDescription": "of Jane Doe"}
        )
        make_patient(tmp_path / "in", ct, number=int(series))
    convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=SALT))
    case = next(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    with pytest.raises(UsageError, match="2 CT series") as error:
        command("nifti2rtstruct", case, tmp_path / "in", tmp_path / "rs.dcm")
    assert ct.series_uid in str(error.value) and "number 2" in str(error.value) and "Jane" not in str(error.value)
    for wanted in ("2", ct.series_uid):
        assert command("nifti2rtstruct", case, tmp_path / "in", tmp_path / "rs.dcm", "--series", wanted) == 0
        frame = dcmread(tmp_path / "rs.dcm").ReferencedFrameOfReferenceSequence[0]
        assert frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID == ct.series_uid
    with pytest.raises(UsageError, match="0 of 2 series are meant by 9"):
        command("nifti2rtstruct", case, tmp_path / "in", tmp_path / "rs.dcm", "--series", "9")


@pytest.mark.parametrize("name", ["nifti2rtstruct", "nifti2seg"])
def test_same_bytes_with_a_time_given(prepared, monkeypatch, name):
    folder, ct, case = prepared
    command(name, case, ct, folder / "a.dcm", "--timestamp", "2026-01-31T12:00:00+00:00")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1769860800")
    command(name, case, ct, folder / "b.dcm")
    assert (folder / "a.dcm").read_bytes() == (folder / "b.dcm").read_bytes()
    with pytest.raises(UsageError, match="no time"):
        command(name, case, ct, folder / "b.dcm", "--timestamp", "yesterday")


def test_a_patient_s_name_stays_out_of_what_is_printed(tmp_path, capsys):
    ct = Ct(identity_removed=False)
    make_patient(tmp_path / "in", ct)
    convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=SALT))
    case = next(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert command("nifti2rtstruct", case, tmp_path / "in", tmp_path / "rs.dcm", "--json") == 0
    printed = capsys.readouterr()
    assert not any(word in printed.out + printed.err for word in ("Doe", "Jane", "19530217", "Westphall"))
    assert str(dcmread(tmp_path / "rs.dcm").PatientName) == "Doe^Jane"


def test_nothing_heavy_is_imported_for_help():
    code = "import sys; from data_prep.commands import nifti2rtstruct, nifti2seg; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pydicom", "nibabel", "highdicom", "skimage"} & set(loaded)


def test_a_series_that_shares_places(tmp_path):
    ct = Ct()
    write_ct(tmp_path / "ct", ct)
    again = next((tmp_path / "ct").iterdir())
    data = dcmread(again)
    data.SOPInstanceUID += ".9"
    data.save_as(tmp_path / "ct" / "again")
    assert "at the place of another" in read_reference(tmp_path / "ct").notes[0]


def test_real_chest_there_and_back(real_data, tmp_path):
    patient = real_data / "nsclc-radiomics" / "LUNG1-001"
    convert(patient, tmp_path / "out", options=ConvertOptions(salt=SALT))
    case = tmp_path / "out" / "LUNG1-001"
    series = read_reference(patient / "ct")
    report = write_rtstruct(read_masks(find_masks([case])), series, tmp_path / "in" / "rs.dcm")
    assert [one.differing for one in report.written] == [0] * 4
    (tmp_path / "in" / "ct").symlink_to(patient / "ct")
    convert(tmp_path / "in", tmp_path / "again", options=ConvertOptions(salt=SALT))
    for before in sorted((case / "masks").iterdir()):
        assert (tmp_path / "again" / "LUNG1-001" / "masks" / before.name).read_bytes() == before.read_bytes()
