"""Counts, runs, descriptions and sentences: the small pieces that scores are put together from."""

import numpy as np

from lungseg_monai.evaluation.metrics import count_slices
from lungseg_monai.evaluation.scores import runs
from lungseg_monai.evaluation.summary import describe
from lungseg_monai.evaluation.text import blank_sentence


def test_words_about_blank_slices_say_the_policy():
    rows = [
        {"reference_voxels": reference, "predicted_voxels": predicted}
        for reference, predicted, times in ((0, 0, 41), (0, 5, 2), (9, 9, 45), (9, 0, 2))
        for _ in range(times)
    ]
    assert blank_sentence(rows, "test", "one") == (
        "43 of 90 test slices have an empty reference; 41 of them predicted empty (DSC 1 by --empty one), "
        "2 false positives (DSC 0); 2 with reference predicted empty (DSC 0)."
    )
    assert "left out by --empty skip" in blank_sentence(rows, "test", "skip")
    assert blank_sentence(rows[-1:], "test", "one").startswith("None of 1 test slices has")


def test_descriptions_count_what_was_not_computed():
    assert describe([None, 1.0, 3.0]) == {"n": 2, "not_computed": 1, "mean": 2.0, "median": 2.0, "std": 1.0, "p05": 1.1}
    assert describe([]) == {"n": 0, "not_computed": 0, "mean": None, "median": None, "std": None, "p05": None}


def test_runs_are_separate_and_ascending():
    chosen = np.array([1, 1, 0, 1, 0, 0, 1, 1], bool)
    assert runs(chosen) == [(0, 2), (3, 4), (6, 8)]


def test_counts_of_slices_add_up_to_the_volume():
    random = np.random.default_rng(0)
    predicted, reference = random.random((2, 5, 4, 7)) > 0.5
    counts = count_slices(predicted, reference)
    assert sum(c.both for c in counts) == (predicted & reference).sum()
    assert all(c.total == 20 for c in counts)
