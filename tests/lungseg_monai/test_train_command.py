"""`lungseg train`: the long form that it makes of the short one, and what it refuses before anything is loaded."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest

from lungseg_monai import bundle_path
from lungseg_monai.cli import main
from lungseg_monai.commands import train

CONFIGS = bundle_path("ct_lung_unet2d") / "configs"
BEGIN = ["-m", "monai.bundle", "run", "training", "--config_file", str(CONFIGS / "train.yaml")]
BEGIN += ["--meta_file", str(CONFIGS / "metadata.json")]


@pytest.fixture
def ran(monkeypatch):
    """What would have been run, with the exit code 7."""
    commands = []
    monkeypatch.setattr(train, "become", lambda command: commands.append(command) or 7)
    return commands


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], []),
        (["--data", "P", "--out", "R"], ["--dataset_dir", "P", "--output_dir", "R"]),
        (["--resume", "--out", "R"], ["--output_dir", "R", "--resume", "True"]),
        (["--setting", "paper", "--epochs", "3"], ["--setting", "paper", "--epochs", "3"]),
        (["--epochs=3", "--spatial_size", "[128, 128]"], ["--epochs=3", "--spatial_size", "[128, 128]"]),
        (["--rate", "-0.5", "--amp", "--data", "P"], ["--dataset_dir", "P", "--rate", "-0.5", "--amp"]),
        (["--train#dataset#seed", "4", "--res", "x"], ["--train#dataset#seed", "4", "--res", "x"]),
    ],
)  # fmt: skip
def test_the_long_form_is_shown_and_run_and_its_exit_code_is_ours(given, wanted, ran, capsys):
    assert main(["train", "ct_lung_unet2d", *given]) == 7
    assert ran == [[sys.executable, *BEGIN, *wanted]]
    out, err = capsys.readouterr()
    assert not out and shlex.split(err) == ["$", "python", *BEGIN, *wanted]


def test_options_may_come_before_the_bundle(ran):
    assert main(["train", "--data", "P", "ct_lung_unet2d", "--seed", "4"]) == 7
    assert ran[0][-4:] == ["--dataset_dir", "P", "--seed", "4"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["ct_lung_unet"], "Did you mean ct_lung_unet2d?"),
        (["ct_lung_unet2d", "--spatial_size", "[32,", "32]"], "in quotes"),
        (["ct_lung_unet2d", "stray"], "'stray' has no --KEY"),
        (["ct_lung_unet2d", "--data", "P", "--dataset_dir", "Q"], "give one of them"),
        (["ct_lung_unet2d", "--config_file", "other.yaml"], "long form"),
        (["ct_lung_unet2d", "--config-file=other.yaml"], "long form"),
    ],
)
def test_wrong_usage_is_2_and_nothing_is_run(given, told, ran, capsys):
    assert main(["train", *given]) == 2
    assert told in capsys.readouterr().err and not ran


def test_help_stands_behind_the_bundle_too(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["train", "ct_lung_unet2d", "--help"])
    assert leaving.value.code == 0 and "--KEY VALUE" in capsys.readouterr().out


def test_without_monai_it_says_what_to_install(monkeypatch, ran, capsys):
    monkeypatch.setattr(train, "find_spec", lambda _: None)
    assert main(["train", "ct_lung_unet2d", "--quiet"]) == 3
    assert ".[train]" in capsys.readouterr().err and not ran


def test_in_a_shell_messages_and_exit_code_are_those_of_the_long_form_and_json_stands_alone(tmp_path):
    code = "import sys; from lungseg_monai.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "ct_lung_unet2d", "--epoch", "1", "--json"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "no key 'epoch'. Did you mean epochs?" in done.stderr and "Traceback" not in done.stderr
    printed = json.loads(done.stdout)
    assert printed["bundle"] == "ct_lung_unet2d" and printed["command"].endswith("--epoch 1")


def test_gaos_data_set_is_prepared_first(tmp_path, monkeypatch, ran, capsys):
    """Under the name that its folder has, once the options are known to be spelt."""
    from dicom_factory import Ct, write_ct

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    data = tmp_path / "Dataset"
    for number in range(3):
        write_ct(data / "Images" / f"Case_{number:03d}", Ct(patient=f"P{number}", series=str(number + 1)))
        np.savez(data / f"Case_{number:03d}.npz", masks=np.ones((7, 14, 20), bool))
    assert main(["train", "ct_lung_unet2d", "--data", str(data), "stray"]) == 2
    assert not (tmp_path / "Dataset_prepared").exists()
    assert main(["train", "ct_lung_unet2d", "--data", str(data), "--epochs", "3"]) == 7
    assert ran == [[sys.executable, *BEGIN, "--dataset_dir", f"{data}_prepared", "--epochs", "3"]]
    assert "$ lungseg-prep npz" in capsys.readouterr().err
    lists = json.loads((tmp_path / "Dataset_prepared" / "datalist.json").read_text())
    assert len(lists["training"]) == 2 and len(lists["test"]) == 1


def test_gaos_data_set_without_a_usable_case_stops_it(tmp_path, ran, capsys):
    (tmp_path / "Dataset").mkdir()
    np.savez(tmp_path / "Dataset" / "Case_000.npz", masks=np.ones((7, 14, 20), bool))
    assert main(["train", "ct_lung_unet2d", "--data", str(tmp_path / "Dataset")]) == 3
    assert not ran and "no DICOM CT series lies in" in capsys.readouterr().err
