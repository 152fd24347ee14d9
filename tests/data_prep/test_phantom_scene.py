"""The phantom's truth: sides, what lungs leave out, HU, volumes, and the same answer on any grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import UsageError
from data_prep.phantom import PhantomOptions, make_patient
from data_prep.phantom.tumours import KINDS, NONE, SOLITARY, WALL, kind_of

COARSE = PhantomOptions(spacing_mm=(5.5, 5.5, 6.0), noise_hu=0)
OBLIQUE = PhantomOptions(spacing_mm=(5.0, 4.0, 6.5), oblique_deg=(12.0, -8.0, 20.0), noise_hu=0)
SEED, COHORT = 0, 6
LUNGS = ("Lung-Left", "Lung-Right")


@pytest.fixture(scope="module")
def patients():
    return [make_patient(SEED, number, COARSE) for number in range(1, COHORT + 1)]


@pytest.fixture(scope="module")
def patient(patients):
    return patients[2]


def voxel_centres(grid):
    return grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape_ijk), indexing="ij"), axis=-1))


def centroid_mm(patient, label):
    return patient.grid.points_mm(np.argwhere(patient.truth_mask(label)).mean(axis=0))


def body_frame(patient, points_mm):
    return points_mm @ patient.body_from_world[:3, :3].T + patient.body_from_world[:3, 3]


def around(patient, tumour, beyond_mm):
    """Points in mm `beyond_mm` outside the tumour's surface, in all directions from its centre."""
    random = np.random.default_rng(1)
    rays = random.normal(size=(400, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    steps = np.linspace(0, 2 * tumour.radius_mm, 200)
    world = np.linalg.inv(patient.body_from_world)
    center = world[:3, :3] @ tumour.center_mm + world[:3, 3]
    label = f"GTV-{patient.tumours.index(tumour) + 1}"
    inside = patient.inside(label, center + steps[:, None, None] * rays)
    last = steps[len(steps) - 1 - inside[::-1].argmax(axis=0)]
    return center + (last + beyond_mm)[:, None] * rays


@given(seed=st.integers(0, 2**32), first=st.integers(1, 50))
def test_every_six_patients_hold_the_cases_that_matter(seed, first):
    kinds = {kind_of(seed, number) for number in range(1, 7)}
    assert kinds == set(KINDS)
    # ... and in the long run each kind is as common as the others
    start = 4 * first + 1
    assert sorted(kind_of(seed, number) for number in range(start, start + 4)) == sorted(KINDS)


def test_tumours_sit_where_their_kind_says(patients):
    seen = set()
    for patient in patients:
        assert (kind_of(SEED, patient.number) == NONE) == (not patient.tumours)
        for tumour in patient.tumours:
            shell = around(patient, tumour, beyond_mm=1.0)
            in_lung = patient.inside(tumour.side, shell).mean()
            seen.add(tumour.kind)
            if tumour.kind == SOLITARY:
                assert in_lung > 0.97  # the rest may meet a bronchus
            else:
                assert 0.15 < in_lung < 0.97
                outward = body_frame(patient, shell[~patient.inside(tumour.side, shell)])[:, 0].mean()
                assert (abs(outward) > abs(tumour.center_mm[0])) == (tumour.kind == WALL)
    assert seen == set(KINDS) - {NONE}


def test_left_is_the_patients_left(patients):
    for patient in patients:
        cord = centroid_mm(patient, "Spinal-Cord")
        for label, side in {"Lung-Left": 1, "Lung-Right": -1, "Gas": 1, "Liver": -1, "Heart": 1}.items():
            assert np.sign(body_frame(patient, centroid_mm(patient, label))[0]) == side, label
        assert body_frame(patient, cord)[1] > body_frame(patient, centroid_mm(patient, "Heart"))[1]
        aorta = body_frame(patient, patient.grid.points_mm(np.argwhere(patient.truth_mask("Aorta"))))
        assert (aorta[(aorta[:, 2] < -45) & (aorta[:, 2] > -120)][:, 0] > 0).all()


def test_right_dome_is_higher_and_left_lung_smaller(patients):
    volumes = {label: sum(int(p.truth_mask(label).sum()) for p in patients) for label in LUNGS}
    assert volumes["Lung-Left"] < volumes["Lung-Right"]
    for patient in patients:
        z = np.linspace(-160, 0, 321)
        tops = []
        for side in (-1, 1):
            line = np.stack([np.full_like(z, side * patient.habitus.half_width * 0.47), np.full_like(z, -10), z], 1)
            world = np.linalg.inv(patient.body_from_world)
            lung = patient.inside(LUNGS[0] if side == 1 else LUNGS[1], line @ world[:3, :3].T + world[:3, 3])
            tops.append(z[lung.argmax()])
        assert tops[0] > tops[1]


def test_lungs_leave_out_airways_tumours_and_each_other(patients):
    for patient in patients:
        left, right = (patient.truth_mask(label) > 0 for label in LUNGS)
        assert not (left & right).any()
        others = ("Airways", *(name for name in patient.labels if name not in LUNGS))
        for label in (*others, "Gas", "Heart"):
            assert not ((left | right) & (patient.truth_mask(label) > 0)).any(), label
        vessels = patient.truth_mask("Lung-Vessels") > 0
        elsewhere = np.any([patient.truth_mask(label) for label in others], axis=0)
        assert (vessels & (left | right)).any()
        assert not (vessels & ~(left | right | elsewhere)).any()


def test_hu_are_those_of_tissue(patients):
    for patient in patients:
        points = voxel_centres(patient.grid)[::2, ::2, ::2].reshape(-1, 3)
        hu = patient.hu(points)

        def mean(label, without=(), patient=patient, points=points, hu=hu):
            chosen = patient.inside(label, points)
            for other in without:
                chosen &= ~patient.inside(other, points)
            return hu[chosen].mean()

        for label in LUNGS:
            assert -910 < mean(label, without=["Lung-Vessels"]) < -740
        assert mean("Airway-Lumen") < -950
        assert mean("Gas") < -950
        assert 100 < mean("Bones") < 900
        assert 20 < mean("Liver", without=["Gas", "Bones"]) < 150
        outside = ~patient.inside("Body", points)
        assert np.median(hu[outside]) == -1000
        assert hu.min() >= -1000


def test_volumes_do_not_depend_on_the_grid(patient):
    other = make_patient(SEED, patient.number, OBLIQUE)
    for label in (*LUNGS, "GTV-1"):
        millilitres = [p.truth_mask(label).sum() * p.grid.voxel_volume_mm3 / 1000 for p in (patient, other)]
        assert millilitres[0] == pytest.approx(millilitres[1], rel=0.015 if label in LUNGS else 0.05)
        if label in LUNGS:
            assert 900 < millilitres[0] < 3600


def test_a_point_has_one_answer_however_it_is_asked(patient):
    """Far solids are skipped by clouds of points: alone, among others, or in a volume must be the same."""
    other = make_patient(SEED, patient.number, OBLIQUE)
    centres = voxel_centres(other.grid)
    random = np.random.default_rng(0)
    some = tuple(random.integers(0, n, 300) for n in other.grid.shape_ijk)
    for label in other.labels:
        mask = other.truth_mask(label)
        assert (mask == other.inside(label, centres)).all()
        alone = [other.inside(label, point) for point in centres[some]]
        assert (mask[some] == alone).all()
    assert np.array_equal(other.hu(centres[some]), [other.hu(point) for point in centres[some]])


def test_the_volume_is_the_scene_away_from_edges(patient):
    volume, centres = patient.volume_hu(), voxel_centres(patient.grid)
    assert volume.dtype == np.int16
    exact = patient.hu(centres)
    steps = [exact[1:] - exact[:-1], exact[:, 1:] - exact[:, :-1]]
    flat = np.ones(exact.shape, bool)
    for axis, step in enumerate(steps):
        small = np.abs(step) < 8
        flat &= np.insert(small, 0, True, axis) & np.insert(small, small.shape[axis], True, axis)
    assert flat.mean() > 0.5
    close = np.abs(volume - exact)[flat] < 8
    assert close.mean() > 0.98  # thin layers, such as the skin, lie between voxels


def test_anatomy_is_the_seeds_alone(patient):
    full = make_patient(SEED, patient.number, PhantomOptions(size="full"))
    assert full.habitus == patient.habitus
    assert [t.center_mm for t in full.tumours] == [t.center_mm for t in patient.tumours]
    points = voxel_centres(patient.grid)[::3, ::3, ::3]
    assert np.array_equal(full.hu(points), patient.hu(points))
    assert make_patient(SEED + 1, patient.number, COARSE).habitus != patient.habitus


def test_patients_differ(patients):
    lungs = [sum(int(p.truth_mask(label).sum()) for label in LUNGS) for p in patients]
    assert max(lungs) > 1.15 * min(lungs)
    for name in ("half_width", "dome_z_right", "heart_scale", "fat", "lung_hu", "turn_deg", "position_mm"):
        assert len({getattr(p.habitus, name) for p in patients}) == len(patients), name
    assert {p.habitus.female for p in patients} == {True, False}


def test_default_scans_have_slices_with_and_without_lung():
    patient = make_patient(SEED, 1)
    columns, rows, slices = patient.grid.shape_ijk
    assert (columns, rows) == (128, 128)
    assert 48 <= slices <= 60
    lung = patient.truth_mask("Lung-Left") | patient.truth_mask("Lung-Right")
    assert 0.3 < 1 - lung.any(axis=(0, 1)).mean() < 0.5
    for axis in range(3):  # and none is cut off
        assert not lung.take([0, -1], axis=axis).any()
    full = make_patient(SEED, 1, PhantomOptions(size="full")).grid
    assert full.shape_ijk[:2] == (512, 512)
    assert 0.8 <= full.spacing_mm[0] <= 0.98


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"size": "huge"}, "small, full"),
        ({"spacing_mm": (1, 1)}, "three numbers"),
        ({"spacing_mm": (1, 1, 0.01)}, "between"),
        ({"spacing_mm": (1, float("nan"), 1)}, "finite"),
        ({"oblique_deg": "abc"}, "three numbers"),
        ({"missing_slices": -1}, "0 or more"),
        ({"noise_hu": float("inf")}, "noise_hu"),
    ],
)
def test_options_that_make_no_scan_are_refused(options, what):
    with pytest.raises(UsageError, match=what):
        PhantomOptions(**options)


def test_requests_that_make_no_patient_are_refused(patient):
    with pytest.raises(UsageError, match="at most"):
        make_patient(0, 1, PhantomOptions(missing_slices=500))
    with pytest.raises(UsageError, match="seed"):
        make_patient(-1, 1)
    with pytest.raises(UsageError, match="Lung-Left"):
        patient.truth_mask("Lung")
