"""A tumour network by torch, for windows of a few slices: on a GPU, or where nothing else is installed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError
from lungseg_monai.segment.backends.devices import has_bf16


class TorchWindows:
    """model.pt: a checkpoint of a tumour network; its `numbers` say which. Opened with batch normalisation folded.

    precision: "float32", or "bf16" where the processor or GPU computes in it; else float32, with a note.
    """

    name = "torch"

    def __init__(self, path: Path, *, device: str, threads: int, sha256: str, precision: str = "float32") -> None:
        import torch

        self.sha256 = sha256
        self.notes: list[str] = []
        self.device = device
        usable = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
        if device != "cpu" and not usable:
            self.notes.append(f"torch {torch.__version__} can't use {device} here: cpu")
            self.device = "cpu"
        if self.device == "cpu":
            torch.set_num_threads(threads)
        self.precision = self._possible(precision)
        self._network = _channels_last(_load(path)).to(self.device)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 1, I, J, K) -> logits of that shape. Raises ModelError where torch fails; its cause tells of memory."""
        import torch

        half = self.precision == "bf16"
        try:
            with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=half):
                given = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
                out: NDArray[np.float32] = self._network(given).float().cpu().contiguous().numpy()
            return out
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"torch failed on {'x'.join(map(str, x.shape))} voxels: {error}") from error

    def _possible(self, precision: str) -> str:
        import torch

        if precision == "bf16":
            if torch.cuda.is_bf16_supported() if self.device == "cuda" else self.device == "cpu" and has_bf16():
                return "bf16"
            self.notes.append(f"{self.device} does not compute in bf16 here: float32")
        return "float32"


def _channels_last(network: Any) -> Any:
    """The network with its weights as the fastest convolutions read them: those in 2D as well as those in 3D."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in network.parameters():
        if weight.dim() in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.dim()])
    return network


def _load(path: Path) -> Any:
    """The network that the checkpoint `path` describes, folded. Raises ModelError where it holds another, or none."""
    import torch

    from lungseg_monai.errors import LungsegError
    from lungseg_monai.folding import folded
    from lungseg_monai.networks.trained import trained_network
    from lungseg_monai.training.checkpoints import load_weights, read_checkpoint

    try:
        network, example = trained_network(read_checkpoint(path))
        load_weights(network, path)
    except LungsegError as error:
        raise ModelError(f"{path} holds no weights of a network known here: {error}") from error
    return folded(network, torch.rand(example, generator=torch.Generator().manual_seed(0)))
