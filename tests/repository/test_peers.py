"""The comparison with other tools: their registry, the made cases, the judge and the page, without any other tool."""

import dataclasses
import re
import sys

import nibabel
import numpy as np
import pytest

from benchmarks.peers import accuracy, behaviour, page, registry
from benchmarks.peers.behaviour import Mark, Outcome
from benchmarks.peers.cases import SLOPE_HU, Case, Draft, Roi
from benchmarks.peers.judge import Written, read, score_image, score_mask
from benchmarks.peers.measure import Taken, run
from benchmarks.peers.shapes import seven
from benchmarks.peers.speed import Row
from data_prep.rasterize import rasterize
from data_prep.rtstruct import read_rtstruct
from data_prep.series import read_series

MODULES = registry.modules()
OURS = registry.Tool(MODULES[0], "python", "1", None)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_every_adapter_states_what_the_runner_needs(module, tmp_path):
    assert module.MAKES and set(module.MAKES) <= {"image", "masks"}
    assert ("image" in module.MAKES) == bool(module.IMAGES)
    assert ("masks" in module.MAKES) == bool(module.MASKS)
    assert module.PACKAGE or module.PROGRAM
    command = registry.Tool(module, "python", "", None).judged(tmp_path / "case", tmp_path / "out")
    assert str(tmp_path / "case") in " ".join(command)
    assert str(tmp_path / "out") in " ".join(command)


def test_names_are_unique_and_ours_comes_first():
    names = [module.NAME for module in MODULES]
    assert len(set(names)) == len(names)
    assert names[0] == page.OURS


def test_an_absent_tool_says_how_to_get_it(tmp_path):
    (module,) = [module for module in MODULES if module.NAME == "med-imagetools"]
    tool = registry.find(module, tmp_path)
    if tool.absent is None:
        pytest.skip("med-imagetools is installed beside us")
    assert "benchmarks.peers.install med_imagetools" in tool.absent


@pytest.fixture(scope="module")
def plain_case(tmp_path_factory) -> tuple[Case, Written]:
    """The ordinary case, and its image as our reader gives it: the truth itself."""
    root = tmp_path_factory.mktemp("cases")
    case = Draft("plain", "nothing").write(root)
    array, grid = read_series(list((root / "plain" / "ct").iterdir()))
    affine = grid.affine_lps
    positions = affine[:3, 3] + np.arange(array.shape[2])[:, None] * affine[:3, 2]
    return case, Written(root / "plain", "plain", array, affine[:3, :2], positions)


def test_the_true_image_is_right(plain_case):
    case, image = plain_case
    assert behaviour.judge_images([image], case, said=False) == Mark("right")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, -1])
def test_an_image_off_by_a_voxel_is_wrong_and_no_less_off_than_told(plain_case, axis, slices):
    case, image = plain_case
    steps = np.column_stack([image.steps_mm, image.positions_mm[1] - image.positions_mm[0]])
    moved = dataclasses.replace(image, positions_mm=image.positions_mm + slices * steps[:, axis])
    mark = behaviour.judge_images([moved], case, said=True)
    assert (mark.kind, mark.said) == ("wrong", True)
    assert 0 < float(mark.detail.removesuffix(" mm off")) <= np.linalg.norm(steps[:, axis])


def test_a_mirrored_image_is_wrong(plain_case):
    case, image = plain_case
    mirrored = dataclasses.replace(image, array=image.array[::-1])
    assert behaviour.judge_images([mirrored], case, said=False).kind == "wrong"


def test_padding_beyond_the_series_does_not_count_but_a_lost_slice_does(plain_case):
    case, image = plain_case
    step = image.positions_mm[1] - image.positions_mm[0]
    array = np.pad(image.array, ((0, 0), (0, 0), (2, 0)), constant_values=-1024)
    padded = dataclasses.replace(
        image, array=array, positions_mm=np.vstack([image.positions_mm[:1] - [[2], [1]] * step, image.positions_mm])
    )
    assert behaviour.judge_images([padded], case, said=False) == Mark("right")
    cut = dataclasses.replace(image, array=image.array[:, :, 2:], positions_mm=image.positions_mm[2:])
    assert "of the volume" in behaviour.judge_images([cut], case, said=False).detail
    assert score_image(cut, case.volumes[0], SLOPE_HU).wrong == 0


def test_nothing_written_is_lost_unless_something_was_said(plain_case):
    case, _ = plain_case
    assert behaviour.judge_images([], case, said=False).kind == "lost"
    assert behaviour.judge_images([], case, said=True).kind == "refused"
    assert behaviour.judge_masks([], case.rois, said=False)[0].kind == "lost"


def test_masks_are_told_by_name_and_of_one_name_by_fit(plain_case):
    case, image = plain_case
    points = image.all_points_mm()
    left, right = (dataclasses.replace(image, name=roi.name, array=roi.inside(points)) for roi in case.rois)
    mark, scores = behaviour.judge_masks([left, right], case.rois, said=False)
    assert mark == Mark("right")
    assert {name: round(score.dice, 9) for name, score in scores.items()} == {"Lung-Left": 1, "Lung-Right": 1}
    swapped = [dataclasses.replace(left, name=right.name), dataclasses.replace(right, name=left.name)]
    assert behaviour.judge_masks(swapped, case.rois, said=False)[0].kind == "wrong"
    same = [dataclasses.replace(roi, name="GTV") for roi in case.rois]
    named = [dataclasses.replace(mask, name="GTV") for mask in (right, left)]
    assert behaviour.judge_masks(named, same, said=False)[0] == Mark("right")
    assert behaviour.judge_masks(named[:1], same, said=False)[0] == Mark("lost", "GTV")
    absent = [Roi("Lung-Left", None)]
    assert behaviour.judge_masks([left], absent, said=False)[0].kind == "wrong"


