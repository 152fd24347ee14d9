"""Two gloo processes on the CPU learn what one process learns from the same windows."""

import csv
import os
import subprocess
import sys

import pytest
from prepared import make_prepared
from workflows import train

from lungseg_monai import bundle_path

NAME = "ct_tumor_recurrent_denseunet"
CONFIGS = bundle_path(NAME) / "configs"
# Without batch normalisation, whose statistics are those of each process, and without dropout.
CONV = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1}
NUMBERS = {
    "labels": {"tumor": ["lung_left"]}, "spatial_size": [32, 32], "loss_name": "bce", "learning_rate": 0.02,
    "epochs": 2, "patches_per_epoch": 8, "network_def": CONV,
}  # fmt: skip


def rows(run):
    with (run / "curves.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_two_processes_have_the_loss_of_one_with_the_same_global_batch(tmp_path):
    prepared = make_prepared(tmp_path / "prepared", split_sections={"training": [0, 1], "validation": [2]})
    configs = f"['{CONFIGS / 'train.yaml'}','{CONFIGS / 'multi_gpu_train.yaml'}']"
    options = [text for name, value in NUMBERS.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle",
            "run", "training", "--config_file", configs, "--dataset_dir", str(prepared), "--output_dir", "two",
            "--device", "cpu", "--batch_size", "2", *options,
        ],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    one = train(NAME, prepared, tmp_path / "one", batch_size=4, **NUMBERS)
    for ours, other in zip(rows(tmp_path / "two"), rows(one), strict=True):
        for name in ("loss", "dice", "dice_pooled", "accuracy"):
            assert float(ours[name]) == pytest.approx(float(other[name]), rel=1e-4, abs=1e-4)
    losses = [float(row["loss"]) for row in rows(one)]
    assert losses[2] < losses[0]
