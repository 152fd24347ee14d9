"""The functions that Gao, "Unet-based Model for Lung Segment", names in its section 2, over the pieces of this library.

    volume, affine = dicom_to_numpy("Dataset/Images/Case_000")
    masks = npz_to_numpy("Dataset/Segmentations/Case_000.npz", volume.shape)
    images, labels = prepare_images_tensor([volume]), prepare_masks_tensor([masks])
    found = evaluate_model(load_trained_model("trained_model.pt"), images, labels)

`python -m lungseg_monai.paper_gao RUN trained_model.pt` saves a run's best weights under the paper's name (2.4.3).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungseg_monai.errors import CheckpointError, DatasetError, LungsegError, UsageError
from lungseg_monai.evaluation.metrics import Empty, Score, count_slices, overlap_scores
from lungseg_monai.networks import GaoUNet

__all__ = [
    "Evaluation",
    "dicom_to_numpy",
    "evaluate_model",
    "load_trained_model",
    "npz_to_numpy",
    "prepare_images_tensor",
    "prepare_masks_tensor",
    "save_trained_model",
]
SIZE = (512, 512)  # section 2.3.2
WINDOW_HU = (-1000.0, 400.0)  # of the bundle; the paper says nothing of one


def dicom_to_numpy(folder: str | Path) -> tuple[NDArray, NDArray[np.float64]]:
    """One CT series: HU (rows, columns, slices) with slices ascending in z (section 2.3.1), and its affine.

    affine: (4, 4), index of row, column and slice -> mm in RAS, as NIfTI has it. Other files in the folder don't
    matter. Raises data_prep's SeriesError and its kin where the slices make no volume, DatasetError where there is no
    series, or more than one.
    """
    from data_prep.options import StackOptions
    from data_prep.scan import scan
    from data_prep.series import arrange, read_volume

    series = list(scan(Path(folder)).series.values())
    if len(series) != 1:
        raise DatasetError(f"{folder} holds {len(series)} CT series: give the folder of one")
    read = read_volume(arrange(series[0], StackOptions()))
    affine = read.grid.affine_ras[:, [1, 0, 2, 3]]
    volume = read.array_ijk.transpose(1, 0, 2)
    if affine[2, 2] < 0:  # our slices ascend along their normal, which may point to the feet
        affine = affine.copy()
        affine[:3, 3] += affine[:3, 2] * (volume.shape[2] - 1)
        affine[:3, 2] *= -1
        volume = volume[:, :, ::-1]
    return volume, affine


def npz_to_numpy(file: str | Path, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The masks of one case, 0/1 (rows, columns, slices), both lungs united. shape: that of `dicom_to_numpy`.

    Any key and order of axes that `lungseg-prep npz` takes. Raises DatasetError for what it refuses, and data_prep's
    UnreadableFileError for a damaged archive.
    """
    from data_prep.geometry import Grid
    from data_prep.npz import read_npz
    from data_prep.roi_names import label_of

    rows, columns, slices = shape
    found = read_npz(Path(file), (columns, rows, slices), lungs=True)
    lungs = [one for one in found if (label_of(one.name) or one.label or "").startswith("lung")]
    for one in lungs or found:
        if one.problem or not lungs:
            raise DatasetError(f"{Path(file).name}, {one.name}: {one.problem or 'its name is not that of lungs'}")
    upright = Grid((columns, rows, slices), np.eye(4))
    united = np.any([one.fill(upright)[0] > 0 for one in lungs], axis=0)
    return united.transpose(1, 0, 2).astype(np.uint8)


def prepare_images_tensor(
    volumes: Sequence[NDArray], size: tuple[int, int] = SIZE, window_hu: tuple[float, float] | None = WINDOW_HU
) -> Tensor:
    """HU (rows, columns, slices) of cases -> float32 (N, 1, H, W), all slices one after another (section 2.3.2).

    H runs along a row and W down a column, as the bundle's networks have it of supine patients. window_hu becomes
    0 ... 1, clipped; None leaves HU as they are, as in the paper.
    """
    if window_hu is not None:
        low, high = window_hu
        volumes = [np.clip((np.asarray(volume, np.float32) - low) / (high - low), 0, 1) for volume in volumes]
    return torch.cat([_resized(volume, size) for volume in volumes])


