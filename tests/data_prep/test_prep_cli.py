"""`lungseg-prep` as people meet it: exit codes, messages, interruption, and the road from phantom to datalist."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import pytest

from data_prep.cli import main

COHORT = ["--patients", "3", "--seed", "5", "--quiet"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a folder") / "chest CTs"
    assert main(["phantom", str(folder), *COHORT]) == 0
    return folder


@pytest.fixture
def salt(tmp_path) -> list[str]:
    (tmp_path / "salt").write_bytes(b"0" * 32)
    return ["--salt-file", str(tmp_path / "salt")]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_road_from_phantom_to_datalist(cohort, tmp_path, salt, capsys):
    out = tmp_path / "prepared"
    assert main(["dicom2nifti", str(cohort), str(out), *salt]) == 0
    table = capsys.readouterr().out
    assert main(["split", str(out / "dataset.json"), "--json"]) == 0
    datalist = json.loads(capsys.readouterr().out)
    assert datalist == json.loads((out / "datalist.json").read_text())
    assert (len(datalist["training"]), len(datalist["test"])) == (2, 1)
    for entry in datalist["training"] + datalist["test"]:
        assert entry["case_id"] in table
        image = nib.load(out / entry["image"])
        for file in entry["label"]:
            mask = nib.load(out / file)
            assert mask.shape == image.shape and (mask.affine == image.affine).all()


def test_same_input_same_bytes(cohort, tmp_path, salt):
    for name in ("one", "two"):
        assert main(["dicom2nifti", str(cohort), str(tmp_path / name), "--quiet", *salt]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_nothing_dicom_is_exit_code_3_and_says_where_it_looked(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no DICOM here")
    assert main(["dicom2nifti", str(tmp_path / "in"), str(tmp_path / "out")]) == 3
    assert "no CT" in capsys.readouterr().err
    assert main(["dicom2nifti", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_junk_beside_good_patients_costs_nothing(cohort, tmp_path, salt):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "good").symlink_to(cohort)
    (mixed / "report.pdf").write_bytes(b"%PDF-1.4 junk")
    (mixed / "empty.dcm").write_bytes(b"")
    code = main(["dicom2nifti", str(mixed), str(tmp_path / "out"), "--quiet", *salt])
    dataset = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert code == 0 and len(dataset["cases"]) == 3
    assert {case["status"] for case in dataset["cases"]} == {"ok"}


def test_a_refusal_is_exit_code_1_with_the_rest_done(cohort, tmp_path, salt, capsys):
    """A missing slice in one patient: refused by name, the others converted."""
    assert main(["phantom", str(tmp_path / "in"), "--patients", "1", "--missing-slices", "2", "--quiet"]) == 0
    (tmp_path / "in" / "others").symlink_to(cohort)
    assert main(["dicom2nifti", str(tmp_path / "in"), str(tmp_path / "out"), *salt]) == 1
    dataset = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert sum(case["status"] == "ok" for case in dataset["cases"]) == 3
    assert any("slice" in refusal["reason"] for refusal in dataset["refused"])
    assert "Refused: 1" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_named(cohort, tmp_path, salt, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):  # root may write anywhere, but not make folders in /proc
        locked = Path("/proc")
    if not locked.exists():
        pytest.skip("no folder here that this user can't write to")
    assert main(["dicom2nifti", str(cohort), str(locked / "out"), *salt]) == 3
    error = capsys.readouterr().err
    assert str(locked / "out") in error and "Choose a folder" in error


def test_an_output_that_is_a_file_is_named(cohort, tmp_path, salt, capsys):
    (tmp_path / "out").write_text("precious")
    assert main(["dicom2nifti", str(cohort), str(tmp_path / "out"), *salt]) == 3
    assert "out" in capsys.readouterr().err and (tmp_path / "out").read_text() == "precious"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["convert"],
        ["split"],
        ["split", "x", "--ratio", "2"],
        ["phantom", "x", "--size", "huge"],
        ["phantom", "x", "--spacing-mm", "1,2"],
    ],
)
def test_wrong_usage_is_exit_code_2(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        main(wrong)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


def test_senseless_values_are_exit_code_2(cohort, tmp_path, salt, capsys):
    assert main(["dicom2nifti", str(cohort), str(tmp_path), "--quiet", *salt]) == 0
    assert main(["split", str(tmp_path), "--folds", "1"]) == 2
    assert main(["split", str(tmp_path), "--folds", "40"]) == 2
    assert main(["split", str(tmp_path), "--within-patient"]) == 2
    assert main(["phantom", str(tmp_path / "p"), "--patients", "0"]) == 2
    convert = ["dicom2nifti", str(cohort), str(tmp_path / "never"), *salt]
    for wrong in (
        ["--jobs", "-1"],
        ["--time-limit", "0"],
        ["--time-limit", "nan"],
        ["--memory-gb", "0"],
        ["--step-mm", "3"],
        ["--gaps", "resample", "--step-mm", "-3"],
        ["--nnunet-labels", "lungs"],
        ["--select", "colour=red"],
    ):
        assert main([*convert, *wrong]) == 2, wrong
    assert not (tmp_path / "never").exists()
    assert len(capsys.readouterr().err.strip().splitlines()) == 12


def test_a_damaged_dataset_is_exit_code_3(tmp_path, capsys):
    (tmp_path / "dataset.json").write_text('{"cases": [')
    assert main(["split", str(tmp_path)]) == 3
    assert main(["split", str(tmp_path / "missing.json")]) == 3
    assert "dataset.json" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process on Windows")
def test_interrupted_and_run_again_equals_never_interrupted(cohort, tmp_path, salt):
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = [sys.executable, "-m", "data_prep.cli", "dicom2nifti", str(cohort), str(out), *salt]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and not list(out.glob("*/image.nii.gz")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "again" in errors and "Traceback" not in errors
    assert not list(out.rglob(".partial-*")) and not (out / "dataset.json").exists()
    assert main(["dicom2nifti", str(cohort), str(out), "--quiet", *salt]) == 0
    assert main(["dicom2nifti", str(cohort), str(whole), "--quiet", *salt]) == 0
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    ("stdout", "encoding", "code"),
    [("/dev/full", "utf-8", 1), ("pipe", "utf-8", 0), (os.devnull, "ascii", 0)],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_results_that_cannot_be_printed_lose_nothing(cohort, tmp_path, salt, stdout, encoding, code):
    out = tmp_path / "Lungé 肺"
    command = [sys.executable, "-m", "data_prep.cli", "dicom2nifti", str(cohort), str(out), *salt]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE if stdout == "pipe" else Path(stdout).open("wb"),  # noqa: SIM115
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        text=True,
    )
    if process.stdout:
        process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == code, errors
    assert "Traceback" not in errors and "Exception ignored" not in errors
    assert (out / "dataset.json").is_file()
