"""`lungseg reproduce khan`: classifiers of nodules beside the paper's best, cross-validated by patient."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg_monai.errors import DatasetError, UsageError
from lungseg_monai.features.classify import Score, cross_validated, sklearn_is_there
from lungseg_monai.reproduce.nodules.chests import Trained, chests, chosen_cases, open_run, patients_of
from lungseg_monai.reproduce.nodules.regions import KINDS, Region, regions_of
from lungseg_monai.reproduce.nodules.values import feature_sets
from lungseg_monai.training.runs import data_hash


@dataclass(frozen=True)
class Asked:
    """run: of the bundle ct_nodule_vgg_segnet; None: the weights that it ships. by_network: nodules as predicted."""

    data: Path
    run: Path | None
    sections: Sequence[str]
    by_network: bool
    folds: int
    seed: int


@dataclass(frozen=True)
class Classified:
    """scores: feature set -> a Score for each classifier. patients: of the sections, and of them those with regions."""

    asked: Asked
    trained: Trained
    regions: Sequence[Region]
    scores: Mapping[str, Sequence[Score]]
    patients: tuple[int, int]
    data_hash: str

    @property
    def kinds(self) -> dict[str, int]:
        counts = Counter(region.kind for region in self.regions)
        return {kind: counts[kind] for kind in KINDS}


def classify(asked: Asked, say: Callable[[str], None]) -> Classified:
    """Cut regions out of all patients, describe each by numbers, and try all classifiers on them.

    The same cases, weights and seed give the same scores. Raises UsageError without scikit-learn, or where nodules
    should be the network's and it has predicted none; DatasetError where there is nothing to tell apart.
    """
    sklearn_is_there()
    trained = open_run(asked.run)
    if asked.by_network and not trained.found:
        raise UsageError(f"--regions predicted needs the run's predictions, and {asked.run} has none: run the bundle's "
                         "inference.yaml with --output_dir RUN first")  # fmt: skip
    lists = chosen_cases(asked.data, trained, asked.sections)
    cases = lists.section(*asked.sections)
    regions: list[Region] = []
    for number, chest in enumerate(chests(cases, trained)):
        regions += regions_of(chest, asked.by_network, np.random.default_rng([asked.seed, number]))
        say(f"{chest.case_id}: {len(regions)} regions so far")
    labels = np.array([region.label for region in regions])
    if len(set(labels.tolist())) < 2:
        raise DatasetError(f"{len(regions)} regions of {len(cases)} cases are all of one kind: give more cases")
    whose = patients_of(lists)
    patients = [whose[region.case_id] for region in regions]
    say("features")
    sets = feature_sets(regions, trained.network, asked.seed)
    scores = {}
    for name, values in sets.items():
        say(f"classifiers: {name}, {values.shape[1]} values")
        scores[name] = cross_validated(values, labels, patients, folds=asked.folds, seed=asked.seed)
    there = len({whose[case.case_id] for case in cases}), len(set(patients))
    return Classified(asked, trained, regions, scores, there, data_hash(lists))


def as_dict(done: Classified) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "schema_version": "1.0",
        "data_hash": done.data_hash,
        "sections": list(done.asked.sections),
        "regions_from": "prediction" if done.asked.by_network else "reference",
        "folds": done.asked.folds,
        "seed": done.asked.seed,
        "checkpoint": done.trained.checkpoint.name,
        "numbers": dict(done.trained.numbers),
        "patients": dict(zip(("all", "with_regions"), done.patients, strict=True)),
        "kinds": done.kinds,
        "scores": {name: [score.as_dict() for score in scores] for name, scores in done.scores.items()},
        "regions": [region.as_dict() for region in done.regions],
    }
