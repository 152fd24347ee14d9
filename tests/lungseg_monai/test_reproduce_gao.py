"""`lungseg reproduce gao`: its rows train what they say, the paper's words stand beside ours, each folder is a run."""

import csv
import json
from ast import literal_eval

import nibabel as nib
import numpy as np
import pytest
from predicted import make_predictions, truth
from prepared import make_prepared

from lungseg_monai import bundle_path
from lungseg_monai.bundle_command import read_configs
from lungseg_monai.cli import main
from lungseg_monai.errors import ConfigError
from lungseg_monai.evaluation.tables import write_scores
from lungseg_monai.io import sha256
from lungseg_monai.reproduce import work
from lungseg_monai.reproduce.gao_paper import BUNDLE, OVERLAYS, gao, overlay, overlay_path
from lungseg_monai.reproduce.lungs import Lungs, kind
from lungseg_monai.reproduce.lungs.cohort import count, read_lungs
from lungseg_monai.reproduce.lungs.scoring import score_run
from lungseg_monai.reproduce.plan import models_of
from lungseg_monai.reproduce.run import numbers_of
from lungseg_monai.reproduce.training import Failed

SECTIONS = {"training": (0, 1), "validation": (2,), "test": (3, 4)}
SMALL = ["--width", "4", "--spatial-size", "32", "--epochs", "2", "--device", "cpu"]
EXACT = "seed_1"  # the model whose fake predictions are the reference
DRAWN = Lungs.figures
LUNGS = {"lungs": ["lung_left", "lung_right"]}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"), patients=5, split_sections=SECTIONS)


class Fakes:
    """Instead of trainings and networks: what is asked for is listed; predictions are the reference with errors."""

    def __init__(self, monkeypatch, prepared):
        self.prepared, self.trained, self.predicted, self.fail = prepared, {}, [], set()
        monkeypatch.setattr(work, "train", self.train)
        monkeypatch.setattr(kind, "predict", self.predict)
        monkeypatch.setattr(kind, "score_run", self.score)
        monkeypatch.setattr(Lungs, "figures", lambda *_: [])  # most of the time otherwise
        self.scored = {}

    def train(self, arguments, folder, threads, told):
        name = folder.name.rsplit("-", 1)[0]
        if name in self.fail:
            raise Failed("out of luck")
        (folder / "checkpoints").mkdir(parents=True)
        for file in ("best.pt", "last.pt"):
            (folder / "checkpoints" / file).write_text(name)
        epochs = int(dict(zip(arguments[2::2], arguments[3::2], strict=True))["--epochs"])
        facts = {"bundle": BUNDLE, "status": "done", "epochs_done": epochs, "numbers": {"epochs": epochs}}
        (folder / "run.json").write_text(json.dumps({**facts, "device": "cpu", "dataset_dir": str(self.prepared)}))
        lines = [f"{n + 1},training,{0.5 - n / 10},{0.8 + n / 20},0.5,0.1,30.0" for n in range(epochs)]
        (folder / "curves.csv").write_text(
            "\n".join(["epoch,split,loss,accuracy,dice,learning_rate,seconds", *lines]) + "\n"
        )
        self.trained[name] = dict(zip(arguments[2::2], arguments[3::2], strict=True))

    def score(self, run, data):
        """One scoring for all that predict the same."""
        exact = run.name.startswith(EXACT)
        if exact in self.scored:
            write_scores(self.scored[exact], run)
        else:
            self.scored[exact] = score_run(run, data)
        return self.scored[exact]

    def predict(self, arguments, run, threads, told):
        self.predicted.append(run.name.rsplit("-", 1)[0])
        assert literal_eval(arguments[arguments.index("--sections") + 1]) == ["training", "test"]
        cases = {"P1": "training", "P2": "training", "P4": "test", "P5": "test"}
        folder = make_predictions(self.prepared, run / "predictions", cases)
        if self.predicted[-1] == EXACT:
            for case in cases:
                mask, affine = truth(self.prepared, case)
                nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / case / "lungs.nii.gz")
        journal = json.loads((folder / "predictions.json").read_text())
        journal["checkpoint"]["sha256"] = sha256(run / "checkpoints" / "best.pt")
        (folder / "predictions.json").write_text(json.dumps(journal))
        told(1.0)
        return []


@pytest.fixture
def fakes(monkeypatch, prepared):
    return Fakes(monkeypatch, prepared)


def call(prepared, out, *more):
    return main(["reproduce", "gao", "--data", str(prepared), "--out", str(out), *SMALL, *more])


