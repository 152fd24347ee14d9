"""`lungseg evaluate --tumor` and `--tolerance-mm`: what they add, and that nothing else moves; without torch."""

import csv
import json
import subprocess
import sys

import pytest
from predicted import make_predictions, save, truth
from prepared import empty_roi, make_prepared

from lungseg_monai.cli import main
from lungseg_monai.errors import UsageError
from lungseg_monai.evaluation.scores import Extras, evaluate
from lungseg_monai.report.content import case_table

SECTIONS = {"P1": "training", "P2": "test", "P3": "test"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("tumor") / "prepared")


@pytest.fixture
def predictions(tmp_path, prepared):
    return make_predictions(prepared, tmp_path / "predictions", SECTIONS)


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_asked_for_is_added_and_nothing_else_moves(prepared, predictions):
    plain = evaluate(predictions, prepared)
    more = evaluate(predictions, prepared, extras=Extras(tumor=True, tolerance_mm=7.0))
    assert more["metrics"] == [*plain["metrics"], "surface_dice"] and more["tolerance_mm"] == 7.0
    added = {"tumors", "tolerance_mm"}
    assert set(more) - set(plain) == added
    assert [{k: v for k, v in row.items() if k != "surface_dice"} for row in more["cases"]] == plain["cases"]
    assert [{k: v for k, v in row.items() if k != "kind"} for row in more["slices"]] == plain["slices"]
    assert [row for row in more["summary"] if row["metric"] != "surface_dice"] == plain["summary"]


def test_tumours_agree_with_the_scores_beside_them(prepared, predictions):
    scores = evaluate(predictions, prepared, empty="skip", extras=Extras(tumor=True))
    assert scores["tolerance_mm"] == 3.0
    assert [(row["section"], row["patients"]) for row in scores["tumors"]["summary"]] == [("training", 1), ("test", 2)]
    for tumor, case in zip(scores["tumors"]["cases"], scores["cases"], strict=True):
        assert (tumor["case_id"], tumor["section"]) == (case["case_id"], case["section"])
        assert tumor["volume_dice"] == pytest.approx(case["dice"])
        assert (tumor["hd95_mm"], tumor["surface_dice"]) == (case["hd95_mm"], case["surface_dice"])
        mine = [row for row in scores["slices"] if row["case_id"] == case["case_id"]]
        assert tumor["false_positive_slices"] == sum(row["kind"] == "FP" for row in mine) == 1
        # By section 3.3 a blank pair is 1, whatever --empty makes of it.
        dice = [1.0 if row["dice"] is None else row["dice"] for row in mine]
        assert tumor["slice_dice_section_3_3"] == pytest.approx(sum(dice) / len(dice))
        assert None in [row["dice"] for row in mine]


def test_the_command_writes_and_prints_it(prepared, predictions, capsys):
    assert main(["evaluate", str(predictions), str(prepared), "--tumor"]) == 0
    out = capsys.readouterr().out
    for said in ("section 3.3", "authors' code (by patient)", "volume Dice (patients with tumour)", "tolerance 3 mm"):
        assert said in out
    assert "False-positive slices: 2 of" in out and "Every patient has a tumour." in out
    assert str(predictions / "scores_tumors.csv") in out
    tumors = rows(predictions / "scores_tumors.csv")
    assert [row["case_id"] for row in tumors] == list(SECTIONS)
    assert {row["kind"] for row in rows(predictions / "scores_slices.csv")} == {"TP", "FP", "FN", "TN"}
    assert {row["tolerance_mm"] for row in rows(predictions / "scores.csv")} == {"3.0"}
    written = json.loads((predictions / "scores.json").read_text())
    column = written["tumors"]["summary"][1]["volume_dice"]
    assert column["mean_ci95"][0] <= column["mean"] <= column["mean_ci95"][1]


