"""The network by torch: on a GPU, or where nothing else is installed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError


class TorchBackend:
    """model.pt: a state dict of LungUNet3D, of whatever width, or a checkpoint with that under "model"."""

    name = "torch"

    def __init__(self, path: Path, *, device: str, threads: int, sha256: str) -> None:
        import torch

        self.sha256 = sha256
        self.notes: list[str] = []
        self.device = self._there(device)
        if self.device == "cpu":
            torch.set_num_threads(threads)
        self._network = _load(path).to(self.device)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, 1, I, J, K) -> logits (1, C, I, J, K). Out of memory on a GPU: on the CPU from then on, with a note."""
        import torch

        try:
            return self._run(x)
        except torch.OutOfMemoryError as error:
            if self.device == "cpu":
                raise ModelError(f"too little memory for {'x'.join(map(str, x.shape[2:]))} voxels") from error
            self.notes.append(f"too little memory on {self.device} for {'x'.join(map(str, x.shape[2:]))} voxels: cpu")
        self.device = "cpu"
        self._network = self._network.to("cpu")
        return self._run(x)

    def _run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self.device == "cuda"):
            given = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
            out: NDArray[np.float32] = self._network(given).float().cpu().contiguous().numpy()
        return out

    def _there(self, device: str) -> str:
        """`device` if torch can use it. A GPU that can't be used is a note, and the CPU takes its place."""
        import torch

        usable = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
        if device != "cpu" and not usable:
            self.notes.append(f"torch {torch.__version__} can't use {device} here: cpu")
            return "cpu"
        return device


def _load(path: Path) -> Any:
    """The network with the weights of `path` (weights only: no code runs). Raises ModelError where it holds others."""
    import torch

    from lungseg_monai.segment.backends.plain_unet import PlainLungUNet

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return PlainLungUNet(content.get("model", content))
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(f"{path} holds no weights of LungUNet3D ({type(error).__name__}): {error}") from error
