"""Masks of a trained run by its bundle's configs/inference.yaml, in a process of its own."""

from collections.abc import Callable
from pathlib import Path

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import DatasetError
from lungseg_monai.evaluation.predictions import JOURNAL
from lungseg_monai.io import read_json, sha256
from lungseg_monai.reproduce.training import Failed, run_bundle

SECTIONS = ("training", "test")  # those of the paper's Figures 4 to 11


def predicted(run: Path, weights: str) -> dict[str, float]:
    """Case id -> seconds, of the cases that `weights` (SHA-256 of best.pt) have predicted."""
    try:
        journal = read_json(run / "predictions" / JOURNAL)
        if journal["checkpoint"]["sha256"] != weights:
            return {}
        return {str(case["case_id"]): float(case["seconds"]) for case in journal["cases"]}
    except (DatasetError, OSError, KeyError, TypeError, ValueError):
        return {}


def weights_of(run: Path) -> str:
    return sha256(run / "checkpoints" / "best.pt")


def command(bundle: str, data: Path, run: Path, device: str) -> list[str]:
    """Arguments of `python -m monai.bundle` that predict the SECTIONS of `data`."""
    configs = bundle_path(bundle) / "configs"
    arguments = ["run", "--config_file", str(configs / "inference.yaml"), "--meta_file", str(configs / "metadata.json")]
    arguments += ["--dataset_dir", str(data), "--output_dir", str(run), "--sections", repr(list(SECTIONS))]
    return [*arguments, "--device", device]


def predict(arguments: list[str], run: Path, threads: int | None, told: Callable[[float], None]) -> list[str]:
    """Predict what is missing; `told` gets the seconds of each case. Returns what went wrong with single cases.

    Raises Failed where there is no prediction at all. An interruption is handed on.
    """
    weights = weights_of(run)
    seen = set(predicted(run, weights))

    def look() -> None:
        for case, seconds in predicted(run, weights).items():
            if case not in seen:
                seen.add(case)
                told(seconds)

    code, words = run_bundle(arguments, run / "prediction.log", threads, look)
    problem = f"prediction ended with code {code}: {words}"
    if not predicted(run, weights):
        raise Failed(problem)
    return [problem] if code else []