def rows(out, name):
    with (out / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_all_tables_then_nothing_left_to_do(prepared, tmp_path, fakes, capsys):
    out = tmp_path / "out"
    assert call(prepared, out) == 0
    alphas = {f"alpha_{one}" for one in ("0", "0.25", "0.75", "1")}
    assert set(fakes.trained) == {"baseline", "longer", "seed_1", "seed_2", "recommended", *alphas, *OVERLAYS}
    assert fakes.trained["longer"]["--epochs"] == "4" and fakes.trained["alpha_0"]["--alpha"] == "0.0"
    assert fakes.trained["l2"]["--l2"] == "0.0001" and fakes.trained["dropout"]["--dropout"] == "0.2"
    assert literal_eval(fakes.trained["augmentation"]["--augmentations"]) == ["rotation", "flip", "scale", "noise"]
    recommended = fakes.trained["recommended"]
    assert recommended["--setting"] == "paper" and recommended["--learning_rate"] == "0.005"
    assert recommended["--epochs"] == "2" and recommended["--width"] == "4"  # what was given holds for all
    training, alpha, improvements = (rows(out, name) for name in ("training", "alpha", "improvements"))
    assert len(training) == 5 and len(alpha) == 5 and len(improvements) == 9
    assert alpha[2]["model"] == "α = 0.5, the paper's" and alpha[2]["masks"] == "" and alpha[0]["masks"] == "alpha 0.0"
    exact, baseline = training[2], training[0]
    assert exact["volume_dice_mean"] == exact["slice_dice_mean"] == exact["volume_iou_mean"] == "1.0000"
    assert exact["false_positive_slices"] == "0" and baseline["false_positive_slices"] == "2"
    assert 0 < float(baseline["slice_dice_mean"]) < float(baseline["volume_dice_mean"]) < 1
    words = {row["of"].split(",")[0]: row["masks"] for row in rows(out, "words")}
    assert words["patients and slices"].startswith("5 patients") and "2 train, 1 validate, 2 test" in next(
        iter(words.values())
    )
    assert words["loss"].startswith("0.5000 to 0.2000 in 4 epochs") and "blank pairs" in words["best examples"]
    told = capsys.readouterr()
    assert "nearly half of the samples" in told.out and "[1/17] baseline: done, volume DSC" in told.err
    fakes.trained, fakes.predicted = {}, []
    assert call(prepared, out, "--tables", "alpha", "--quiet") == 0
    assert not fakes.trained and not fakes.predicted and rows(out, "alpha") == alpha


def test_a_models_folder_is_a_run_with_its_report(prepared, tmp_path, fakes, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(Lungs, "figures", DRAWN)
    assert call(prepared, out, "--tables", "training", "--quiet") == 0
    page = (out / "tables.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "Figure 3: losses and accuracies for 4 epochs" in page
    assert "<script" not in page and str(tmp_path) not in page
    assert '<td class="paper words">“a downward trend”</td>' in page
    (baseline,) = (out / "models").glob("baseline-*")
    assert f"models/{baseline.name}/report.html" in page
    report = (baseline / "report.html").read_text()
    assert "as Figure 6 of the paper" in report and "as Figure 11 of the paper" in report
    content = json.loads((out / "results.json").read_text())
    assert content["cohort"]["test"]["patients"] == 2 and content["paper"] == "gao"
    assert content["tables"]["training"][0]["scores"]["test"]["volume_dice"]["n"] == 2


def test_a_failed_row_costs_no_other(prepared, tmp_path, fakes, capsys):
    fakes.fail = {"alpha_0"}
    assert call(prepared, tmp_path / "out", "--tables", "alpha") == 1
    assert "alpha_0: out of luck" in capsys.readouterr().err
    assert [bool(row["volume_dice_mean"]) for row in rows(tmp_path / "out", "alpha")] == [False, True, True, True, True]
    fakes.fail, fakes.trained = set(), {}
    assert call(prepared, tmp_path / "out", "--tables", "alpha") == 0
    assert list(fakes.trained) == ["alpha_0"]


def test_wrong_usage_is_told(prepared, tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        call(prepared, tmp_path / "out", "--tables", "2")
    assert leaving.value.code == 2 and "wanted some of training,alpha,improvements" in capsys.readouterr().err


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_by_hand_sets_what_the_row_trains(name):
    """Laid over train.yaml it changes these keys alone, and all of them are numbers of the settings."""
    configs = bundle_path(BUNDLE) / "configs"
    alone, both = (
        read_configs([str(file) for file in files])
        for files in ([configs / "train.yaml"], [configs / "train.yaml", overlay_path(name)])
    )
    changed = {key: both[key] for key in both if both[key] != alone.get(key)}
    wanted = overlay(name, numbers_of(BUNDLE, "paper"))
    assert changed == wanted and set(wanted) <= set(alone["settings"]["paper"])
    assert name in ("augmentation", *wanted) or wanted["augmentations"] == [name]


def test_the_plan_leaves_what_was_given_and_refuses_strange_overlays():
    numbers = numbers_of(BUNDLE, "recommended")
    plan = gao("recommended", {**numbers, "epochs": 3}, ["epochs"])
    models = {one.name: one.numbers for one in models_of(plan.tables)}
    assert models["paper"]["learning_rate"] == 0.1 and "epochs" not in models["paper"]
    assert models["longer"] == {"epochs": 6}
    with pytest.raises(ConfigError, match="sets l2, which"):
        overlay("l2", {"l1": 0.0})


def test_slices_are_counted_by_the_masks(prepared):
    cohort = read_lungs(prepared, LUNGS)
    found = count(cohort.section("test"))
    held = [truth(prepared, case)[0].any(axis=(0, 1)) for case in ("P4", "P5")]
    assert (found.patients, found.slices) == (2, sum(map(len, held)))
    assert found.with_lung == sum(map(np.count_nonzero, held)) < found.slices
