"""A network by OpenVINO for windows of one shape, many times."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError
from lungseg_monai.segment.backends.openvino_backend import import_openvino


class OpenvinoWindows:
    """model.onnx, compiled for one window at a time; the request is kept, as taking its memory anew would cost time.

    precision: "float32", or "bf16" where the processor computes in it; else float32, with a note. Never left to
    OpenVINO, which takes bf16 by itself where it can.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, *, device: str, threads: int, sha256: str, precision: str = "float32") -> None:
        self.sha256 = sha256
        self.notes: list[str] = []
        try:
            self._core = import_openvino().Core()
            self._model = self._core.read_model(path)
            able = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(f"OpenVINO can't load {path}: {error}") from error
        if precision == "bf16" and not able:
            self.notes.append("cpu does not compute in bf16 here: float32")
        self.precision = "bf16" if precision == "bf16" and able else "float32"
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
        }
        self._shape: tuple[int, ...] = ()
        self._request: Any = None

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 1, I, J, K) -> logits (N, C, I, J, K), window by window. Raises ModelError where OpenVINO fails."""
        x = np.ascontiguousarray(x, np.float32)
        try:
            request = self._for((1, *x.shape[1:]))
            found = []
            for n in range(len(x)):
                request.infer([x[n : n + 1]], share_inputs=True)
                found.append(np.array(request.get_output_tensor(0).data, np.float32))
            return found[0] if len(found) == 1 else np.concatenate(found)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO failed on {'x'.join(map(str, x.shape))} voxels: {error}") from error

    def _for(self, shape: tuple[int, ...]) -> Any:
        if shape != self._shape:
            self._request, self._shape = None, ()  # before another takes memory
            self._model.reshape(list(shape))
            self._request = self._core.compile_model(self._model, "CPU", self._settings).create_infer_request()
            self._shape = shape
        return self._request
