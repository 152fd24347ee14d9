"""verify: silent on what is right, and one sentence on each thing that is wrong."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Ct, make_patient, rotation
from prepared import make_prepared

from data_prep.convert import ConvertOptions, convert
from data_prep.dataset import file_hashes
from data_prep.errors import NothingToDoError
from data_prep.nifti import write_nifti
from data_prep.split import SplitOptions, write_split
from data_prep.verify import verify
from data_prep.verify_nifti import parse_nifti

OPTIONS = ConvertOptions(salt=b"a salt that only the tests know!")


@pytest.fixture
def out(tmp_path):
    """Two converted patients, one on an oblique grid, with a split and hashes."""
    make_patient(tmp_path / "in", Ct())
    make_patient(tmp_path / "in", Ct(patient="P2", axes=rotation(12, -7, 31)))
    convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    write_split(tmp_path / "out", SplitOptions(ratio=(1, 1)))
    return tmp_path / "out"


def change_json(out, change, alone=False):
    """Apply `change` to each case in dataset.json, and in its case.json unless `alone`."""
    dataset = json.loads((out / "dataset.json").read_text())
    for case in dataset["cases"]:
        change(case)
        if not alone:
            record = json.loads((out / case["id"] / "case.json").read_text())
            (out / case["id"] / "case.json").write_text(json.dumps(record | {"case": case}))
    (out / "dataset.json").write_text(json.dumps(dataset))


def said(out, **options) -> str:
    return verify(out, **options).table()


def rewrite(path, change):
    """Unpack a NIfTI, let `change` edit header and voxels in place, and write it again."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]))
    change(header, np.frombuffer(content, header.get_data_dtype(), offset=352))
    path.write_bytes(gzip.compress(header.binaryblock + bytes(content[348:])))


def test_what_was_converted_is_all_right(out):
    result = verify(out)
    assert result.problems == [] and result.exit_code == 0
    assert result.checked == {"cases": 2, "files": 8, "hashes": 8, "voxels": 2 * 3 * 20 * 14 * 7}
    assert result.as_json()["ok"] and "all right" in result.table()
    assert verify(out, jobs=3).as_json() == result.as_json()


def test_prepared_by_hand_without_hashes_is_all_right(tmp_path):
    result = verify(make_prepared(tmp_path))
    assert result.problems == [] and result.checked["hashes"] == 0 and result.checked["files"] == 9


def test_nothing_there(tmp_path):
    with pytest.raises(NothingToDoError, match=r"no dataset\.json"):
        verify(tmp_path)


def test_a_dataset_that_cannot_be_read_is_a_problem(out):
    (out / "dataset.json").write_text("{")
    result = verify(out)
    assert result.exit_code == 1 and "no JSON" in result.problems[0].what


@pytest.mark.parametrize("where", [0.01, 0.3, 0.7, 0.999])
def test_each_flipped_byte_is_found(out, where):
    path = out / "P1" / "masks" / "Lung-Left.nii.gz"
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 0x10
    path.write_bytes(content)
    assert "P1/masks/Lung-Left.nii.gz: was changed" in said(out)


def test_a_file_cut_short_is_found_without_hashes(out):
    change_json(out, lambda case: case.pop("files"))
    path = out / "P1" / "image.nii.gz"
    path.write_bytes(path.read_bytes()[:-4])
    assert "P1/image.nii.gz: can't be unpacked to its end" in said(out)


def test_bytes_behind_or_missing_from_the_voxels_are_found():
    header = nib.Nifti1Header()
    header.set_data_shape((2, 3, 4))
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = 352
    for voxels, right in ((24, True), (23, False), (25, False)):
        parsed = parse_nifti(gzip.compress(header.binaryblock + bytes(4 + voxels)))
        assert (not isinstance(parsed, str)) == right
    assert "no NIfTI" in parse_nifti(gzip.compress(b"x" * 400))


def test_missing_extra_and_left_over_files_are_named(out, tmp_path):
    (out / "P1" / "masks" / "Lung-Left.nii.gz").unlink()
    (out / "P1" / "masks" / "mine.nii.gz").write_bytes(b"")
    (out / ".partial-P9").mkdir()
    (out / "P7").mkdir()
    (out / "P7" / "case.json").write_text("{}")
    (out / "P2" / "image.nii.gz").rename(tmp_path / "elsewhere.nii.gz")
    (out / "P2" / "image.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    text = said(out)
    assert "P1  P1/masks/Lung-Left.nii.gz: is missing" in text
    assert "P1  P1/masks/mine.nii.gz: is not named in dataset.json" in text
    assert "-  .partial-P9: is left from an interrupted run" in text
    assert "P7  -: is a case that dataset.json does not name" in text
    assert "P2  P2/image.nii.gz: is a link out of the folder" in text
    assert len(text.splitlines()) == 6


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("image", lambda h, v: h.__setitem__("sform_code", 2), "sform code is 2"),
        ("image", lambda h, v: h.__setitem__("qform_code", 0), "qform code is 0"),
        ("image", lambda h, v: h.__setitem__("qoffset_x", h["qoffset_x"] + 1), "qform and sform put a corner 1.000 mm"),
        ("image", lambda h, v: h.__setitem__("scl_slope", 2), "scales the voxels"),
        ("image", lambda h, v: h.set_sform(np.diag([1.0, 1, 0, 1])), "no affine"),
        ("image", lambda h, v: h.set_data_dtype(np.uint16), "holds uint16"),
        ("image", lambda h, v: h.set_data_shape((14, 20, 7)), r"shape [14, 20, 7]; dataset.json says [20, 14, 7]"),
        ("image", lambda h, v: h.set_data_shape((20, 14, 8)), "its header, of shape [20, 14, 8], wants"),
        ("masks/Lung-Left", lambda h, v: v.__setitem__(5, 2), "is no mask: uint8 up to 2"),
        ("masks/Lung-Left", lambda h, v: v.__setitem__(5, 1), "ml; dataset.json says"),
        ("masks/Lung-Left", lambda h, v: v.fill(0), "is empty"),
        ("masks/Lung-Left", lambda h, v: h.set_data_shape((14, 20, 7)), "its image [20, 14, 7]"),
    ],
)
def test_a_spoiled_volume_is_named(out, file, change, named):
    rewrite(out / "P1" / f"{file}.nii.gz", change)
    change_json(out, lambda case: case.update(files=file_hashes(out / case["id"])))
    assert named in said(out)


