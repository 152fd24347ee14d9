"""A whole training in process: what it writes, and that stopping or helpers change nothing."""

import json

import pytest
import torch
from ignite.engine import Events
from prepared import make_prepared
from same_runs import assert_same, curves
from workflows import TINY, train, workflow

from data_prep.errors import OutputError
from lungseg_monai.bundle_command import causes
from lungseg_monai.errors import CheckpointError, ConfigError, IncompleteError
from lungseg_monai.training.checkpoints import read_checkpoint

NAME = "ct_lung_unet2d"
# Dropout, augmentation and a schedule: everything random or stateful is on.
LIVELY = {"epochs": 4, "dropout": 0.2, "learning_rate": 0.01, "empty_slices": 0.5, "augment": True}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(
        tmp_path_factory.mktemp("prepared"), split_sections={"training": [0, 1], "validation": [2], "test": []}
    )


@pytest.fixture(scope="module")
def straight(prepared, tmp_path_factory):
    return train(NAME, prepared, tmp_path_factory.mktemp("straight") / "run", **LIVELY)


def stop_after(made, epochs):
    """Ctrl-C in the middle of the next epoch."""
    trainer = made.parser.get_parsed_content("train#trainer")

    def interrupt(engine):
        if engine.state.epoch == epochs + 1:
            raise KeyboardInterrupt

    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=2), interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.run()


def test_what_a_run_writes(straight, prepared):
    written = {path.relative_to(straight).as_posix() for path in straight.rglob("*") if path.is_file()}
    assert {"run.json", "curves.csv", "checkpoints/best.pt", "checkpoints/last.pt"} <= written
    assert any(name.startswith("tensorboard/training/events") for name in written)
    record = json.loads((straight / "run.json").read_text())
    assert record["status"] == "done" and record["epochs_done"] == 4
    assert record["numbers"]["dropout"] == 0.2 and record["numbers"]["window_hu"] == [-1000, 400]
    assert record["dataset_dir"] == str(prepared) and record["split"]["by"] == "patient"
    assert record["cases"] == {"training": ["P1", "P2"], "validation": ["P3"], "test": []}
    assert record["best"]["by"] == "validation dice"
    rows = curves(straight)
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (str(epoch), split) for epoch in range(1, 5) for split in ("training", "validation")
    ]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("accuracy", "dice"))
    assert float(rows[6]["loss"]) < float(rows[0]["loss"])


def test_a_resume_after_ctrl_c_equals_never_stopping(straight, prepared, tmp_path):
    run = tmp_path / "run"
    made = workflow(NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(run), **{**TINY, **LIVELY})
    stop_after(made, 2)
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert read_checkpoint(run / "checkpoints" / "last.pt")["trainer"]["iteration"] > 0
    # One flag: every number comes from the checkpoint.
    again = workflow(NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(run), device="cpu", resume=True)
    again.run()
    for name in ("last.pt", "best.pt"):
        assert_same(read_checkpoint(straight / "checkpoints" / name), read_checkpoint(run / "checkpoints" / name))
    assert curves(run) == curves(straight)


def test_worker_processes_change_nothing(straight, prepared, tmp_path):
    run = train(NAME, prepared, tmp_path / "run", num_workers=2, **LIVELY)
    assert_same(
        read_checkpoint(straight / "checkpoints" / "last.pt")["model"],
        read_checkpoint(run / "checkpoints" / "last.pt")["model"],
    )


def test_another_seed_is_another_run(straight, prepared, tmp_path):
    run = train(NAME, prepared, tmp_path / "run", seed=1, **LIVELY)
    weights = [read_checkpoint(r / "checkpoints" / "last.pt")["model"]["out.weight"] for r in (run, straight)]
    assert not torch.equal(*weights)


def test_validating_every_other_epoch_judges_those_alone(prepared, tmp_path):
    run = train(NAME, prepared, tmp_path / "run", **LIVELY, val_interval=2)
    assert [row["epoch"] for row in curves(run) if row["split"] == "validation"] == ["2", "4"]
    assert read_checkpoint(run / "checkpoints" / "best.pt")["best"]["epoch"] in (2, 4)


