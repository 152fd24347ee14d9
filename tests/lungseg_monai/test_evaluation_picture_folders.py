"""`lungseg evaluate` on X-rays: what meets what, sides, conventions, JPEG masks, and what is refused by name."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from prepared import make_prepared
from prepared_radiographs import film, lungs, make_radiographs, save

from lungseg_monai.cli import main
from lungseg_monai.errors import NothingToDoError, UsageError
from lungseg_monai.evaluation.picture_scoring import Conventions
from lungseg_monai.evaluation.pictures import picture_scores
from lungseg_monai.evaluation.scores import Extras, evaluate
from lungseg_monai.evaluation.tables import write_scores
from lungseg_monai.evaluation.text import table

SHAPES = {"X1": (96, 120), "X2": (103, 124), "X3": (110, 128)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_radiographs(tmp_path_factory.mktemp("radiographs"))


def moved(case):
    """A prediction with errors, 0/1/2: two columns too far."""
    return np.roll(lungs(SHAPES[case]), 2, axis=1)


def predictions(folder, cases=("X3",), convention="visible"):
    """What inference.yaml writes."""
    entries = []
    for case in cases:
        save(folder / case / "lungs.png", moved(case))
        entries.append({"case_id": case, "section": "test", "files": {"lungs": f"{case}/lungs.png"}, "slices": None,
                        "seconds": 0.1, "flags": []})  # fmt: skip
    content = {
        "bundle": "cxr_lung_unet", "checkpoint": {"file": "best.pt"}, "labels": {"lungs": ["lungs"]}, "split": {},
        "convention": convention, "values": {"1": "lung_right", "2": "lung_left"}, "cases": entries, "refused": [],
    }  # fmt: skip
    (folder / "predictions.json").write_text(json.dumps(content))
    return folder


def segmentation(folder, cases=("X1", "X2", "X3"), convention="visible"):
    """What `lungseg segment` writes."""
    for case in cases:
        save(folder / case / "lungs.png", moved(case))
        save(folder / case / "overlay.png", film(moved(case)))
        save(folder / case / "probability.png", (np.where(moved(case) > 0, 0.75, 0.25) * 65535).astype(np.uint16))
        record = {
            "case": case, "labels": {"1": "lung_right", "2": "lung_left"}, "convention": convention,
            "outputs": {"png": "lungs.png", "overlay": "overlay.png", "probability": "probability.png"},
            "fingerprint": "x",
        }  # fmt: skip
        (folder / case / "case.json").write_text(json.dumps(record))
    entries = {case: {"status": "done", "folder": case} for case in cases}
    (folder / "segment.json").write_text(json.dumps({"cases": entries}))
    return folder


def test_a_run_against_its_prepared_folder(prepared, tmp_path):
    scores = evaluate(predictions(tmp_path), prepared)
    (row,) = scores["cases"]
    wanted = picture_scores(moved("X3") > 0, lungs(SHAPES["X3"]) > 0)
    assert row == {"case_id": "X3", "section": "test", "label": "lungs", "convention": "visible",
                   "reference_convention": "visible", "group": "X3", **wanted}  # fmt: skip
    assert scores["kind"] == "pictures" and scores["warning"] is None and scores["refused"] == scores["slices"] == []
    dice = next(one for one in scores["summary"] if one["metric"] == "dice")
    assert dice["mean"] == dice["worst_5_percent"] == wanted["dice"] and dice["mean_interval"] is None


def test_sides_are_scored_apart_where_the_reference_tells_them(tmp_path):
    prepared = make_radiographs(tmp_path / "p", sides=True)
    scores = evaluate(predictions(tmp_path / "run", ("X2", "X3")), prepared)
    assert {row["label"] for row in scores["cases"]} == {"lung_right", "lung_left"} and len(scores["cases"]) == 4
    right = next(row for row in scores["cases"] if (row["case_id"], row["label"]) == ("X2", "lung_right"))
    side = moved("X2") == 1, lungs(SHAPES["X2"]) == 1
    assert right["dice"] == picture_scores(*side)["dice"]
    assert right["hd95_mm"] == picture_scores(*side, spacing_mm=(0.4, 0.5))["hd95_mm"] and right["hd95_px"] == 2
    union = evaluate(tmp_path / "run", prepared, labels={"lungs": ("lung_left", "lung_right")})["cases"]
    assert [row["label"] for row in union] == ["lungs", "lungs"]


def test_a_segmentation_brings_its_convention_and_probabilities(prepared, tmp_path):
    out = segmentation(tmp_path / "out")
    for given in (out, out / "segment.json"):
        scores = evaluate(given, prepared)
        assert [row["case_id"] for row in scores["cases"]] == ["X1", "X2", "X3"]
        assert all(row["convention"] == "visible" and row["label"] == "lungs" for row in scores["cases"])
        wanted = np.mean((np.where(moved("X1") > 0, 0.75, 0.25) - (lungs(SHAPES["X1"]) > 0)) ** 2)
        assert scores["cases"][0]["mse_probability"] == pytest.approx(wanted, abs=1e-4)
    assert [row["case_id"] for row in evaluate(out / "X2" / "lungs.png", prepared)["cases"]] == ["X2"]
    assert [row["label"] for row in evaluate(prepared / "X1" / "masks", out / "X1" / "lungs.png")["cases"]] == ["lungs"]


def test_the_same_folder_without_its_journal_is_known_by_its_values(prepared, tmp_path):
    out = segmentation(tmp_path / "out")
    with_journal = evaluate(out, prepared)["cases"]
    for name in ("segment.json", "X1/case.json", "X2/case.json", "X3/case.json"):
        (out / name).unlink()
    for row, before in zip(evaluate(out, prepared)["cases"], with_journal, strict=True):
        assert row["dice"] == before["dice"] and row["convention"] is None and row["label"] == "lungs"


def test_plain_masks_of_two_readers(prepared, tmp_path):
    for case, shape in SHAPES.items():
        save(tmp_path / "a" / f"{case}_mask.png", (moved(case) > 0).astype(np.uint8) * 255)
        save(tmp_path / "a" / f"{case}.png", film(lungs(shape)))  # the film itself
        save(tmp_path / "b" / f"{case}.png", (lungs(shape) > 0).astype(np.uint8))
    between = evaluate(tmp_path / "a", tmp_path / "b")
    assert [row["case_id"] for row in between["cases"]] == list(SHAPES) and between["cases"][0]["label"] == "mask"
    assert "Nobody said which convention the predictions and the reference follow" in between["warning"]
    against = evaluate(tmp_path / "a", prepared)
    assert [row["dice"] for row in against["cases"]] == [row["dice"] for row in between["cases"]]
    assert "--convention." in against["warning"] and "--reference" not in against["warning"]
    said = evaluate(tmp_path / "a", prepared, conventions=Conventions(predictions="visible"))
    assert said["warning"] is None and said["cases"][0]["convention"] == "visible"
    one = evaluate(tmp_path / "a" / "X1_mask.png", tmp_path / "b" / "X1.png")
    assert one["cases"][0]["dice"] == between["cases"][0]["dice"]


def test_masks_of_one_lung_by_their_names(tmp_path):
    prepared = make_radiographs(tmp_path / "p", sides=True)
    for case in SHAPES:
        for name, value in (("left", 2), ("right", 1)):
            save(tmp_path / "a" / f"{case}_{name}.png", (moved(case) == value).astype(np.uint8) * 255)
    scores = evaluate(tmp_path / "a", prepared)
    assert len(scores["cases"]) == 6 and {row["label"] for row in scores["cases"]} == {"lung_left", "lung_right"}


def test_conventions_that_differ_are_said(prepared, tmp_path):
    scores = evaluate(predictions(tmp_path, convention="anatomical"), prepared)
    assert "Predictions are anatomical, the reference visible (1 of 1 scores)" in scores["warning"]
    assert scores["conventions"] == {"predictions": {"anatomical": 1}, "reference": {"visible": 1}}
    assert "convention: predictions anatomical, reference visible" in table(scores)
    with pytest.raises(UsageError, match="the files say that the mask of X3 is anatomical"):
        evaluate(tmp_path, prepared, conventions=Conventions(predictions="visible"))


def test_grey_edges_of_jpeg_masks_are_counted(prepared, tmp_path):
    mask = (lungs(SHAPES["X1"]) > 0).astype(np.uint8) * 255
    (tmp_path / "a").mkdir()
    Image.fromarray(np.repeat(mask[..., None], 3, axis=2)).save(tmp_path / "a" / "X1.jpg", quality=90)
    scores = evaluate(tmp_path / "a", prepared)
    assert scores["cases"][0]["dice"] > 0.999
    (repair,) = scores["repairs"]
    assert repair["file"] == "X1.jpg" and repair["side"] == "prediction" and "grey pixels: above 127" in repair["what"]
    assert "Repaired (1):" in table(scores)


def test_what_can_not_be_compared_is_named_and_costs_no_other(prepared, tmp_path):
    folder = predictions(tmp_path, ("X1", "X2", "X3"))
    save(folder / "X1" / "lungs.png", moved("X1")[1:])
    (folder / "X2" / "lungs.png").unlink()
    scores = evaluate(folder, prepared)
    assert [row["case_id"] for row in scores["cases"]] == ["X3"]
    reasons = {refusal["case_id"]: refusal["reason"] for refusal in scores["refused"]}
    assert "95 rows and 120 columns" in reasons["X1"] and "never resample" in reasons["X1"]
    assert "is not there" in reasons["X2"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(lambda mask: film(mask), "a picture and no mask"), (lambda mask: mask * 40, "holds the values 0, 40, 80; wanted"),
     (lambda mask: np.stack([mask * 120, mask * 0, mask], axis=2), "in colours")],
)  # fmt: skip
def test_pictures_that_are_no_masks(prepared, tmp_path, spoil, told):
    save(tmp_path / "X1.png", spoil(lungs(SHAPES["X1"])))
    with pytest.raises(NothingToDoError, match=told):
        evaluate(tmp_path, prepared)


def test_damaged_pictures_and_volumes_against_pictures(prepared, tmp_path):
    whole = save(tmp_path / "a" / "X1.png", (lungs(SHAPES["X1"]) > 0).astype(np.uint8) * 255)
    whole.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(NothingToDoError, match=r"X1\.png can't be read"):
        evaluate(tmp_path / "a", prepared)
    ct = make_prepared(tmp_path / "ct")
    shutil.copytree(ct / "P1" / "masks", tmp_path / "volumes" / "X1")
    (tmp_path / "volumes" / "X1" / "Lung-Left.nii.gz").rename(tmp_path / "volumes" / "X1" / "lungs.nii.gz")
    with pytest.raises(NothingToDoError, match=r"can't be read as|no mask called|is no"):
        evaluate(tmp_path / "volumes", prepared)
    whole = save(tmp_path / "b" / "P1.png", (lungs((48, 40)) > 0).astype(np.uint8) * 255)
    with pytest.raises(NothingToDoError, match="X-rays are compared with X-rays"):
        evaluate(tmp_path / "b", ct, labels={"lungs": ("lung_left", "lung_right")})


def test_values_of_others_files(prepared, tmp_path):
    save(tmp_path / "X1.png", moved("X1") * 100)
    scores = evaluate(tmp_path, prepared, values={100: "lung_right", 200: "lung_left"})
    assert scores["cases"][0]["dice"] == picture_scores(moved("X1") > 0, lungs(SHAPES["X1"]) > 0)["dice"]
    with pytest.raises(NothingToDoError, match="holds the values 100, 200, and what was named is 7"):
        evaluate(tmp_path, prepared, values={7: "lungs"})


def test_a_film_without_masks_can_be_an_empty_reference(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "p")
    dataset = json.loads((tmp_path / "p" / "dataset.json").read_text())
    dataset["cases"][2]["rois"] = []
    (tmp_path / "p" / "dataset.json").write_text(json.dumps(dataset))
    folder = predictions(tmp_path / "run")
    with pytest.raises(NothingToDoError, match="--absent empty"):
        evaluate(folder, tmp_path / "p")
    assert evaluate(folder, tmp_path / "p", extras=Extras(absent="empty"))["cases"][0]["dice"] == 0


def test_options_of_the_other_kind(prepared, tmp_path):
    with pytest.raises(UsageError, match="are for CT"):
        evaluate(predictions(tmp_path / "run"), prepared, extras=Extras(tumor=True))
    ct = make_prepared(tmp_path / "ct")
    with pytest.raises(UsageError, match="are for X-rays"):
        evaluate(ct / "P1" / "masks" / "Lung-Left.nii.gz", ct / "P1" / "masks" / "Lung-Left.nii.gz",
                 conventions=Conventions("visible"))  # fmt: skip
    with pytest.raises(UsageError, match="choose one of visible"):
        Conventions(reference="radiological")


def test_stray_pictures_beside_volumes_change_nothing(tmp_path):
    ct = make_prepared(tmp_path / "ct")
    masks = tmp_path / "masks" / "P1"
    shutil.copytree(ct / "P1" / "masks", masks)
    for name in ("Left", "Right"):
        (masks / f"Lung-{name}.nii.gz").rename(masks / f"lung_{name.lower()}.nii.gz")
    save(masks / "snapshot.png", film(lungs((50, 60))))
    save(tmp_path / "masks" / "P1.png", film(lungs((50, 60))))
    assert {row["label"] for row in evaluate(tmp_path / "masks", ct)["cases"]} == {"lung_left", "lung_right"}


def test_the_command_writes_tables_with_the_conventions(prepared, tmp_path, capsys):
    folder = predictions(tmp_path / "run" / "predictions", ("X2", "X3"))
    assert main(["evaluate", str(folder), str(prepared), "--out", str(tmp_path / "scores")]) == 0
    told = capsys.readouterr().out
    for piece in ("lungs, test: 2 radiographs", "predictions visible, reference visible", "worst 5 %", "HD95, pixels"):
        assert piece in told
    with (tmp_path / "scores" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["reference_convention"] for row in rows] == ["visible", "visible"] and rows[0]["hd95_mm"]
    assert rows[1]["hd95_mm"] == "" and rows[0]["empty"] == "one"
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == ["scores.csv", "scores.json"]
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert [path.name for path in write_scores(scores, tmp_path / "again")] == ["scores.csv", "scores.json"]
