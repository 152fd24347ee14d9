"""Small chests of boxes as files, and a model that finds them by threshold: segmentation without a network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dicom_factory import Ct, write_ct

from data_prep.nifti import write_nifti
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.result import Flag, Segmentation

AIR, BODY, RIGHT_HU, LEFT_HU = -1024, 40, -800, -700
SHAPE = (20, 14, 7)
# Boxes i, j, k in a volume whose axes point left, back and up: the right lung comes first, and is larger.
RIGHT, LEFT = np.s_[3:9, 4:11, 1:6], np.s_[11:16, 5:10, 2:6]


def chest_hu(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """int16 HU, axes LPS."""
    hu = np.full(shape, AIR, np.int16)
    hu[1:-1, 1:-1] = BODY
    hu[RIGHT], hu[LEFT] = RIGHT_HU, LEFT_HU
    return hu


def chest_labels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[RIGHT], labels[LEFT] = 1, 2
    return labels


def write_chest(folder: Path, ct: Ct | None = None, edit: Callable[..., Any] | None = None) -> list[Path]:
    """A DICOM series of `chest_hu`, under shuffled names without endings."""
    return write_ct(folder, ct or Ct(), chest_hu().astype(int) + 1024, edit)


def write_chest_nifti(path: Path, affine_ras: np.ndarray | None = None, hu: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.5, -2.25, 3.5, 1.0]) if affine_ras is None else affine_ras
    write_nifti(path, chest_hu() if hu is None else hu, affine)
    return path


@dataclass
class FakeModel:
    """Lung is what is between -950 and -500 HU; by the affine, the half nearer to the patient's right is the right."""

    stem: str = "lungs"
    names: dict[int, str] = field(default_factory=lambda: {1: "lung_right", 2: "lung_left"})
    modality: str = "CT"
    facts: dict[str, Any] = field(
        default_factory=lambda: {"bundle": "ct_lungs", "version": "0", "weights_sha256": "ab" * 32, "backend": "fake"}
    )
    flags: tuple[Flag, ...] = ()
    seen: list[tuple[int, ...]] = field(default_factory=list)
    before: Callable[[], None] | None = None

    def segment(self, image: Any, *, probabilities: bool = False) -> Segmentation:
        self.seen.append(image.array_ijk.shape)
        if self.before is not None:
            self.before()
        hu = image.array_ijk
        if not ((hu > -950) & (hu < -500)).any():
            raise ImageError("no chest in the image: nothing in it is as dark as lung")
        index = np.stack(np.indices(hu.shape), axis=-1)
        x_left_mm = -(index @ image.affine_ras[0, :3])
        lung = (hu > -950) & (hu < -500)
        middle = (x_left_mm.min() + x_left_mm.max()) / 2
        labels = np.where(lung, np.where(x_left_mm < middle, 1, 2), 0).astype(np.uint8)
        shares = np.stack([(labels == label) * np.float16(0.75) for label in self.names]).astype(np.float16)
        return Segmentation(
            labels,
            self.names,
            flags=self.flags,
            confidence={"lung_right": 0.9, "lung_left": 0.8},
            timings_s={"network": 0.01},
            probability=shares if probabilities else None,
        )


def use_fake(monkeypatch: Any, model: FakeModel | None = None) -> FakeModel:
    """Have every worker, in this process or forked from it, open `model`."""
    model = model or FakeModel()
    monkeypatch.setattr("lungseg_monai.segment.models.open_model", lambda name, **options: model)
    return model