def test_a_mask_that_lies_elsewhere_is_named(out):
    def move(header, voxels):
        affine = header.get_sform()
        affine[0, 3] += 0.5
        header.set_sform(affine, 1)
        header.set_qform(affine, 1)

    rewrite(out / "P2" / "masks" / "Lung-Right.nii.gz", move)
    assert "Lung-Right.nii.gz: lies 0.5 mm off its image" in said(out)


def test_a_sheared_grid_needs_no_qform(out):
    affine = np.diag([-1.5, -2.25, 3.5, 1])
    affine[1, 2] = 1.1
    path = out / "P1" / "image.nii.gz"
    write_nifti(path, np.zeros((20, 14, 7), np.int16), affine)
    rewrite(path, lambda h, v: h.__setitem__("qform_code", 0))
    assert "qform" not in said(out)
    rewrite(path, lambda h, v: h.__setitem__("qform_code", 1))
    assert "qform and sform" in said(out)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(shape=[20, 14, 9]), "dataset.json says [20, 14, 9]"),
        (lambda c: c.update(spacing_mm=[1.5, 2.25, 3.6]), "dataset.json says [1.5, 2.25, 3.6]"),
        (lambda c: c.update(orientation="RAS"), "is not oriented RAS"),
        (lambda c: c["source"].update(affine_lps=np.eye(4).tolist()), "lies elsewhere than source.affine_lps"),
        (lambda c: c["source"].update(PatientName="x"), "holds the key PatientName"),
        (lambda c: c["source"].update(institution_name="x"), "holds the key institution_name"),
        (lambda c: c["rois"][0].update(label="liver!"), "can be no label"),
        (lambda c: c["rois"][0]["volume_ml"].update(voxel=1.0), "dataset.json says 1.0"),
        (lambda c: c["rois"][0]["planes"].update(skipped=1), "`in` is not"),
        (lambda c: c["rois"][0].update(status="refused"), "contradict each other"),
        (lambda c: c["rois"][0].update(planes=3), "entry in dataset.json is damaged"),
        (lambda c: c.update(files=[1]), "entry in dataset.json is damaged"),
        (lambda c: c.update(id=".."), "no safe name of a folder"),
        (lambda c: c["files"].update({"more.npz": "0" * 64}), "more.npz: is missing"),
        (lambda c: c["files"].pop("image.nii.gz"), "image.nii.gz: has no hash"),
    ],
)
def test_a_contradiction_in_dataset_json_is_named(out, change, named):
    change_json(out, change, alone=True)
    assert named in said(out)


def test_case_json_has_to_agree(out):
    change_json(out, lambda case: case["repairs"].append("none"), alone=True)
    (out / "P2" / "case.json").write_text("[]")
    text = said(out)
    assert "P1/case.json: contradicts dataset.json in repairs" in text
    assert "P2/case.json: is missing or damaged" in text


def test_the_source_affine_may_be_there(out):
    def add(case):
        ras = nib.load(out / case["image"]).affine
        case["source"]["affine_lps"] = (np.diag([-1, -1, 1, 1]) @ ras).tolist()

    change_json(out, add)
    assert verify(out).problems == []


def test_two_cases_of_one_name(out):
    dataset = json.loads((out / "dataset.json").read_text())
    dataset["cases"].append(dataset["cases"][0] | {"id": "p1"})
    (out / "dataset.json").write_text(json.dumps(dataset))
    assert "2 cases are called p1" in said(out)


def test_a_patient_on_two_sides_and_foreign_files(out):
    path = out / "datalist.json"
    datalist = json.loads(path.read_text())
    datalist["test"] += datalist["training"]
    datalist["test"][0]["image"] = "P9/image.nii.gz"
    path.write_text(json.dumps(datalist))
    text = said(out)
    assert "datalist.json: names P9/image.nii.gz, which dataset.json does not" in text
    assert "on several sides: test, training" in text
    path.write_text("[]")
    assert "datalist.json: is damaged" in said(out)
