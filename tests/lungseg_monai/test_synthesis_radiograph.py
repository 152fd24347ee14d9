"""Made radiographs: projected as a divergent beam projects, the same from the same seed, with masks that nest."""

from dataclasses import replace

import numpy as np
import pytest

from lungseg_monai.errors import UsageError
from lungseg_monai.synthesis.fields import share
from lungseg_monai.synthesis.frame import Pose
from lungseg_monai.synthesis.radiograph import TINY, make_radiograph
from lungseg_monai.synthesis.radiograph.beam import Beam, beam_frame, locate
from lungseg_monai.synthesis.radiograph.masks import LUNG_MM, SOLID_MM, Paths, anatomical, completed, visible
from lungseg_monai.synthesis.radiograph.shadows import Quality, attenuation, onto_film, path_through
from lungseg_monai.synthesis.radiograph.vessels import draw_rod
from lungseg_monai.synthesis.shapes import ellipsoid

GRID = (70, 44, 90)
SOURCES = {"PA": 1800.0, "AP": 1000.0}
SICK = replace(TINY, findings=("massive_effusion",), children=0.0, view="PA")


def frame_of(view, warp=0.0, turn=None):
    beam = Beam(view, SOURCES[view], 150.0, 4.0, 5.0)
    pose = Pose((4.0, -3.0, 8.0), (0, 0, 0), (1, 1, 1), warp)
    return beam, beam_frame(GRID, beam, pose, np.eye(3) if turn is None else turn, np.random.default_rng(0))


@pytest.fixture(scope="module")
def films():
    return [make_radiograph(5, index, replace(TINY, shape=(128, 112))) for index in range(4)]


@pytest.mark.parametrize("view", ["PA", "AP"])
def test_a_ball_casts_the_shadow_that_a_point_source_casts(view):
    beam, frame = frame_of(view)
    centre, radius = np.array([34.0, -60.0, -40.0]), 36.0
    window, field = ellipsoid(frame, centre, (radius,) * 3)
    ball = np.zeros(GRID, np.float32)
    ball[window] = share(field, frame.spacing_mm)
    path = path_through(ball, beam.path_mm(GRID))
    x, y, z = centre - (4.0, -3.0, 8.0)  # in the laboratory
    to_plane = SOURCES[view] - 150 + (-y if view == "PA" else y)
    larger = SOURCES[view] / to_plane
    i, k = (np.average(np.arange(n), weights=path.sum(axis=1 - a)) for a, n in enumerate(path.shape))
    assert ((i - 34.5) * 4, (k - 44.5) * 4) == pytest.approx((x * larger, z * larger), abs=1.5)
    assert path.max() == pytest.approx(2 * radius, rel=0.03)
    assert path.sum() * 16 == pytest.approx(4 / 3 * np.pi * radius**3 * larger**2, rel=0.03)


def test_what_lies_in_front_is_larger_in_ap_than_in_pa():
    heart_mm = np.array([-40.0])
    sizes = {view: 1 / frame_of(view)[0].shrink(heart_mm)[0] for view in SOURCES}
    assert sizes["PA"] == pytest.approx(1800 / 1690) and sizes["AP"] == pytest.approx(1000 / 810)


def test_body_points_are_found_again_on_the_grid_through_turn_warp_and_divergence():
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    _, frame = frame_of("AP", warp=1.0, turn=turn)
    index = np.random.default_rng(1).integers(4, np.array(GRID) - 4, (200, 3))
    points = np.stack([axis[tuple(index.T)] for axis in (frame.x, frame.y, frame.z)], axis=1)
    assert np.abs(locate(frame, points) - index).max() < 0.5


def test_a_warped_shape_lies_in_its_window_though_rays_diverge():
    _, frame = frame_of("AP", warp=1.5)
    whole = np.sqrt((frame.x - 70) ** 2 + (frame.y + 50) ** 2 + (frame.z - 90) ** 2) - 30
    window, _ = ellipsoid(frame, (70, -50, 90), (30, 30, 30))
    outside = np.ones(GRID, bool)
    outside[window] = False
    assert whole[outside].min() > 0


def test_water_attenuates_by_its_thickness_and_air_not_at_all():
    beam, _ = frame_of("PA")
    hu = np.full(GRID, -1000, np.float32)
    hu[10:20, 5:25] = 0
    integral = attenuation(hu, beam.path_mm(GRID), Quality(0.02, 1.3))
    assert not integral[30:].any()
    slant = np.sqrt(1 + ((np.arange(10, 20) - 34.5) * 4 / 1800) ** 2)[:, None]
    upright = np.sqrt(1 + ((np.arange(90) - 44.5) * 4 / 1800) ** 2)[None]
    assert np.allclose(integral[10:20], 0.02 * 20 * 5 * slant * upright, rtol=2e-4)


