"""Classifiers of features: what can be told apart is, what can't is chance, and no patient is on two sides."""

import sys

import numpy as np
import pytest

from lungseg_monai.errors import ConfigError, DatasetError, UsageError
from lungseg_monai.features.classify import Score, classifiers, cross_validated, cut, table

PATIENTS, EACH = 24, 4
FAST = ("softmax", "decision tree", "k-NN", "SVM, linear", "SVM, RBF")


@pytest.fixture(autouse=True)
def _needs_scikit_learn(request):
    if "without_scikit_learn" not in request.node.name and "scores_of" not in request.node.name:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra classify")


def made(apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cases of 24 patients with both classes, six values wide, the classes `apart` deviations from one another."""
    random = np.random.default_rng(seed)
    groups = np.repeat([f"P{index}" for index in range(PATIENTS)], EACH)
    labels = np.tile([0, 1, 1, 0], PATIENTS)
    return random.normal(size=(PATIENTS * EACH, 6)) + apart * labels[:, None], labels, groups


def test_separable_classes_are_told_apart_by_all():
    scores = cross_validated(*made(12.0), folds=3)
    assert [score.classifier for score in scores] == list(classifiers())
    assert all(score.accuracy == score.sensitivity == score.specificity == 1.0 for score in scores)


def test_shuffled_labels_are_chance():
    features, labels, groups = made(12.0)
    found = []
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(labels)
        scores = cross_validated(features, shuffled, groups, names=FAST, folds=3)
        found += [score.accuracy for score in scores]
    assert 0.4 < np.mean(found) < 0.6 and max(found) < 0.75


def test_what_is_known_of_a_patient_alone_helps_nothing():
    """Each patient has values of their own, and a class: another's case can't be guessed from them, one's own can."""
    random, each = np.random.default_rng(0), 12
    groups, of_patient = np.repeat(np.arange(PATIENTS), each), random.normal(size=(PATIENTS, 6))
    labels = np.repeat(random.permutation([0, 1] * (PATIENTS // 2)), each)
    features = of_patient[groups] + 0.01 * random.normal(size=(len(groups), 6))
    by_patient, by_case = (
        cross_validated(features, labels, whose, names=["k-NN"], folds=4)[0].accuracy
        for whose in (groups, np.arange(len(groups)))
    )
    assert by_case > 0.9 and by_patient < 0.75


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_no_patient_is_on_two_sides_and_each_case_is_tested_once(folds):
    _, labels, groups = made(0.0)
    tested = []
    for training, testing in cut(labels, groups, folds, seed=1):
        assert not set(groups[training]) & set(groups[testing])
        assert abs(labels[testing].mean() - labels.mean()) < 0.01
        tested += testing.tolist()
    assert sorted(tested) == list(range(len(labels)))


def test_the_same_seed_gives_the_same_scores():
    data = made(0.7)
    names = ["decision tree", "SVM, RBF"]
    first = cross_validated(*data, names=names, folds=4, seed=2)
    assert first == cross_validated(*data, names=names, folds=4, seed=2)
    assert first != cross_validated(*data, names=names, folds=4, seed=3)


@pytest.mark.parametrize("components", [None, 3, 0.9])
def test_reduced_or_not(components):
    (score,) = cross_validated(*made(12.0), names=["k-NN"], folds=3, components=components)
    assert score.accuracy == 1.0 and score.cases == PATIENTS * EACH


def test_arrays_that_cannot_be_are_refused():
    features, labels, groups = made(1.0)
    broken = features.copy()
    broken[3, 2] = np.nan
    one_patient = np.where(labels == 1, "P0", groups)
    for arrays, words in (
        ((features[0], labels, groups), "wanted"), ((features, labels[1:], groups), "wanted"),
        ((broken, labels, groups), "of 1 cases are not finite"), ((features, labels * 0, groups), "both 0"),
        ((features, labels + 1, groups), "labels are 1, 2"), ((features, labels, one_patient), "of whom 1 have"),
        ((features, labels, np.tile(["A", "B"], 48)), "wanted a patient"),
    ):  # fmt: skip
        with pytest.raises(DatasetError, match=words):
            cross_validated(*arrays, names=["k-NN"], folds=3)


def test_settings_that_cannot_be_are_refused():
    for settings, words in (
        ({"names": ["perceptron"]}, "no classifier perceptron; there are: softmax"), ({"names": []}, "there are"),
        ({"folds": 1}, "from 2"), ({"components": 7}, "from 1 to 6"), ({"components": 1.5}, "components is 1.5"),
        ({"components": True}, "components is True"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            cross_validated(*made(1.0), **{"names": ["k-NN"], "folds": 3, **settings})


def test_scores_of_answers_counted_by_hand():
    score = Score("k-NN", 6, 30, 10, 4, (0.5, 0.9))
    assert (score.accuracy, score.sensitivity, score.specificity, score.commonest) == (0.72, 0.6, 0.75, 0.8)
    lines = table([score]).splitlines()
    assert lines[2] == "| k-NN | 72.0 | 70.0 +- 20.0 | 60.0 | 75.0 | 46.2 |" and score.f1 == 6 / 13
    assert lines[3].startswith("| always the commoner class | 80.0 |")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"lungseg-monai\[classify\]"):
        cross_validated(*made(1.0))
