"""`lungseg reproduce cxr` and `kuppili`: the papers' figures beside ours, pre-processing step by step, made films."""

import csv
import json
from ast import literal_eval

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from prepared import make_prepared
from prepared_radiographs import make_radiographs as make_films

from data_prep.dataset import SCHEMA
from lungseg_monai.cli import main
from lungseg_monai.errors import DatasetError, UsageError
from lungseg_monai.networks.trained import radiograph_network
from lungseg_monai.pictures.steps import SETTINGS, prepare
from lungseg_monai.postprocessing_cxr import RULES, CxrRules
from lungseg_monai.reproduce import work
from lungseg_monai.reproduce.cohort import PHANTOM
from lungseg_monai.reproduce.cxr_paper import KUPPILI_RULES, TABLE_2, ablation, cxr, kuppili
from lungseg_monai.reproduce.kept import path_of
from lungseg_monai.reproduce.plan import models_of
from lungseg_monai.reproduce.radiographs import kind
from lungseg_monai.reproduce.radiographs.cohort import read_radiographs
from lungseg_monai.reproduce.radiographs.figures import draw_all
from lungseg_monai.reproduce.radiographs.phantom import make_radiographs
from lungseg_monai.reproduce.radiographs.predicting import make_ask
from lungseg_monai.reproduce.radiographs.scoring import DAMAGES, reference_of, rules_text, score_row
from lungseg_monai.reproduce.training import Failed
from lungseg_monai.synthesis.radiograph import RadiographOptions
from lungseg_monai.training.checkpoints import save_checkpoint

LABELS = {"lungs": ("lungs",)}
SECTIONS = {"training": (0, 1), "validation": (2,), "test": (3, 4)}
SMALL = ["--spatial-size", "64", "--epochs", "1", "--n-filters", "2", "--device", "cpu"]


@pytest.fixture
def prepared(tmp_path):
    return make_films(tmp_path / "prepared", 5, SECTIONS)


class Fakes:
    """Instead of trainings and networks: what is trained is listed, and predictions are the reference."""

    def __init__(self, monkeypatch, prepared):
        self.trained, self.fail = {}, set()
        self.patients = {one.image: one for one in read_radiographs(prepared, LABELS).patients}
        monkeypatch.setattr(work, "train", self.train)
        monkeypatch.setattr(kind, "make_predict", lambda run, device: self.predict)
        monkeypatch.setattr(kind, "draw_all", lambda done: [])  # most of the time otherwise
        monkeypatch.setattr(kind, "make_ask", lambda run, device: lambda picture: np.zeros((32, 32), np.float32))

    def train(self, arguments, folder, threads, told):
        name = folder.name.rsplit("-", 1)[0]
        if name in self.fail:
            raise Failed("out of luck")
        (folder / "checkpoints").mkdir(parents=True)
        for file in ("best.pt", "last.pt"):
            (folder / "checkpoints" / file).write_text(name)
        facts = {"status": "done", "epochs_done": 1, "numbers": {"epochs": 1}, "device": "cpu"}
        (folder / "run.json").write_text(json.dumps(facts))
        lines = ["epoch,split,loss,accuracy,dice,learning_rate,seconds", "1,training,0.5,0.9,0.5,0.001,30.0"]
        (folder / "curves.csv").write_text("\n".join([*lines, "1,validation,0.6,0.8,0.4,0.001,"]) + "\n")
        self.trained[name] = dict(zip(arguments[2::2], arguments[3::2], strict=True))

    def predict(self, image):
        return reference_of(self.patients[image]).astype(np.float32) * 0.9


@pytest.fixture
def fakes(monkeypatch, prepared):
    return Fakes(monkeypatch, prepared)


def call(paper, prepared, out, *more):
    return main(["reproduce", paper, "--data", str(prepared), "--out", str(out), *SMALL, *more])


