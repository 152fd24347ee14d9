"""`lungseg train --fold all`: a training each; what is done or begun; and the command at the end."""

import json
import shlex

import pytest

from lungseg_monai.cli import main
from lungseg_monai.commands import train_folds


@pytest.fixture
def prepared(tmp_path):
    entries = [{"case_id": f"P{n}", "fold": n % 3} for n in range(6)]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": entries}))
    return tmp_path


@pytest.fixture
def called(monkeypatch):
    commands, codes = [], []
    monkeypatch.setattr(
        train_folds.subprocess, "call", lambda command: commands.append(command) or (codes.pop(0) if codes else 0)
    )
    return commands, codes


def values(command, *names):
    return [command[command.index(f"--{name}") + 1] if f"--{name}" in command else None for name in names]


@pytest.mark.parametrize("said", [["--fold", "all"], ["--fold=all"]])
def test_every_fold_is_trained_and_the_end_says_how_to_predict_with_all(said, prepared, called, capsys):
    out = prepared / "out"
    options = ["--data", str(prepared), "--out", str(out), "--epochs", "3", *said]
    assert main(["train", "ct_lung_unet2d", *options]) == 0
    assert [values(command, "fold", "output_dir", "epochs") for command in called[0]] == [
        [str(fold), str(out / f"fold{fold}"), "3"] for fold in range(3)
    ]
    lines = [shlex.split(line[2:]) for line in capsys.readouterr().err.splitlines() if line.startswith("$ ")]
    assert [line[1:] for line in lines[:3]] == [command[1:] for command in called[0]]
    assert values(lines[3], "checkpoint") == [repr([str(out / f"fold{fold}") for fold in range(3)])]
    assert lines[3][lines[3].index("--config_file") + 1].endswith("configs/inference.yaml")


def test_resume_passes_over_what_is_done_and_goes_on_with_what_is_begun(prepared, called):
    for fold, status in ((0, "done"), (1, "interrupted")):
        checkpoints = prepared / "out" / f"fold{fold}" / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / "last.pt").touch()
        (checkpoints.parent / "run.json").write_text(json.dumps({"status": status}))
    options = ["--data", str(prepared), "--out", str(prepared / "out"), "--resume", "--fold", "all"]
    assert main(["train", "ct_lung_unet2d", *options]) == 0
    assert [values(command, "fold", "resume") for command in called[0]] == [[None, "True"], ["2", None]]


def test_the_first_that_fails_ends_it(prepared, called):
    called[1][:] = [0, 3]
    assert main(["train", "ct_lung_unet2d", "--data", str(prepared), "--fold", "all"]) == 3
    assert len(called[0]) == 2


def test_a_split_without_folds_is_told(prepared, called, capsys):
    (prepared / "datalist.json").write_text(json.dumps({"training": [{"case_id": "P1"}]}))
    assert main(["train", "ct_lung_unet2d", "--data", str(prepared), "--fold", "all"]) == 3
    assert "lungseg-prep split --folds K" in capsys.readouterr().err and not called[0]
