"""Training the tumour bundle in process: what it measures, that stopping changes nothing, all networks and losses."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.transforms import Compose
from prepared import make_prepared
from same_runs import assert_same, curves
from tumor_items import make_item
from workflows import TINY, predict, train, workflow

from lungseg_monai.bundle_command import causes
from lungseg_monai.data import Case, CaseLists
from lungseg_monai.errors import CheckpointError, ConfigError, DatasetError
from lungseg_monai.networks.tumor import TUMOR_NETWORKS
from lungseg_monai.patches import PatchDataset
from lungseg_monai.training.checkpoints import read_checkpoint
from lungseg_monai.training.tumors import TumorScores, can_validate, fresh_slices
from lungseg_monai.transforms.tumor_chains import tumor_volume

NAME = "ct_tumor_recurrent_denseunet"
# The left lung stands for the tumour. Dropout, augmentation, a plateau at once, accumulation: all that has a state.
LIVELY = {
    "labels": {"tumor": ["lung_left"]}, "epochs": 4, "schedule": "plateau", "plateau": 1, "learning_rate": 0.01,
    "rate_decay": 0.001, "dropout": 0.1, "patches_per_epoch": 5, "accumulate": 2,
}  # fmt: skip
ONE = {"labels": {"tumor": ["lung_left"]}, "epochs": 1, "patches_per_epoch": 2, "spatial_size": [16, 16]}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(
        tmp_path_factory.mktemp("prepared"), split_sections={"training": [0, 1], "validation": [2], "test": [0]}
    )


@pytest.fixture(scope="module")
def straight(prepared, tmp_path_factory):
    return train(NAME, prepared, tmp_path_factory.mktemp("straight") / "run", **LIVELY)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Depths that eight does not divide, and fewer slices than a window."""
    folder = tmp_path_factory.mktemp("items")
    data = [
        make_item(folder, "A", labelled=range(9, 14), shape=(24, 20, 19)),
        make_item(folder, "B", labelled=[], shape=(24, 20, 17)),
        make_item(folder, "C", labelled=[3, 4], shape=(24, 20, 5)),
    ]
    chain = Compose(tumor_volume(["tumor"], "window", (-1000, 400), (24, 16)))
    return PatchDataset(data, chain, stride=8, only_labelled=False)


def raised(error, kind):
    return next(cause for cause in causes(error.value) if isinstance(cause, kind))


def test_windows_show_each_slice_of_a_patient_once(dataset):
    fresh = fresh_slices(dataset)
    depths = {"A": 19, "B": 17, "C": 5}
    for case_id, depth in depths.items():
        shown = [start + k for (case, start), part in fresh.items() if case == case_id for k in range(8)[part]]
        assert shown == list(range(depth))


def test_validation_dice_is_the_mean_volume_dice_of_the_patients_with_tumour(dataset):
    """Against volumes that are put together by hand: off by one row, and a speck where there is no tumour."""
    scores = TumorScores(dataset)
    engine = SimpleNamespace(state=SimpleNamespace(metrics={}, output=None, batch=None))
    scores.start(engine)
    volumes = {stack.case_id: stack.slices.read(0, stack.blocks[-1][1])[1] for stack in dataset.stacks}
    guesses = {case_id: torch.roll(label, 1, dims=1) for case_id, label in volumes.items()}
    guesses["B"][0, 3, 4, 16] = 1
    for start in (0, 2):  # batches of two
        items = [dataset[index] for index in range(start, min(start + 2, len(dataset)))]
        shown = [padded(guesses[item["case_id"]][..., item["start"] : item["start"] + 8]) for item in items]
        engine.state.output = {
            "pred": torch.stack(shown) * 10 - 5, "label": torch.stack([item["label"] for item in items])
        }  # fmt: skip
        engine.state.batch = {name: [item[name] for item in items] for name in ("case_id", "start")}
        scores.add(engine)
    for index in range(4, len(dataset)):
        item = dataset[index]
        engine.state.output = {
            "pred": padded(guesses[item["case_id"]][..., item["start"] : item["start"] + 8])[None] * 10 - 5,
            "label": item["label"][None],
        }
        engine.state.batch = {"case_id": [item["case_id"]], "start": [item["start"]]}
        scores.add(engine)
    scores.finish(engine)

    def dice(a, b):
        return float(2 * (a * b).sum() / (a.sum() + b.sum()))

    wanted = np.mean([dice(guesses[case], volumes[case]) for case in ("A", "C")])
    everything = [torch.cat([part[case].flatten() for case in "ABC"]) for part in (guesses, volumes)]
    assert 0.3 < wanted < 0.95
    assert engine.state.metrics["dice"] == pytest.approx(wanted)
    assert engine.state.metrics["dice_pooled"] == pytest.approx(dice(*everything))
    assert engine.state.metrics["accuracy"] == pytest.approx(float((everything[0] == everything[1]).float().mean()))


def padded(patch):
    """As PatchDataset does with a patient of fewer slices; the copies are full of false tumour."""
    return torch.cat([patch, torch.ones(*patch.shape[:-1], 8 - patch.shape[-1])], dim=-1)


def test_nothing_to_validate_on_is_said(tmp_path, caplog):
    free = Case("F", "validation", tmp_path, (4, 4, 4), {"tumor": []})
    ill = Case("I", "validation", tmp_path, (4, 4, 4), {"tumor": [tmp_path]})
    assert can_validate(CaseLists([free, ill], [], {})) and not can_validate(CaseLists([], [], {})) and not caplog.text
    assert not can_validate(CaseLists([free], [], {})) and "No validation case has a tumour" in caplog.text


