"""Laws for every folder under bundles/: MONAI's own checks, the same keys in the same order, no Python; it runs."""

import csv
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from pydoc import locate

import pytest
import torch
import yaml
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out
from monai.bundle.config_item import ComponentLocator
from prepared import make_prepared
from prepared_pictures import make_prepared_pictures
from workflows import TINY, workflow

from lungseg_monai import networks
from lungseg_monai.slices import plain

BUNDLES = sorted((Path(__file__).parents[2] / "bundles").iterdir())
SCHEMA = Path(__file__).with_name("meta_schema.json")
FILES = {
    "LICENSE", "docs/README.md", "models/.gitkeep", "configs/metadata.json", "configs/train.yaml",
    "configs/evaluate.yaml", "configs/inference.yaml", "configs/multi_gpu_train.yaml", "configs/logging.conf",
}  # fmt: skip
# Every train.yaml begins and ends alike, so that a diff of two is the difference between the papers.
FIRST = [
    "bundle", "bundle_root", "dataset_dir", "output_dir", "resume", "pretrained", "device", "amp",
    "num_workers", "cache_gb", "tensorboard", "setting", "settings", "numbers",
]  # fmt: skip
TUMOR = "ct_tumor_recurrent_denseunet"
NODULE = "ct_nodule_vgg_segnet"
CT_SLICES = ["ct_lung_unet2d", "ct_lung_dilated_unet", "ct_lung_resnet50_unet", NODULE]
RADIOGRAPHS = [path.name for path in BUNDLES if path.name.startswith("cxr_")]
OTHER = {  # what stands in a bundle in the place of a key
    "ct_lungs": {"cache_gb": ["threads", "scene_cache", "minutes"]},
    TUMOR: {"amp": ["amp", "precision", "threads"], "cache_gb": ["cache_gb", "cache_dir"]},
    **{name: {"amp": ["amp", "threads"]} for name in RADIOGRAPHS},
    "ct_lung_resnet50_unet": {"pretrained": ["pretrained", "encoder_weights"]},
    "cxr_lung_resnet50_unet": {"pretrained": ["pretrained", "encoder_weights"], "amp": ["amp", "threads"]},
}
SMALL = {
    **{name: {"width": 2} for name in CT_SLICES},
    "ct_lungs": {"features": [2, 2, 2, 2, 2, 2]},
    TUMOR: {"width": 2},
    **{name: {"n_filters": 2} for name in RADIOGRAPHS},
    "cxr_lung_resnet50_unet": {"width": 2},
}
SHAPE = {
    **dict.fromkeys(CT_SLICES, (1, 1, 32, 64)),
    "ct_lungs": (1, 1, 64, 32, 32),
    TUMOR: (1, 1, 16, 24, 8),
    **dict.fromkeys(RADIOGRAPHS, (1, 1, 32, 64)),
}
LAST = ["train", "validate", "initialize", "run", "training", "finalize"]


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def bundle(request):
    return request.param


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    sections = {"training": [0], "validation": [1], "test": [2]}
    return str(make_prepared(tmp_path_factory.mktemp("prepared"), split_sections=sections))


@pytest.fixture(scope="module")
def prepared_pictures(tmp_path_factory):
    return str(make_prepared_pictures(tmp_path_factory.mktemp("pictures")))


def config(bundle, name):
    return yaml.safe_load((bundle / "configs" / name).read_text())


def test_the_files_of_a_bundle(bundle):
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert there >= FILES
    assert not [name for name in there if name.endswith((".py", ".pyc"))]


def test_the_shape_of_train_yaml(bundle):
    keys = list(config(bundle, "train.yaml"))
    first = [name for key in FIRST for name in OTHER.get(bundle.name, {}).get(key, [key])]
    assert keys[: len(first)] == first
    assert keys[-len(LAST) :] == LAST
    assert config(bundle, "train.yaml")["bundle"] == bundle.name == config(bundle, "inference.yaml")["bundle"]


