"""What runs a network: OpenVINO, ONNX Runtime or torch, by what is installed and what was asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import ModelError, UsageError
from lungseg_monai.segment.backends.devices import has_cuda
from lungseg_monai.segment.backends.weights import check_weights

Floats = NDArray[np.float32]
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "bf16")


class Backend(Protocol):
    """name: of KINDS. device: "cpu", "cuda" or "mps". sha256: of the weights. notes: what went otherwise than asked."""

    name: str
    device: str
    sha256: str
    notes: list[str]

    def __call__(self, x: Floats) -> Floats:
        """(N, 1, I, J, K) float32 -> logits (N, C, I, J, K) float32. Every side divides as the network needs it."""


@dataclass(frozen=True)
class Kind:
    """module: what must be installed. extra: of setup.cfg, which brings it. file: the weights.

    where: our code for whole volumes. windows: the same for networks that see windows, with a precision.
    """

    module: str
    extra: str
    file: str
    where: str
    windows: str
    devices: tuple[str, ...]


KINDS = {  # the fastest on a CPU first
    "openvino": Kind(
        "openvino",
        "segment",
        "model.onnx",
        "openvino_backend.OpenvinoBackend",
        "openvino_windows.OpenvinoWindows",
        ("cpu",),
    ),
    "onnxruntime": Kind(
        "onnxruntime", "segment", "model.onnx", "onnx_backend.OnnxBackend", "onnx_backend.OnnxBackend", ("cpu",)
    ),
    "torch": Kind(
        "torch", "train", "model.pt", "torch_backend.TorchBackend", "torch_windows.TorchWindows", ("cpu", "cuda", "mps")
    ),
}


def open_backend(
    bundle: Path,
    name: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
) -> Backend:
    """The network of `bundle`, loaded and ready.

    name: auto, or one of KINDS. device: auto takes an NVIDIA GPU where torch can use one, else the CPU; mps only when
    asked for. threads: on the CPU; None for all cores this process may use. precision: None for what a backend does by
    itself; of PRECISIONS for a network that takes windows, many times: bf16 where the processor computes in it, else
    float32 and a note; the backend then has `precision`, what became of it.
    Raises UsageError for what does not exist or go together; ModelError where nothing that can run it is installed, or
    weights are missing, damaged or not those that models/weights.json names.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not known; choose one of {', '.join(DEVICES)}")
    if name != "auto" and name not in KINDS:
        raise UsageError(f"backend {name!r} is not known; choose one of auto, {', '.join(KINDS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, got {threads}")
    if precision not in (None, *PRECISIONS):
        raise UsageError(f"precision {precision!r} is not known; choose one of {', '.join(PRECISIONS)}")
    options = {} if precision is None else {"precision": precision}
    chosen, device = choose_backend(name, device, bundle)
    try:
        return _open(chosen, device, bundle, threads, **options)
    except ModelError as error:
        others = [one for one in list(KINDS)[list(KINDS).index(chosen) + 1 :] if find_spec(KINDS[one].module)]
        if name != "auto" or device != "cpu" or not others or not isinstance(error.__cause__, ImportError):
            raise
        backend = _open(others[0], device, bundle, threads, **options)
        backend.notes.append(f"{chosen} is installed but can't be imported: {others[0]} took its place")
        return backend


def _open(name: str, device: str, bundle: Path, threads: int | None, **options: str) -> Backend:
    kind = KINDS[name]
    if find_spec(kind.module) is None:
        raise ModelError(f"the backend {name} is not installed: pip install 'lungseg-monai[{kind.extra}]'")
    path = bundle / "models" / kind.file
    digest = check_weights(path)
    module, _, attribute = (kind.windows if options else kind.where).partition(".")
    opening: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), attribute)
    backend: Backend = opening(path, device=device, threads=threads or cores(), sha256=digest, **options)
    return backend


def choose_backend(name: str, device: str, bundle: Path) -> tuple[str, str]:
    """Which of the backends, and on what: importing torch only to find out would cost two seconds."""
    if name == "auto" and device in ("cuda", "mps"):
        return "torch", device
    if name != "auto":
        if device == "auto":
            return name, "cuda" if "cuda" in KINDS[name].devices and has_cuda() else "cpu"
        if device not in KINDS[name].devices:
            raise UsageError(f"the backend {name} runs on the CPU here; for {device} choose torch")
        return name, device
    if device == "auto" and has_cuda() and (bundle / "models" / KINDS["torch"].file).is_file():
        return "torch", "cuda"
    there = [one for one, kind in KINDS.items() if find_spec(kind.module) is not None]
    with_weights = [one for one in there if (bundle / "models" / KINDS[one].file).is_file()]
    if not there:
        raise ModelError(
            "nothing is installed that can run the network: pip install 'lungseg-monai[segment]' (OpenVINO, smallest "
            "and fastest) or 'lungseg-monai[train]' (torch)"
        )
    return (with_weights or there)[0], "cpu"
