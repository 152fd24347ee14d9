"""`lungseg reproduce`: the layout of its tables; stopping, failing and running again cost only what they must."""

import csv
import json

import numpy as np
import pytest
from tumor_prepared import make_tumor_prepared

from lungseg_monai.cli import main
from lungseg_monai.reproduce import work
from lungseg_monai.reproduce.cohort import read_cohort, reference_mask
from lungseg_monai.reproduce.training import Failed, state
from lungseg_monai.reproduce.tumours import kind

SMALL = ["--width", "2", "--spatial-size", "32", "--epochs", "2", "--patches-per-epoch", "2", "--seed", "3"]


@pytest.fixture
def prepared(tmp_path):
    return make_tumor_prepared(tmp_path / "prepared")


class Fakes:
    """Instead of trainings and networks: what is asked for is counted, and predictions are the reference."""

    def __init__(self, monkeypatch, prepared):
        self.trained, self.predicted, self.fail, self.interrupt = [], [], set(), None
        self.patients = {one.image: one for one in read_cohort(prepared, {"tumor": ("gtv",)}).patients}
        monkeypatch.setattr(work, "train", self.train)
        monkeypatch.setattr(kind, "make_predict", lambda run, stride, device: self.predict)

    def train(self, arguments, folder, threads, told):
        name = folder.name.rsplit("-", 1)[0]
        if name in self.fail:
            raise Failed("out of luck")
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        for file in ("best.pt", "last.pt"):
            (folder / "checkpoints" / file).write_text(name)
        facts = {"status": "done", "epochs_done": 2, "numbers": {"epochs": 2}, "device": "cpu"}
        if name == self.interrupt:
            (folder / "run.json").write_text(json.dumps({**facts, "status": "interrupted", "epochs_done": 1}))
            raise KeyboardInterrupt
        (folder / "run.json").write_text(json.dumps(facts))
        lines = ["epoch,split,loss,accuracy,dice,learning_rate,seconds", "1,training,0.5,1,0.5,0.001,30.0"]
        (folder / "curves.csv").write_text("\n".join(lines) + "\n")
        told([{"epoch": "1", "split": "training", "loss": "0.5", "dice": "0.5", "seconds": "30.0"}])
        self.trained.append((name, "--resume" in arguments))

    def predict(self, image):
        self.predicted.append(image)
        return reference_mask(self.patients[image]).astype(np.float32) * 0.75


@pytest.fixture
def fakes(monkeypatch, prepared):
    return Fakes(monkeypatch, prepared)


def call(prepared, out, *more):
    return main(["reproduce", "kamal", "--data", str(prepared), "--out", str(out), *SMALL, *more])