def test_settings_have_the_same_numbers_and_each_can_be_set(bundle):
    train = config(bundle, "train.yaml")
    assert set(train["settings"]) <= {"recommended", "paper", "authors_code"}
    assert train["setting"] == "recommended"
    for numbers in train["settings"].values():
        assert list(numbers) == list(train["settings"]["recommended"]) == list(train["checked"]["numbers"])
    for name in train["checked"]["numbers"]:
        assert train[name] == f"$@numbers['{name}']"


def test_training_and_inference_agree_on_network_spacing_and_window(bundle):
    train, inference = config(bundle, "train.yaml"), config(bundle, "inference.yaml")
    assert inference["network_def"] == train["network_def"]
    assert inference.get("divisible_by") == train.get("divisible_by")
    given = inference.get("trained", {}).get("default", inference)  # where no checkpoint tells
    numbers = train["settings"]["recommended"]
    shared = {name for name in numbers if name in given}
    assert {name: given[name] for name in shared} == {name: numbers[name] for name in shared}
    assert shared & {"spatial_size", "spacing_mm"} and shared & {"window_hu", "steps"}


def test_configs_name_only_code_that_is_installed(bundle):
    def targets(node):
        if isinstance(node, dict):
            if isinstance(node.get("_target_"), str):
                yield node["_target_"]
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                yield from targets(each)

    locator = ComponentLocator()
    for name in ("train.yaml", "evaluate.yaml", "inference.yaml", "multi_gpu_train.yaml"):
        for target in targets(config(bundle, name)):
            found = locate(target) if "." in target else locator.get_component_module_name(target)
            assert found, f"{name}: {target}"


@pytest.mark.parametrize(("kind", "name"), [("train", "train.yaml"), ("infer", "inference.yaml")])
def test_monai_finds_every_property(bundle, kind, name, prepared, prepared_pictures, tmp_path):
    options = {**TINY, "output_dir": str(tmp_path), "dataset_dir": prepared}
    if bundle.name in RADIOGRAPHS:
        options = {**options, **SMALL[bundle.name], "dataset_dir": prepared_pictures}
        options.pop("width" if "n_filters" in options else "nothing", None)
    if bundle.name == "ct_lungs":
        options = {**SMALL[bundle.name], "epochs": 2, "device": "cpu", "output_dir": str(tmp_path)}
    if bundle.name == TUMOR:
        options["labels"] = {"tumor": ["lung_left"]}  # what the tiny prepared folder has
    if bundle.name == NODULE:
        options["labels"] = {"nodule": ["lung_left"]}
    if kind == "infer":
        options.pop("epochs")
    assert workflow(bundle.name, name, kind=kind, **options).check_properties() == []


def test_metadata_is_valid_and_its_versions_are_those_tested(bundle, capsys):
    meta = bundle / "configs" / "metadata.json"
    verify_metadata(meta_file=str(meta), filepath=str(SCHEMA))
    content = json.loads(meta.read_text())
    named = {
        "monai": content["monai_version"],
        "numpy": content["numpy_version"],
        **content["required_packages_version"],
    }
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in constraints if "==" in line)
    for package, wanted in named.items():
        assert wanted == pinned.get(package, version(package))
    assert content["pytorch_version"] == pinned["torch"]
    assert content["version"] in content["changelog"]


@pytest.mark.parametrize("name", ["train.yaml", "inference.yaml"])
def test_the_network_takes_and_gives_what_metadata_says(bundle, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no run, no data: the network alone
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / name),
        n=2,
        device="cpu",
        **SMALL[bundle.name],
    )


def test_its_network_is_one_that_tests_of_networks_export_to_onnx(bundle):
    """(test_networks.py each of networks.__all__, test_tumor_networks.py the tumour networks.)"""
    target = config(bundle, "train.yaml")["network_def"]["_target_"]
    assert target.rpartition(".")[2] in networks.__all__ or target == "lungseg_monai.networks.tumor.tumor_network"


def test_a_checkpoint_becomes_torchscript(bundle, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = workflow(bundle.name, "inference.yaml", kind="infer", output_dir=str(tmp_path), **SMALL[bundle.name])
    network = made.network_def.eval()
    torch.save({"model": network.state_dict()}, tmp_path / "best.pt")
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "best.pt"),
        key_in_ckpt="model",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        **SMALL[bundle.name],
    )
    x = torch.rand(SHAPE[bundle.name])
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts").eval()(x), network(x))


