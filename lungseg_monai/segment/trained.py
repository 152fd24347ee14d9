"""Weights of one's own: a run of a tumour bundle, or one of its checkpoints, as a backend by torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import LungsegError, ModelError, UsageError
from lungseg_monai.segment.backends import DEVICES, Backend
from lungseg_monai.segment.backends.devices import has_cuda

BEST = Path("checkpoints") / "best.pt"


def checkpoint_of(run: Path) -> Path:
    """The checkpoint that a run's folder or a file names. Raises ModelError where there is none."""
    path = run / BEST if (run / BEST).is_file() else run / BEST.name if run.is_dir() else run
    if not path.is_file():
        raise ModelError(f"{run} holds no weights: wanted a run's folder with {BEST}, or a checkpoint file")
    return path


def open_trained(
    path: Path, device: str = "auto", threads: int | None = None, precision: str = "float32"
) -> tuple[Backend, dict[str, Any]]:
    """The network of a checkpoint, which says itself which one it is, and the numbers that it was trained with.

    Raises ModelError where the file is no checkpoint of a tumour network, or torch is missing.
    """
    for package in ("torch", "monai"):
        if find_spec(package) is None:
            raise ModelError(f"{path} needs {package}, which is not installed: pip install 'lungseg-monai[train]'")
    from lungseg_monai.io import sha256
    from lungseg_monai.segment.backends.torch_windows import TorchWindows
    from lungseg_monai.training.checkpoints import read_checkpoint

    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not known; choose one of {', '.join(DEVICES)}")
    if device == "auto":
        device = "cuda" if has_cuda() else "cpu"
    try:
        numbers = dict(read_checkpoint(path)["numbers"])
        digest = sha256(path)
    except LungsegError as error:
        raise ModelError(str(error)) from error
    backend = TorchWindows(path, device=device, threads=threads or cores(), sha256=digest, precision=precision)
    return backend, numbers
