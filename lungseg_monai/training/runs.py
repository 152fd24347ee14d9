"""Run folders (docs/reference/files.md): where a run writes, how it is found again, and its run.json."""

import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256 as new_sha256
from importlib.metadata import version
from logging import getLogger
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from data_prep.errors import OutputError
from lungseg_monai.data import CaseLists
from lungseg_monai.errors import CheckpointError, ConfigError, IncompleteError
from lungseg_monai.io import read_json, sha256, write_json
from lungseg_monai.slices import SliceDataset
from lungseg_monai.training.checkpoints import KeepCheckpoints
from lungseg_monai.training.processes import from_main, is_main

PACKAGES = ("lungseg-monai", "monai", "torch", "pytorch-ignite", "numpy", "nibabel")
log = getLogger(__name__)


def run_folder(bundle: str, output_dir: str | Path | None = None, resume: bool = False) -> Path:
    """`output_dir`, or by default ./runs/<bundle>/<time>: a new one, or with `resume` the newest that was trained in.

    Creates nothing. Raises ConfigError when there is no run to resume, or when `output_dir` already holds one.
    """
    if output_dir is None:
        if resume:
            return newest_run(bundle)
        return Path(from_main(str(Path("runs", bundle, time.strftime("%Y%m%d-%H%M%S")).resolve())))
    folder = Path(output_dir).resolve()
    last = folder / "checkpoints" / "last.pt"
    if resume and not last.is_file():
        raise ConfigError(
            f"{folder} can't be resumed: it has no checkpoints/last.pt. Train there without --resume first."
        )
    if not resume and last.is_file():
        raise ConfigError(f"{folder} already holds a run: continue it with --resume, or name another --output_dir")
    return folder


def make_run_folder(folder: str | Path) -> None:
    """Create the folder on the main process and try to write there, before the work of loading volumes is done.

    Raises data_prep's OutputError.
    """
    if not is_main():
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"can't write into {folder}: {error.strerror}. Name another --output_dir.") from error


def newest_run(bundle: str, output_dir: str | Path | None = None) -> Path:
    """`output_dir`, or by default the run under ./runs/<bundle> that was trained last. Raises ConfigError."""
    if output_dir is not None:
        return Path(output_dir).resolve()
    runs = Path("runs", bundle)
    found = sorted(runs.glob("*/checkpoints/last.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError(f"there is no run under {runs.resolve()}: name one with --output_dir RUN")
    return found[-1].parents[1].resolve()


def find_checkpoint(
    output_dir: str | Path | None, checkpoint: str | Path | None = None, shipped: str | Path | None = None
) -> Path | None:
    """The checkpoint to predict with: `checkpoint`, else the run's best.pt, else the bundle's own, else None.

    `checkpoint` is a file, or a run's folder, whose best.pt it is. Raises CheckpointError when it is named but missing.
    """
    if checkpoint is not None:
        best = Path(checkpoint, "checkpoints", "best.pt")
        if Path(checkpoint).is_dir() and not best.is_file():
            raise CheckpointError(f"{Path(checkpoint).resolve()} holds no checkpoints/best.pt: give a run, or a file")
        if not Path(checkpoint).exists():
            raise CheckpointError(f"there is no checkpoint {Path(checkpoint).resolve()}")
        return best if Path(checkpoint).is_dir() else Path(checkpoint)
    places = [Path(output_dir, "checkpoints", "best.pt")] if output_dir is not None else []
    places += [Path(shipped)] if shipped is not None else []
    return next((place for place in places if place.is_file()), None)


class RunRecord:
    """run.json: written when training begins, after each epoch, and when it ends.

    `facts` are the bundle, setting, numbers, labels and the like; `cases` and `datasets` tell the split, the hash of
    the data and what was left out; `checkpoints` the best epoch.
    """

    def __init__(
        self,
        folder: str | Path,
        facts: Mapping[str, Any],
        cases: CaseLists,
        datasets: Sequence[SliceDataset],
        checkpoints: KeepCheckpoints,
    ) -> None:
        self.path = Path(folder) / "run.json"
        self.checkpoints = checkpoints
        self.content: dict[str, Any] = {
            "schema_version": "1.0",
            **facts,
            "dataset_dir": str(cases.folder),
            "status": "running",
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "epochs_done": 0,
            "best": {},
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "data_sha256": data_hash(cases),
            "split": cases.split,
            "cases": cases.case_ids(),
            "slices": {
                section: {"with_label": int(data.has_label.sum()), "all": len(data)}
                for section, data in zip(("training", "validation"), datasets, strict=True)
            },
            "left_out": cases.left_out + [entry for data in datasets for entry in data.refused],
        }

    def begin(self, resume: bool) -> None:
        """Write run.json for the first time, or go on with the one that is there.

        Raises ConfigError when a resumed run was trained on other data.
        """
        if resume:
            before = read_json(self.path)
            if before.get("data_sha256") != self.content["data_sha256"]:
                raise ConfigError(
                    f"the data are not those that {self.path.parent} was trained on. Start another run; "
                    f"--pretrained {self.path.parent / 'checkpoints' / 'best.pt'} starts it from the same weights."
                )
            self.content.update(setting=before["setting"], started=before["started"])
        self._write()
        split = self.content["split"]
        if is_main():
            counts = ", ".join(f"{len(ids)} {section}" for section, ids in self.content["cases"].items())
            log.info("Run folder %s, setting %s, cases: %s", self.path.parent, self.content["setting"], counts)
            if split.get("warning"):
                log.warning("%s", split["warning"])
            if not self.content["cases"]["validation"]:
                log.info("No validation cases: best.pt is the epoch with the smallest training loss")

    def attach(self, engine: Engine) -> None:
        # When the next epoch begins the checkpoints of the last one are whole: run.json is never ahead of last.pt.
        engine.add_event_handler(Events.EPOCH_STARTED, self.update)
        engine.add_event_handler(Events.COMPLETED, self.update, "done")
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.stopped)

    def finish(self) -> None:
        """Say where everything is. Raises IncompleteError when a case was left out because its files are damaged."""
        best = self.content["best"]
        if is_main():
            score = f"{best['by']} {abs(best['score']):.4f}"
            log.info("Best epoch %d (%s): %s", best["epoch"], score, self.path.parent / "checkpoints" / "best.pt")
        damaged = [entry["case_id"] for entry in self.content["left_out"] if entry["kind"] == "damaged"]
        if damaged:
            raise IncompleteError(f"trained without {', '.join(damaged)}: see left_out in {self.path}")

    def stopped(self, engine: Engine, error: BaseException) -> None:
        self.update(engine, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")

    def update(self, engine: Engine, status: str = "running") -> None:
        done = self.epochs_done(engine, status)
        self.content.update(status=status, epochs_done=done, best=self.checkpoints.state_dict())
        self._write()

    def epochs_done(self, engine: Engine, status: str) -> int:
        if status == "done":
            return engine.state.epoch
        return engine.state.epoch - 1 if status == "running" else int(self.content["epochs_done"])

    def _write(self) -> None:
        if is_main():
            write_json(self.path, self.content)


def data_hash(cases: CaseLists) -> str:
    """One hash over the files of all cases, their sections and slices."""
    total = new_sha256()
    for case in cases.cases:
        files = [case.image, *(path for paths in case.masks.values() for path in paths)]
        line = [case.section, case.case_id, case.slices, [sha256(path) for path in files]]
        total.update(repr(line).encode())
    return total.hexdigest()