def rows(out, name):
    with (out / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_table_2_has_the_papers_figures_beside_ours(prepared, tmp_path, fakes, capsys):
    out = tmp_path / "out"
    assert call("cxr", prepared, out) == 0
    assert set(fakes.trained) == {"unet", "fcnn", "deeplabv3", "resnet50_unet"}
    assert fakes.trained["unet"]["--n_filters"] == fakes.trained["resnet50_unet"]["--width"] == "2"
    assert "--width" not in fakes.trained["unet"] and "cxr_lung_fcnn" in fakes.trained["fcnn"]["--config_file"]
    table = rows(out, "table2")
    assert [row["model"] for row in table[:3]] == ["U-Net", "FCNN", "DeepLabV3"] and len(table) == 6
    assert [row["paper_dice"] for row in table] == ["0.97", "0.92", "0.96", "", "", ""]
    assert float(table[0]["dice_mean"]) > 0.97 and table[0]["n"] == "2" and table[0]["convention"] == "visible"
    assert float(table[0]["mse_mean"]) < 0.02 < float(table[0]["hd95_px_mean"]) + 1
    (resnet,) = rows(out, "kuppili")
    assert resnet["paper_iou"] == "0.87" and float(resnet["iou_mean"]) > 0.94
    told = capsys.readouterr().out
    assert "hardly adds up" in told and "divided by the number of batches" in told


def test_the_page_stands_alone_with_its_pictures(prepared, tmp_path, fakes, monkeypatch):
    monkeypatch.setattr(kind, "draw_all", draw_all)
    out = tmp_path / "out"
    assert call("cxr", prepared, out, "--networks", "fcnn,unet", "--quiet") == 0
    page = (out / "tables.html").read_text()
    assert "://" not in page.replace("data:image", "") and "<script" not in page and str(tmp_path) not in page
    assert page.count("data:image/png;base64,") == 4 and "convention of the masks" in page
    assert "(figures/unet-predictions.png)" in (out / "tables.md").read_text()
    content = json.loads((out / "results.json").read_text())
    assert content["convention"] == "visible" and content["cohort"]["test"] == {"radiographs": 2, "patients": 1}
    scores = content["tables"]["2"][0]["scores"]
    assert scores["dice"]["n"] == 2 and 0 <= scores["iou_two_classes"] <= 1 and set(scores["cases"]) == {"X4", "X5"}


def test_a_failed_network_costs_no_other_and_only_it_is_tried_again(prepared, tmp_path, fakes, capsys):
    fakes.fail = {"fcnn"}
    assert call("cxr", prepared, tmp_path / "out", "--networks", "unet,fcnn") == 1
    assert "fcnn: out of luck" in capsys.readouterr().err
    assert [bool(row["dice_mean"]) for row in rows(tmp_path / "out", "table2")] == [True, False, True, False]
    fakes.fail, fakes.trained = set(), {}
    assert call("cxr", prepared, tmp_path / "out", "--networks", "unet,fcnn") == 0
    assert set(fakes.trained) == {"fcnn"}


def test_the_ablation_trains_one_network_by_each_pre_processing(prepared, tmp_path, fakes):
    assert call("cxr", prepared, tmp_path / "out", "--ablate", "preprocessing", "--setting", "paper") == 0
    steps = {name: literal_eval(of["--steps"]) for name, of in fakes.trained.items()}
    names = [step["name"] for step in SETTINGS["paper"]]
    assert [step["name"] for step in steps["paper"]] == names
    for name in names[1:-1]:
        assert [step["name"] for step in steps[f"without_{name}"]] == [one for one in names if one != name]
    assert [step["name"] for step in steps["none"]] == ["grey", "resize"] and len(steps) == 7
    assert len({str(one) for one in steps.values()}) == 7
    table = rows(tmp_path / "out", "preprocessing")
    assert len(table) == 7 and all(float(row["dice_mean"]) > 0.9 for row in table)
    assert [row[f"dice_{name}/{level}"] for name, level in DAMAGES for row in table[:1]] == ["0.0000"] * len(DAMAGES)


def test_kuppili_alone_is_one_row(prepared, tmp_path, fakes):
    assert call("kuppili", prepared, tmp_path / "out", "--setting", "paper") == 0
    assert list(fakes.trained) == ["resnet50_unet"] and len(rows(tmp_path / "out", "kuppili")) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--networks", "unet,vgg"], "got 'vgg'"),
        (["--ablate", "preprocessing", "--networks", "unet,fcnn"], "is of one network"),
        (["--width", "4"], "unrecognized arguments"),
        (["--phantom", "6"], "give --data PREPARED, or --phantom N"),
    ],
)
def test_wrong_usage_is_told(prepared, tmp_path, fakes, more, told, capsys):
    try:
        found = call("cxr", prepared, tmp_path / "out", *more)
    except SystemExit as leaving:  # argparse's own way out
        found = leaving.code
    assert found == 2 and told in capsys.readouterr().err