def rows(out, name):
    with (out / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_all_tables_have_the_papers_figures_beside_ours(prepared, tmp_path, fakes, capsys):
    out = tmp_path / "out"
    assert call(prepared, out) == 0
    assert len(fakes.trained) == 15 and len(set(fakes.trained)) == 15  # the shared rows once
    three, five, six = (rows(out, f"table{number}") for number in (3, 5, 6))
    assert [row["model"] for row in three[:4]] == ["2D-UNet", "2D-LungNet", "3D-LungNet", "Proposed Method"]
    assert (
        three[3]["paper_mean"] == "0.7228" and three[3]["volume_dice_mean"] and three[0]["slice_dice_tumor_slices_mean"]
    )
    assert [row["paper_false_positive_slices"] for row in five[:8]] == [
        "786",
        "453",
        "375",
        "417",
        "243",
        "498",
        "437",
        "321",
    ]
    assert len(rows(out, "table4")) == 5 and len(six) == 9
    seven, eight = six[6], six[7]
    assert seven["volume_dice_mean"] == "1.0000" and seven["false_negative_slices"] == "0"  # 0.75 > 0.7: the reference
    assert eight["volume_dice_mean"] == "0.0000" and eight["false_negative_slices"] == "10"
    assert float(six[2]["volume_dice_mean"]) < 1  # dilated
    assert six[8]["paper_mean"] == "" and six[8]["volume_dice_mean"] == "1.0000"  # chosen on validation
    assert rows(out, "table2")[0]["with_tumor_paper"] == "4296" and rows(out, "table2")[2]["with_tumor"] == "10"
    assert {row["stamp"] for row in six} == {"phantom data: proves the software, says nothing about patients"}
    assert "Proposed Method | 0.7228 | 0.7556" in capsys.readouterr().out


def test_the_page_stands_alone_and_says_on_what(prepared, tmp_path, fakes):
    out = tmp_path / "out"
    assert call(prepared, out, "--tables", "2,6", "--quiet") == 0
    page = (out / "tables.html").read_text()
    assert "://" not in page and "<script" not in page and "color-scheme: light dark" in page
    assert page.count("Phantom data: proves the software, says nothing about patients") == 4  # the page, each table
    assert "32 x 32" in page and "data hash" in page and "lungseg" in page and str(tmp_path) not in page
    content = json.loads((out / "results.json").read_text())
    assert content["tables"]["6"][0]["scores"]["tumor_free"]["patients"] == 1
    assert content["numbers"]["seed"] == 3 and content["cohort"]["test"]["patients"] == 3
    assert str(tmp_path) not in (out / "tables.md").read_text()


def test_table_2_alone_trains_nothing(prepared, tmp_path, fakes):
    assert call(prepared, tmp_path / "out", "--tables", "2") == 0
    assert not fakes.trained and len(rows(tmp_path / "out", "table2")) == 3


def test_a_failed_model_costs_no_other_and_only_it_is_tried_again(prepared, tmp_path, fakes, capsys):
    fakes.fail = {"unet3d"}
    assert call(prepared, tmp_path / "out", "--tables", "4") == 1
    assert "unet3d: out of luck" in capsys.readouterr().err
    table = rows(tmp_path / "out", "table4")
    assert [bool(row["volume_dice_mean"]) for row in table] == [False, True, True, True, True]
    assert "unet3d failed: out of luck" in (tmp_path / "out" / "tables.md").read_text()
    fakes.fail, fakes.trained, fakes.predicted = set(), [], []
    assert call(prepared, tmp_path / "out", "--tables", "4") == 0
    assert [name for name, _ in fakes.trained] == ["unet3d"] and len(fakes.predicted) == 3


def test_nothing_trained_is_exit_code_3(prepared, tmp_path, fakes):
    fakes.fail = {"proposed"}
    assert call(prepared, tmp_path / "out", "--tables", "6") == 3


def test_interrupted_it_keeps_what_is_there_and_goes_on(prepared, tmp_path, fakes, capsys):
    fakes.interrupt = "denseunet3d"
    assert call(prepared, tmp_path / "out", "--tables", "4") == 130
    assert "run the same command again" in capsys.readouterr().err
    assert rows(tmp_path / "out", "table4")[0]["volume_dice_mean"]
    assert [name for name, _ in fakes.trained][:2] == ["proposed", "unet3d"]  # what most lines need comes first
    assert "denseunet3d: not trained yet" in (tmp_path / "out" / "tables.md").read_text()
    fakes.interrupt, fakes.trained = None, []
    assert call(prepared, tmp_path / "out", "--tables", "4") == 0
    names = [name for name, _ in fakes.trained]
    assert names == ["denseunet3d", "denseunet3d_recurrent"] and fakes.trained[0][1]  # resumed


def test_other_numbers_are_not_mixed(prepared, tmp_path, fakes):
    out = tmp_path / "out"
    assert call(prepared, out, "--tables", "6") == call(prepared, out, "--tables", "6", "--width", "4") == 0
    assert len(fakes.trained) == 2 and len(list((out / "models").glob("proposed-*"))) == 2


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--tables", "7"], 2, "no Table 7"),
        (["--phantom", "6"], 2, "give --data PREPARED, or --phantom N"),
        (["--epochs", "0"], 2, "whole number from 1"),
        (["--tables", "two"], 2, "numbers with commas"),
        (["--data", "nowhere"], 3, "is no folder"),
    ],
)
def test_wrong_usage_is_told(prepared, tmp_path, fakes, more, code, told, capsys):
    try:
        found = call(prepared, tmp_path / "out", *more)
    except SystemExit as leaving:  # argparse's own way out
        found = leaving.code
    assert found == code and told in capsys.readouterr().err


def test_patients_without_contours_are_named_and_real_data_carry_no_stamp(tmp_path, monkeypatch, capsys):
    prepared = make_tumor_prepared(tmp_path / "real", maker="SIEMENS")
    Fakes(monkeypatch, prepared)
    assert call(prepared, tmp_path / "out", "--tables", "6") == 1
    assert "test3 (test): no tumour is drawn" in capsys.readouterr().err
    assert {row["stamp"] for row in rows(tmp_path / "out", "table6")} == {""}


def test_a_real_training_from_end_to_end_then_nothing_left_to_do(prepared, tmp_path, capsys):
    small = ["--epochs", "1", "--threads", "1", "--device", "cpu", "--tables", "6"]
    assert call(prepared, tmp_path / "out", *small) == 0
    (run,) = (tmp_path / "out" / "models").iterdir()
    assert state(run) == "done" and "$ python -m monai.bundle run training" in (run / "training.log").read_text()
    weights = (run / "checkpoints" / "best.pt").stat().st_mtime_ns
    before = rows(tmp_path / "out", "table6")
    assert call(prepared, tmp_path / "out", *small) == 0
    assert rows(tmp_path / "out", "table6") == before
    assert (run / "checkpoints" / "best.pt").stat().st_mtime_ns == weights


def test_results_can_be_written_as_json(prepared, tmp_path, fakes, capsys):
    assert call(prepared, tmp_path / "out", "--tables", "2,3", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["tables"]) == {"3"}
    assert printed["tables"]["3"] == json.loads((tmp_path / "out" / "results.json").read_text())["tables"]["3"]