def test_no_validation_list_keeps_the_smallest_training_loss_and_says_so(tmp_path, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    folder = make_prepared(tmp_path / "prepared", split_sections={"training": [0, 1]})
    run = train(NAME, folder, tmp_path / "run")
    assert "smallest training loss" in caplog.text
    assert {row["split"] for row in curves(run)} == {"training"}
    best = json.loads((run / "run.json").read_text())["best"]
    losses = {int(row["epoch"]): float(row["loss"]) for row in curves(run)}
    assert best["by"] == "training loss" and best["epoch"] == min(losses, key=losses.__getitem__)


def test_other_data_or_another_network_can_not_be_resumed(straight, tmp_path):
    other = make_prepared(tmp_path / "prepared", seed=9, split_sections={"training": [0, 1], "validation": [2]})
    made = workflow(
        NAME, "train.yaml", dataset_dir=str(other), output_dir=str(straight), device="cpu", resume=True, epochs=9
    )
    with pytest.raises(RuntimeError) as error:
        made.run()
    assert isinstance(error.value.__cause__, ConfigError) and "--pretrained" in str(error.value.__cause__)
    made = workflow(
        NAME, "train.yaml", dataset_dir=str(other), output_dir=str(tmp_path / "new"),
        **{**TINY, "width": 4, "pretrained": str(straight / "checkpoints" / "best.pt")},
    )  # fmt: skip
    with pytest.raises(RuntimeError) as error:
        made.run()
    causes = [error.value.__cause__, getattr(error.value.__cause__, "__cause__", None)]
    assert any(isinstance(cause, CheckpointError) for cause in causes)
    assert not (tmp_path / "new").exists()


def test_pretrained_weights_are_where_training_starts(straight, prepared, tmp_path):
    run = train(
        NAME, prepared, tmp_path / "run", epochs=1, learning_rate=1e-9,
        pretrained=str(straight / "checkpoints" / "best.pt"),
    )  # fmt: skip
    weights = [read_checkpoint(r / "checkpoints" / "best.pt")["model"]["out.weight"] for r in (run, straight)]
    torch.testing.assert_close(*weights, atol=1e-6, rtol=0)


def test_a_damaged_case_is_left_out_named_and_costs_the_exit_code(tmp_path):
    folder = make_prepared(tmp_path / "prepared", split_sections={"training": [0, 1]})
    (folder / "P1" / "masks" / "Lung-Left.nii.gz").unlink()
    with pytest.raises(RuntimeError) as error:
        train(NAME, folder, tmp_path / "run", epochs=1)
    assert isinstance(error.value.__cause__, IncompleteError) and "P1" in str(error.value.__cause__)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "done" and record["left_out"][0]["case_id"] == "P1"


def test_what_can_not_be_trained_is_told_before_volumes_are_loaded_and_leaves_nothing(prepared, tmp_path, caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    (tmp_path / "file").write_text("")
    for output_dir in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        with pytest.raises(RuntimeError) as error:
            train(NAME, prepared, output_dir)
        assert isinstance(error.value.__cause__, OutputError) and "--output_dir" in str(error.value.__cause__)
    assert "Holding" not in caplog.text
    for wrong in ({"spatial_size": [33, 33]}, {"seed": "abc"}, {"num_workers": -1}):
        with pytest.raises(RuntimeError) as error:
            train(NAME, prepared, tmp_path / "run", **wrong)
        assert any(isinstance(cause, ConfigError) for cause in causes(error.value))
    assert not (tmp_path / "run").exists()


def test_a_finished_run_stays_finished(straight, prepared):
    before = (straight / "run.json").read_bytes()
    for epochs in ({}, {"epochs": 4}, {"epochs": 2}):
        with pytest.raises(RuntimeError) as error:
            workflow(
                NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(straight), device="cpu", resume=True,
                **epochs,
            )  # fmt: skip
        assert any(isinstance(cause, ConfigError) and "already has 4" in str(cause) for cause in causes(error.value))
    assert (straight / "run.json").read_bytes() == before


def test_several_targets_and_slices_of_one_patient(tmp_path):
    folder = make_prepared(tmp_path / "prepared", patients=1, split_sections={"training": [0], "test": [0]})
    lists = json.loads((folder / "datalist.json").read_text())
    lists["training"][0]["slices"], lists["test"][0]["slices"] = [[0, 5], [8, 11]], [[11, 16]]
    lists["split"] |= {"by": "slice", "warning": "one patient alone"}
    (folder / "datalist.json").write_text(json.dumps(lists))
    labels = {"left": ["lung_left"], "right": ["lung_right"]}
    run = train(NAME, folder, tmp_path / "run", labels=labels, epochs=1)
    record = json.loads((run / "run.json").read_text())
    assert record["slices"]["training"]["all"] == 8 and record["split"]["warning"] == "one patient alone"
    best = read_checkpoint(run / "checkpoints" / "best.pt")
    assert best["model"]["out.weight"].shape[0] == 2 and best["numbers"]["labels"] == labels


def test_evaluate_scores_a_section_of_choice(straight, prepared):
    made = workflow(
        NAME, "train.yaml", "evaluate.yaml", dataset_dir=str(prepared), output_dir=str(straight), section="validation",
        device="cpu",
    )  # fmt: skip
    made.run()
    scores = json.loads((straight / "evaluation_validation.json").read_text())
    best = json.loads((straight / "run.json").read_text())["best"]
    assert scores["dice"] == pytest.approx(best["score"], abs=1e-5)
