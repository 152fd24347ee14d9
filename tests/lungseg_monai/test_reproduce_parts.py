"""What `lungseg reproduce` is made of: the plan and the paper's figures, patients, masks on their grid, rules, time."""

import json

import nibabel as nib
import numpy as np
import pytest
from tumor_items import AFFINE
from tumor_prepared import make_tumor_prepared

from lungseg_monai.errors import DatasetError, UsageError
from lungseg_monai.inplane import resize_linear
from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.reproduce.clock import Clock, span
from lungseg_monai.reproduce.cohort import PHANTOM, count_slices, read_cohort, reference_mask
from lungseg_monai.reproduce.kamal_paper import MODELS, PROPOSED, kamal, kernel_radius
from lungseg_monai.reproduce.kept import path_of
from lungseg_monai.reproduce.plan import Model, models_of, rows_of
from lungseg_monai.reproduce.training import Job, command, epochs_done, state
from lungseg_monai.reproduce.tumours.predicting import upright_of
from lungseg_monai.reproduce.tumours.scoring import predicted_mask, rules_text, score_patient
from lungseg_monai.reproduce.tumours.tuning import choose_rules
from lungseg_monai.tuned import read_tuned

LABELS = {"tumor": ("gtv",)}
FLIPPED = np.array([[0, 1.1, 0, -60], [1.4, 0, 0, -90], [0, 0, -3.5, 200], [0, 0, 0, 1.0]])  # axes A, R, I


def test_the_plan_trains_fourteen_networks_for_four_tables():
    paper = kamal("paper")
    assert {model.name for model in models_of(paper.tables)} == set(MODELS) and len(MODELS) == 14
    assert [len(table.rows) for table in paper.tables] == [5, 5, 8, 9]
    assert len(models_of(kamal("recommended").tables)) == 15  # and one with our own loss
    assert len(models_of(paper.chosen([6]))) == 1 and paper.numbers == [2, 3, 4, 5, 6]


def test_the_proposed_network_has_the_same_figures_in_all_tables_of_the_paper():
    rows = [
        row
        for table in kamal("paper").tables
        for row in table.rows
        if row.paper and row.model.name == PROPOSED and row.rules == kamal("paper").rules
    ]
    assert [(row.paper["mean"], row.paper["median"]) for row in rows] == [(0.7228, 0.7556)] * 4
    counts = [row.paper for row in rows if "false_positive_slices" in row.paper]
    assert [(one["false_positive_slices"], one["false_negative_slices"]) for one in counts] == [(321, 331)] * 2


def test_table_6_scores_one_model_by_eight_rules_and_the_chosen_ones():
    plan = kamal("paper")
    rows = rows_of(plan.tables, MODELS[PROPOSED])
    assert len(rows) == 9 and len({row.rules for row in rows}) == 9  # 0.7 with the kernel stands in all tables
    (none,) = [row.rules for row in rows if row.title == "No threshold"]
    assert (none.threshold, none.kernel) == (0.001, "none")


def test_false_positives_of_tversky_mostly_fall_as_alpha_rises():
    table = {row.model.name: row.paper for row in kamal("paper").chosen([5])[0].rows}
    assert table["tversky_0.1"]["false_positive_slices"] > table["tversky_0.9"]["false_positive_slices"]
    assert [MODELS[f"tversky_{a}"].numbers["alpha"] for a in ("0.1", "0.9")] == [0.1, 0.9]


@pytest.mark.parametrize(("size", "grid", "radius"), [(256, "network", 3), (96, "network", 1), (96, "image", 3)])
def test_the_kernel_keeps_its_share_of_the_image(size, grid, radius):
    assert kernel_radius(3, size, grid) == radius


def test_the_authors_kernel_is_a_square_on_the_original_grid():
    rules = kamal("authors_code", 96).rules
    assert (rules.kernel, rules.radius, rules.grid, rules.skip_ends) == ("square", 3, "image", 0.2)
    assert "square 7x7 on the image's own grid" in rules_text(rules, 96)
    with pytest.raises(UsageError, match="no setting"):
        kamal("nonsense")


def test_a_phantom_without_a_tumour_is_free_of_it_and_a_patient_without_a_contour_is_left_out(tmp_path):
    made = read_cohort(make_tumor_prepared(tmp_path / "made"), LABELS)
    assert made.phantom == PHANTOM and not made.left_out
    assert [bool(one.masks) for one in made.section("test")] == [True, True, False]
    real = make_tumor_prepared(tmp_path / "real", maker="SIEMENS")
    people = read_cohort(real, LABELS)
    assert not people.phantom and [entry["case_id"] for entry in people.left_out] == ["test3"]
    assert len(read_cohort(real, LABELS, undrawn="free").section("test")) == 3
    assert people.data_hash != read_cohort(tmp_path / "made", LABELS).data_hash


def test_slices_are_counted_with_and_without_tumour(tmp_path):
    cohort = read_cohort(make_tumor_prepared(tmp_path), LABELS)
    assert vars(count_slices(cohort.section("test"))) == {"patients": 3, "with_tumor": 10, "without": 38}


