"""What is kept of a trained model: probabilities of each case, so that other rules cost little, and scores by rules."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256 as sha256_of
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.errors import DatasetError, LungsegError
from lungseg_monai.io import read_json, sha256, write_json
from lungseg_monai.reproduce.cohort import Patient
from lungseg_monai.reproduce.made import Made
from lungseg_monai.reproduce.plan import Rules
from lungseg_monai.reproduce.progress import Progress

Probability = NDArray[np.float16]
Predict = Callable[[Path], Probability]
Scores = dict[str, Any]
TIMES = "seconds.json"  # beside the probabilities: how long each case took


def folder_of(run: Path, way: str = "") -> Path:
    """Where probabilities of a run's best weights lie: other weights or another way to predict have another folder."""
    name = sha256(run / "checkpoints" / "best.pt")[:8]
    return run / "probabilities" / (f"{name}-{way}" if way else name)


def missing(folder: Path, patients: Sequence[Patient]) -> list[Patient]:
    """Those that have no probabilities yet, each once."""
    once = {patient.case_id: patient for patient in patients}
    return [patient for patient in once.values() if not path_of(folder, patient).is_file()]


def path_of(folder: Path, patient: Patient) -> Path:
    return folder / f"{patient.case_id}.npz"


def predict_all(
    folder: Path, patients: Sequence[Patient], predict: Predict
) -> Iterator[tuple[Patient, float, str | None]]:
    """Predict those that are missing; yields each with its seconds and what went wrong. One costs no other."""
    for patient in missing(folder, patients):
        started = perf_counter()
        try:
            probability = predict(patient.image)
            with atomic_file(path_of(folder, patient)) as stream:
                np.savez_compressed(stream, probability=probability.astype(np.float16))
        except Exception as error:  # noqa: BLE001 - one patient costs no other, whatever is wrong with the file
            yield patient, perf_counter() - started, f"{type(error).__name__}: {error}"
            continue
        yield patient, perf_counter() - started, None


def read_probability(folder: Path, patient: Patient) -> Probability:
    """float16, as it was predicted. Raises ValueError for a damaged file, which is removed: the next run makes it."""
    path = path_of(folder, patient)
    try:
        with np.load(path) as content:
            probability: Probability = content["probability"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"{path.name} was damaged and is removed ({error}): run again") from error
    return probability


def keep_probabilities(
    folder: Path, patients: Sequence[Patient], make_predict: Callable[[], Predict], made: Made, progress: Progress
) -> dict[str, float]:
    """Predict what is missing, with what went wrong in made.problems; returns the seconds of each case by its id."""
    times: dict[str, float] = read_json(folder / TIMES) if (folder / TIMES).is_file() else {}
    for patient, seconds, problem in predict_all(folder, patients, make_predict()) if missing(folder, patients) else ():
        progress.case(seconds)
        if problem:
            made.problems.append(f"{patient.case_id} can't be predicted: {problem}")
            continue
        times[patient.case_id] = round(seconds, 3)
        write_json(folder / TIMES, times)
    return times


def keep_scores(
    path: Path, patients: Sequence[Patient], rules: Rules, schema: int, score: Callable[[Patient], Scores]
) -> tuple[list[Scores], list[str]]:
    """Scores of all patients, and which could not be scored, and why. Those in `path` are not made again.

    schema: of what a score means.
    """
    kept = _kept(path, schema)
    failed = []
    for patient in patients:
        if patient.case_id in kept:
            continue
        try:
            kept[patient.case_id] = score(patient)
        except (LungsegError, ValueError, OSError) as error:
            failed.append(f"{patient.case_id}: {error}")
    write_json(path, {"schema": schema, "rules": rules.as_dict(), "cases": list(kept.values())})
    return [kept[patient.case_id] for patient in patients if patient.case_id in kept], failed


def scores_path(run: Path, probabilities: Path, rules: Rules) -> Path:
    return run / "scores" / f"{probabilities.name}-{rules_key(rules)}.json"


def rules_key(rules: Rules) -> str:
    return sha256_of(json.dumps(rules.as_dict(), sort_keys=True).encode()).hexdigest()[:8]


def _kept(path: Path, schema: int) -> dict[str, Scores]:
    try:
        content: Mapping[str, Any] = read_json(path)
        return {case["case_id"]: case for case in content["cases"]} if content["schema"] == schema else {}
    except (DatasetError, KeyError, TypeError):
        return {}
