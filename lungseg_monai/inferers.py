"""MONAI inferer for networks that see a few slices at once: overlapping windows along z, averaged.

Beside MONAI's SlidingWindowInferer, not on it: that averages logits unless the network ends in a sigmoid, pads with
one value, holds the sums of the whole volume, knows no box, and does not say what memory it takes.
"""

import warnings
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch import Tensor

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.backends.devices import has_bf16
from lungseg_monai.window_stream import Floats, WindowAverage, WindowOptions, windows

__all__ = ["SliceWindowInferer", "windows"]


class SliceWindowInferer(Inferer):
    """Probabilities (B, 1, H, W, D) float32 of a volume of the same shape: the mean over all windows with a slice.

    The arguments are those of WindowOptions. precision: "float32", or "bf16": autocast where the processor or GPU
    computes in it; elsewhere float32, with a note in `notes`.
    """

    def __init__(
        self,
        slices: int = 8,
        stride: int = 1,
        batch_size: int = 1,
        precision: str = "float32",
        box: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision must be float32 or bf16, got {precision!r}")
        self.options = WindowOptions(slices=slices, stride=stride, batch_size=batch_size, box=box, **options)
        self.precision = precision
        self.notes: list[str] = []

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """`network` (N, 1, h, w, slices) -> logits of that shape, on the device of `inputs`. No gradient."""
        if inputs.ndim != 5 or inputs.shape[1] != 1:
            raise ImageError(f"the inferer takes (B, 1, H, W, D), got the shape {list(inputs.shape)}")

        half = self._in_bf16(inputs.device)

        def run(windows_: Floats) -> Floats:
            given = torch.from_numpy(windows_).to(inputs.device)
            with torch.inference_mode(), torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
                out: Floats = network(given, *args, **kwargs).float().cpu().numpy()
            return out

        average = WindowAverage(run, self.options, self.notes)
        volumes = inputs.detach().as_subclass(Tensor).cpu().float().numpy()
        found = np.stack([average(volume[0]) for volume in volumes])[:, None]
        result: Tensor = convert_to_dst_type(torch.from_numpy(found), inputs, dtype=torch.float32)[0]
        return result

    def _in_bf16(self, device: torch.device) -> bool:
        """Whether to compute in bfloat16; where that was asked for and can't be, a note says so."""
        if self.precision != "bf16":
            return False
        able = torch.cuda.is_bf16_supported() if device.type == "cuda" else device.type == "cpu" and has_bf16()
        note = f"{device.type} does not compute in bf16 here: float32"
        if not able and note not in self.notes:
            self.notes.append(note)
            warnings.warn(note, stacklevel=3)
        return able