def prepare_masks_tensor(masks: Sequence[NDArray], size: tuple[int, int] = SIZE) -> Tensor:
    """Masks (rows, columns, slices) of cases -> float32 0/1 (N, 1, H, W), resized as the images and cut at one half."""
    return torch.cat([(_resized(mask, size) >= 0.5).float() for mask in masks])


def _resized(volume: NDArray, size: tuple[int, int]) -> Tensor:
    """(rows, columns, slices) -> float32 (slices, 1, H, W)."""
    slices = torch.from_numpy(np.ascontiguousarray(volume.transpose(2, 1, 0), np.float32))[:, None]
    return nn.functional.interpolate(slices, size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Evaluation:
    """What section 2.5 collects, a value a slice. dice: None where two empty masks are left out. predictions: uint8
    (N, 1, H, W). with_label: which slices hold some."""

    dice: list[Score]
    accuracy: list[float]
    predictions: Tensor
    with_label: list[bool]

    @property
    def mean_dice(self) -> float | None:
        """Over the slices that hold a label, so that blank ones neither help nor hide; None where there is none."""
        held = [dice for dice, label in zip(self.dice, self.with_label, strict=True) if label and dice is not None]
        return float(np.mean(held)) if held else None


def evaluate_model(
    model: nn.Module, images: Tensor, masks: Tensor, threshold: float = 0.5, empty: Empty = "one"
) -> Evaluation:
    """Predict slices (N, 1, H, W) one by one and score them (section 2.5): model.eval, sigmoid, threshold, DSC.

    empty: what the DSC of two empty masks is, 1 or left out; the paper does not say. Raises UsageError where images and
    masks differ in shape.
    """
    if images.shape != masks.shape:
        raise UsageError(f"images have the shape {list(images.shape)}, masks {list(masks.shape)}: wanted the same")
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        found = torch.cat([torch.sigmoid(model(image[None].to(device))).cpu() > threshold for image in images])
    counts = count_slices(*(mask[:, 0].permute(1, 2, 0).numpy() for mask in (found, masks > 0.5)))
    scores = [overlap_scores(count, empty) for count in counts]
    return Evaluation(
        [score["dice"] for score in scores],
        [score["accuracy"] or 0.0 for score in scores],
        found.to(torch.uint8),
        [count.reference > 0 for count in counts],
    )


def save_trained_model(run: str | Path, path: str | Path = "trained_model.pt") -> Path:
    """The best weights of a run of ct_lung_unet2d (or of a checkpoint) as a bare state dict (section 2.4.3, step 8).

    It loads with weights_only=True. Raises CheckpointError for what is no such checkpoint.
    """
    from lungseg_monai.io import atomic_file
    from lungseg_monai.training.checkpoints import read_checkpoint

    given = Path(run)
    content = read_checkpoint(given / "checkpoints" / "best.pt" if given.is_dir() else given)
    _network_of(content["model"], given)
    with atomic_file(Path(path)) as stream:
        torch.save(dict(content["model"]), stream)
    return Path(path)


def load_trained_model(path: str | Path) -> GaoUNet:
    """The network of `save_trained_model`, its width read off the weights, to predict with. Raises CheckpointError."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign or damaged bytes make the unpickler raise anything
        raise CheckpointError(f"{path} can't be read as weights ({type(error).__name__})") from error
    return _network_of(weights, Path(path))


def _network_of(weights: object, path: Path) -> GaoUNet:
    from lungseg_monai.training.checkpoints import check_fit

    if not isinstance(weights, dict) or not {"out.weight", "encoder1.0.weight"} <= set(weights):
        raise CheckpointError(f"{path} holds no weights of Gao's U-Net: it lacks out.weight or encoder1.0.weight")
    first, last = weights["encoder1.0.weight"], weights["out.weight"]
    network = GaoUNet(first.shape[1], last.shape[0], width=first.shape[0], norm="encoder1.1.weight" in weights)
    check_fit(network, weights, path)
    network.load_state_dict(weights)
    return network.eval()


def main() -> int:
    """`python -m lungseg_monai.paper_gao RUN [FILE]`; 0, or 2 and 3 with a line on stderr."""
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1].startswith("-"):
        sys.stderr.write("usage: python -m lungseg_monai.paper_gao RUN [trained_model.pt]\n")
        return 2
    try:
        sys.stdout.write(f"{save_trained_model(*sys.argv[1:])}\n")
    except LungsegError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
