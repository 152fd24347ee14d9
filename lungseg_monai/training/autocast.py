"""Mixed precision where MONAI's engines have none: bfloat16 on the CPU (and, if asked for, on a GPU)."""

from collections.abc import Callable
from logging import getLogger
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.segment.backends.devices import has_bf16

PRECISIONS = ("auto", "float32", "bf16")
log = getLogger(__name__)


def pick_precision(precision: str, device: torch.device) -> str:
    """`auto`: bf16 on a CPU that has it, else float32 (on CUDA `amp` is the key). Returns "float32" or "bf16".

    `bf16` is taken at its word on CPU and CUDA, with a warning where a CPU only emulates it. Raises ConfigError for
    another name, or for bf16 on another device.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be {', '.join(PRECISIONS)}, got {precision!r}")
    native = device.type == "cpu" and has_bf16()
    if precision == "auto":
        return "bf16" if native else "float32"
    if precision == "bf16" and device.type not in ("cpu", "cuda"):
        raise ConfigError(f"precision bf16 works on CPU and CUDA, not on {device}: give --precision float32")
    if precision == "bf16" and device.type == "cpu" and not native:
        log.warning("This processor only emulates bfloat16: --precision float32 is quicker")
    return precision


class AutocastInferer(Inferer):
    """The network on the whole input, as SimpleInferer, with bfloat16 autocast if `precision` is "bf16".

    Takes and gives float32; a loss outside of it is computed in float32.
    """

    def __init__(self, precision: str = "float32") -> None:
        super().__init__()
        self.precision = precision

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.precision != "bf16":
            return network(inputs, *args, **kwargs)  # CUDA's amp stays as the engine has it
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return network(inputs, *args, **kwargs).float()