@dataclass
class Run:
    """A bundle trained for an epoch, and the options that make it tiny."""

    bundle: str
    folder: Path
    data: dict[str, object]
    network: torch.nn.Module

    def workflow(self, *configs, kind="train", **options):
        return workflow(
            self.bundle, *configs, kind=kind, output_dir=str(self.folder), device="cpu", **self.data, **options
        )


@pytest.fixture(scope="module", params=sorted({*CT_SLICES, *RADIOGRAPHS}))
def run(request, prepared, prepared_pictures, tmp_path_factory):
    """(ct_lungs and the tumour bundle learn from other things: test_training_lungs.py, test_training_tumors.py.)"""
    name = request.param
    data = {"dataset_dir": prepared_pictures if name in RADIOGRAPHS else prepared}
    options = {**SMALL[name], "spatial_size": [64, 32], "epochs": 1}
    if name == NODULE:
        options["labels"] = {"nodule": ["lung_left"]}
    folder = tmp_path_factory.mktemp(name)
    made = workflow(name, "train.yaml", device="cpu", output_dir=str(folder), **data, **options)
    made.run()
    made.finalize()
    return Run(name, folder, data, made.network_def.eval())


@pytest.mark.parametrize("name", ["ct_lung_resnet50_unet", "cxr_lung_resnet50_unet"])
def test_encoder_weights_are_put_in_before_training(name, tmp_path):
    other = networks.ResNet50UNet(width=2).encoder
    torch.save(other.state_dict(), tmp_path / "resnet50.pth")
    made = workflow(
        name,
        "train.yaml",
        width=2,
        device="cpu",
        output_dir=str(tmp_path),
        encoder_weights=str(tmp_path / "resnet50.pth"),
    )
    made.parser.get_parsed_content("run#1")
    torch.testing.assert_close(made.network_def.encoder.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_one_epoch_leaves_what_a_run_leaves(run):
    with (run.folder / "curves.csv").open(newline="") as stream:
        rows = {row["split"]: row for row in csv.DictReader(stream)}
    assert all(0 < float(rows[split]["loss"]) < 10 for split in ("training", "validation"))
    assert json.loads((run.folder / "run.json").read_text())["status"] == "done"
    assert {path.name for path in (run.folder / "checkpoints").iterdir()} == {"best.pt", "last.pt"}


def test_its_epoch_is_scored_again_as_it_was(run):
    numbers = torch.load(run.folder / "checkpoints" / "best.pt", weights_only=True)["numbers"]
    made = run.workflow("train.yaml", "evaluate.yaml", section="validation", **numbers)
    made.run()
    made.finalize()
    with (run.folder / "curves.csv").open(newline="") as stream:
        (told,) = [row for row in csv.DictReader(stream) if row["split"] == "validation"]
    found = json.loads((run.folder / "evaluation_validation.json").read_text())
    assert {name: found[name] for name in ("loss", "dice")} == pytest.approx(
        {name: float(told[name]) for name in ("loss", "dice")}, rel=1e-4, abs=1e-6
    )


def test_inference_has_the_network_spacing_and_window_of_the_training(run):
    """What it was trained with, not what the files say; and it predicts each case of a section."""
    made = run.workflow("inference.yaml", kind="infer", sections=["validation"])
    trained = run.workflow("train.yaml", resume=True, epochs=2)
    image = plain(made.parser.get_parsed_content("dataset")[0]["image"])
    data = trained.parser.get_parsed_content("validate#dataset")  # of slices, or the one picture
    seen = torch.stack([data[index]["image"] for index in range(len(data))], dim=-1).reshape(image.shape)
    torch.testing.assert_close(seen, image, rtol=0, atol=1e-3)  # pictures are held in 16 bits
    made.run()
    made.finalize()
    journal = json.loads((run.folder / "predictions" / "predictions.json").read_text())
    assert journal["cases"] and not journal["refused"]
    weights = made.network_def.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in run.network.state_dict().items())
