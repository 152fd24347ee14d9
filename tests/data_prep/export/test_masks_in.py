"""NIfTI masks in: what they are called, what they hold, and what is refused by name."""

import json

import nibabel as nib
import numpy as np
import pytest

from data_prep.errors import NothingToDoError, UsageError
from data_prep.export import Refused, Region, find_masks, parse_labels, read_masks
from data_prep.geometry import LPS_TO_RAS
from data_prep.nifti import write_nifti

RAS = np.array([[-1.5, 0, 0, 31.25], [0, -2.25, 0, -17.5], [0, 0, 3.5, -203.75], [0, 0, 0, 1]])


def mask(*values, shape=(5, 4, 3), dtype=np.uint8):
    array = np.zeros(shape, dtype)
    array.flat[: len(values)] = values
    return array


def save(path, array, sform=RAS, qform=RAS, codes=(1, 1)):
    image = nib.Nifti1Image(array, None)
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    nib.save(image, path)
    return path


def read(path, labels=None):
    return list(read_masks([path], labels))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_mask_of_one_value_is_called_by_its_file(tmp_path, dtype, value, ending):
    (region,) = read(save(tmp_path / f"left.v2{ending}", mask(0, value, value, dtype=dtype)))
    assert isinstance(region, Region) and region.name == "left.v2"
    assert np.array_equal(np.flatnonzero(region.mask_ijk), [1, 2])
    np.testing.assert_allclose(region.grid.affine_lps, LPS_TO_RAS @ RAS, atol=1e-5)


def test_several_values_become_several_regions(tmp_path):
    path = save(tmp_path / "lungs.nii.gz", mask(1, 2, 2, 5))
    assert [(one.name, int(one.mask_ijk.sum())) for one in read(path)] == [
        ("lungs-1", 1),
        ("lungs-2", 2),
        ("lungs-5", 1),
    ]
    right, left, rest = read(path, {1: "lung_right", 2: "lung_left"})
    assert (right.name, left.name, int(left.mask_ijk.sum())) == ("lung_right", "lung_left", 2)
    assert rest == Refused("lungs, value 5", "--labels does not name it")
    named = read(path, {1: "a", 2: "b", 5: "c", 7: "d"})
    assert [int(one.mask_ijk.sum()) for one in named] == [1, 2, 1, 0]


def test_names_and_labels_of_a_converted_case(tmp_path):
    folder = tmp_path / "P1" / "masks"
    for name in ("Lung-Left", "new"):
        write_nifti(folder / f"{name}.nii.gz", mask(1), RAS)
    rois = [{"name": "Lung/Left", "label": "lung_left", "file": "P1/masks/Lung-Left.nii.gz"}]
    dataset = {"cases": [{"rois": [*rois, {"name": "gone", "label": None, "file": None}]}]}
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    for source in (tmp_path / "P1", folder):
        found = list(read_masks(find_masks([source])))
        assert [(one.name, one.label) for one in found] == [("Lung/Left", "lung_left"), ("new", None)]
    (tmp_path / "dataset.json").write_text("[]")
    assert [one.name for one in read_masks(find_masks([folder]))] == ["Lung-Left", "new"]


def no_form(path):
    return save(path, mask(1), codes=(0, 0))


def disagreeing(path):
    return save(path, mask(1), qform=RAS + np.array([[0, 0, 0, 5], [0] * 4, [0] * 4, [0] * 4]))


def torn(path):
    path.write_bytes(save(path.with_suffix(".x.nii.gz"), mask(1, shape=(40, 40, 40))).read_bytes()[:60])
    return path


def with_header(path, **fields):
    import gzip

    raw = bytearray(gzip.decompress(save(path, mask(1)).read_bytes()))
    header = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    path.write_bytes(gzip.compress(header.binaryblock + bytes(raw[348:])))
    return path


def no_finite_affine(path):
    return with_header(path, srow_x=[np.nan] * 4)


def no_quaternion(path):
    return with_header(path, quatern_b=5)


def in_metres(path):
    return with_header(path, xyzt_units=1)


BAD = {
    "no form": (no_form, "neither sform nor qform"),
    "forms that disagree": (disagreeing, "sform and qform put voxels 5.0 mm apart"),
    "torn": (torn, "no readable NIfTI"),
    "text": (lambda path: path.write_text("hello") and path, "no readable NIfTI"),
    "probabilities": (lambda path: save(path, mask(0.5, 1, dtype=np.float32)), "an image or probabilities"),
    "negative": (lambda path: save(path, mask(-1, 1, dtype=np.int16)), "an image or probabilities"),
    "an image": (lambda path: save(path, np.arange(600, dtype=np.int16).reshape(10, 10, 6)), "an image"),
    "no numbers": (lambda path: save(path, mask(np.nan, 1, dtype=np.float32)), "no finite numbers"),
    "four axes": (lambda path: save(path, mask(1, shape=(3, 3, 3, 2))), "three axes"),
    "no finite affine": (no_finite_affine, "no finite numbers"),
    "no quaternion": (no_quaternion, "its qform makes no sense"),
    "in metres": (lambda path: in_metres(path), "its unit is meter"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_no_mask_costs_only_itself(tmp_path, make, reason):
    good = save(tmp_path / "good.nii.gz", mask(1))
    bad, fine = read_masks([make(tmp_path / "bad.nii.gz"), good])
    assert isinstance(bad, Refused) and bad.name == "bad" and reason in bad.reason
    assert fine.name == "good"


def test_sheared_grids_have_no_equal_qform_and_are_read_by_their_sform(tmp_path):
    sheared = RAS.copy()
    sheared[1, 2] = 1.0
    write_nifti(tmp_path / "a.nii.gz", mask(1), sheared)
    (region,) = read(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(region.grid.affine_lps, LPS_TO_RAS @ sheared, atol=1e-5)


def test_where_there_is_nothing(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        find_masks([tmp_path / "none"])
    with pytest.raises(NothingToDoError, match="no NIfTI masks"):
        find_masks([tmp_path])


def test_labels_as_text():
    assert parse_labels("1=lung_right, 2=lung left") == {1: "lung_right", 2: "lung left"}
    for wrong in ("", "1", "a=b", "0=a", "1=", "1=a,1=b", "-1=a"):
        with pytest.raises(UsageError, match="--labels"):
            parse_labels(wrong)
