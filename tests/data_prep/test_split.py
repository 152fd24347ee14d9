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


@given(cohorts, st.integers(0, 9), st.integers(0, 8), st.sampled_from([0.0, 0.1, 0.4]))
def test_exactly_so_many_patients_test(patients, seed, count, validation):
    cases = [case(number, patient) for number, patient in enumerate(patients)]
    options = SplitOptions(seed=seed, test_count=count, validation=validation)
    there = len(set(patients))
    if there - count < 1 + bool(validation):
        with pytest.raises(UsageError, match=rf"{there} patients can't be split into training and {count} that test"):
            split(dataset(cases), options)
        return
    lists = split(dataset(cases), options)
    sides = [ids(lists[section]) for section in ("training", "validation", "test")]
    assert len(sides[2]) == count and sum(map(len, sides)) == len(set.union(*sides)) == there
    assert len(sides[1]) == (max(1, round(validation * (there - count))) if validation else 0)
    assert lists == split(dataset(cases[::-1]), options)
    assert lists["split"]["test_count"] == count and lists["split"]["ratio"] is None


def test_the_papers_260_and_40():
    lists = split(dataset([case(n, n) for n in range(300)]), SplitOptions(test_count=40, validation=0.1))
    assert [len(lists[section]) for section in ("training", "validation", "test")] == [234, 26, 40]


def write_lists(folder, form, lists):
    if form == "json":
        text = json.dumps(lists)
    elif form == "datalist":
        entries = {section: [{"case_id": name, "image": "x"} for name in names] for section, names in lists.items()}
        text = json.dumps({"split": {"by": "patient"}, "options": {}, **entries})
    else:
        text = "case,list\n" + "".join(f"{name}, {section}\n" for section, names in lists.items() for name in names)
    path = folder / "lists"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", ["json", "csv", "datalist"])
def test_lists_say_who_is_where(tmp_path, form):
    (tmp_path / "dataset.json").write_text(json.dumps(dataset([case(number, number // 2) for number in range(12)])))
    wanted = {"training": ["c004", "c000", "c001"], "validation": ["c002"], "test": ["p005", "c008"]}
    written = write_split(tmp_path, SplitOptions(), write_lists(tmp_path, form, wanted))
    found = {section: [entry["case_id"] for entry in written[section]] for section in wanted}
    assert found == {"training": ["c000", "c001", "c004"], "validation": ["c002"], "test": ["c008", "c010", "c011"]}
    assert {entry["case_id"] for entry in written["left_out"]} == {"c003", "c005", "c006", "c007", "c009"}
    assert written["split"] == {"by": "patient", "seed": None, "ratio": None, "folds": None, "lists": True}
    assert json.loads((tmp_path / "datalist.json").read_text()) == json.loads(json.dumps(written))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"training": ["c000"], "test": ["c001"]}', "never on two sides"),
        ('{"training": ["c000"], "test": ["c099", "p1"]}', "names 2 that dataset.json has no labelled case of: c099"),
        ('{"test": ["c000"]}', "no case for training"),
        ('{"train": ["c000"]}', "no list 'train'"),
        ('{"training": "c000"}', "must be a list"),
        ('{"training": [3]}', "ids as text"),
        ('{"training": ["c000"], "test": ["c000"]}', "in training and in test"),
        ("c000,training\nc002,tests", "c002 is in 'tests'"),
        ("c000,training\nc002", "got 'c002'"),
        ("{", "can't be read"),
        ("", "names nobody"),
        ("\xff", "can't be read"),
        (None, "can't be read"),
    ],
)
def test_lists_that_can_not_be_right(tmp_path, text, told):
    (tmp_path / "dataset.json").write_text(json.dumps(dataset([case(number, number // 2) for number in range(6)])))
    if text is not None:
        (tmp_path / "lists").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=told):
        write_split(tmp_path, SplitOptions(), tmp_path / "lists")
    assert not (tmp_path / "datalist.json").exists()


@pytest.mark.parametrize(
    "other", [{"ratio": (3, 1)}, {"validation": 0.1}, {"test_count": 4}, {"folds": 3}, {"within_patient": True}]
)
def test_lists_go_with_no_other_way_to_split(other):
    with pytest.raises(UsageError, match="none of --ratio"):
        split(dataset([case(0, 0), case(1, 1)]), SplitOptions(**other), {"c000": "training", "c001": "test"})


@pytest.mark.parametrize("wrong", [{"test_count": -1}, {"test_count": 2, "within_patient": True}])
def test_senseless_counts_are_refused(wrong):
    with pytest.raises(UsageError, match="--test-count"):
        SplitOptions(**wrong)


def test_the_command_takes_counts_and_lists(tmp_path, capsys):
    from data_prep.cli import main

    (tmp_path / "dataset.json").write_text(json.dumps(dataset([case(number, number) for number in range(6)])))
    assert main(["split", str(tmp_path), "--test-count", "2", "--seed", "3"]) == 0
    assert len(json.loads((tmp_path / "datalist.json").read_text())["test"]) == 2
    assert main(["split", str(tmp_path), "--lists", str(write_lists(tmp_path, "csv", {"training": ["c003"]}))]) == 0
    assert [e["case_id"] for e in json.loads((tmp_path / "datalist.json").read_text())["training"]] == ["c003"]
    assert "left out: c000 (not in the lists)" in capsys.readouterr().out
