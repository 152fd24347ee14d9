"""Probabilities of patients by a trained model, kept in float16 on the network's grid: other rules cost little.

Arrays are (H, W, K) with the axes pointing to L, P, S; `upright_of` says how the file's own axes lie in that.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.io import grid_of, sha256
from lungseg_monai.reproduce.cohort import Patient

if TYPE_CHECKING:
    from lungseg_monai.segment.tumor_grid import Upright

Probability = NDArray[np.float16]
Predict = Callable[[Path], Probability]


def folder_of(run: Path, stride: int) -> Path:
    """Where probabilities of a run's best weights lie: other weights or another stride have another folder."""
    return run / "probabilities" / f"{sha256(run / 'checkpoints' / 'best.pt')[:8]}-stride{stride}"


def missing(folder: Path, patients: Sequence[Patient]) -> list[Patient]:
    """Those that have no probabilities yet, each once."""
    once = {patient.case_id: patient for patient in patients}
    return [patient for patient in once.values() if not path_of(folder, patient).is_file()]


def path_of(folder: Path, patient: Patient) -> Path:
    return folder / f"{patient.case_id}.npz"


def predict_all(
    folder: Path, patients: Sequence[Patient], predict: Predict
) -> Iterator[tuple[Patient, float, str | None]]:
    """Predict those that are missing; yields each with its seconds and what went wrong. One costs no other."""
    for patient in missing(folder, patients):
        started = perf_counter()
        try:
            probability = predict(patient.image)
            with atomic_file(path_of(folder, patient)) as stream:
                np.savez_compressed(stream, probability=probability.astype(np.float16))
        except Exception as error:  # noqa: BLE001 - one patient costs no other, whatever is wrong with the file
            yield patient, perf_counter() - started, f"{type(error).__name__}: {error}"
            continue
        yield patient, perf_counter() - started, None


def read_probability(folder: Path, patient: Patient) -> Probability:
    """float16 (H, W, K). Raises ValueError for a damaged file, which is removed: the next run predicts it again."""
    path = path_of(folder, patient)
    try:
        with np.load(path) as content:
            probability: Probability = content["probability"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"{path.name} was damaged and is removed ({error}): run again") from error
    return probability


def make_predict(run: Path, stride: int, device: str) -> Predict:
    """A function image file -> probabilities by the best weights of `run`, windows of the network's slices averaged.

    Raises CheckpointError and ConfigError.
    """
    from monai.transforms import Compose

    from lungseg_monai.inferers import SliceWindowInferer
    from lungseg_monai.patches import per_patch
    from lungseg_monai.segment.tumor_options import divisor_of
    from lungseg_monai.training.processes import pick_device
    from lungseg_monai.transforms.tumor_chains import tumor_image
    from lungseg_monai.window_batches import windows_at_once

    network, numbers = load_network(run / "checkpoints" / "best.pt")
    where = pick_device(device)
    network.to(where).eval()
    chain = Compose(tumor_image(numbers["intensity"], numbers["window_hu"], numbers["spatial_size"]))
    infer = SliceWindowInferer(
        slices=numbers["slices"],
        stride=stride,
        batch_size=windows_at_once(numbers["spatial_size"], numbers["width"]),
        divisor=divisor_of(numbers["network_name"]),
        prepare_window=per_patch(numbers["intensity"]),
    )

    def predict(image: Path) -> Probability:
        volume: Any = chain({"image": str(image)})["image"]
        found = infer(volume.as_tensor()[None].to(where), network)
        probability: Probability = found[0, 0].cpu().numpy().astype(np.float16)
        return probability

    return predict


def load_network(checkpoint: Path) -> tuple[Any, dict[str, Any]]:
    """The network with its weights, and the numbers that it was trained with."""
    from lungseg_monai.networks.tumor import tumor_network
    from lungseg_monai.training.checkpoints import load_weights, read_checkpoint

    numbers = read_checkpoint(checkpoint)["numbers"]
    options = {name: numbers.get(name) for name in ("dropout", "norm_momentum", "architecture")}
    network = tumor_network(numbers["network_name"], numbers["width"], **options)
    load_weights(network, checkpoint)
    return network, numbers


def upright_of(image: Path) -> "Upright":
    """How an image file lies when it is turned to L, P, S: its voxels are not read."""
    from lungseg_monai.segment.tumor_grid import upright_grid

    return upright_grid(*grid_of(image))
