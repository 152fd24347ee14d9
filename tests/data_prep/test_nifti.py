"""NIfTI out: read back as written, the same bytes each time, never half a file."""

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import OutputError
from data_prep.geometry import Grid
from data_prep.nifti import atomic_file, write_nifti


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
    first = path.read_bytes()
    write_nifti(path, array, grid.affine_ras)
    assert path.read_bytes() == first


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
