"""The network by torch: on a GPU, or where nothing else is installed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError

WIDTHS = ("conv_0", *(f"down_{n}.convs" for n in (1, 2, 3, 4)), "upcat_1.convs")  # of BasicUNet, each wide as a feature


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
            given = given.to(memory_format=torch.channels_last_3d)
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
    """LungUNet3D with the weights of `path` (weights only: no code runs), each batch norm folded into its convolution.

    Raises ModelError for files that hold something else.
    """
    import torch

    from lungseg_monai.networks.lung_unet3d import LungUNet3D

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = content.get("model", content)
        network = LungUNet3D(features=_features(state))
        network.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in state.items()})
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(f"{path} holds no weights of LungUNet3D ({type(error).__name__}): {error}") from error
    network.eval()
    _fold_norms(network)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _features(state: dict[str, Any]) -> list[int]:
    """How wide the network is, which its weights tell."""
    names = [f"unet.{part}.conv_0.conv.weight" for part in WIDTHS]
    return [len(state[name]) for name in names]


def _fold_norms(network: Any) -> None:
    """Each convolution that is followed at once by a batch norm takes it over: one pass less over the voxels."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for block in network.modules():
        norm = getattr(getattr(block, "adn", None), "N", None)
        conv = getattr(block, "conv", None)
        if isinstance(norm, nn.BatchNorm3d) and isinstance(conv, nn.Conv3d):
            block.conv = fuse_conv_bn_eval(conv, norm)
            block.adn.N = nn.Identity()
