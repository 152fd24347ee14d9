"""Splits: nobody on two sides, nobody lost, the same for the same seed in any order."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.data import load_decathlon_datalist

from data_prep.errors import DatasetError, UsageError
from data_prep.split import SplitOptions, slice_blocks, split, summary, write_split


def case(number: int, patient: int, *, slices: int = 60, labels=("lung_left", "lung_right")) -> dict:
    return {
        "id": f"c{number:03}",
        "patient_id": f"p{patient:03}",
        "status": "ok",
        "reason": None,
        "image": f"c{number:03}/image.nii.gz",
        "modality": "CT",
        "shape": [32, 40, slices],
        "spacing_mm": [1.0, 1.0, 2.5],
        "orientation": "LPS",
        "source": {},
        "repairs": [],
        "rois": [
            {
                "name": f"roi {index}",
                "number": index,
                "label": label,
                "status": "ok",
                "reason": None,
                "file": f"c{number:03}/masks/roi_{index}.nii.gz",
                "planes": {},
                "volume_ml": {},
            }
            for index, label in enumerate(labels)
        ],
    }


def dataset(cases: list[dict]) -> dict:
    return {"schema_version": "1.0", "created_by": {}, "cases": cases, "refused": []}


def ids(entries: list[dict], key: str = "patient_id") -> set[str]:
    return {entry[key] for entry in entries}


cohorts = st.lists(st.integers(0, 40), min_size=6, max_size=60).filter(lambda patients: len(set(patients)) >= 6)


@given(cohorts, st.integers(0, 9), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([(2, 1), (1, 1), (9, 1), (1, 0)]))
def test_every_patient_is_on_exactly_one_side(patients, seed, validation, ratio):
    cases = [case(number, patient) for number, patient in enumerate(patients)]
    lists = split(dataset(cases), SplitOptions(seed=seed, validation=validation, ratio=ratio))
    sides = [ids(lists[section]) for section in ("training", "validation", "test")]
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(set(patients))
    assert sum(len(lists[section]) for section in ("training", "validation", "test")) == len(cases)
    assert sides[0] and bool(sides[1]) == bool(validation) and bool(sides[2]) == bool(ratio[1])


@given(cohorts, st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_order_of_the_cases_does_not_matter(patients, seed, shuffler):
    cases = [case(number, patient) for number, patient in enumerate(patients)]
    shuffled = random.Random(shuffler.random()).sample(cases, len(cases))
    assert split(dataset(cases), SplitOptions(seed=seed)) == split(dataset(shuffled), SplitOptions(seed=seed))


def test_two_to_one_by_default_and_the_seed_decides_who():
    cases = [case(number, number) for number in range(12)]
    first, second = (split(dataset(cases), SplitOptions(seed=seed)) for seed in (0, 1))
    assert (len(first["training"]), len(first["validation"]), len(first["test"])) == (8, 0, 4)
    assert ids(first["test"]) != ids(second["test"])


def test_folds_part_the_training_patients_evenly():
    cases = [case(number, number // 2) for number in range(24)]
    lists = split(dataset(cases), SplitOptions(folds=4, ratio=(3, 1)))
    members = [{e["patient_id"] for e in lists["training"] if e["fold"] == fold} for fold in range(4)]
    assert [len(fold) for fold in members] == [3, 2, 2, 2]
    assert len(set.union(*members)) == 9 and len(ids(lists["test"])) == 3


def test_unlabelled_and_refused_rois_stay_out_and_are_named():
    broken = case(0, 0)
    broken["rois"][0].update(file=None, status="refused")
    lists = split(
        dataset([broken, case(1, 1, labels=()), case(2, 2, labels=("gtv", None)), case(3, 3)]), SplitOptions()
    )
    entries = {e["case_id"]: e for e in [*lists["training"], *lists["test"]]}
    assert entries["c000"]["label_names"] == ["lung_right"] and entries["c002"]["label_names"] == ["gtv"]
    assert lists["left_out"] == [{"case_id": "c001", "reason": "no ROI with a known label"}]
    assert "c001" in summary(lists)


def test_one_patient_is_refused_with_the_way_out():
    with pytest.raises(UsageError, match="--within-patient"):
        split(dataset([case(0, 0), case(1, 0)]), SplitOptions())


@given(
    st.integers(1, 400), st.integers(0, 12), st.sampled_from([{"training": 2, "test": 1}, {"a": 1.8, "b": 0.2, "c": 1}])
)
def test_blocks_are_apart_and_use_every_other_slice(slices, gap, weights):
    try:
        blocks = slice_blocks(slices, weights, gap)
    except UsageError:
        assert slices < len(weights) * gap + 2 * max(gap, 1) * sum(weights.values()) / min(weights.values()) + 1
        return
    ordered = sorted(block for ranges in blocks.values() for block in ranges)
    assert ordered[0][0] == 0 and ordered[-1][1] == slices
    assert all(start < stop for start, stop in ordered)
    assert all(after[0] - before[1] == gap for before, after in pairwise(ordered))
    assert list(blocks) == list(weights)
    assert ordered[0] in blocks[next(iter(weights))] and ordered[-1] in blocks[next(iter(weights))]


def test_within_patient_is_stamped_and_for_one_patient_only():
    lists = split(dataset([case(0, 0)]), SplitOptions(within_patient=True, gap_mm=5))
    assert lists["split"]["by"] == "slice" and "other patients" in lists["split"]["warning"]
    train, test = (lists[section][0]["slices"] for section in ("training", "test"))
    assert (len(train), len(test)) == (4, 3)
    gaps = [abs(a - b) for start, stop in train for s, e in test for a, b in ((stop, s), (e, start))]
    assert min(gaps) == 2  # 5 mm at 2.5 mm a slice
    with pytest.raises(UsageError, match="single patient"):
        split(dataset([case(0, 0), case(1, 1)]), SplitOptions(within_patient=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratio": (0, 1)},
        {"ratio": (1, -1)},
        {"ratio": (float("inf"), float("inf"))},
        {"ratio": (1e308, 1e308)},
        {"validation": 1},
        {"folds": 1},
        {"folds": 3, "validation": 0.1},
        {"folds": 3, "within_patient": True},
        {"gap_mm": -1},
        {"gap_mm": float("nan")},
        {"gap_mm": float("inf")},
    ],
)
def test_senseless_options_are_refused(wrong):
    with pytest.raises(UsageError):
        SplitOptions(**wrong)


def test_monai_reads_the_datalist(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(dataset([case(number, number) for number in range(3)])))
    written = write_split(tmp_path, SplitOptions())
    items = load_decathlon_datalist(tmp_path / "datalist.json", data_list_key="training")
    assert [item["case_id"] for item in items] == [entry["case_id"] for entry in written["training"]]
    assert items[0]["image"] == str(tmp_path / written["training"][0]["image"])
    assert items[0]["label"] == [str(tmp_path / file) for file in written["training"][0]["label"]]


def test_nothing_labelled_is_an_error():
    with pytest.raises(DatasetError, match="nothing to train on"):
        split(dataset([case(0, 0, labels=(None,))]), SplitOptions())
