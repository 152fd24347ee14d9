"""A training that is stopped from outside while it writes: what lies there then, and that going on changes nothing."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from prepared import make_prepared
from same_runs import assert_same, curves
from workflows import TINY, train, workflow

from data_prep.errors import OutputError
from lungseg_monai import bundle_path
from lungseg_monai.training.checkpoints import read_checkpoint, save_checkpoint

NAME = "ct_tumor_recurrent_denseunet"
CONFIGS = bundle_path(NAME) / "configs"
# The left lung stands for the tumour; augmentation and dropout are on.
NUMBERS = {
    **TINY,
    "labels": {"tumor": ["lung_left"]},
    "epochs": 2,
    "patches_per_epoch": 2,
    "dropout": 0.1,
    "threads": 1,
}
# Sends itself the signal SIGNAL when last.pt of the second epoch is half-written.
STOPPED = """
import os, runpy, signal
from contextlib import contextmanager
from lungseg_monai.training import checkpoints

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background hand on that it is ignored
atomic_file, written = checkpoints.atomic_file, []

class Half:
    def __init__(self, stream):
        self.stream, self.calls = stream, 0
    def write(self, data):
        self.calls += 1
        if self.calls == 20:
            self.stream.flush()
            os.kill(os.getpid(), SIGNAL)
        return self.stream.write(data)

@contextmanager
def stopping(path):
    with atomic_file(path) as stream:
        written.append(path.name)
        yield Half(stream) if written.count("last.pt") == 2 and path.name == "last.pt" else stream

checkpoints.atomic_file = stopping
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(
        tmp_path_factory.mktemp("prepared"), split_sections={"training": [0, 1], "validation": [2], "test": []}
    )


@pytest.fixture(scope="module")
def straight(prepared, tmp_path_factory):
    return train(NAME, prepared, tmp_path_factory.mktemp("straight") / "run", **NUMBERS)


def stopped_in_the_second_epochs_checkpoint(kind, prepared, run):
    """What the command line left and said."""
    options = [text for name, value in NUMBERS.items() for text in (f"--{name}", str(value))]
    return subprocess.run(
        [
            sys.executable, "-c", STOPPED.replace("SIGNAL", str(int(kind))), "run", "training",
            "--config_file", str(CONFIGS / "train.yaml"), "--dataset_dir", str(prepared), "--output_dir", str(run),
            *options,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_stopped_while_a_checkpoint_is_written_the_one_before_stays_whole_and_a_resume_equals_never_stopping(
    kind, straight, prepared, tmp_path
):
    run = tmp_path / "run"
    done = stopped_in_the_second_epochs_checkpoint(kind, prepared, run)
    left = list((run / "checkpoints").glob(".partial-*"))
    if kind is signal.SIGKILL:
        assert done.returncode == -kind and len(left) == 1, done.stdout + done.stderr
    else:
        assert done.returncode == 130 and not left and "Traceback" not in done.stderr, done.stdout + done.stderr
        assert f"go on with --resume --output_dir {run}" in done.stdout + done.stderr
        assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    last = read_checkpoint(run / "checkpoints" / "last.pt")["trainer"]
    assert last["iteration"] == last["epoch_length"]  # of the first epoch

    again = workflow(NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(run), device="cpu", resume=True)
    again.run()
    for name in ("last.pt", "best.pt"):
        assert_same(read_checkpoint(straight / "checkpoints" / name), read_checkpoint(run / "checkpoints" / name))
    assert curves(run) == curves(straight)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_checkpoint_that_there_is_no_room_for_is_told_as_that_and_leaves_the_one_before(tmp_path):
    """The system itself refuses to write on: torch would tell of an `unexpected pos`."""
    import resource

    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"a": torch.ones(3)}, "numbers": {}})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(OutputError, match=r"can't write .*last\.pt: File too large.*with room left"):
            save_checkpoint(path, {"model": {"a": torch.ones(100_000)}, "numbers": {}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert torch.equal(read_checkpoint(path)["model"]["a"], torch.ones(3))
    assert [one.name for one in tmp_path.iterdir()] == ["last.pt"]
