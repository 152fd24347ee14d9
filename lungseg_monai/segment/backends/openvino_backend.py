"""The network by OpenVINO: the fastest on a CPU, and imported in 0.2 s."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError

TELEMETRY = "openvino_telemetry"
CONVERTERS = "openvino.tools.ovc"
KEPT = 3  # networks compiled for different shapes, with their weights


class OpenvinoBackend:
    """model.onnx, compiled once for each shape that comes (a fixed shape runs faster than a free one)."""

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, *, device: str, threads: int, sha256: str) -> None:
        self.sha256 = sha256
        self.notes: list[str] = []
        # not pinned: a thread would wait for its core while other work of a cohort, or of the machine, has it
        pinned = {"ENABLE_CPU_PINNING": False}
        self._settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, **pinned}
        try:
            self._core = import_openvino().Core()
            self._model = self._core.read_model(path)
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(f"OpenVINO can't load {path}: {error}") from error
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, 1, I, J, K) -> logits (1, C, I, J, K). Raises ModelError where OpenVINO fails."""
        try:
            request = self._for(x.shape).create_infer_request()  # it holds much memory: not between cases
            request.infer([np.ascontiguousarray(x, np.float32)], share_inputs=True)
            return np.array(request.get_output_tensor(0).data, np.float32)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO failed on {'x'.join(map(str, x.shape[2:]))} voxels: {error}") from error

    def _for(self, shape: tuple[int, ...]) -> Any:
        """The network compiled for this shape; chests of like size share one, so a few are kept."""
        if shape not in self._compiled:
            while len(self._compiled) >= KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            self._model.reshape(list(shape))
            self._compiled[shape] = self._core.compile_model(self._model, "CPU", self._settings)
        return self._compiled[shape]


def import_openvino() -> Any:
    """The module openvino, imported without what it sends home and without its converters of models.

    Importing it reports the import to a server unless a file in the user's home or a CI variable says no. Its own way
    round is that the package openvino_telemetry is not there; so for this import it is not. The converters take as long
    to import as all the rest: they are imported when openvino.convert_model is called.
    """
    if "openvino" in sys.modules or TELEMETRY in sys.modules:
        import openvino

        return openvino
    hidden = [name for name in (TELEMETRY, CONVERTERS) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes importing it an ImportError
    try:
        import openvino
    finally:
        for name in hidden:
            del sys.modules[name]
    if not hasattr(openvino, "convert_model"):
        openvino.convert_model = _convert_model
    return openvino


def _convert_model(*given: Any, **options: Any) -> Any:
    """openvino.convert_model, imported when it is called."""
    from openvino.tools.ovc import convert_model

    return convert_model(*given, **options)
