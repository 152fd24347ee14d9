"""MONAI inferer for networks that see a few slices at once: overlapping windows along z, averaged.

Beside MONAI's SlidingWindowInferer, not on it: that averages logits unless the network ends in a sigmoid, pads with
one value, holds the sums of the whole volume, knows no box, and does not say what memory it takes.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch import Tensor

from lungseg_monai.errors import ConfigError, ImageError
from lungseg_monai.segment.backends.devices import has_bf16
from lungseg_monai.window_stream import KEPT, Floats, WindowAverage, WindowOptions, windows

__all__ = ["SliceWindowInferer", "windows"]
PRECISIONS = ("float32", "bf16")


class SliceWindowInferer(Inferer):
    """Probabilities (B, 1, H, W, D) of a volume of the same shape: the mean over all windows that hold a slice.

    slices, stride, batch_size, box, memory_gb, sigmoid, prepare_window, divisor: as in WindowOptions.
    precision: "float32", or "bf16": autocast where the processor or GPU computes in it; elsewhere float32, with a note.
    keep: "float32", "float16" or "uint8" (255 times the probability), which take a half and a quarter of the memory.
    notes: what went otherwise than asked: smaller batches, no bf16.
    Raises ConfigError or UsageError for what makes no sense.
    """

    def __init__(
        self,
        slices: int = 8,
        stride: int = 1,
        batch_size: int = 1,
        precision: str = "float32",
        box: Sequence[Sequence[int]] | None = None,
        keep: str = "float32",
        **options: Any,
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS or keep not in KEPT:
            raise ConfigError(
                f"precision must be one of {', '.join(PRECISIONS)} and keep one of {', '.join(KEPT)}, got "
                f"{precision!r} and {keep!r}"
            )
        spans: Any = None if box is None else tuple(tuple(map(int, span)) for span in box)
        self.options = WindowOptions(slices=slices, stride=stride, batch_size=batch_size, box=spans, **options)
        self.precision, self.keep = precision, keep
        self.notes: list[str] = []

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """`network` (N, 1, h, w, slices) -> logits of that shape, on the device of `inputs`. No gradient."""
        if inputs.ndim != 5 or inputs.shape[1] != 1:
            raise ImageError(f"the inferer takes (B, 1, H, W, D), got the shape {list(inputs.shape)}")
        bf16, device = self._in_bf16(inputs.device), inputs.device

        def run(given: Floats) -> Floats:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                found = network(torch.from_numpy(given).to(device), *args, **kwargs)
            out: Floats = found.float().cpu().numpy()
            return out

        noted = len(self.notes)
        average = WindowAverage(run, self.options, self.notes)
        found = np.zeros(inputs.shape, self.keep)
        for volume, out in zip(inputs.detach().as_subclass(Tensor), found, strict=True):
            average(volume[0].cpu().float().numpy(), self.keep, out[0])
        for note in self.notes[noted:]:
            warnings.warn(note, stacklevel=2)
        dtype = torch.from_numpy(found).dtype
        result: Tensor = convert_to_dst_type(torch.from_numpy(found), inputs, dtype=dtype)[0]
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
