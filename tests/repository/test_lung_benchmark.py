"""The lungs' accuracy table: its made chests are what they are called, its judge is right, its page names the worst."""

import numpy as np
import pytest

from benchmarks.lungs import chests, faults, page, phantoms, plan, real
from benchmarks.lungs.draw import to_lps
from benchmarks.lungs.judge import Verdict, dice, judge
from benchmarks.lungs.sample import Sample, lps_affine
from lungseg_monai.synthesis.acquisition.waves import bounds
from lungseg_monai.synthesis.scene import trim

COARSE_MM = 9.0
OBLIQUE = np.array([[-0.6, 1.6, 0.1, 12], [-0.8, -1.2, 0.2, -40], [0.05, 0.1, 3.1, 88], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def chest():
    made, random = chests.draw_chest(("test", 1), spacing_mm=COARSE_MM)
    made = trim(made, chests.MARGIN_MM)
    return made, chests.scanned(made, random)


@pytest.fixture
def known():
    """Two boxes of lung, off-centre, on voxels of 4 x 5 x 8 mm: 57.6 ml right, 76.8 ml left."""
    truth = np.zeros((40, 30, 20), np.uint8)
    truth[4:14, 7:19, 3:6] = 1
    truth[20:30, 5:21, 8:11] = 2
    return Sample(np.zeros(truth.shape, np.int16), truth, lps_affine((4, 5, 8)))


def test_judge_measures_each_lung(known):
    found = known.truth.copy()
    found[4:9, :, :][found[4:9, :, :] == 1] = 0
    verdict = judge(found, known)
    assert verdict.truth_ml == pytest.approx({1: 57.6, 2: 76.8})
    assert verdict.found_ml == pytest.approx({1: 28.8, 2: 76.8})
    assert verdict.dice == {side: pytest.approx(dice(found == side, known.truth == side)) for side in (1, 2)}
    assert verdict.dice[1] == pytest.approx(2 / 3)
    assert verdict.failures == ("low",)
    assert verdict.worst == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "failures"),
    [([0, 1, 2], ()), ([0, 2, 1], ("swapped", "swapped")), ([0, 0, 2], ("missed",)), ([0, 1, 1], ("swapped",))],
)
def test_judge_names_failures(known, labels, failures):
    got = judge(np.array(labels, np.uint8)[known.truth], known).failures
    assert set(failures) <= set(got)
    assert bool(failures) == bool(got)


def test_lung_where_there_is_none_is_a_failure_above_20_ml(known):
    nothing = Sample(known.hu, np.zeros_like(known.truth), known.affine_ras)
    little = np.zeros_like(known.truth)
    little[:5, :5, :5] = 2  # 125 voxels of 0.16 ml
    assert judge(little, nothing).failures == ()
    little[5, 0, 0] = 2
    assert judge(little, nothing).failures == ("false",)
    assert judge(little, nothing).worst == pytest.approx(-20.16)


@pytest.mark.parametrize("name", phantoms.TURNS)
def test_turned_voxels_stay_where_they_are(name):
    turn = phantoms.TURNS[name]
    shape = (5, 7, 9)
    array = np.arange(np.prod(shape)).reshape(shape)
    turned, affine = turn.array(array), turn.affine(OBLIQUE, shape)
    np.testing.assert_array_equal(turn.back(turned), array)
    for value in (0, 17, 200, 314):
        (before,), (after,) = np.argwhere(array == value), np.argwhere(turned == value)
        np.testing.assert_allclose(affine @ [*after, 1], OBLIQUE @ [*before, 1], atol=1e-9)


@pytest.mark.parametrize("name", phantoms.TURNS)
def test_pictures_show_every_order_the_same_way(name):
    turn, usual = phantoms.TURNS[name], lps_affine((2, 3, 5))
    array = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    upright = to_lps(turn.affine(usual, array.shape))
    np.testing.assert_array_equal(upright.array(turn.array(array)), array)


def test_labels_go_to_the_nearest_voxels_of_another_grid():
    labels = np.random.default_rng(3).integers(0, 3, (5, 7, 9)).astype(np.uint8)
    for turn in phantoms.TURNS.values():
        turned = turn.array(labels)
        got = real.nearest(labels, OBLIQUE, turned.shape, turn.affine(OBLIQUE, labels.shape))
        np.testing.assert_array_equal(got, turned)
    shifted = OBLIQUE.copy()
    shifted[:3, 3] += OBLIQUE[:3, 0]
    moved = real.nearest(labels, OBLIQUE, labels.shape, shifted)
    np.testing.assert_array_equal(moved[:-1], labels[1:])
    assert not moved[-1].any()


