"""The `lungseg` command: exit codes, what goes to stdout and to stderr, a fast --help."""

import json
import os
import subprocess
import sys
import time
from io import BytesIO, TextIOWrapper

import pytest
from predicted import make_predictions, make_run
from prepared import make_prepared

from lungseg_monai.cli import EPILOG, main


@pytest.fixture
def prepared(tmp_path):
    return make_prepared(tmp_path / "prepared", patients=2)


@pytest.fixture
def run(tmp_path, prepared):
    folder = make_run(tmp_path / "run", prepared)
    make_predictions(prepared, folder / "predictions", {"P1": "training", "P2": "test"})
    return folder


def test_everything_scored_is_0_and_says_where(run, prepared, capsys):
    assert main(["evaluate", str(run / "predictions"), str(prepared)]) == 0
    out, err = capsys.readouterr()
    assert "volume Dice" in out and "--empty one" in out and str(run / "scores.csv") in out
    assert "Error" not in err
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").is_file() and str(run / "report.html") in capsys.readouterr().out


def test_a_refused_case_is_1_and_the_rest_is_written(run, prepared, capsys):
    (run / "predictions" / "P1" / "lungs.nii.gz").unlink()
    assert main(["evaluate", str(run / "predictions"), str(prepared), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [case["case_id"] for case in printed["cases"]] == ["P2"]
    assert [refusal["case_id"] for refusal in printed["refused"]] == ["P1"]
    assert json.loads((run / "scores.json").read_text()) == printed


@pytest.mark.parametrize("extra", [["--label", "=x"], ["--empty", "two"], ["--nonsense"]])
def test_wrong_usage_is_2(run, prepared, extra, capsys):
    try:
        code = main(["evaluate", str(run / "predictions"), str(prepared), *extra])
    except SystemExit as leaving:  # argparse's own way out
        code = leaving.code
    assert code == 2 and extra[0] in capsys.readouterr().err
    assert not (run / "scores.json").exists()


def test_nothing_to_do_is_3(tmp_path, run, prepared, capsys):
    for arguments in (
        ["evaluate", str(tmp_path / "nowhere"), str(prepared)],
        ["evaluate", str(run / "predictions"), str(tmp_path)],
        ["report", str(tmp_path / "nowhere")],
        ["report", str(prepared)],
    ):
        assert main(arguments) == 3
        out, err = capsys.readouterr()
        assert not out and err.startswith("lungseg: ")


def test_a_dataset_that_is_none_is_wrong_usage(tmp_path, run, capsys):
    assert main(["report", str(run), "--dataset", str(tmp_path / "nope")]) == 2
    assert "nope is no prepared folder" in capsys.readouterr().err
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["run.json", "scores.json"])
def test_a_report_without_a_damaged_file_is_1_and_written(run, prepared, name, capsys):
    (run / name).write_text("{")
    assert main(["report", str(run), "--dataset", str(prepared)]) == 1
    assert f"{name} can't be read" in capsys.readouterr().out
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_a_reader_that_went_away_and_a_narrow_encoding_cost_nothing(run, prepared, command, monkeypatch):
    arguments = {"evaluate": [str(run / "predictions"), str(prepared)], "report": [str(run)]}[command]
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", TextIOWrapper(BytesIO(), encoding="ascii"))
        assert main([command, *arguments]) == 0
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", closed)
        assert main([command, *arguments]) == 0


def test_a_folder_that_cannot_be_written_is_3(tmp_path, run, prepared, capsys):
    (tmp_path / "file").write_text("")
    assert main(["evaluate", str(run / "predictions"), str(prepared), "--out", str(tmp_path / "file")]) == 3
    assert "can't write" in capsys.readouterr().err
    assert main(["report", str(run), "--out", str(tmp_path / "file" / "report.html")]) == 3


def test_an_interruption_is_130_and_leaves_nothing_half_written(run, prepared, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lungseg_monai.evaluation.scores.count_slices", interrupt)
    before = sorted(run.rglob("*"))
    assert main(["evaluate", str(run / "predictions"), str(prepared)]) == 130
    assert sorted(run.rglob("*")) == before


def test_quiet_prints_nothing_and_json_prints_json(run, prepared, capsys):
    assert main(["evaluate", str(run / "predictions"), str(prepared), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["report", str(run), "--json", "--out", str(run / "other.html")]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(run / "other.html"), "missing": []}


@pytest.mark.parametrize("command", [[], ["evaluate"], ["report"]])
def test_help_says_what_this_is_not(command, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([*command, "--help"])
    assert leaving.value.code == 0 and EPILOG in capsys.readouterr().out


def test_help_imports_nothing_heavy_and_is_fast():
    code = (
        "import sys\n"
        "from lungseg_monai.cli import parser\n"
        "parser().format_help()\n"
        "print(sorted({'torch', 'monai', 'numpy', 'matplotlib', 'nibabel', 'jinja2'} & set(sys.modules)))"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert done.stdout.strip() == "[]"
    assert min(times) < 0.5


def test_without_the_training_part_it_says_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(run)]) == 3
    error = capsys.readouterr().err
    assert "jinja2" in error and ".[train]" in error and len(error.splitlines()) == 1


def test_another_missing_module_is_a_defect_and_not_hidden(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "lungseg_monai.report.page", None)
    with pytest.raises(ModuleNotFoundError):
        main(["report", str(run)])