@pytest.mark.parametrize("number", range(7))
def test_solids_enclose_the_volume_that_they_state(number):
    solid = seven(np.tile((1.3, -2.1, 0.7), (7, 1)))[number]
    axis = np.arange(-30, 30, 0.5) + 0.2
    inside = solid.inside(np.stack(np.meshgrid(axis + 1.3, axis - 2.1, axis + 0.7, indexing="ij"), axis=-1))
    assert inside.sum() * 0.5**3 == pytest.approx(solid.volume_mm3, rel=0.01)


def test_contours_of_the_solids_enclose_their_voxels(tmp_path):
    case = accuracy.make(tmp_path)[0]
    _, grid = read_series(list((tmp_path / case.name / "ct").iterdir()))
    rois = {roi.name: roi for roi in read_rtstruct(tmp_path / case.name / "rtstruct" / "rs.dcm")}
    assert rois.keys() == {roi.name for roi in case.rois}
    affine = grid.affine_lps
    for truth in case.rois:
        mask, _ = rasterize(rois[truth.name].contours_mm, grid)
        positions = affine[:3, 3] + np.arange(mask.shape[2])[:, None] * affine[:3, 2]
        written = Written(tmp_path, truth.name, mask, affine[:3, :2], positions)
        assert score_mask(written, truth.inside, truth.reference_mm3).dice > 0.999


def test_measure_counts_time_and_memory_of_children_and_stops_what_hangs(tmp_path):
    child = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(120_000_000); print(len(x))'])"
    )
    taken = run([sys.executable, "-c", child], tmp_path / "log", limit_s=60, sampled=True)
    assert (taken.code, taken.said.strip()) == (0, "120000000")
    assert taken.peak_mb is not None
    assert taken.peak_mb > 120
    assert run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", limit_s=0.5).code == -9


def test_speed_table_shows_ratios_to_ours_and_failures():
    other = registry.Tool(MODULES[4], "python", "2", None)
    rows = [
        Row(OURS, "masks", [Taken(2.0, 3.0, 100.0, 0, ""), Taken(1.0, 1.0, None, 0, ""), Taken(2.5, 4.0, None, 0, "")]),
        Row(other, "masks", [Taken(9.0, 6.0, 700.0, 0, "")]),
        Row(registry.Tool(MODULES[5], "", "", None), "CT", [], failed="no | memory"),
    ]
    text = page.speed_tables(rows, [])
    assert f"| {other.name} | masks | 9.00 | 4.5 | 6.00 | 2.0 | 700 | 1 |" in text
    assert "failed: no / memory" in text
    assert re.search(r"times as fast as rt-utils \| at least 4 \| 4.5 \| 2.0 \| yes", text)


def test_awkward_table_says_where_another_tool_is_right_and_ours_is_not():
    case = Case("gaps", "uneven slices", (), ())
    outcomes = [
        Outcome(page.OURS, "gaps", Mark("refused", "", True), None, {}),
        Outcome("other", "gaps", Mark("right"), None, {}),
        Outcome("third", "gaps", Mark("wrong", "3.0 mm off", True), None, {}),
    ]
    text = page.awkward_tables(outcomes, [case])
    assert "| uneven slices | refused | right | **WRONG**, warned: 3.0 mm off |" in text
    assert "- uneven slices: ours refused; right: other\n" in text


def test_a_part_measured_again_replaces_itself_alone(tmp_path):
    path = tmp_path / "comparison.md"
    page.write(path, [OURS], ["## Speed\n\nfast\n", "## Awkward cases\n\nold\n\n### Images\n\nmany\n"])
    page.write(path, [OURS], ["## Awkward cases\n\nnew\n", "## Accuracy\n\nexact\n"])
    text = path.read_text(encoding="utf-8")
    assert re.findall("^#+ .*", text, flags=re.M)[1:] == ["## Speed", "## Accuracy", "## Awkward cases"]
    assert ("fast" in text, "exact" in text, "new" in text, "old" in text) == (True, True, True, False)
    assert text.count("Measured on") == 3
    page.write(path, [OURS], [])
    assert path.read_text(encoding="utf-8") == text


def test_nifti_is_read_by_its_sform_even_askew_and_without_empty_dimensions(tmp_path):
    affine = np.array([[-1.5, 0, 0, 7], [0, -1.2, 0.4, -3], [0, 0, 3, 9], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 1), np.int16), affine), tmp_path / "a.nii.gz")
    written = read(tmp_path / "a.nii.gz")
    assert (written.name, written.array.shape) == ("a", (4, 5, 6))
    expected = np.diag([-1, -1, 1, 1]) @ affine @ [3, 4, 5, 1]
    np.testing.assert_allclose(written.all_points_mm()[3, 4, 5], expected[:3], atol=1e-5)
