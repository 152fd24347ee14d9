"""Devices, and several processes side by side (torchrun)."""

import os
from logging import getLogger
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lungseg_monai.errors import ConfigError

log = getLogger(__name__)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """`auto`: the first GPU, else Apple's, else the CPU. Raises ConfigError when there is no such device."""
    if device == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"there is no device {device!r}: give auto, cpu, cuda, cuda:1 or mps") from error
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(picked.type, True):
        raise ConfigError(
            f"the device {device!r} was asked for, but PyTorch finds none here: give --device auto or cpu"
        )
    return picked


def use_amp(amp: bool, device: torch.device) -> bool:
    """Whether to train in mixed precision: MONAI's engines do so on CUDA only."""
    if amp and device.type != "cuda":
        log.warning("amp works on CUDA only; training in float32 on %s", device)
    return amp and device.type == "cuda"


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """A 3D network on its device, with the channels last in memory: quicker to convolve, on CPU and GPU."""
    return network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def join_processes() -> torch.device:
    """Join the processes that torchrun started; returns this one's device. Raises ConfigError outside of torchrun."""
    if "LOCAL_RANK" not in os.environ:
        raise ConfigError(
            "configs/multi_gpu_train.yaml is for several processes: start it with "
            "`torchrun --standalone --nproc_per_node=N -m monai.bundle run ...`"
        )
    gpu = torch.cuda.is_available()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if gpu else "gloo")
    if not gpu:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def leave_processes() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def is_main() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return not several() or dist.get_rank() == 0


def from_main(value: Any) -> Any:
    """The main process's `value`, in every process."""
    if not several():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def sum_over_processes(values: list[float], device: torch.device) -> list[float]:
    """Element-wise sum of what all processes hold."""
    if not several():
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def gather(value: Any) -> list[Any]:
    """What each process holds, in every process: [value] alone."""
    if not several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads on the CPU; None leaves it as it is. Raises ConfigError."""
    if threads is None:
        return
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ConfigError(f"threads must be a whole number from 1, or null, got {threads!r}")
    torch.set_num_threads(threads)