def test_no_tumour_to_train_on_is_told(tmp_path):
    folder = make_tumor_prepared(tmp_path, free=("training1", "training2", "training3"))
    with pytest.raises(DatasetError, match="no training case"):
        read_cohort(folder, LABELS)


@pytest.mark.parametrize("affine", [AFFINE, FLIPPED])
def test_masks_lie_on_the_file_whatever_its_axes(tmp_path, affine):
    """The reference itself, turned upright and made smaller, comes back onto the reference."""
    cohort = read_cohort(make_tumor_prepared(tmp_path, affine=affine), LABELS)
    patient = cohort.section("test")[0]
    up = upright_of(patient.image)
    image = nib.as_closest_canonical(nib.load(patient.masks[0]))  # R, A, S
    truth = np.asarray(image.dataobj)[::-1, ::-1]
    assert truth.shape == up.array.shape and np.allclose(up.spacing_mm, image.header.get_zooms(), atol=1e-5)
    assert np.array_equal(up.as_image(truth).astype(bool), reference_mask(patient))
    np.savez(path_of(tmp_path, patient), probability=resize_linear(truth, (48, 40)).astype(np.float16))
    rules = TumorRules(threshold=0.5, kernel="none")
    assert np.array_equal(predicted_mask(tmp_path, patient, rules), reference_mask(patient))
    scores = score_patient(tmp_path, patient, rules)
    assert scores["volume_dice"] == 1 and scores["false_positive_slices"] == scores["false_negative_slices"] == 0


def test_the_rules_that_fit_are_chosen(tmp_path):
    """A core of 0.45 whose rim is lost: only a threshold below that, and a disk of one pixel, bring the tumour back."""
    cohort = read_cohort(make_tumor_prepared(tmp_path), LABELS)
    for patient in cohort.section("validation"):
        reference = reference_mask(patient)
        eroded = reference & np.roll(reference, 1, 0) & np.roll(reference, -1, 0)
        eroded &= np.roll(reference, 1, 1) & np.roll(reference, -1, 1)
        probability = np.where(eroded, 0.45, np.where(reference, 0.02, 0.0))
        np.savez(path_of(tmp_path, patient), probability=probability.astype(np.float16))
    weights = tmp_path / "checkpoints" / "best.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    rules, dice = choose_rules(tmp_path, cohort.section("validation"), TumorRules(radius=2), weights)
    assert read_tuned(weights) == rules
    assert rules.threshold < 0.45 and (rules.kernel, rules.radius) == ("disk", 1) and dice > 0.9
    assert choose_rules(tmp_path, [], TumorRules()) is None


def job(**numbers):
    return Job("ct_tumor_recurrent_denseunet", "paper", Model("m", {"loss_name": "iou"}), {"epochs": 2, **numbers}, "d")


def test_a_folders_name_never_changes_for_the_same_numbers():
    """Trainings of weeks lie under these names."""
    assert job().key == "m-6fd32341"


def test_other_numbers_have_another_folder():
    assert job().key == job().key
    assert len({job().key, job(epochs=3).key, job(width=8).key}) == 3


def test_a_training_is_new_begun_or_done(tmp_path):
    assert state(tmp_path) == "new" and epochs_done(tmp_path) == 0
    (tmp_path / "checkpoints").mkdir()
    for name in ("last.pt", "best.pt"):
        (tmp_path / "checkpoints" / name).touch()
    assert state(tmp_path) == "begun"
    facts = {"status": "interrupted", "epochs_done": 1, "numbers": {"epochs": 2}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    assert state(tmp_path) == "begun" and epochs_done(tmp_path) == 1
    assert command(job(), {}, tmp_path, tmp_path, "cpu")[-2:] == ["--resume", "true"]
    (tmp_path / "run.json").write_text(json.dumps({**facts, "epochs_done": 2}))  # killed after its last epoch
    assert state(tmp_path) == "done"


def test_the_command_names_all_that_differs_from_the_setting(tmp_path):
    arguments = command(job(), {"spatial_size": [96, 96], "epochs": 2}, tmp_path / "data", tmp_path / "run", "cpu")
    pairs = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert pairs["--loss_name"] == "iou" and pairs["--spatial_size"] == "[96, 96]" and pairs["--epochs"] == "2"
    assert pairs["--setting"] == "paper" and "--resume" not in pairs


def test_the_time_left_counts_what_is_left_by_its_cost():
    dear, cheap = Model("dear", {}, 2.0), Model("cheap", {}, 1.0)
    clock = Clock([(dear, 2, 1), (cheap, 4, 1)])
    clock.epoch(dear, 200.0)  # 100 s for each unit of cost: 2 + 4 units are left
    assert clock.left() == "at least 10 min left in all"
    clock.patient(dear, 60.0)  # and 30 s: one unit is left
    assert clock.left() == "about 10 min left in all"
    clock.leave(cheap)
    assert clock.left() == "about 3 min left in all"


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (600, "10 min"), (11100, "3 h 05 min"), (190000, "2 d 4 h")]
)
def test_spans_in_words(seconds, text):
    assert span(seconds) == text