def test_two_networks_really_trained_side_by_side_then_nothing_left_to_do(prepared, tmp_path, capsys):
    out, more = tmp_path / "out", ["--networks", "unet,fcnn", "--jobs", "2", "--threads", "1"]
    assert call("cxr", prepared, out, *more) == 0
    assert {one.name.rsplit("-", 1)[0] for one in (out / "models").iterdir()} == {"unet", "fcnn"}
    before, told = rows(out, "table2"), capsys.readouterr().err
    assert all(row["dice_mean"] for row in before) and [row["model"] for row in before[:2]] == ["U-Net", "FCNN"]
    assert "[1/2] unet: begins" in told and "[2/2] fcnn: epoch 1" in told and "left in all" in told
    weights = {path: path.stat().st_mtime_ns for path in out.rglob("best.pt")}
    assert call("cxr", prepared, out, *more[:2], *more[4:]) == 0  # one after the other: the same folders
    assert rows(out, "table2") == before and {path: path.stat().st_mtime_ns for path in out.rglob("best.pt")} == weights


def test_the_plans_hold_the_papers_figures():
    assert TABLE_2["unet"] == {"dice": 0.97, "iou": 0.94, "mse": 0.02}
    assert len(cxr("paper").tables[0].rows) == 3 and len(cxr("recommended").tables[0].rows) == 6
    assert [table.number for table in cxr().tables] == [2, "kuppili"] and len(models_of(cxr().tables)) == 4
    assert [table.number for table in cxr(networks=("fcnn",)).tables] == [2]
    assert kuppili("paper").tables[0].rows[0].rules == KUPPILI_RULES
    assert {row.model.numbers["steps"] is not None for row in ablation().tables[0].rows} == {True}
    with pytest.raises(UsageError, match="no setting"):
        cxr("nonsense")


def test_what_the_note_on_deeplab_says_is_so():
    """Dice of an image 2 IoU / (1 + IoU); a share of the images missed, the rest all of one IoU."""
    missed, rest = 0.0297, 0.979
    assert (1 - missed) * rest == pytest.approx(0.95, abs=5e-4)
    assert (1 - missed) * 2 * rest / (1 + rest) == pytest.approx(0.96, abs=5e-4)
    missed, rest = 0.0141, 0.9585  # at the limits of rounding, 0.945 and 0.965
    assert (1 - missed) * rest == pytest.approx(0.945, abs=5e-4)
    assert (1 - missed) * 2 * rest / (1 + rest) == pytest.approx(0.965, abs=5e-4)
    share = 0.25  # of the image is lung; the prediction as large
    for dice, wrong, both in ((0.974, 0.013, 0.967), (0.96, 0.02, 0.95), (0.97, 0.015, 0.96)):
        errors = 2 * share * (1 - dice)
        background = (1 - share - errors / 2) / (1 - share + errors / 2)
        assert errors == pytest.approx(wrong, abs=5e-4)
        assert (dice / (2 - dice) + background) / 2 == pytest.approx(both, abs=5e-3)


def test_pictures_are_read_with_their_convention_and_groups(tmp_path):
    folder = make_films(tmp_path / "films", 5, SECTIONS)
    cohort = read_radiographs(folder, LABELS)
    assert cohort.convention == "visible" and not cohort.phantom and len(cohort.section("training")) == 2
    assert [one.group for one in cohort.section("test")] == ["X5", "X5"]
    assert [one.spacing_mm for one in cohort.section("training")] == [None, (0.4, 0.5)]
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["cases"][3]["convention"] = None
    (folder / "dataset.json").write_text(json.dumps(dataset))
    assert read_radiographs(folder, LABELS).convention == "not said (1), visible (1)"


