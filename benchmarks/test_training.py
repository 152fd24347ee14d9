"""Bundle ct_lung_unet2d on a full-size patient: a training step, the data it eats, and a volume's inference, apart."""

import pytest
from monai.bundle import ConfigWorkflow
from torch.utils.data import Subset

from data_prep.split import SplitOptions, write_split
from lungseg_monai import bundle_path
from lungseg_monai.io import grid_of
from lungseg_monai.prediction import predict_case

CONFIGS = bundle_path("ct_lung_unet2d") / "configs"
BATCHES = 4


@pytest.fixture(scope="module")
def training(full_prepared, tmp_path_factory):
    """The bundle's training at its `recommended` numbers, ready to run."""
    write_split(full_prepared, SplitOptions(within_patient=True))
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"),
        meta_file=str(CONFIGS / "metadata.json"),
        workflow_type="train",
        dataset_dir=str(full_prepared),
        output_dir=str(tmp_path_factory.mktemp("run")),
    )
    workflow.initialize()
    return workflow.parser


@pytest.mark.benchmark(group=f"{BATCHES} batches of slices at 256x256")
def test_data_loading(benchmark, training):
    loader = training.get_parsed_content("train#dataloader")

    def load() -> int:
        return sum(1 for _, _ in zip(range(BATCHES), loader, strict=False))

    assert benchmark.pedantic(load, rounds=3, warmup_rounds=1) == BATCHES


@pytest.mark.benchmark(group=f"{BATCHES} batches of slices at 256x256")
def test_training_steps(benchmark, training):
    network, loss, optimizer = (training.get_parsed_content(part) for part in ("network", "loss", "optimizer"))
    batch = next(iter(training.get_parsed_content("train#dataloader")))
    network.train()

    def steps() -> None:
        for _ in range(BATCHES):
            optimizer.zero_grad()
            loss(network(batch["image"]), batch["label"]).backward()
            optimizer.step()

    benchmark.pedantic(steps, rounds=2)


@pytest.mark.benchmark(group="inference, a volume of 512x512x200 from image file to mask file")
def test_inference(benchmark, training, full_prepared, tmp_path):
    """With untrained weights: they cost the same."""
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "inference.yaml"),
        meta_file=str(CONFIGS / "metadata.json"),
        workflow_type="infer",
        dataset_dir=str(full_prepared),
        output_dir=str(tmp_path),
        sections=["test"],
    )
    evaluator, dataset, cases = (workflow.parser.get_parsed_content(part) for part in ("evaluator", "dataset", "cases"))
    case = cases.cases[0]

    def predict() -> None:
        predict_case(evaluator, Subset(dataset, [0]), tmp_path, ["lungs"], case)

    benchmark.pedantic(predict, rounds=2)
    assert grid_of(tmp_path / "lungs.nii.gz")[0] == grid_of(case.image)[0]
