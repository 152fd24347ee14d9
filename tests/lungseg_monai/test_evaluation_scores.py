"""Predictions meet references: matching, refusals, sections, ranges of slices, and the files that come out."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from predicted import LABELS, WARNING, make_predictions, make_run, save, truth
from prepared import empty_roi, make_prepared

from data_prep.errors import OutputError
from lungseg_monai.errors import DatasetError, NothingToDoError, UsageError
from lungseg_monai.evaluation.matching import parse_labels
from lungseg_monai.evaluation.scores import evaluate
from lungseg_monai.evaluation.summary import blank_pairs
from lungseg_monai.evaluation.tables import scores_folder, write_scores
from lungseg_monai.evaluation.text import table

SECTIONS = {"P1": "training", "P2": "training", "P3": "test"}


@pytest.fixture
def prepared(tmp_path):
    return make_prepared(tmp_path / "prepared")


@pytest.fixture
def predictions(tmp_path, prepared):
    return make_predictions(prepared, tmp_path / "predictions", SECTIONS)


def row(scores, **wanted):
    found = [r for r in scores["summary"] if all(r[key] == value for key, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def refused(scores):
    return {refusal["case_id"]: refusal["reason"] for refusal in scores["refused"]}


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def dice(predicted, reference):
    return 2 * (predicted & reference).sum() / (predicted.sum() + reference.sum())


def test_perfect_predictions_score_perfectly(tmp_path, prepared):
    for case in SECTIONS:
        save(tmp_path / "same" / case / "lungs.nii.gz", *truth(prepared, case))
    scores = evaluate(tmp_path / "same", prepared)
    assert scores["labels"] == LABELS and not scores["refused"] and len(scores["cases"]) == 3
    for case in scores["cases"]:
        assert [case[name] for name in scores["metrics"]] == [1, 1, 1, 1, 1, 0, 0, 0, 0]


def test_scores_are_those_of_the_files(prepared, predictions):
    scores = evaluate(predictions, prepared)
    for case in scores["cases"]:
        reference, affine = truth(prepared, case["case_id"])
        predicted = np.asarray(nib.load(predictions / case["case_id"] / "lungs.nii.gz").dataobj) > 0
        voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
        assert case["dice"] == pytest.approx(dice(predicted, reference))
        assert case["volume_error_ml"] == pytest.approx((int(predicted.sum()) - int(reference.sum())) * voxel_ml)
        assert case["section"] == SECTIONS[case["case_id"]]
        slices = [r for r in scores["slices"] if r["case_id"] == case["case_id"]]
        assert [r["slice"] for r in slices] == list(range(reference.shape[2]))
        assert [r["reference_voxels"] for r in slices] == reference.sum(axis=(0, 1)).tolist()
        assert [r["predicted_voxels"] for r in slices] == predicted.sum(axis=(0, 1)).tolist()


def test_sections_and_slices_are_summarised_apart(prepared, predictions):
    scores = evaluate(predictions, prepared)
    test = [r for r in scores["slices"] if r["section"] == "test"]
    blank = [r["dice"] for r in test if not r["reference_voxels"]]
    full = [r["dice"] for r in test if r["reference_voxels"]]
    of = {"label": "lungs", "section": "test", "level": "slice", "metric": "dice"}
    for which, values in (("all", blank + full), ("with_label", full), ("without_label", blank)):
        summary = row(scores, slices=which, **of)
        assert (summary["n"], summary["mean"]) == (len(values), pytest.approx(np.mean(values)))
        assert summary["p05"] == pytest.approx(np.percentile(values, 5))
    assert row(scores, section="training", level="case", metric="dice")["n"] == 2
    assert 0.0 in blank and 1.0 in blank and 0.0 in full


def test_the_policy_moves_blank_pairs_only(prepared, predictions):
    one, skip = (evaluate(predictions, prepared, empty=empty) for empty in ("one", "skip"))
    for a, b in zip(one["slices"], skip["slices"], strict=True):
        if a["reference_voxels"] or a["predicted_voxels"]:
            assert a == b
        else:
            assert (a["dice"], b["dice"]) == (1.0, None) and (a["iou"], b["iou"]) == (1.0, None)
    of = {"section": "test", "level": "slice", "slices": "without_label", "metric": "dice"}
    counts = blank_pairs([r for r in one["slices"] if r["section"] == "test"])
    assert counts["both_blank"] > 0 and counts["false_positive"] == 1 and counts["missed"] == 1
    assert (row(skip, **of)["n"], row(skip, **of)["not_computed"]) == (1, counts["both_blank"])
    assert row(skip, **of)["mean"] == 0.0
    assert one["cases"] == skip["cases"]


def test_an_empty_reference_or_prediction_is_scored_and_distances_are_counted(tmp_path):
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    nothing, something = np.zeros((4, 5, 3)), np.ones((4, 5, 3))
    for name, predicted, reference in (
        ("blank", nothing, nothing),
        ("false", something, nothing),
        ("missed", nothing, something),
    ):
        save(tmp_path / "p" / f"{name}.nii.gz", predicted, affine)
        save(tmp_path / "r" / f"{name}.nii.gz", reference, affine)
    scores = evaluate(tmp_path / "p", tmp_path / "r", empty="skip")
    cases = {case["case_id"]: case for case in scores["cases"]}
    assert [cases[name]["dice"] for name in ("blank", "false", "missed")] == [None, 0.0, 0.0]
    assert cases["false"]["volume_error_percent"] is None and cases["missed"]["volume_error_percent"] == -100
    hd95 = row(scores, level="case", metric="hd95_mm")
    assert (hd95["n"], hd95["not_computed"], hd95["mean"]) == (0, 3, None)
    assert "6 of 9 slices have an empty reference; 3 of them predicted empty (left out" in table(scores)


def test_ranges_restrict_what_is_scored_and_the_warning_is_everywhere(tmp_path, prepared):
    slices = {"training": {"P1": [[0, 4], [7, 9]]}, "test": {"P1": [[10, 14]]}}
    folder = make_predictions(prepared, tmp_path / "within", {}, slices)
    scores = evaluate(folder, prepared)
    reference, _ = truth(prepared, "P1")
    predicted = np.asarray(nib.load(folder / "P1" / "lungs.nii.gz").dataobj) > 0
    for section, chosen in (("training", [0, 1, 2, 3, 7, 8]), ("test", [10, 11, 12, 13])):
        case = next(case for case in scores["cases"] if case["section"] == section)
        assert case["dice"] == pytest.approx(dice(predicted[:, :, chosen], reference[:, :, chosen]))
        assert [r["slice"] for r in scores["slices"] if r["section"] == section] == chosen
    assert scores["warning"] == WARNING
    assert table(scores).count(WARNING) == 2  # a section, a table, a warning
    for path in write_scores(scores, tmp_path / "out")[:2]:
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        assert rows and all(r["warning"] == WARNING and r["empty"] == "one" for r in rows)


@pytest.mark.parametrize("ranges", [[[0, 99]], [[5, 5]], [[-2, 3]], []])
def test_ranges_that_are_not_in_the_volume_refuse_the_case(tmp_path, prepared, ranges):
    slices = {"training": {"P1": ranges, "P2": [[0, 5]]}}
    scores = evaluate(make_predictions(prepared, tmp_path / "within", {}, slices), prepared)
    assert "slice" in refused(scores)["P1"] and [case["case_id"] for case in scores["cases"]] == ["P2"]


def damage_shape(path, mask, affine):
    save(path, mask[:, :, :-1], affine)


def damage_affine(path, mask, affine):
    save(path, mask, affine + np.diag([0.01, 0, 0, 0]))


def damage_values(path, mask, affine):
    save(path, mask * 2, affine)


def damage_nan(path, mask, affine):
    nib.save(nib.Nifti1Image(np.where(mask, np.nan, 0).astype(np.float32), affine), path)


def damage_axes(path, mask, affine):
    save(path, mask[..., None].repeat(2, axis=3), affine)


def damage_end(path, mask, affine):
    path.write_bytes(path.read_bytes()[:-60])


def damage_all(path, mask, affine):
    path.write_bytes(b"this is no NIfTI file" * 40)


def remove(path, mask, affine):
    path.unlink()


DAMAGES = {
    damage_shape: "shape",
    damage_affine: "affines that differ by up to 0.01",
    damage_values: "values 0, 2",
    damage_nan: "nan",
    damage_axes: "three axes",
    damage_end: "can't be read",
    damage_all: "can't be read",
    remove: "not there",
}


@pytest.mark.parametrize("side", ["prediction", "reference"])
@pytest.mark.parametrize("damage, reason", DAMAGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_one_bad_file_is_refused_by_name_and_costs_no_other(prepared, predictions, damage, reason, side):
    mask, affine = truth(prepared, "P2")
    paths = {
        "prediction": predictions / "P2" / "lungs.nii.gz",
        "reference": prepared / "P2" / "masks" / "Lung-Left.nii.gz",
    }
    damage(paths[side], mask, affine)
    scores = evaluate(predictions, prepared)
    assert [case["case_id"] for case in scores["cases"]] == ["P1", "P3"]
    assert list(refused(scores)) == ["P2"] and reason in refused(scores)["P2"]
    assert "P2 (training, lungs): " in table(scores)


def test_an_affine_within_the_tolerance_is_the_same_grid(prepared, predictions):
    mask, affine = truth(prepared, "P1")
    save(predictions / "P1" / "lungs.nii.gz", mask, affine + 5e-4)
    assert not evaluate(predictions, prepared)["refused"]


def test_half_a_reference_is_no_reference(prepared, predictions):
    def refuse(dataset):
        dataset["cases"][0]["rois"][0] |= {"status": "refused", "file": None, "reason": "open contour"}
        del dataset["cases"][1]["rois"][1]

    edit_json(prepared / "dataset.json", refuse)
    scores = evaluate(predictions, prepared)
    assert "Lung-Left" in refused(scores)["P1"] and "open contour" in refused(scores)["P1"]
    assert "no mask of lung_right" in refused(scores)["P2"]
    assert [case["case_id"] for case in scores["cases"]] == ["P3"]


def test_a_roi_that_was_never_drawn_takes_nothing_from_the_reference(prepared, predictions):
    def change(dataset):
        dataset["cases"][0]["rois"].append(empty_roi("Lung_L", "lung_left"))
        dataset["cases"][1]["rois"].append(empty_roi("Lungs", "lungs"))
        other_frame = empty_roi("Lung_L", "lung_left") | {"reason": "drawn in another frame of reference"}
        dataset["cases"][2]["rois"].append(other_frame)

    before = evaluate(predictions, prepared)["cases"]
    edit_json(prepared / "dataset.json", change)
    scores = evaluate(predictions, prepared)
    assert scores["cases"] == before[:2]
    assert list(refused(scores)) == ["P3"] and "another frame" in refused(scores)["P3"]


def test_several_rois_of_one_label_are_united_and_the_name_itself_serves(tmp_path, prepared, predictions):
    def relabel(dataset):
        for roi in dataset["cases"][2]["rois"]:
            roi["label"] = "lungs"

    before = evaluate(predictions, prepared)["cases"][2]
    edit_json(prepared / "dataset.json", relabel)
    assert evaluate(predictions, prepared)["cases"][2] == before


def test_what_could_not_be_predicted_is_named(prepared, predictions):
    edit_json(
        predictions / "predictions.json", lambda journal: journal.update(refused=[{"case_id": "P9", "reason": "cut"}])
    )
    assert refused(evaluate(predictions, prepared)) == {"P9": "no prediction: cut"}


def test_missing_cases_are_named(prepared, predictions):
    edit_json(prepared / "dataset.json", lambda dataset: dataset["cases"].pop(0))
    assert "no case P1" in refused(evaluate(predictions, prepared))["P1"]
    (predictions / "predictions.json").unlink()
    shutil.rmtree(predictions / "P2")
    reasons = refused(evaluate(predictions, prepared))
    assert "no reference" in reasons["P1"] and "no prediction" in reasons["P2"]


@pytest.mark.parametrize("layout", ["{case}.nii.gz", "{case}/lungs.nii.gz", "{case}.nii", "{case}/masks/lungs.nii.gz"])
def test_folders_are_matched_by_stem(tmp_path, prepared, predictions, layout):
    for case in SECTIONS:
        save(tmp_path / "truth" / layout.format(case=case), *truth(prepared, case))
        mask = nib.load(predictions / case / "lungs.nii.gz")
        save(tmp_path / "flat" / layout.format(case=case), np.asarray(mask.dataobj), mask.affine)
    (tmp_path / "flat" / "notes.txt").write_text("not a mask")
    wanted = [case["dice"] for case in evaluate(predictions, prepared)["cases"]]
    label = parse_labels(["lungs=lung_left+lung_right"])
    for reference in (tmp_path / "truth", prepared):
        scores = evaluate(tmp_path / "flat", reference, labels=label)
        assert [case["dice"] for case in scores["cases"]] == wanted
        assert {case["section"] for case in scores["cases"]} == {"all"}


def test_predictions_are_found_by_their_journal_and_by_their_run(tmp_path, prepared, predictions):
    run = make_run(tmp_path / "run", prepared)
    shutil.copytree(predictions, run / "predictions")
    scores = evaluate(predictions, prepared)
    assert evaluate(predictions / "predictions.json", prepared) == scores
    assert evaluate(run, prepared / "dataset.json") == scores


def test_two_files_are_compared_whatever_they_are_called(tmp_path, prepared, predictions):
    reference = save(tmp_path / "reader-a.nii.gz", *truth(prepared, "P1"))
    scores = evaluate(predictions / "P1" / "lungs.nii.gz", reference)
    assert scores["cases"][0]["dice"] == evaluate(predictions, prepared)["cases"][0]["dice"]


def test_one_file_is_the_case_that_its_folder_names(prepared, predictions):
    wanted = evaluate(predictions, prepared)["cases"][1]
    label = parse_labels(["lungs=lung_left+lung_right"])
    scores = evaluate(predictions / "P2" / "lungs.nii.gz", prepared, labels=label)
    assert scores["cases"] == [{**wanted, "section": "all"}] and scores["refused"] == []


def test_a_name_that_does_not_say_what_it_is_needs_a_label(tmp_path, prepared):
    save(tmp_path / "flat" / "P1.nii.gz", *truth(prepared, "P1"))
    with pytest.raises(UsageError, match="--label"):
        evaluate(tmp_path / "flat", prepared)


def test_one_label_can_be_asked_for(prepared, predictions):
    shutil.copy(prepared / "P1" / "masks" / "Lung-Left.nii.gz", predictions / "P1" / "lung_left.nii.gz")
    (predictions / "predictions.json").unlink()
    scores = evaluate(predictions, prepared, labels=parse_labels(["lung_left"]))
    assert [(case["case_id"], case["dice"]) for case in scores["cases"]] == [("P1", 1.0)]
    assert "no mask called lung_left" in refused(scores)["P2"]


@pytest.mark.parametrize("text", ["", "=a", "lungs=", "lungs=a+", "lungs=+a"])
def test_labels_that_say_nothing_are_wrong_usage(text):
    with pytest.raises(UsageError, match="--label"):
        parse_labels([text])


def test_a_label_given_twice_is_wrong_usage():
    assert parse_labels([" lungs = a + b ", "gtv"]) == {"lungs": ("a", "b"), "gtv": ("gtv",)}
    with pytest.raises(UsageError, match="twice"):
        parse_labels(["gtv", "gtv=a"])


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"labels": [], "cases": []}', '{"labels": {"a": ["a"]}, "cases": [{}]}',
     '{"labels": {"a": ["a"]}, "cases": [{"case_id": "P", "files": {}, "slices": [[1]]}]}',
     '{"labels": {}, "cases": [{"case_id": "P", "files": {}}, {"case_id": "P", "files": {}}]}'],
)  # fmt: skip
def test_damaged_journals_are_named(prepared, predictions, content):
    (predictions / "predictions.json").write_text(content)
    with pytest.raises(DatasetError, match=r"predictions\.json"):
        evaluate(predictions, prepared)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cases": [1]}', '{"cases": [{"rois": []}]}'])
def test_a_damaged_dataset_is_named(prepared, predictions, content):
    (prepared / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        evaluate(predictions, prepared)


def test_nothing_in_common_is_nothing_to_do(tmp_path, prepared, predictions):
    edit_json(prepared / "dataset.json", lambda dataset: dataset["cases"].clear())
    with pytest.raises(NothingToDoError, match="P3: no reference"):
        evaluate(predictions, prepared)
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "empty", tmp_path / "nowhere", prepared / "dataset.json"):
        with pytest.raises(NothingToDoError):
            evaluate(missing, prepared)
    for missing in (tmp_path / "empty", tmp_path / "nowhere", predictions / "predictions.json"):
        with pytest.raises(NothingToDoError):
            evaluate(predictions, missing)


def test_the_files_hold_what_was_scored(tmp_path, prepared, predictions):
    scores = evaluate(predictions, prepared, empty="skip")
    cases, slices, content = write_scores(scores, tmp_path / "new" / "folder")
    assert json.loads(content.read_text()) == scores
    with cases.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(r["dice"]) for r in rows] == [case["dice"] for case in scores["cases"]]
    with slices.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [r["dice"] or None for r in rows] == [
        s["dice"] if s["dice"] is None else str(s["dice"]) for s in scores["slices"]
    ]
    assert list(scores) == [
        "schema_version",
        "empty",
        "warning",
        "labels",
        "metrics",
        "summary",
        "cases",
        "slices",
        "refused",
    ]


def test_scores_go_to_the_run_that_the_predictions_belong_to(tmp_path, prepared, predictions):
    assert scores_folder(predictions) == predictions
    run = make_run(tmp_path / "run", prepared)
    assert scores_folder(run / "predictions") == run
    assert scores_folder(run) == run
    assert scores_folder(predictions / "P1" / "lungs.nii.gz") == predictions / "P1"


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path, prepared, predictions):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_scores(evaluate(predictions, prepared), tmp_path / "file")
    assert (tmp_path / "file").read_text() == ""