def test_masks_of_each_lung_are_united_and_ct_is_refused(tmp_path):
    both = {"lungs": ("lung_left", "lung_right")}
    sides = read_radiographs(make_films(tmp_path / "sides", 5, SECTIONS, sides=True), both)
    whole = read_radiographs(make_films(tmp_path / "whole", 5, SECTIONS), LABELS)
    for one, other in zip(sides.patients, whole.patients, strict=True):
        assert np.array_equal(reference_of(one), reference_of(other))
    with pytest.raises(DatasetError, match="no radiograph"):
        read_radiographs(make_prepared(tmp_path / "ct"), both)


def test_a_changed_mask_of_both_lungs_makes_other_data(tmp_path):
    both = {"lungs": ("lung_left", "lung_right")}
    folder = make_films(tmp_path / "films", 5, SECTIONS)
    before = read_radiographs(folder, both)
    assert before.data_hash == read_radiographs(folder, LABELS).data_hash
    with before.patients[0].masks[0].open("ab") as stream:
        stream.write(b" ")
    assert read_radiographs(folder, both).data_hash != before.data_hash


def test_a_masks_own_probability_scores_1_and_scores_are_kept(prepared, tmp_path):
    patients = read_radiographs(prepared, LABELS).section("test")
    for one in patients:
        np.savez(path_of(tmp_path, one), probability=reference_of(one).astype(np.float16))
    summary, failed = score_row(tmp_path, tmp_path, patients, CxrRules(opening=0.0))
    assert not failed and summary["dice"]["mean"] == summary["iou_two_classes"] == 1 and summary["mse"]["mean"] == 0
    path_of(tmp_path, patients[0]).unlink()
    assert score_row(tmp_path, tmp_path, patients, CxrRules(opening=0.0))[0] == summary
    assert "X4" in score_row(tmp_path, tmp_path, patients, RULES["paper"])[1][0]  # other rules need it again


@pytest.mark.parametrize(
    ("bundle", "numbers"),
    [("cxr_lung_unet", {"n_filters": 2, "batch_normalization": True}), ("cxr_lung_resnet50_unet", {"width": 2})],
)
def test_networks_are_asked_as_they_were_trained(bundle, numbers, tmp_path):
    torch.manual_seed(1)
    numbers = {**numbers, "steps": "paper", "spatial_size": [64, 32]}
    network = radiograph_network(bundle, numbers)
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(
        tmp_path / "checkpoints" / "best.pt", {"model": network.state_dict(), "numbers": numbers, "bundle": bundle}
    )
    picture = np.random.default_rng(0).integers(0, 255, (70, 50)).astype(np.uint8)
    found = make_ask(tmp_path, "cpu")(picture)
    with torch.no_grad():
        logits = network(torch.from_numpy(prepare(picture, "paper", (64, 32)))[None, None])[0]
    odds = logits[0] if len(logits) == 1 else logits[1] - logits[0]
    assert found.shape == (64, 32) and np.allclose(found, 1 / (1 + np.exp(-odds.numpy())), atol=1e-6)


def test_made_films_fit_the_schema_are_kept_and_told_as_made(tmp_path):
    tiny, said = RadiographOptions(shape=(64, 56), grid_mm=9.0), []
    folder = make_radiographs(tmp_path, 6, 3, said.append, tiny)
    dataset = json.loads((folder / "dataset.json").read_text())
    assert not list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(dataset))
    cohort = read_radiographs(folder, LABELS)
    assert cohort.phantom == PHANTOM and cohort.convention == "visible" and not cohort.left_out
    assert [len(cohort.section(name)) for name in ("training", "validation", "test")] == [3, 1, 2]
    assert all(reference_of(one).shape == (64, 56) for one in cohort.patients)
    assert make_radiographs(tmp_path, 6, 3, said.append, tiny) == folder and len(said) == 1
    assert read_radiographs(folder, LABELS).data_hash == cohort.data_hash
    with pytest.raises(UsageError, match="other numbers"):
        make_radiographs(tmp_path, 7, 3, said.append, tiny)
    with pytest.raises(UsageError, match="6 or more"):
        make_radiographs(tmp_path / "few", 5, 3, said.append, tiny)


def test_rules_in_words():
    assert rules_text(RULES["recommended"]).startswith("p > 0.5, opened by 0.6 % of the width, the 2 largest pieces")
    assert rules_text(RULES["paper"]) == "Otsu's threshold or the mean of 0.1 of the width around"
