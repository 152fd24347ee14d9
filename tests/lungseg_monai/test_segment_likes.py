"""Images of every kind -> one Image, and labels back as the like kind on the same grid."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.geometry import LPS_TO_RAS
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.likes import take

SHAPE, SPACING_MM, ORIGIN_LPS = (13, 9, 7), (0.9, 1.4, 3.3), (-81.0, 42.5, -510.25)
DIRECTIONS = {
    "oblique": Rotation.from_euler("xyz", [14, -8, 25], degrees=True).as_matrix(),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "permuted": np.eye(3)[:, [1, 2, 0]],
}


@pytest.fixture(params=list(DIRECTIONS))
def affine_ras(request):
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[request.param] @ np.diag(SPACING_MM)
    affine[:3, 3] = ORIGIN_LPS
    return LPS_TO_RAS @ affine


@pytest.fixture
def hu():
    return np.random.default_rng(2).integers(-1000, 1000, SHAPE).astype(np.int16)


def as_sitk(hu, affine_ras):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(hu.transpose(2, 1, 0)))
    affine = LPS_TO_RAS @ affine_ras
    image.SetSpacing(SPACING_MM)
    image.SetDirection((affine[:3, :3] / SPACING_MM).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def as_nibabel(hu, affine_ras):
    import nibabel

    return nibabel.Nifti1Image(hu, affine_ras)


def as_metatensor(hu, affine_ras):
    torch = pytest.importorskip("torch")
    from monai.data import MetaTensor

    return MetaTensor(torch.from_numpy(hu.astype(np.float32))[None], affine=torch.from_numpy(affine_ras))


MAKERS = {"SimpleITK": as_sitk, "nibabel": as_nibabel, "MetaTensor": as_metatensor, "pair": lambda hu, a: (hu, a)}


@pytest.mark.parametrize("kind", list(MAKERS))
def test_voxels_and_places_are_those_of_the_image(kind, hu, affine_ras):
    image, back = take(MAKERS[kind](hu, affine_ras))
    np.testing.assert_array_equal(image.array_ijk, hu)
    np.testing.assert_allclose(image.affine_ras, affine_ras, atol=1e-4)  # NIfTI holds 32 bits
    labels = (hu > 0).astype(np.uint8)
    again, _ = take(back(labels))
    np.testing.assert_array_equal(again.array_ijk, labels)
    np.testing.assert_allclose(again.affine_ras, image.affine_ras, atol=1e-9)
    assert again.array_ijk.dtype == np.uint8
    assert type(back(labels)) is type(MAKERS[kind](hu, affine_ras))


def test_a_simpleitk_image_keeps_each_point(hu, affine_ras):
    given = as_sitk(hu, affine_ras)
    image, back = take(given)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 7, 2] = 2
    answer = back(labels)
    assert answer[3, 7, 2] == 2
    assert (answer.GetOrigin(), answer.GetSpacing(), answer.GetDirection()) == (
        given.GetOrigin(),
        given.GetSpacing(),
        given.GetDirection(),
    )
    point_ras = np.array(given.TransformIndexToPhysicalPoint((3, 7, 2))) * [-1, -1, 1]
    np.testing.assert_allclose((image.affine_ras @ [3, 7, 2, 1])[:3], point_ras, atol=1e-9)


def test_nibabel_keeps_its_shape_and_scaling(affine_ras):
    import nibabel

    stored = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    given = nibabel.Nifti1Image(stored[..., None], affine_ras)
    given.header.set_slope_inter(2, -1024)
    given = nibabel.Nifti1Image.from_bytes(given.to_bytes())
    image, back = take(given)
    np.testing.assert_allclose(image.array_ijk, given.get_fdata()[..., 0], atol=1e-3)
    answer = back(np.ones(SHAPE, np.uint8))
    assert answer.shape == (*SHAPE, 1) and answer.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(nibabel.Nifti1Image.from_bytes(answer.to_bytes()).get_fdata(), 1)


@pytest.mark.parametrize("channel", [True, False])
def test_a_metatensor_keeps_shape_operations_and_space(hu, affine_ras, channel):
    torch = pytest.importorskip("torch")
    from monai.transforms import Flip

    given = Flip(1)(as_metatensor(hu, affine_ras))
    given = given if channel else given[0]
    image, back = take(given)
    answer = back((image.array_ijk > 0).astype(np.uint8))
    assert answer.shape == given.shape and answer.dtype == torch.uint8
    assert answer.applied_operations == given.applied_operations
    assert bool((answer == (given > 0)).all())
    given.meta["space"] = "LPS"
    np.testing.assert_allclose(take(given)[0].affine_ras, LPS_TO_RAS @ image.affine_ras)


def test_an_array_with_its_affine_beside_is_answered_by_an_array(hu, affine_ras):
    image, back = take(hu, affine_ras.tolist())
    np.testing.assert_array_equal(image.affine_ras, affine_ras)
    labels = np.zeros(SHAPE, np.uint8)
    assert back(labels) is labels


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_file_is_answered_on_its_own_grid(tmp_path, hu, affine_ras, ending):
    import nibabel
    import SimpleITK

    path = tmp_path / f"chest{ending}"
    if ending.startswith(".nii"):
        nibabel.save(as_nibabel(hu, affine_ras), path)
    else:
        SimpleITK.WriteImage(as_sitk(hu, affine_ras), str(path))
    image, back = take(path if ending != ".nii" else str(path))
    np.testing.assert_array_equal(image.array_ijk, hu)
    np.testing.assert_allclose(image.affine_ras, affine_ras, atol=1e-4)
    answer = back((hu > 0).astype(np.uint8))
    assert isinstance(answer, nibabel.Nifti1Image)
    np.testing.assert_array_equal(np.asarray(answer.dataobj), hu > 0)
    np.testing.assert_allclose(answer.affine, affine_ras, atol=1e-4)


def test_a_folder_of_dicom_is_one_image_or_refused(tmp_path):
    from dicom_factory import Ct, write_ct

    write_ct(tmp_path / "one", Ct())
    image, back = take(tmp_path / "one")
    assert back(np.zeros(image.array_ijk.shape, np.uint8)).shape == image.array_ijk.shape
    write_ct(tmp_path / "two", Ct(series="2"))
    with pytest.raises(UsageError, match="2 images"):
        take(tmp_path)


@pytest.mark.parametrize(
    ("image", "affine"),
    [
        (np.zeros((3, 3, 3)), None),
        (np.zeros((3, 3)), np.eye(4)),
        (np.zeros((3, 3, 3)), np.eye(3)),
        (np.zeros((3, 3, 3)), "RAS"),
        (42, None),
        ((np.zeros((2, 3, 3, 3)), np.eye(4)), None),
    ],
)
def test_what_is_no_image_is_refused_by_name(image, affine):
    with pytest.raises(UsageError, match=r"wanted|must be"):
        take(image, affine)


def test_images_of_colours_or_of_time_are_refused():
    import nibabel
    import SimpleITK

    with pytest.raises(UsageError, match="one value a voxel"):
        take(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorInt16, 3))
    with pytest.raises(UsageError, match="one volume"):
        take(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)))
