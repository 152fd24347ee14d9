"""What becomes a case, what it is called, and what is said of the rest."""

import numpy as np
import pytest
from dicom_factory import Ct, write_rtstruct
from segment_factory import chest_hu, write_chest, write_chest_nifti

from data_prep.convert import convert
from lungseg_monai.errors import NothingToDoError, UsageError
from lungseg_monai.segment.cases import InputOptions, find_cases
from lungseg_monai.segment.reading import contents, load, voxel_hash


def names(*inputs, **options):
    return [case.name for case in find_cases(inputs, options=InputOptions(**options)).cases]


def test_series_are_named_as_dicom2nifti_names_them(tmp_path):
    write_chest(tmp_path / "in" / "a", Ct(patient="P1"))
    write_chest(tmp_path / "in" / "b", Ct(patient="P2", identity_removed=False))
    write_chest(tmp_path / "in" / "c", Ct(patient="P3"))
    write_chest(tmp_path / "in" / "d", Ct(patient="P3", series="2"))
    converted = convert(tmp_path / "in", tmp_path / "prepared")
    assert names(tmp_path / "in") == sorted(converted.converted)
    assert "P2" in names(tmp_path / "in", keep_ids=True)
    assert len(names(tmp_path / "in", select=("series~[.]2$",))) == 1


def test_a_prepared_folder_keeps_its_ids(tmp_path):
    write_chest(tmp_path / "in" / "a", Ct(patient="P1"))
    write_chest(tmp_path / "in" / "b", Ct(patient="P2"))
    convert(tmp_path / "in", tmp_path / "prepared")
    (tmp_path / "prepared" / "P2" / "image.nii.gz").unlink()
    found = find_cases([tmp_path / "prepared"])
    assert [case.name for case in found.cases] == ["P1"]
    assert [one["where"] for one in found.refused] == ["P2/image.nii.gz"]


def test_plain_files_are_called_by_their_stems(tmp_path):
    a = write_chest_nifti(tmp_path / "x" / "scan one.nii.gz")
    b = write_chest_nifti(tmp_path / "y" / "scan one.nii.gz")
    c = write_chest_nifti(tmp_path / "z" / "image.nii.gz")
    assert names(a) == ["scan_one"]
    assert names(a, b) == ["x-scan_one", "y-scan_one"]
    assert names(a, a) == ["scan_one"]
    assert names(c) == ["z"]
    same = write_chest_nifti(tmp_path / "q" / "x" / "scan one.nii.gz")
    assert names(a, same) == ["x-scan_one", "x-scan_one-2"]


def test_no_name_leads_out_of_the_folder_or_onto_our_files(tmp_path):
    for name in ("segment.json.nii.gz", "CON.nii.gz", "a\\..\\b.nii.gz"):
        write_chest_nifti(tmp_path / "in" / name)
    write_chest(tmp_path / "dicom", Ct(tags={"PatientID": "../../up"}))
    found = names(*sorted((tmp_path / "in").iterdir()), tmp_path / "dicom")
    assert len(found) == 4
    for name in found:
        assert not set(name) & set("/\\")
        assert name not in ("", ".", "..", "segment.json")
        assert not name.startswith(".")


def test_masks_drawings_and_files_beside_dicom_are_counted_not_segmented(tmp_path):
    ct = Ct()
    write_chest(tmp_path / "in", ct)
    write_rtstruct(tmp_path / "in" / "rs", ct, {"Lung-Left": []})
    write_chest_nifti(tmp_path / "in" / "copy.nii.gz")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    found = find_cases([tmp_path / "in"])
    assert [case.name for case in found.cases] == ["P1"]
    assert {one["reason"].split(":")[0]: one["files"] for one in found.ignored} == {
        "RTSTRUCT or SEG": 1,
        "image or mask file beside DICOM CT": 1,
        "not DICOM": 1,
    }
    both = find_cases([tmp_path / "in", tmp_path / "in" / "copy.nii.gz"])
    assert sorted(case.name for case in both.cases) == ["P1", "copy"]


