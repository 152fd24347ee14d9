"""A seeded few of the mutations that `tests/fuzz/run.py` makes by the thousand; and that the oracle can tell."""

import gzip
import os
from collections import Counter

import numpy as np
import pytest
from fuzz import oracle
from fuzz.harness import SALT, mutate, run_all, tasks, write_tree
from fuzz.mutators import load_all
from fuzz.oracle import DEFECTS, Truth, judge, said
from fuzz.reference import contents, meaning
from fuzz.seeds import seeds

from data_prep.convert import ConvertOptions, convert
from data_prep.verify import VerifyResult

PROCESSES = min(2, os.cpu_count() or 1)


@pytest.fixture(scope="module")
def bases():
    return seeds()


def test_nothing_crashes_hangs_or_differs_in_silence():
    todo = tasks(seed=20, count=155)
    outcomes = list(run_all(todo, PROCESSES))
    defects = [f"{one.verdict.kind}: {one.task} {one.base}: {one.verdict.detail}" for one in outcomes
               if one.verdict.is_defect]  # fmt: skip
    assert "\n".join(defects) == ""
    assert len(outcomes) == len(todo)


def test_mutations_are_the_same_for_the_same_seed_and_others_for_another(bases):
    one, again, other = ([mutate(task, bases)[1] for task in tasks(seed, 62)] for seed in (3, 3, 4))
    assert one == again
    assert sum(a != b for a, b in zip(one, other, strict=True)) > 50


def test_every_mutator_changes_its_input(bases):
    unchanged: Counter[str] = Counter()
    for name in load_all():
        for task in tasks(7, 3, [name]):
            base, files = mutate(task, bases)
            unchanged[name] += files == base.files
    assert [name for name, count in unchanged.items() if count > 1] == []


@pytest.fixture
def converted(bases, tmp_path):
    """A seed, its truth, and where its conversion lies with dataset.json's content."""
    base = bases[0]
    write_tree(tmp_path / "in", base.files)
    dataset = convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=SALT)).dataset
    return base, Truth(meaning(contents(base.files)), said(dataset)), tmp_path / "out", dataset


def spoil(path, where, value):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[where] = value
    path.write_bytes(gzip.compress(bytes(content)))


def test_the_oracle_sees_one_wrong_voxel(converted, monkeypatch):
    base, truth, out, dataset = converted
    assert judge(base, truth, base.files, out, dataset, False).kind == "same"
    image = out / dataset["cases"][0]["image"]
    whole = image.read_bytes()
    spoil(image, 352 + 2 * 500, 77)
    assert judge(base, truth, base.files, out, dataset, False).kind == "unverified"
    monkeypatch.setattr(oracle, "verify", lambda out: VerifyResult())  # which sees it by the hash
    verdict = judge(base, truth, base.files, out, dataset, False)
    assert verdict.kind == "silent" and "slice 1 " in verdict.detail
    image.write_bytes(whole)
    spoil(out / dataset["cases"][0]["rois"][0]["file"], 352, 1)
    verdict = judge(base, truth, base.files, out, dataset, False)
    assert verdict.kind == "silent" and "ROI 10" in verdict.detail
    dataset["cases"][0]["rois"][0]["flags"].append("a word about it")
    assert judge(base, truth, base.files, out, dataset, False).kind == "differs, said"


def test_the_oracle_sees_lost_rois_unsaid_damage_and_unexpected_errors(converted):
    base, truth, out, dataset = converted
    assert judge(base, truth, base.files, out, dataset, True).kind == "unsaid"
    gone = dataset["cases"][0]["rois"].pop()
    assert judge(base, truth, base.files, out, dataset, False).kind == "silent"
    dataset["cases"][0]["rois"].append(gone)
    dataset["refused"].append({"what": "series", "where": ".", "reason": "unexpected TypeError: x"})
    assert judge(base, truth, base.files, out, dataset, False).kind == "unexpected"
    assert judge(base, truth, base.files, out, {"cases": [], "refused": [], "ignored": []}, False).kind == "silent"


def test_the_second_reading_knows_the_seeds(bases):
    for base in bases:
        found = meaning(contents(base.files))
        regions = 2 if base.name in ("segmented", "npz", "nifti") else 3
        assert (len(found.slices), len(found.rois), found.unreadable) == (7, regions, 0)
        assert len(np.unique([one.hu for one in found.slices])) > 1900


def test_defects_and_verdicts_are_told_apart():
    assert {"crash", "hang", "silent", "outside", "memory", "unexpected"} < set(DEFECTS)
