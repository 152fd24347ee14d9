"""Splits of X-rays: the paper's counts, and neither patients nor copies on two sides."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import UsageError
from data_prep.radiographs.groups import grouped
from data_prep.split import SplitOptions, split

PAPER = SplitOptions(ratio=(9, 1), validation=0.2)
SECTIONS = ("training", "validation", "test")


def cases(patients: list[int], pictures: list[int]) -> list[dict]:
    made = []
    for number, (patient, picture) in enumerate(zip(patients, pictures, strict=True)):
        name = f"c{number:04}"
        roi = {"name": "lungs", "label": "lungs", "status": "ok", "file": f"{name}/masks/lungs.png"}
        made.append({
            "id": name, "patient_id": f"p{patient:04}", "status": "ok", "image": f"{name}/image.png",
            "modality": "CR", "shape": [90, 70], "spacing_mm": None, "orientation": "", "convention": "visible",
            "pixels_sha256": f"{picture:064x}", "rois": [roi], "flags": [],
        })  # fmt: skip
    return grouped(made)


def counts(lists: dict) -> list[int]:
    return [len(lists[section]) for section in SECTIONS]


def test_the_papers_2603_651_and_362():
    lists = split({"cases": cases(list(range(3616)), list(range(3616)))}, PAPER)
    assert counts(lists) == [2603, 651, 362] and lists["split"]["counted"] == "images"
    assert lists["test"][0]["convention"] == "visible" and lists["test"][0]["group"]


def test_the_papers_counts_with_copies_and_patients_of_several_images():
    random = np.random.default_rng(0)
    patients, pictures = random.integers(0, 2500, 3616), np.arange(3616)
    pictures[random.integers(0, 3616, 90)] = random.integers(0, 3616, 90)
    assert counts(split({"cases": cases(list(patients), list(pictures))}, PAPER)) == [2603, 651, 362]


images = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=20, max_size=60)


@settings(max_examples=40, deadline=None)
@given(images, st.integers(0, 3))
def test_neither_a_patient_nor_a_picture_is_on_two_sides(numbers, seed):
    made = cases([patient for patient, _ in numbers], [picture for _, picture in numbers])
    try:
        lists = split({"cases": made}, SplitOptions(ratio=(9, 1), validation=0.2, seed=seed))
    except UsageError as error:
        assert "never on two sides" in str(error)
        return
    side = {entry["case_id"]: section for section in SECTIONS for entry in lists[section]}
    assert len(side) == len(made)
    for key in ("patient_id", "pixels_sha256", "group"):
        sides = defaultdict(set)
        for case in made:
            sides[case[key]].add(side[case["id"]])
        assert all(len(found) == 1 for found in sides.values())


def test_groups_reach_over_patients_and_pictures():
    made = cases([0, 0, 1, 2, 3], [10, 11, 11, 12, 13])
    assert [case["group"] for case in made] == ["p0000", "p0000", "p0000", "p0002", "p0003"]
    assert made[1]["flags"] == ["the same pixels as c0002"] and made[3]["flags"] == []


def test_lists_can_not_part_a_group():
    made = cases([0, 1, 2], [5, 5, 6])
    with pytest.raises(UsageError, match="same pixels"):
        split({"cases": made}, SplitOptions(), {"c0000": "training", "c0001": "test"})
    with pytest.raises(UsageError, match="X-rays have none"):
        split({"cases": made}, SplitOptions(within_patient=True))