def test_what_a_run_writes(straight):
    record = json.loads((straight / "run.json").read_text())
    assert record["status"] == "done" and record["epochs_done"] == 4 and record["precision"] in ("float32", "bf16")
    assert record["slices"]["training"]["all"] == record["slices"]["training"]["with_label"] > 5
    numbers = read_checkpoint(straight / "checkpoints" / "best.pt")["numbers"]
    assert numbers == record["numbers"] and numbers["network_name"] == "recurrent_3d_denseunet"
    rows = curves(straight)
    rates = [float(row["learning_rate"]) for row in rows[::2]]
    assert rates == sorted(rates, reverse=True) and 0 < rates[-1] < 0.01
    assert all(row["dice_pooled"] for row in rows)


def test_a_resume_after_ctrl_c_equals_never_stopping(straight, prepared, tmp_path):
    run = tmp_path / "run"
    made = workflow(NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(run), **{**TINY, **LIVELY})

    def interrupt(engine):
        if engine.state.epoch == 3:
            raise KeyboardInterrupt

    made.parser.get_parsed_content("train#trainer").add_event_handler(Events.ITERATION_COMPLETED(every=2), interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    again = workflow(NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(run), device="cpu", resume=True)
    again.run()
    for name in ("last.pt", "best.pt"):
        assert_same(read_checkpoint(straight / "checkpoints" / name), read_checkpoint(run / "checkpoints" / name))
    assert curves(run) == curves(straight)


@pytest.mark.parametrize("network_name", sorted(TUMOR_NETWORKS))
def test_every_network_trains_and_predicts(network_name, prepared, tmp_path):
    run = train(NAME, prepared, tmp_path, network_name=network_name, **ONE)
    folder = predict(NAME, run, dataset_dir=str(prepared), sections=["test"], stride=8, batch_size=4)
    mask, image = nib.load(folder / "P1" / "tumor.nii.gz"), nib.load(prepared / "P1" / "image.nii.gz")
    assert mask.shape == image.shape and mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, image.affine)


@pytest.mark.parametrize("loss_name", ["tversky", "focal", "iou"])
def test_the_losses_of_table_5_train(loss_name, prepared, tmp_path):
    run = train(NAME, prepared, tmp_path, loss_name=loss_name, alpha=0.3, network_name="unet3d", **ONE)
    assert read_checkpoint(run / "checkpoints" / "best.pt")["numbers"]["loss_name"] == loss_name
    assert float(curves(run)[0]["loss"]) > 0


@pytest.mark.parametrize("setting", ["paper", "authors_code"])
def test_the_other_settings_train(setting, prepared, tmp_path):
    run = train(NAME, prepared, tmp_path, setting=setting, **ONE)
    options = {"grid": "image", "kernel": "square", "save_probabilities": True}
    folder = predict(NAME, run, dataset_dir=str(prepared), sections=["test"], stride=8, threshold=0.4, **options)
    assert (folder / "P1" / "probability.nii.gz").is_file()
    journal = json.loads((folder / "predictions.json").read_text())
    assert journal["options"]["rules"]["kernel"] == "square" and journal["options"]["stride"] == 8


def test_a_checkpoint_of_another_variant_is_refused_by_name(straight, prepared, tmp_path):
    best = str(straight / "checkpoints" / "best.pt")
    made = workflow(
        NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(tmp_path / "run"),
        **{**TINY, **LIVELY, "pretrained": best, "network_name": "unet3d"},
    )  # fmt: skip
    with pytest.raises(RuntimeError) as error:
        made.run()
    told = str(raised(error, CheckpointError))
    assert "network_name 'recurrent_3d_denseunet' (wanted 'unet3d')" in told
    assert "--network_name recurrent_3d_denseunet" in told and not (tmp_path / "run").exists()
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path, dataset_dir=str(prepared), checkpoint=best, width=4)
    assert "width 2 (wanted 4)" in str(raised(error, CheckpointError))
    with pytest.raises(RuntimeError) as error:
        workflow(
            NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(straight), resume=True, device="cpu",
            loss_name="dice", epochs=9,
        )  # fmt: skip
    assert "loss_name 'bce_dice' (now 'dice')" in str(raised(error, ConfigError))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"network_name": "unet4d"}, "unet4d"),
        ({"loss_name": "tverski"}, "Did you mean tversky"),
        ({"precision": "half"}, "precision must be"),
        ({"spatial_size": [36, 32]}, "divisible by 8"),
        ({"accumulate": 0}, "accumulate must be a whole number from 1"),
        ({"only_labelled": False}, "only_labelled must be true or run"),
    ],
)
def test_what_can_not_be_trained_is_told_before_volumes_are_loaded(wrong, told, prepared, tmp_path, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    with pytest.raises(RuntimeError) as error:
        train(NAME, prepared, tmp_path / "run", **{**LIVELY, **wrong})
    assert told in str(raised(error, ConfigError))
    assert "patches of" not in caplog.text and not (tmp_path / "run").exists()


def test_a_cohort_without_any_tumour_is_refused(prepared, tmp_path):
    with pytest.raises(RuntimeError) as error:
        train(NAME, prepared, tmp_path / "run", **{**LIVELY, "labels": {"tumor": ["gtv"]}})
    assert "so there is nothing to learn" in str(raised(error, DatasetError))


def test_evaluate_scores_a_section_of_choice(straight, prepared):
    made = workflow(
        NAME, "train.yaml", "evaluate.yaml", dataset_dir=str(prepared), output_dir=str(straight), section="validation",
        device="cpu",
    )  # fmt: skip
    made.run()
    scores = json.loads((straight / "evaluation_validation.json").read_text())
    best = json.loads((straight / "run.json").read_text())["best"]
    assert scores["dice"] == pytest.approx(best["score"], abs=1e-5)
