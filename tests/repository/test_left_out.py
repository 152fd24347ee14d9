"""Scores of looks that training never saw: who was left out, what is compared with what, what the page says."""

import json

import numpy as np
import pytest
from prepared_radiographs import make_radiographs

from benchmarks.radiographs import left_out, left_out_page, looks
from benchmarks.radiographs.appearance import features

NUMBERS = {"epochs": 8, "spatial_size": [128, 128], "n_filters": 16, "labels": {"lungs": ["lungs"]}}


def write_run(folder, training, validation, test, status="done", **numbers):
    folder.mkdir()
    record = {
        "bundle": "cxr_lung_unet", "setting": "recommended", "status": status, "epochs_done": 3,
        "numbers": {**NUMBERS, **numbers}, "cases": {"training": training, "validation": validation, "test": test},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_a_run_belongs_to_the_group_that_it_never_saw(tmp_path):
    groups = [{"a", "b"}, {"c"}]
    run = left_out.read_run(write_run(tmp_path / "one", ["a"], ["b"], ["c", "d"]))
    assert left_out.group_of(run, groups) == 1
    usual = left_out.read_run(write_run(tmp_path / "usual", ["a"], ["c"], ["b"]))
    with pytest.raises(ValueError, match="left out none of the 2 groups"):
        left_out.group_of(usual, groups)


def test_unfinished_runs_and_other_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not done: 3 of 8 epochs"):
        left_out.read_run(write_run(tmp_path / "begun", [], [], [], status="running"))
    one = left_out.read_run(write_run(tmp_path / "one", [], [], []))
    other = left_out.read_run(write_run(tmp_path / "other", [], [], [], n_filters=8))
    left_out.check_alike(one, [one])
    with pytest.raises(ValueError, match="other was trained with other numbers"):
        left_out.check_alike(one, [one, other])


def test_the_difference_is_of_pictures_that_neither_saw():
    found = [
        left_out.Scores(None, 0, {"a": 0.5, "b": 0.7, "c": 0.9}, {"b": 0.8}),
        left_out.Scores(None, 1, {"d": 0.9}, {"d": 0.9}),
    ]
    first, second, together = left_out_page.score_rows(found)
    assert first == ["0", "3", "0.700", "0.500", "1", "0.700", "0.700", "0.800", "0.800", "-0.100"]
    assert second[-1] == "+0.000"
    assert together == ["together", "4", "0.750", "0.500", "2", "0.800", "0.700", "0.850", "0.800", "-0.050"]
    assert len(left_out_page.score_rows(found[:1])) == 1


def test_groups_are_told_in_words():
    random = np.random.default_rng(5)
    films = [np.clip(base + 0.02 * random.normal(size=(90, round(60 + 60 * base))), 0, 1) for base in (0.25, 0.75) * 4]
    (dark, bright) = looks.look_rows(np.array([features(film) for film in films]), np.array([0, 1] * 4))
    assert dark[:2] == ["0", "4"] and bright[:2] == ["1", "4"]
    assert {"dark", "tall"} <= set(dark[2].split(", "))
    assert {"bright", "wide"} <= set(bright[2].split(", "))
    assert dark[3] == "1.20" and bright[4] == "0.75"


def test_the_page_is_made_by_one_command(tmp_path, monkeypatch):
    data = make_radiographs(tmp_path / "p", 4)
    ids = ["X1", "X2", "X3", "X4"]
    monkeypatch.setattr(left_out, "groups_of", lambda table, count: np.array([0, 0, 1, 1]))
    monkeypatch.setattr(left_out, "score", lambda task: 0.9 if task.folder.name == "reference" else 0.8)
    reference = write_run(tmp_path / "reference", ids[1:], [], ids[:1])
    left = write_run(tmp_path / "left", ids[2:], [], ids[:2])
    page = tmp_path / "page.md"
    arguments = [str(data), "--reference", str(reference), "--left", str(left), "--groups", "2", "--jobs", "1"]
    assert left_out.main([*arguments, "--out", str(page)]) == 0
    text = page.read_text()
    assert "{" not in text and str(tmp_path) not in text
    assert "| 0 | 2 | 0.800 | 0.800 | 1 | 0.800 | 0.800 | 0.900 | 0.900 | -0.100 |" in text
    assert "Not measured yet: group 1." in text
    assert 'lungseg train cxr_lung_unet --data COPY --out RUNS/left_G --epochs 8 --spatial_size "[128, 128]"\n' in text


def test_networks_are_asked_at_the_pictures_own_size(tmp_path, monkeypatch):
    """One that says what the mask says scores 1."""
    from lungseg_monai.pictures.files import read_masks
    from lungseg_monai.pictures.resize import resize

    data = make_radiographs(tmp_path / "p", 1, {"training": [0], "test": []}, shape=(160, 130))
    mask = (data / "X1" / "masks" / "lungs.png",)
    truth = read_masks(mask, (160, 130)) > 0
    monkeypatch.setattr(left_out, "_network", lambda folder: lambda picture: resize(truth, (96, 96)))
    assert left_out.score(left_out.Task(tmp_path, data / "X1" / "image.png", mask)) > 0.98
