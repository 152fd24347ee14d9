"""The benchmark of radiographs: its readers, its groups, its pages say what was measured."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.radiographs import __main__ as command
from benchmarks.radiographs import appearance, finders, measure, page, readers, spine
from benchmarks.radiographs.prepared import Case, cases_of
from lungseg_monai.synthesis.radiograph import TINY, make_radiograph

SHAPE = (96, 80)


@pytest.fixture(scope="module")
def film():
    return make_radiograph(31, 0, replace(TINY, view="PA", findings=(), children=0.0, difficulty=0.2))


@pytest.fixture
def prepared(tmp_path, film):
    """PREPARED of two test cases: a made film, and the same mirrored."""
    entries = []
    for name, turn in (("a", slice(None)), ("b", slice(None, None, -1))):
        (tmp_path / name / "masks").mkdir(parents=True)
        Image.fromarray(np.rint(film.image[:, turn] * 255).astype(np.uint8)).save(tmp_path / name / "image.png")
        mask = (film.visible[:, turn] > 0).astype(np.uint8) * 255
        Image.fromarray(mask).save(tmp_path / name / "masks" / "lungs.png")
        entries.append({"case_id": name, "image": f"{name}/image.png", "label": [f"{name}/masks/lungs.png"]})
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [], "validation": [], "test": entries}))
    return tmp_path


class Known:
    """Finds what it is told, whatever the picture."""

    weights = "0123456789ab"

    def __init__(self, labels):
        self.labels = labels

    def __call__(self, picture):
        return self.labels[: picture.shape[0], : picture.shape[1]]


def test_cases_are_read_with_sides_by_place(prepared, film):
    first, second = cases_of(prepared)
    picture, labels = first.read()
    assert np.array_equal(labels, film.visible)
    assert np.abs(picture - film.image).max() < 0.003
    assert np.array_equal(second.read()[1] > 0, film.visible[:, ::-1] > 0)
    assert second.read()[1][:, :40].max() == 1  # a mask does not know that its film hangs the wrong way round
    assert [one.case_id for one in cases_of(prepared, most=1)] == ["a"]


def test_a_perfect_model_scores_1_by_its_own_convention_and_less_by_the_other(prepared, film, monkeypatch):
    monkeypatch.setattr(measure, "finder", lambda name: Known(film.visible))
    task = measure.Task(cases_of(prepared)[0], 0, ("known",), (measure.NONE, ("noise", "mild"), ("mirrored", "mild")))
    same, noisy, turned = measure.damaged_scores(task)
    for score in (same, noisy):
        assert score.dice["drawn", "visible"] == 1
        assert score.dice["completed", "both"] == 1
        assert score.dice["drawn", "both"] < score.dice["drawn", "left"] < 1
    assert turned.dice["drawn", "visible"] < 0.95


def test_what_a_model_refuses_scores_0_and_is_named(prepared, monkeypatch):
    from lungseg_monai.errors import ImageError

    def refuses(_):
        raise ImageError("no radiograph")

    monkeypatch.setattr(measure, "finder", lambda name: refuses)
    (score,) = measure.damaged_scores(measure.Task(cases_of(prepared)[0], 0, ("known",), (measure.NONE,)))
    assert score.refused == "ImageError"
    assert score.dice["drawn", "visible"] == 0


def test_pictures_are_made_no_larger_than_asked(prepared):
    case = cases_of(prepared)[0]
    picture, labels = measure._at_most(*case.read(), 64)
    assert picture.shape == labels.shape == (64, 64)
    whole = case.read()[1]
    assert (labels == 2).mean() == pytest.approx((whole == 2).mean(), abs=0.01)


def test_readers_who_stop_further_out_draw_less(film):
    areas = [np.count_nonzero(spine.to_the_spine(film, mm)) for mm in (0, 16, 24, 32, 500)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[3] > areas[4] == np.count_nonzero(film.visible)
    drawn = spine.to_the_spine(film, 24)
    line = spine.midline(film.anatomical)
    rows, columns = np.nonzero((drawn > 0) & (film.visible == 0))
    assert (abs(columns - line[rows]) * film.spacing_mm >= 24).all()


def test_midline_lies_between_boxes():
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:80, 5:30] = 1
    labels[10:80, 44:70] = 2
    assert np.allclose(spine.midline(labels), (29 + 44) / 2)


def test_threshold_finds_lungs_of_a_plain_film(film):
    found = finders.finder(finders.THRESHOLD)(film.image)
    assert found.shape == film.image.shape
    assert measure.dice(found > 0, film.visible > 0) > 0.5
    assert not finders.Threshold()(np.full(SHAPE, 0.4, np.float32)).any()


def looks(count, seed):
    """Films of three looks: dark and smooth, bright and noisy, framed."""
    random = np.random.default_rng(seed)
    films = []
    for number in range(count):
        kind = number % 3
        film = np.clip((0.25, 0.75, 0.5)[kind] + (0.01, 0.15, 0.03)[kind] * random.normal(size=SHAPE), 0, 1)
        film += 0.1 * np.sin(np.arange(SHAPE[0])[:, None] / 9)
        if kind == 2:
            film[:20] = film[:, :15] = 0
        films.append(np.clip(film, 0, 1).astype(np.float32))
    return films


def test_groups_are_the_looks_and_do_not_depend_on_order():
    films = looks(31, 3)
    group = appearance.appearance_groups(films, 3)
    kinds = np.arange(31) % 3
    assert all(len(set(group[kinds == kind])) == 1 for kind in range(3))
    assert len(set(group)) == 3
    assert np.bincount(group)[0] == 11  # the largest is number 0
    order = np.random.default_rng(1).permutation(31)
    assert np.array_equal(appearance.appearance_groups([films[at] for at in order], 3)[:31] == 0, (group == 0)[order])
    with pytest.raises(ValueError, match="2 pictures for 3 groups"):
        appearance.appearance_groups(films[:2], 3)


def test_left_out_parts_no_group():
    cases = [{"id": f"c{number}", "group": f"g{number // 2}"} for number in range(40)]
    lists = appearance.left_out(cases, {"c0", "c5"}, share=0.25, seed=2)
    assert lists["test"] == ["c0", "c1", "c4", "c5"]
    assert len(lists["validation"]) == 2 * round(0.25 * 18)
    assert sorted(case for ids in lists.values() for case in ids) == sorted(case["id"] for case in cases)
    where = {case: name for name, ids in lists.items() for case in ids}
    assert all(where[f"c{2 * pair}"] == where[f"c{2 * pair + 1}"] for pair in range(20))


def score(case, row, drawn, model="m"):
    keys = [(by, mask) for by in ("drawn", "completed", *measure.REFERENCES) for mask in measure.MASKS]
    return measure.Score(case, model, row, dict.fromkeys(keys, 0.5) | {("drawn", "visible"): drawn})


def test_the_page_tells_means_and_the_worst():
    found = [score(f"c{at}", ("noise", "mild"), 0.9 - 0.01 * at) for at in range(20)]
    assert "| `m` | mild | 20 | 0.805 | 0.710 |" in page.together(found, ["m"])
    assert "| noise mild |" in page.each(found, "m")
    assert "c19 | 0.710 |" in page.worst(found, ["m"], count=1)


def test_quick_run_without_data(tmp_path, monkeypatch):
    for module in (measure, readers):
        monkeypatch.setattr(module, "FILM", TINY)
    assert command.main(["--quick", "--films", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    accuracy, conventions = (
        (tmp_path / name).read_text(encoding="utf-8") for name in ("xray-accuracy.md", "xray-conventions.md")
    )
    for text in (accuracy, conventions):
        assert "{" not in text
        assert "Not measured in this run." in text
    assert "| `threshold` | both completed |" in accuracy
    assert "| `complete_lungs(visible)` |" in conventions


def test_case_holds_what_is_needed(tmp_path):
    case = Case("x", tmp_path / "none.png", ())
    with pytest.raises(Exception, match="missing"):
        case.read()
