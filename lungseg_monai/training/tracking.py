"""`--tracking mlflow` of `python -m monai.bundle run`: a store in the run's folder, names that tell them apart."""

import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from math import isfinite
from types import FrameType
from typing import Any

from monai.handlers import MLFlowHandler

from lungseg_monai.errors import ConfigError
from lungseg_monai.training.epochs import learning_rate

STORED_BY = ("mlflow", "sqlalchemy", "alembic")  # mlflow-skinny alone can't write a local database
PREFIXES = {"train::handlers": "train_", "validate::handlers": "val_"}
OWN = "lungseg_monai.training.tracking.EpochTracker"


class EpochTracker(MLFlowHandler):
    """MONAI's MLFlowHandler once an epoch: its metrics, `prefix` before their names, and a trainer's learning rate.

    Training and validation write into one run, and both have a dice and a loss.
    """

    def __init__(self, prefix: str = "", **options: Any) -> None:
        super().__init__(**{**options, "iteration_log": False})  # MONAI's expects a list of images, not a batch
        self.prefix = prefix

    def _default_epoch_log(self, engine: Any) -> None:
        metrics = {self.prefix + name: float(value) for name, value in engine.state.metrics.items()}
        told = {name: value for name, value in metrics.items() if isfinite(value)}
        if hasattr(engine, "optimizer"):
            told["learning_rate"] = learning_rate(engine)
        self._log_metrics(told, step=self.global_epoch_transform(engine.state.epoch))


def prepare_tracking() -> None:
    """Make EpochTrackers of the MLFlowHandlers that MONAI put into the config under evaluation; without, do nothing.

    To be called by the config itself, whose parser is looked for among the callers. Raises ConfigError that names the
    extra where MLflow is not installed.
    """
    parser = calling_parser()
    if parser is None:
        return
    for place, prefix in PREFIXES.items():
        handlers = parser.get(place) or []
        for number, handler in enumerate(handlers):
            if isinstance(handler, dict) and handler.get("_target_") == "MLFlowHandler":
                check_installed()
                send_nothing()
                config = {**handler, "_target_": OWN, "prefix": prefix}
                handlers[number] = config
                parser.ref_resolver.items[f"{place}::{number}"].update_config(config)


def check_installed() -> None:
    missing = [name for name in STORED_BY if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--tracking mlflow needs {' and '.join(missing)}: pip install 'lungseg-monai[tracking]', or leave it out; "
            "RUN/tensorboard and RUN/curves.csv are written anyway"
        )


def send_nothing() -> None:
    """Keep MLflow from sending usage data (none is sent before a run), unless MLFLOW_DISABLE_TELEMETRY says it may."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with suppress(ImportError):  # versions that send none
        from mlflow.telemetry import set_telemetry_client

        set_telemetry_client()  # reads the environment anew


def calling_parser() -> Any:
    """MONAI's ConfigParser that evaluates what called; None where none does."""
    from monai.bundle import ConfigParser

    frame: FrameType | None = sys._getframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), ConfigParser):
        frame = frame.f_back
    return frame.f_locals["self"] if frame is not None else None
