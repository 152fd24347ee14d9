"""A bundle of radiographs whose network calls dark what is dark, as a hand-made ONNX graph; and films for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lungseg_monai.io import sha256

SIZE = (64, 48)  # of the network
DARK, BODY, EDGE = 0.2, 0.6, 0.8


def write_radiograph_bundle(root: Path, name: str = "cxr_lung_dark", channels: int = 1, **segmenter: Any) -> Path:
    """root/name: logits 30 * (0.3 - x), in the second of two `channels`. segmenter: over the usual arguments."""
    folder = root / name
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    arguments = {
        "_target_": "lungseg_monai.segment.pictures.PictureModel",
        "steps": [{"name": "grey"}, {"name": "resize"}, {"name": "normalise", "low": 1, "high": 99}],
        "spatial_size": list(SIZE),
        "convention": "visible",
        "rules": "recommended",
        **segmenter,
    }
    content = {"version": "0.1.0", "segmenter": arguments}
    (folder / "configs" / "metadata.json").write_text(json.dumps(content))
    write_dark_network(folder / "models" / "model.onnx", channels)
    table = {"sha256": {"model.onnx": sha256(folder / "models" / "model.onnx")}}
    (folder / "models" / "weights.json").write_text(json.dumps(table))
    return folder


def write_dark_network(path: Path, channels: int) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.zeros((channels, 1, 1, 1), np.float32)
    bias = np.zeros(channels, np.float32)
    weight[-1], bias[-1] = -30, 9
    shapes = [["n", one, "h", "w"] for one in (1, channels)]
    image, logits = (
        helper.make_tensor_value_info(one, TensorProto.FLOAT, shape)
        for one, shape in zip(("image", "logits"), shapes, strict=True)
    )
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight", "bias"], ["logits"])],
        "dark",
        [image],
        [logits],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


def use_bundles(monkeypatch: Any, root: Path) -> None:
    """Have bundles below `root` found as those in the checkout are."""
    monkeypatch.setattr("lungseg_monai.bundle.CHECKOUT", root)


def film(rows: int = 160, columns: int = 130) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) float 0 ... 1, dense is bright, of two dark lungs, and their labels; neither in the middle."""
    y, x = np.mgrid[:rows, :columns]
    y, x = (y + 0.5) / rows, (x + 0.5) / columns
    right = ((y - 0.45) / 0.32) ** 2 + ((x - 0.28) / 0.16) ** 2 < 1
    left = ((y - 0.47) / 0.28) ** 2 + ((x - 0.70) / 0.14) ** 2 < 1
    values = BODY + (EDGE - BODY) * y + 0.02 * np.sin(25 * x + 11 * y)
    values[right | left] -= BODY - DARK
    return values.clip(0, 1), (right + 2 * left).astype(np.uint8)


def save(path: Path, values: np.ndarray, kind: Any = np.uint8, **options: Any) -> Path:
    """`values` in 0 ... 1 as a file of all the range of `kind`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(values * np.iinfo(kind).max).astype(kind)).save(path, **options)
    return path


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
