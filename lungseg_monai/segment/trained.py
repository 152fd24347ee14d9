"""Weights of one's own: a run of a tumour bundle, or one of its checkpoints, as a backend by torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import CheckpointError, ConfigError, DatasetError, ModelError
from lungseg_monai.segment.backends import Backend
from lungseg_monai.segment.backends.devices import cores

BEST = Path("checkpoints") / "best.pt"
VARIANT = ("dropout", "norm_momentum", "architecture")  # of `numbers`, beside network_name and width


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
    from lungseg_monai.training.checkpoints import read_checkpoint

    try:
        content = read_checkpoint(path)
        backend = TrainedBackend(_network(content, path), sha256(path), device, threads, precision)
    except (CheckpointError, ConfigError, DatasetError) as error:
        raise ModelError(f"{path}: {error}") from error
    return backend, dict(content["numbers"])


class TrainedBackend:
    """A torch network (N, 1, I, J, K) -> logits of that shape, as `segment.backends.Backend` has it."""

    name = "torch"

    def __init__(self, network: Any, sha256: str, device: str, threads: int | None, precision: str) -> None:
        import torch

        self.sha256 = sha256
        self.notes: list[str] = []
        self.device = self._there(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        if self.device == "cpu":
            torch.set_num_threads(threads or cores())
        self.precision = self._possible(precision)
        self._network = network.to(self.device)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 1, I, J, K) -> logits of that shape. Raises ModelError where torch fails; its cause tells of memory."""
        import torch

        half = self.precision == "bf16"
        try:
            with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=half):
                given = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
                out: NDArray[np.float32] = self._network(given).float().cpu().contiguous().numpy()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"torch failed on {'x'.join(map(str, x.shape))} voxels: {error}") from error
        return out

    def _there(self, device: str) -> str:
        import torch

        usable = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
        if device != "cpu" and not usable:
            self.notes.append(f"torch {torch.__version__} can't use {device} here: cpu")
            return "cpu"
        return device

    def _possible(self, precision: str) -> str:
        import torch

        from lungseg_monai.segment.backends.devices import has_bf16

        able = torch.cuda.is_bf16_supported() if self.device == "cuda" else self.device == "cpu" and has_bf16()
        if precision == "bf16" and not able:
            self.notes.append(f"{self.device} does not compute in bf16 here: float32")
            return "float32"
        return precision


def _network(content: dict[str, Any], path: Path) -> Any:
    """Raises ModelError where the checkpoint names no tumour network; ConfigError, CheckpointError."""
    from lungseg_monai.training.checkpoints import check_fit
    from lungseg_monai.training.tumors import make_network

    numbers, state = content["numbers"], content["model"]
    name = numbers.get("network_name")
    if name is None:
        raise ModelError(
            f"{path} does not say which tumour network it is of (network_name): wanted one of a run of "
            "ct_tumor_recurrent_denseunet"
        )
    options = {key: numbers[key] for key in VARIANT if key in numbers}
    network = make_network(str(name), int(numbers.get("width", 32)), **options)
    check_fit(network, state, path)
    network.load_state_dict(state)
    return network.eval()