def test_a_tolerance_alone_adds_surface_dice_alone(prepared, predictions, capsys):
    assert main(["evaluate", str(predictions), str(prepared), "--tolerance-mm", "2.5", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert "tumors" not in scores and not (predictions / "scores_tumors.csv").exists()
    assert all(0 <= case["surface_dice"] <= 1 for case in scores["cases"])
    assert "kind" not in scores["slices"][0]


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf"])
def test_a_tolerance_that_is_none_is_wrong_usage(prepared, predictions, tolerance, capsys):
    assert main(["evaluate", str(predictions), str(prepared), f"--tolerance-mm={tolerance}"]) == 2
    assert "--tolerance-mm" in capsys.readouterr().err
    with pytest.raises(UsageError):
        Extras(tolerance_mm=float(tolerance))


def test_a_report_names_what_is_new(prepared, predictions):
    scores = evaluate(predictions, prepared, extras=Extras(tumor=True))
    assert case_table(scores)["columns"][-1] == "surface Dice"


@pytest.fixture
def cohort(tmp_path):
    """P1 with a tumour, P2 without, of P3 one was drawn and refused, in P4 the template's entry was left empty."""
    prepared = make_prepared(tmp_path / "cohort", patients=4)
    dataset = json.loads((prepared / "dataset.json").read_text())
    first, _, third, fourth = dataset["cases"]
    first["rois"][0]["label"] = "gtv"
    third["rois"].append(empty_roi("GTV-1", "gtv") | {"reason": "contours of another frame"})
    fourth["rois"].append(empty_roi("GTV-1", "gtv"))
    (prepared / "dataset.json").write_text(json.dumps(dataset))
    for case in dataset["cases"]:
        mask, affine = truth(prepared, case["id"])
        save(tmp_path / "found" / case["id"] / "gtv.nii.gz", mask if case is not fourth else mask & False, affine)
    return tmp_path / "found", prepared


def test_nobody_drew_a_tumour_is_no_reference_unless_somebody_says_so(cohort):
    refused = {row["case_id"]: row["reason"] for row in evaluate(*cohort, extras=Extras(tumor=True))["refused"]}
    assert {case: "--absent empty" in reason for case, reason in refused.items()} == {
        "P2": True,
        "P3": False,
        "P4": True,
    }
    scores = evaluate(*cohort, extras=Extras(tumor=True, absent="empty"))
    assert [(row["case_id"], row["reason"].split(":")[0]) for row in scores["refused"]] == [
        ("P3", "no whole reference")
    ]
    assert {row["case_id"]: row["dice"] for row in scores["cases"]}.items() >= {"P2": 0.0, "P4": 1.0}.items()
    free = scores["tumors"]["summary"][0]["tumor_free"]
    assert (free["patients"], free["with_false_positives"]) == (2, 1)
    (second,) = (row for row in scores["tumors"]["cases"] if row["case_id"] == "P2")
    assert free["false_positive_ml"]["total"] == pytest.approx(second["predicted_ml"]) and second["predicted_ml"] > 0


def test_the_command_counts_patients_without_tumour_apart(cohort, capsys):
    predictions, prepared = map(str, cohort)
    assert main(["evaluate", predictions, prepared, "--tumor", "--absent", "empty"]) == 1  # P3 is refused
    assert "Without tumour: 2 of 3 patients; 1 of them with a false positive" in capsys.readouterr().out


def test_a_prediction_on_another_grid_than_the_image_is_refused_though_nothing_was_drawn(cohort):
    predictions, prepared = cohort
    save(predictions / "P2" / "gtv.nii.gz", *truth(prepared, "P1"))
    refused = evaluate(*cohort, extras=Extras(absent="empty"))["refused"]
    assert [row["case_id"] for row in refused if "shape" in row["reason"]] == ["P2"]


def test_scoring_needs_neither_torch_nor_monai(prepared, predictions):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'monai', 'cc3d')))\n"
        "from lungseg_monai.cli import main\n"
        f"sys.exit(main(['evaluate', {str(predictions)!r}, {str(prepared)!r}, '--tumor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "HD95, mm" in done.stdout
