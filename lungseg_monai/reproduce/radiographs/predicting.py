"""Probabilities of radiographs by a trained network, on its grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.reproduce.kept import Predict, Probability

Ask = Callable[[NDArray[Any]], NDArray[np.float32]]


def make_ask(run: Path, device: str) -> Ask:
    """A function (H, W) grey values -> probabilities of lung on the network's grid, by the best weights of `run`.

    Raises CheckpointError, ConfigError and ModelError.
    """
    import torch

    from lungseg_monai.networks.trained import radiograph_network
    from lungseg_monai.pictures.steps import prepare
    from lungseg_monai.training.checkpoints import load_weights, read_checkpoint
    from lungseg_monai.training.processes import pick_device

    path = run / "checkpoints" / "best.pt"
    content = read_checkpoint(path)
    numbers = content["numbers"]
    network = radiograph_network(str(content.get("bundle")), numbers)
    load_weights(network, path)
    where = pick_device(device)
    network.to(where).eval()

    def ask(picture: NDArray[Any]) -> NDArray[np.float32]:
        made = prepare(picture, numbers["steps"], numbers["spatial_size"])
        with torch.inference_mode():
            logits = network(torch.from_numpy(made)[None, None].to(where))[0].float()
            found = torch.sigmoid(logits[0]) if len(logits) == 1 else torch.softmax(logits, 0)[1]
        values: NDArray[np.float32] = found.cpu().numpy()
        return values

    return ask


def make_predict(run: Path, device: str) -> Predict:
    """As `make_ask`, of a picture's file."""
    from lungseg_monai.pictures.files import read_picture

    ask = make_ask(run, device)

    def predict(image: Path) -> Probability:
        return ask(read_picture(image)).astype(np.float16)

    return predict
