"""Run folders: where a run writes and how it is found again."""

import os

import pytest
from prepared import make_prepared

from lungseg_monai.data import select_cases
from lungseg_monai.errors import CheckpointError, ConfigError
from lungseg_monai.training.runs import data_hash, find_checkpoint, newest_run, run_folder


def finished(folder):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.pt").touch()
    (folder / "checkpoints" / "best.pt").touch()
    return folder


def test_new_runs_go_below_the_callers_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run_folder("net")
    assert folder.parent == tmp_path / "runs" / "net" and not folder.exists()
    assert run_folder("net", "elsewhere") == tmp_path / "elsewhere"


def test_a_resume_takes_the_newest_run_of_the_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no run under"):
        run_folder("net", resume=True)
    for name, age in (("b", 10), ("a", 5), ("c", 20)):
        last = finished(tmp_path / "runs" / "net" / name) / "checkpoints" / "last.pt"
        os.utime(last, (1000 - age, 1000 - age))
    finished(tmp_path / "runs" / "other" / "x")
    assert run_folder("net", resume=True) == newest_run("net") == tmp_path / "runs" / "net" / "a"
    assert run_folder("net", "runs/net/b", resume=True).name == "b"


def test_a_run_is_never_overwritten_nor_resumed_from_nothing(tmp_path):
    with pytest.raises(ConfigError, match="--resume"):
        run_folder("net", finished(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"last\.pt"):
        run_folder("net", tmp_path / "none", resume=True)


def test_the_checkpoint_to_predict_with(tmp_path):
    shipped, named = tmp_path / "model.pt", tmp_path / "named.pt"
    run = finished(tmp_path / "run")
    assert find_checkpoint(tmp_path, shipped=shipped) is None
    shipped.touch()
    named.touch()
    assert find_checkpoint(tmp_path, shipped=shipped) == shipped
    assert find_checkpoint(run, shipped=shipped) == run / "checkpoints" / "best.pt"
    assert find_checkpoint(run, named, shipped) == named
    with pytest.raises(CheckpointError, match=r"other\.pt"):
        find_checkpoint(run, tmp_path / "other.pt", shipped)


def test_the_hash_of_the_data_follows_files_and_sections(tmp_path):
    labels = {"lungs": ["lung_left", "lung_right"]}
    one = data_hash(select_cases(make_prepared(tmp_path / "1"), labels))
    assert data_hash(select_cases(make_prepared(tmp_path / "2"), labels)) == one
    assert data_hash(select_cases(make_prepared(tmp_path / "3", seed=1), labels)) != one
    swapped = make_prepared(tmp_path / "4", split_sections={"training": [0, 2], "test": [1]})
    assert data_hash(select_cases(swapped, labels)) != one
