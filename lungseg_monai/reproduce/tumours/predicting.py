"""Probabilities of patients by a trained tumour network, in float16 on the network's grid.

Arrays are (H, W, K) with the axes pointing to L, P, S; `upright_of` says how the file's own axes lie in that.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg_monai.io import grid_of
from lungseg_monai.reproduce.kept import Predict, Probability

if TYPE_CHECKING:
    from lungseg_monai.segment.tumor_grid import Upright


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
