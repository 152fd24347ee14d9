"""NIfTI out: read back as written, the same bytes each time, never half a file."""

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import OutputError
from data_prep.geometry import Grid
from data_prep.nifti import atomic_file, has_qform, nifti_header, write_nifti


def grid_of(degrees, spacing=(0.7, 1.1, 2.5), origin=(-31.25, 417.5, -1203.75)):
    affine = np.eye(4)
    affine[:3, :3] = rotation(*degrees) * spacing
    affine[:3, 3] = origin
    return Grid((7, 5, 4), affine)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.sampled_from([np.int16, np.uint8, np.float32]), st.sampled_from("CF"))
def test_read_back_as_written(tmp_path_factory, degrees, dtype, order):
    grid = grid_of(degrees)
    array = np.asarray(np.arange(7 * 5 * 4).reshape(7, 5, 4), dtype, order=order)
    path = tmp_path_factory.mktemp("nifti") / "deep" / "x.nii.gz"
    write_nifti(path, array, grid.affine_ras)
    image = nib.load(path)
    assert image.get_data_dtype() == dtype and np.array_equal(np.asarray(image.dataobj), array)
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(affine, grid.affine_ras, atol=2e-3)  # float32 at a metre from the origin
    assert image.header.get_xyzt_units()[0] == "mm" and image.dataobj.slope == 1 and image.dataobj.inter == 0
    first = path.read_bytes()
    write_nifti(path, array, grid.affine_ras, threads=1)
    assert path.read_bytes() == first
    write_nifti(path, array.astype(array.dtype.newbyteorder(">")), grid.affine_ras)
    assert path.read_bytes() == first


def test_header_as_nibabel_writes_it():
    grid = grid_of((0, 0, 0))
    wanted = nib.Nifti1Header()
    wanted.set_data_dtype(np.int16)
    wanted.set_data_shape(grid.shape_ijk)
    wanted.set_xyzt_units("mm")
    wanted.set_sform(grid.affine_ras, code=1)
    wanted.set_qform(grid.affine_ras, code=1)
    wanted["pixdim"][1:4] = grid.spacing_mm
    wanted["scl_slope"], wanted["scl_inter"], wanted["vox_offset"] = 1, 0, 352
    found = nib.Nifti1Header(nifti_header(grid.shape_ijk, np.dtype("<i2"), grid.affine_ras))
    for key in wanted:
        np.testing.assert_array_equal(found[key], wanted[key], err_msg=key)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.sampled_from([1, -1]), st.floats(-0.4, 0.4) | st.floats(-1e-4, 1e-4))
def test_a_qform_is_stated_only_where_readers_get_the_same_places_from_it(degrees, facing, shear):
    grid = grid_of(degrees)
    affine = grid.affine_ras.copy()
    affine[:3, 2] = facing * affine[:3, 2] + shear * affine[:3, 1]
    shape = (400, 300, 200)
    header = nib.Nifti1Header(nifti_header(shape, np.dtype("u1"), affine))
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(shape) - 1)
    sform, qform = header.get_sform(), header.get_qform()
    apart = np.linalg.norm(nib.affines.apply_affine(sform, corners) - nib.affines.apply_affine(qform, corners), axis=1)
    assert int(header["sform_code"]) == 1
    np.testing.assert_allclose(sform, affine, atol=1e-3)
    assert int(header["qform_code"]) == int(has_qform(affine, shape))
    assert (apart.max() < 0.0101) if header["qform_code"] else (apart.max() > 0.0099)
    assert has_qform(sform, shape) == bool(header["qform_code"])  # who reads the file decides as who wrote it


@pytest.mark.parametrize("degrees", [(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180), (25, -40, 65), (-90, 0, 90)])
def test_ordinary_volumes_keep_their_qform(degrees):
    assert has_qform(grid_of(degrees, (0.8, 0.8, 1.0)).affine_ras, (512, 512, 300))


def test_a_sheared_volume_lies_where_it_was_scanned_for_other_readers(tmp_path):
    affine = grid_of((0, 0, 0)).affine_ras
    affine[1, 2] = 2.5 * np.tan(np.radians(18.5))  # as of a tilted gantry
    array = np.arange(7 * 5 * 4, dtype=np.float32).reshape(7, 5, 4)
    write_nifti(tmp_path / "x.nii.gz", array, affine)
    image = nib.load(tmp_path / "x.nii.gz")
    assert image.header["qform_code"] == 0 and image.header["sform_code"] == 1
    np.testing.assert_allclose(image.affine, affine, atol=1e-3)
    np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)
    assert np.array_equal(image.get_fdata(), array)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_simpleitk_reads_many_blocks_in_one_member(tmp_path, dtype):
    import gzip

    import SimpleITK

    rng = np.random.default_rng(3)
    array = rng.integers(0, 200, (150, 140, 90)).astype(dtype)  # several blocks, each packed by another thread
    grid = grid_of((10, -20, 30))
    path = tmp_path / "x.nii.gz"
    write_nifti(path, array, grid.affine_ras, threads=3)
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), array)
    np.testing.assert_allclose(image.GetOrigin(), grid.affine_lps[:3, 3], atol=1e-3)
    assert gzip.decompress(path.read_bytes())[352:] == array.tobytes(order="F")
    one = path.read_bytes()
    write_nifti(path, np.ascontiguousarray(array), grid.affine_ras, threads=1)
    assert path.read_bytes() == one


@pytest.mark.parametrize(("shape", "dtype"), [((40000, 1, 1), "<i2"), ((2, 2), "<i2"), ((2, 2, 2), "<c8")])
def test_what_nifti_can_not_hold_is_refused(shape, dtype):
    with pytest.raises(OutputError, match="can't hold"):
        nifti_header(shape, np.dtype(dtype), np.eye(4))


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(-50, 50)] * 3))
def test_points_and_indices_undo_each_other(degrees, index):
    grid = grid_of(degrees)
    np.testing.assert_allclose(grid.index_ijk(grid.points_mm(index)), index, atol=1e-9)
    ras = grid.affine_ras @ [*index, 1]
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], grid.points_mm(index), atol=1e-9)


@pytest.mark.parametrize(("degrees", "letters"), [((0, 0, 0), "LPS"), ((0, 0, 180), "RAS"), ((-90, 0, 0), "LIP")])
def test_orientation_names_where_the_axes_point_to(degrees, letters):
    assert grid_of(degrees).orientation == letters


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(28, "No space left on device")])
def test_a_file_that_fails_leaves_the_old_one(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(OutputError if isinstance(error, OSError) else error), atomic_file(path) as stream:
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
