"""The phantom's contours against its truth at voxel centres, on oblique, anisotropic grids with missing slices."""

import numpy as np
import pytest
from skimage.measure import grid_points_in_poly

from data_prep.phantom import PhantomOptions, make_patient
from data_prep.phantom.tumours import SOLITARY

GRIDS = [
    PhantomOptions(spacing_mm=(2.8, 2.8, 9.0)),
    PhantomOptions(spacing_mm=(3.1, 2.0, 9.0), oblique_deg=(9.0, -6.0, 15.0), missing_slices=4),
    PhantomOptions(spacing_mm=(1.6, 2.3, 12.0), oblique_deg=(0.0, 90.0, 0.0)),
]


@pytest.fixture(scope="module", params=range(len(GRIDS)))
def patient(request):
    return make_patient(0, 3, GRIDS[request.param])


def even_odd(contours, grid):
    """uint8 [i, j, k]: voxel centres inside an odd number of polygons."""
    mask = np.zeros(grid.shape_ijk, np.uint8)
    for contour in contours:
        index = grid.index_ijk(contour.points_mm)
        mask[:, :, contour.k] ^= grid_points_in_poly(grid.shape_ijk[:2], index[:, :2])
    return mask


def boundary(mask):
    """How many voxels have a neighbour in their slice on the other side of the outline."""
    edge = np.zeros(mask.shape, bool)
    for axis in (0, 1):
        step = np.diff(mask, axis=axis) != 0
        edge |= np.insert(step, 0, False, axis) | np.insert(step, step.shape[axis], False, axis)
    return int(edge.sum())


def test_filled_contours_are_the_truth(patient):
    exist = np.zeros(patient.grid.shape_ijk[2], bool)
    exist[list(patient.slices)] = True
    for label in patient.labels:
        truth = patient.truth_mask(label)
        truth[:, :, ~exist] = 0
        filled = even_odd(patient.contours(label), patient.grid)
        different = int((truth != filled).sum())
        assert truth.any()
        assert different <= max(2, 0.015 * boundary(truth)), label
        assert float(filled.sum()) == pytest.approx(float(truth.sum()), rel=0.01, abs=2), label


def test_contours_lie_on_slices_that_exist(patient):
    for label in patient.labels:
        contours = patient.contours(label)
        assert {contour.k for contour in contours} <= set(patient.slices)
        for contour in contours:
            index = patient.grid.index_ijk(contour.points_mm)
            assert np.abs(index[:, 2] - contour.k).max() < 1e-6
            assert len(index) >= 3
            assert not np.array_equal(index[0], index[-1])
    tumour = patient.contours("GTV-1")
    assert [points.tolist() for points in patient.contours_mm("GTV-1")] == [c.points_mm.tolist() for c in tumour]


def test_vertices_follow_no_raster(patient):
    index = np.concatenate([patient.grid.index_ijk(points) for points in patient.contours_mm("Lung-Left")])
    off = np.abs(index[:, :2] - np.round(index[:, :2]))
    assert (off < 1e-3).mean() < 0.02
    assert (np.abs(off - 0.5) < 1e-3).mean() < 0.02


def test_a_solitary_tumour_is_a_hole_in_its_lung():
    patient = make_patient(0, 3)
    tumour = patient.tumours[0]
    assert tumour.kind == SOLITARY
    world = np.linalg.inv(patient.body_from_world)
    i, j, k = np.round(patient.grid.index_ijk(world[:3, :3] @ tumour.center_mm + world[:3, 3])).astype(int)
    rings = [contour.points_mm for contour in patient.contours(tumour.side) if contour.k == k]
    filled = [grid_points_in_poly(patient.grid.shape_ijk[:2], patient.grid.index_ijk(ring)[:, :2]) for ring in rings]
    assert sum(mask[i, j] for mask in filled) == 2  # within the lung's outline and the hole's


def test_outlines_are_closed_where_a_solid_leaves_the_field_of_view():
    """The cord leaves a scan turned by 90 degrees through its side, and every scan through its ends."""
    patient = make_patient(0, 3, GRIDS[2])
    size = np.array(patient.grid.shape_ijk[:2])
    index = [patient.grid.index_ijk(points)[:, :2] for points in patient.contours_mm("Spinal-Cord")]
    assert any((points > size - 2).any() for points in index)
    for points in index:
        steps = np.linalg.norm((np.roll(points, -1, axis=0) - points) * patient.grid.spacing_mm[:2], axis=1)
        assert steps.max() < 12  # the cord's width, where the edge cuts it off


def test_missing_slices_leave_gaps_inside():
    patient = make_patient(0, 3, GRIDS[1])
    slices = patient.grid.shape_ijk[2]
    left_out = set(range(slices)) - set(patient.slices)
    assert len(left_out) == 4
    assert min(left_out) > 0
    assert max(left_out) < slices - 1