def test_a_cohort_of_images_with_masks(tmp_path):
    for patient in ("p1", "p2"):
        write_chest_nifti(tmp_path / "in" / patient / "ct.nii.gz")
        write_chest_nifti(tmp_path / "in" / patient / "lung.nii.gz", hu=(chest_hu() > 0).astype(np.uint8))
    found = find_cases([tmp_path / "in"])
    assert [case.name for case in found.cases] == ["p1-ct", "p2-ct"]
    assert sum(one["files"] for one in found.ignored) == 2


def test_what_can_not_be_used_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    path = write_chest_nifti(tmp_path / "good.nii.gz")
    found = find_cases([tmp_path / "empty", path])
    assert [case.name for case in found.cases] == ["good"]
    assert found.refused[0]["where"] == "empty"
    with pytest.raises(NothingToDoError, match="holds no files"):
        find_cases([tmp_path / "empty"])
    with pytest.raises(UsageError, match="does not exist"):
        find_cases([tmp_path / "nowhere", path])
    write_chest(tmp_path / "in")
    with pytest.raises(UsageError, match="--select"):
        find_cases([tmp_path / "in"], options=InputOptions(select=("colour=red",)))
    (tmp_path / "salt").write_text("short")
    with pytest.raises(UsageError, match="salt"):
        find_cases([tmp_path / "in"], options=InputOptions(salt_file=tmp_path / "salt"))


def test_mr_and_pet_are_passed_over_by_name(tmp_path):
    write_chest(tmp_path / "in" / "ct")
    write_chest(
        tmp_path / "in" / "mr", Ct(series="2", tags={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"})
    )
    found = find_cases([tmp_path / "in"])
    assert len(found.cases) == 1
    assert [(one["where"], one["reason"], one["files"]) for one in found.ignored] == [("mr", "MR Image Storage", 7)]


def test_hashes_change_with_what_they_stand_for_alone(tmp_path):
    affine = np.diag([-1.5, -2.25, 3.5, 1.0])
    path = write_chest_nifti(tmp_path / "a.nii.gz", affine)
    moved = write_chest_nifti(tmp_path / "elsewhere" / "b.nii.gz", affine)
    one, other = (find_cases([each]).cases[0] for each in (path, moved))
    assert contents(one) == contents(other)
    assert one.place != other.place
    before = voxel_hash(load(one, tmp_path / "s").image)
    assert before == voxel_hash(load(other, tmp_path / "s").image)
    hu = chest_hu()
    hu[2, 3, 4] += 1
    write_chest_nifti(moved, affine, hu)
    assert contents(one) != contents(other)
    assert before != voxel_hash(load(other, tmp_path / "s").image)
    write_chest_nifti(moved, np.diag([-1.5, -2.25, 3.6, 1.0]))
    assert before != voxel_hash(load(other, tmp_path / "s").image)


def test_voxels_that_are_no_numbers_are_left_to_the_checks(tmp_path):
    hu = chest_hu().astype(np.float32)
    hu[5, 5, 5] = np.nan
    loaded = load(find_cases([write_chest_nifti(tmp_path / "a.nii.gz", hu=hu)]).cases[0], tmp_path / "s")
    assert np.array_equal(loaded.image.array_ijk, hu, equal_nan=True)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd", "a.nii"])
def test_other_formats_give_the_same_voxels_at_the_same_places(tmp_path, name):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(chest_hu().transpose(2, 1, 0))
    image.SetSpacing((1.5, 2.25, 3.5))
    image.SetOrigin((-31.25, 17.5, -203.75))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))  # left-handed
    SimpleITK.WriteImage(image, str(tmp_path / name))
    case = find_cases([tmp_path / name]).cases[0]
    loaded = load(case, tmp_path / "s")
    assert np.array_equal(loaded.image.array_ijk, chest_hu())
    wanted = np.array([[-1.5, 0, 0, 31.25], [0, -2.25, 0, -17.5], [0, 0, -3.5, -203.75], [0, 0, 0, 1]])
    assert np.allclose(loaded.image.affine_ras, wanted, atol=1e-5)
    before = contents(case)
    if name.endswith(".mhd"):
        raw = tmp_path / "a.raw"
        data = bytearray(raw.read_bytes())
        data[100] ^= 1
        raw.write_bytes(data)
        assert contents(case) != before