@pytest.mark.parametrize("row", ["child", "prone", "arms-down", "obese"])
def test_bodies_are_of_their_kind_and_whole(row):
    made, _ = chests.draw_chest(("body", row, 0), chests.BODIES[row][1], chests.ANY, 12.0)
    habitus, pose = made.facts["habitus"], made.facts["pose"]
    is_so = {
        "child": max(pose["scale"]) < 0.8,
        "prone": habitus["prone"],
        "arms-down": habitus["arms"] == "down",
        "obese": habitus["fat"] > 36,
    }
    assert is_so[row]
    assert {1, 2} <= set(np.unique(made.lung))


def test_a_finding_is_drawn_alone():
    names = {name: chests.with_finding(name, 1, 12.0) for name in ("none", "massive_effusion")}
    none, some = (judge(one.truth, one).truth_ml for one in names.values())
    assert min(none.values()) > 300
    assert min(some.values()) < 0.6 * max(some.values())


@pytest.mark.parametrize("row", ["head", "phantom"])
def test_elsewhere_is_of_its_kind_and_holds_no_lung(row):
    one = chests.elsewhere(row, 0, 12.0)
    assert not one.truth.any()
    assert (one.hu > -200).any()
    np.testing.assert_array_equal(one.hu, chests.elsewhere(row, 0, 12.0).hu)


@pytest.mark.parametrize("row", faults.FAULTS)
def test_each_fault_changes_the_scan_and_keeps_labels_on_its_grid(row, chest):
    made, hu = chest
    got, lung, spacing_mm = faults.FAULTS[row][1](hu.copy(), made, np.random.default_rng(4))
    assert got.shape == lung.shape
    assert np.isfinite(got).all()
    assert min(got.shape) > 0 and lung.any()
    same = got.shape == hu.shape and np.array_equal(got, hu)
    assert same == (row == "none")
    extent = np.multiply(got.shape, spacing_mm)
    assert (extent <= np.multiply(hu.shape, COARSE_MM) + 12).all()


def test_thick_slices_keep_the_lungs_volume(chest):
    made, hu = chest
    truth_ml = judge(made.lung, chests.as_sample(hu, made.lung, (COARSE_MM,) * 3)).truth_ml
    got, lung, spacing_mm = faults.thick(18, 18)(hu, made, np.random.default_rng(1))
    assert spacing_mm == (COARSE_MM, COARSE_MM, 18)
    assert judge(lung, chests.as_sample(got, lung, spacing_mm)).truth_ml == pytest.approx(truth_ml, rel=0.1)


def test_a_slab_is_as_thick_as_it_says_and_one_lung_is_one(chest):
    made, hu = chest
    got, lung, _ = faults.slab(81)(hu, made, np.random.default_rng(2))
    assert got.shape[2] == pytest.approx(9, abs=1) and lung.any()
    mirrored = faults.mirrored(hu, made, np.random.default_rng(2))[1]
    assert bounds(mirrored == 1, 0) == tuple(made.lung.shape[0] - n for n in bounds(made.lung == 2, 0)[::-1])


def test_tasks_cover_every_row_once_and_a_quick_run_knows_its_rows():
    names = [f"{one.group}/{row}/{one.number}" for one in plan.tasks(False) for row in one.rows]
    assert len(names) == len(set(names)) == sum(len(one.rows) * one.count for one in plan.GROUPS.values())
    for group in plan.GROUPS.values():
        assert set(group.of_quick) <= set(group.rows)
    assert 0 < sum(len(one.rows) for one in plan.tasks(True)) < 60
    assert {one.number for one in plan.tasks(False, ("bodies",), 2)} == {0, 1}


def _tried(row, number, right, failures=(), flagged=(), rival=0.98):
    mine = Verdict({1: right, 2: 0.97}, {1: 2000.0, 2: 1500.0}, {1: 1900.0, 2: 1500.0}, failures, flagged)
    other = Verdict({1: rival, 2: rival}, {1: 2000.0, 2: 1500.0}, {1: 2000.0, 2: 1500.0}, ())
    return plan.Tried("bodies", row, number, {"network": mine, "threshold": other, "ceiling": other})


def test_the_page_names_the_worst_case_and_counts_failures():
    found = [_tried("child", 0, 0.95), _tried("child", 1, 0.5, ("low",), ("unsure",)), _tried("prone", 0, 0.99)]
    assert [one.name for one in page.worst_cases(found, 2)] == ["bodies/child/1", "bodies/child/0"]
    text = page.summary(found) + page.group_table("bodies", found) + page.worst_table(page.worst_cases(found, 2))
    child = next(line for line in text.splitlines() if line.startswith("| child"))
    cells = [cell.strip() for cell in child.strip("|").split("|")]
    assert cells[1:9] == ["2", "0.725", "0.500", "0.970", "0.970", "2.5", "1 (1 low)", "1"]
    assert "Of the network's 1 failures 1 carried" in text
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