def test_the_film_hangs_with_the_patients_right_on_its_left_and_the_head_up():
    grid = np.zeros((30, 40), np.float32)
    grid[3:9, 30:36] = 1  # right, above
    film = onto_film(grid, (80, 90))
    rows, columns = np.nonzero(film > 0.5)
    assert rows.mean() == pytest.approx((40 - 33) * 2 - 0.5, abs=0.6)
    assert columns.mean() == pytest.approx(6 * 3 - 0.5, abs=0.6)


@pytest.mark.parametrize("radius", [0.2, 0.9, 3.3])
def test_a_rods_chord_sums_to_its_cross_section_however_thin(radius):
    layers = np.zeros((10, 40, 60), np.float32)
    for layer, row in zip(layers, np.linspace(18, 19, 10, endpoint=False).tolist(), strict=True):
        draw_rod(layer, (row, -5.0), (row, 70.0), radius)
    assert layers[:, :, 30].sum(axis=1).mean() == pytest.approx(np.pi * radius**2, rel=0.03)


def test_masks_follow_their_rules_on_paths_drawn_by_hand():
    lung = {1: np.zeros((60, 80), np.float32), 2: np.zeros((60, 80), np.float32)}
    lung[1][5:55, 5:41] = 100
    lung[2][5:55, 39:75] = 60
    lung[2][50:55, 60:75] = LUNG_MM - 1
    middle, abdomen = np.zeros((2, 60, 80), np.float32)
    middle[20:60, 30:60] = SOLID_MM + 1
    abdomen[45:] = SOLID_MM + 1
    paths = Paths(lung, middle, abdomen)
    whole, filled, seen = anatomical(paths), completed(paths), visible(paths)
    assert (whole[20, 40], whole[20, 41], whole[52, 70], whole[52, 50]) == (1, 2, 0, 2)
    above = (whole > 0) & (np.arange(60) < 45)[:, None]
    assert ((filled > 0) != above).sum() <= 8  # corners, rounded
    assert not seen[20:, 30:60].any() and not seen[45:].any()
    assert seen[30, 10] == 1 and seen[30, 70] == 2 and seen[10, 50] == 2


def test_masks_nest_lie_on_their_sides_and_on_the_image(films):
    for film in films:
        assert film.image.shape == (128, 112) and film.image.dtype == np.float32
        assert film.image.min() >= 0 and film.image.max() <= 1 and film.image.std() > 0.05
        for inner, outer in ((film.visible, film.completed), (film.completed, film.anatomical)):
            assert outer.dtype == np.uint8 and (outer[inner > 0] == inner[inner > 0]).all()
        sides = [np.argwhere(film.anatomical == label)[:, 1].mean() for label in (1, 2)]
        assert sides[0] < sides[1]
        assert film.facts["cardiothoracic_ratio"] is None or 0.25 < film.facts["cardiothoracic_ratio"] < 0.8


def test_healthy_lungs_are_darker_than_what_lies_between_and_below():
    plain = make_radiograph(3, 1, replace(TINY, findings=(), difficulty=0.2, film=False, children=0.0))
    between = (plain.completed > 0) & (plain.visible == 0)
    lungs = plain.image[plain.visible > 0].mean()
    assert lungs + 0.1 < plain.image[between].mean()
    assert plain.facts["findings"] == [] and not plain.facts["inverted"] and "text" not in plain.facts


def test_the_same_numbers_make_the_same_film_and_others_another(films):
    again = make_radiograph(5, 2, replace(TINY, shape=(128, 112)))
    for name in ("image", "anatomical", "visible", "completed"):
        assert np.array_equal(getattr(again, name), getattr(films[2], name))
    assert not np.array_equal(films[1].image, films[2].image)


def test_fluid_is_taken_from_the_lung_unless_readers_draw_through_it():
    without = make_radiograph(8, 0, SICK)
    through = make_radiograph(8, 0, replace(SICK, through_findings=True))
    found = without.facts["findings"][0]
    assert found["name"] == "massive_effusion"
    assert np.array_equal(without.image, through.image)
    left = (without.anatomical == found["side"]).sum()
    assert left < 0.8 * (through.anatomical == found["side"]).sum()
    assert (without.anatomical == 3 - found["side"]).sum() == (through.anatomical == 3 - found["side"]).sum()


def test_a_large_heart_is_wide_and_recorded():
    film = make_radiograph(8, 1, replace(TINY, findings=("cardiomegaly",), view="AP", film=False))
    assert [finding["name"] for finding in film.facts["findings"]] == ["cardiomegaly"]
    assert film.facts["cardiothoracic_ratio"] > 0.45 and film.facts["view"] == "AP"


@pytest.mark.parametrize("wrong", [{"view": "lateral"}, {"shape": (16, 128)}, {"grid_mm": 40.0}, {"findings": ("x",)}])
def test_what_cannot_be_made_is_refused_by_name(wrong):
    with pytest.raises(UsageError, match=str(next(iter(wrong.values()))).strip("(),'").split(",")[0].strip("'")):
        make_radiograph(0, 0, replace(TINY, **wrong))
