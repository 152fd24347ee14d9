"""The network by ONNX Runtime."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ModelError


class OnnxBackend:
    """model.onnx, for any shape that the network takes."""

    name = "onnxruntime"
    device = "cpu"
    precision = "float32"

    def __init__(self, path: Path, *, device: str, threads: int, sha256: str, precision: str = "float32") -> None:
        self.sha256 = sha256
        self.notes: list[str] = ["ONNX Runtime computes in float32 here"] if precision == "bf16" else []
        try:
            import onnxruntime

            onnxruntime.disable_telemetry_events()
            onnxruntime.set_default_logger_severity(3)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.enable_cpu_mem_arena = False  # shapes differ from case to case: an arena would keep the largest
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors derive from Exception alone
            raise ModelError(f"ONNX Runtime can't load {path}: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 1, I, J, K) -> logits (N, C, I, J, K). Raises ModelError where ONNX Runtime fails."""
        try:
            (out,) = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})
        except Exception as error:  # as above
            raise ModelError(f"ONNX Runtime failed on {'x'.join(map(str, x.shape[2:]))} voxels: {error}") from error
        return np.asarray(out, np.float32)
