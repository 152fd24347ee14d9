"""What a bundle adds to MONAI's command line: refused misspellings, readable errors, exit codes."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from data_prep.errors import OutputError
from lungseg_monai.bundle_command import (
    check_keys,
    command_line_keys,
    exit_code,
    prepare,
    read_configs,
    tell_error,
)
from lungseg_monai.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    IncompleteError,
    NothingToDoError,
    UsageError,
)

KNOWN = {
    "epochs": 3,
    "dataset_dir": "x",
    "train": {"dataset": {"_target_": "A", "seed": 1}, "handlers": [{"_target_": "B"}]},
    "_meta_": {},
}


@pytest.mark.parametrize(
    "key", ["epochs", "train", "train#dataset", "train::dataset::seed", "train#dataset#new", "train#handlers#0#name"]
)
def test_keys_that_are_there_and_new_arguments_of_a_component(key):
    check_keys([key], KNOWN)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("epoch", "epochs"),
        ("data_set_dir", "dataset_dir"),
        ("train#datset#seed", "dataset"),
        ("trian#dataset#seed", "train"),
        ("train#handlers#7", ""),
        ("epochs#x", ""),
        ("quite_else", ""),
    ],
)
def test_others_are_refused_with_the_nearest(key, nearest):
    with pytest.raises(ConfigError, match=f"{key}'.*{'Did you mean ' + nearest if nearest else ''}"):
        check_keys([key], KNOWN)


@settings(deadline=None)  # machines are busy
@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda key: key not in KNOWN))
def test_no_unknown_top_level_key_slips_through(key):
    with pytest.raises(ConfigError):
        check_keys([key], KNOWN)


def test_true_false_and_null_are_read_as_in_the_config_files(tmp_path, monkeypatch):
    """As text "false" would count as true, and "null" would name a file."""
    config = tmp_path / "train.yaml"
    config.write_text(
        "{amp: true, resume: false, fold: 1, name: x, kept: 2, used: ['@amp', '@resume', '@fold', '@name'],"
        " doubtful: '$not @amp', initialize: [{_target_: lungseg_monai.bundle_command.prepare}]}"
    )
    given = {"amp": "false", "resume": "true", "fold": "null", "name": "nullable"}
    line = [text for key, value in given.items() for text in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", ["/x/monai/bundle/__main__.py", "run", "--config_file", str(config), *line])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    parser = ConfigParser()
    parser.read_config(str(config))
    parser.update(given)
    parser.get_parsed_content("initialize")
    for _ in range(2):
        assert parser.get_parsed_content("used") == [False, True, None, "nullable"]
        assert parser.get_parsed_content("doubtful") is True and parser.get_parsed_content("kept") == 2
        parser.parse(reset=True)  # as MONAI's workflow does after each step of `initialize`


def test_the_command_line_is_read_as_fire_reads_it():
    line = ["training", "--config_file", "['configs/train.yaml', 'b.yaml']", "--epochs=3", "--batch-size", "4"]
    assert command_line_keys(line) == (["epochs", "batch_size"], ["configs/train.yaml", "b.yaml"])
    assert command_line_keys(["--resume", "--config-file=a.yaml", "--meta_file", "m.json"]) == (["resume"], ["a.yaml"])
    assert command_line_keys(["--config_file"]) == ([], [])


def test_config_files_are_merged_as_monai_does(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\nb: {c: 2}\n")
    (tmp_path / "b.yaml").write_text("b#d: 3\n")
    assert read_configs([tmp_path / "a.yaml", tmp_path / "b.yaml"])["b"] == {"c": 2, "d": 3}


def test_prepare_leaves_other_programs_alone(monkeypatch):
    hook = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["pytest", "--no-such-key"])
    prepare()
    assert sys.excepthook is hook


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (IncompleteError("x"), 1),
        (UsageError("x"), 2),
        (ConfigError("x"), 2),
        (NothingToDoError("x"), 3),
        (DatasetError("x"), 3),
        (CheckpointError("x"), 3),
        (OutputError("x"), 3),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), None),
    ],
)
def test_exit_codes(error, code):
    assert exit_code(error) == code


def test_our_error_is_dug_out_from_under_monais(capsys):
    try:
        try:
            raise DatasetError("mask of P1 is missing")
        except DatasetError as error:
            raise RuntimeError("Failed to instantiate component") from error
    except RuntimeError as error:
        with pytest.raises(SystemExit, match="3"):
            tell_error(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.strip() == "error: mask of P1 is missing"


def test_a_fault_of_the_program_keeps_its_traceback(capsys):
    try:
        raise KeyError("bug")
    except KeyError as error:
        tell_error(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


def test_an_argument_that_a_component_does_not_have_is_told_in_a_line(monkeypatch, capsys):
    """Its parent exists, so only the component itself can say that it is misspelt."""

    def refused(key):
        monkeypatch.setattr(sys, "argv", ["x", "run", key, "3"])
        try:
            make_folder(strid=3)
        except TypeError as error:
            with pytest.raises(SystemExit) as stopped:
                tell_error(RuntimeError, wrapped(error), None)
            return stopped.value.code

    def make_folder(stride=1):
        raise AssertionError

    def wrapped(error):
        outer = RuntimeError("Failed to instantiate component")
        outer.__cause__ = error
        return outer

    assert refused("--train#dataset#strid") == 2
    told = capsys.readouterr().err
    assert "unexpected keyword argument 'strid', which was given on the command line" in told
    monkeypatch.setattr(sys, "__excepthook__", lambda *given: sys.exit("as it is"))
    assert refused("--train#dataset#other") == "as it is"
