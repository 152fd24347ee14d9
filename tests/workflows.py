"""Run a bundle's configs in process: importing MONAI once instead of once a command."""

from pathlib import Path

import torch
from monai.bundle import ConfigWorkflow

from lungseg_monai import bundle_path

torch.set_num_threads(1)  # nothing here is big enough for two, and two threads a process get in each other's way
# Small and quick, whatever the bundle; widths and sizes that the tiny prepared folder fits in.
TINY = {"spatial_size": [32, 32], "width": 2, "epochs": 2, "device": "cpu"}


def workflow(name: str, *configs: str, kind: str = "train", **override: object) -> ConfigWorkflow:
    """An initialised workflow of bundle `name`; `override` as on the command line."""
    folder = bundle_path(name) / "configs"
    files = [str(folder / config) for config in configs]
    made = ConfigWorkflow(
        files, meta_file=str(folder / "metadata.json"), logging_file=False, workflow_type=kind, **override
    )
    made.initialize()
    return made


def train(name: str, dataset_dir: Path, output_dir: Path, **override: object) -> Path:
    """Train with the TINY numbers; returns `output_dir`."""
    made = workflow(
        name, "train.yaml", dataset_dir=str(dataset_dir), output_dir=str(output_dir), **{**TINY, **override}
    )
    made.run()
    made.finalize()
    return output_dir


def predict(name: str, output_dir: Path, **override: object) -> Path:
    """Run inference.yaml; returns the predictions folder."""
    made = workflow(name, "inference.yaml", kind="infer", output_dir=str(output_dir), **{"device": "cpu", **override})
    made.run()
    made.finalize()
    return output_dir / "predictions"
