"""A tumour bundle without weights, and a network for it that calls bright what is bright: segmentation in no time."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from segment_factory import FakeModel, chest_hu

from lungseg_monai.segment.tumors import TumorModel

WINDOW_HU = (-1000.0, 400.0)
BRIGHT_HU = 300
SIZE = (40, 32)  # of the network, in plane


def write_tumor_bundle(root: Path, name: str = "ct_tumor_bright", **more: Any) -> Path:
    """root/name with configs/metadata.json alone. more: of metadata.json."""
    folder = root / name
    (folder / "configs").mkdir(parents=True)
    segmenter = {
        "_target_": "lungseg_monai.segment.tumors.TumorModel",
        "slices": 4,
        "spatial_size": list(SIZE),
        "window_hu": list(WINDOW_HU),
        "rules": {"kernel": "none"},
    }
    content = {"version": "0.1.0", "segmenter": segmenter, **more}
    (folder / "configs" / "metadata.json").write_text(json.dumps(content))
    return folder


def tumor_model(bundle: Path, **options: Any) -> TumorModel:
    """The model of such a bundle, with what its metadata.json says and `options` over it."""
    arguments = json.loads((bundle / "configs" / "metadata.json").read_text())["segmenter"]
    del arguments["_target_"]
    return TumorModel(bundle, **arguments | options)


@dataclass
class BrightNetwork:
    """Logits: far above 0 over 160 HU, far below under it. seen: the shapes that it was given."""

    name: str = "bright"
    device: str = "cpu"
    precision: str = "float32"
    sha256: str = "cd" * 32
    notes: list[str] = field(default_factory=list)
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.seen.append(x.shape)
        return ((x - 0.83) * 200).astype(np.float32)


def use_bright(monkeypatch: Any) -> BrightNetwork:
    """Have every TumorModel run the bright network, and find lungs by the model of segment_factory."""
    from lungseg_monai.segment import models

    network, opening = BrightNetwork(), models.open_model
    monkeypatch.setattr("lungseg_monai.segment.tumors.open_backend", lambda *given: network)
    monkeypatch.setattr(
        "lungseg_monai.segment.models.open_model",
        lambda name, **options: FakeModel() if name == "ct_lungs" else opening(name, **options),
    )
    return network


def chest_with_tumors(*boxes: Any, shape: tuple[int, int, int] = (20, 14, 12)) -> np.ndarray:
    """The chest of segment_factory (axes L, P, S), with what is bright in `boxes`."""
    hu = chest_hu(shape)
    for box in boxes:
        hu[box] = BRIGHT_HU
    return hu
