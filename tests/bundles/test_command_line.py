"""The commands of docs/how-to/train.md, as people type them, from other folders and on several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prepared import make_prepared
from workflows import workflow

from lungseg_monai import bundle_path

CONFIGS = bundle_path("ct_lung_unet2d") / "configs"
NUMBERS = ["--spatial_size", "[32,32]", "--width", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    make_prepared(folder / "prepared", split_sections={"training": [0, 1], "validation": [2]})
    return folder


def command(*arguments, launcher=("-m", "monai.bundle", "run")):
    return [sys.executable, *launcher, *arguments]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_train_from_another_folder_stop_it_and_resume_with_one_flag(work, monkeypatch):
    """Ctrl-C exits with 130 and says how to go on; paths are those of the caller's folder, not of the bundle's."""
    train = command("training", "--config_file", str(CONFIGS / "train.yaml"), *NUMBERS, "--dataset_dir", "prepared")
    process = subprocess.Popen(
        [*train, "--epochs", "300"], cwd=work, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(work.glob("runs/*/*/checkpoints/last.pt")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130, told
    assert "--resume" in told and "Traceback" not in told
    (run,) = (work / "runs" / "ct_lung_unet2d").iterdir()
    stopped = json.loads((run / "run.json").read_text())
    assert stopped["status"] == "interrupted"

    goal = stopped["epochs_done"] + 1
    monkeypatch.chdir(work)
    made = workflow("ct_lung_unet2d", "train.yaml", dataset_dir="prepared", device="cpu", epochs=goal, resume=True)
    made.run()
    assert json.loads((run / "run.json").read_text())["epochs_done"] == goal


def test_a_misspelt_key_is_refused_in_one_line_with_its_exit_code(work):
    done = subprocess.run(
        command("training", "--config_file", str(CONFIGS / "train.yaml"), *NUMBERS, "--epoch", "1"),
        cwd=work, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no key 'epoch'. Did you mean epochs?" in done.stderr and "Traceback" not in done.stderr


def test_two_processes_train_one_model(work):
    configs = f"['{CONFIGS / 'train.yaml'}','{CONFIGS / 'multi_gpu_train.yaml'}']"
    done = subprocess.run(
        command(
            "training", "--config_file", configs, *NUMBERS, "--dataset_dir", "prepared", "--output_dir", "two",
            "--epochs", "2",
            launcher=("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle", "run"),
        ),
        cwd=work, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    record = json.loads((work / "two" / "run.json").read_text())
    assert record["status"] == "done" and record["epochs_done"] == 2
    assert len((work / "two" / "curves.csv").read_text().splitlines()) == 1 + 2 * 2
    assert Path(work / "two" / "checkpoints" / "best.pt").is_file()
