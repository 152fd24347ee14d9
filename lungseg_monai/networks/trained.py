"""The tumour network that a checkpoint's numbers describe."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from lungseg_monai.errors import ModelError
from lungseg_monai.networks.tumor import tumor_network

OPTIONS = ("architecture", "dense", "recurrent_layers")


def network_of(numbers: Mapping[str, Any]) -> nn.Module:
    """By `network_name`, `width`, and those of OPTIONS that are there and not null; in evaluation mode.

    Raises ModelError where the numbers name no network, ConfigError where there is none of that name.
    """
    missing = {"network_name", "width"} - set(numbers)
    if missing:
        raise ModelError(f"these numbers describe no tumour network: {', '.join(sorted(missing))} is missing")
    options = {name: numbers[name] for name in OPTIONS if numbers.get(name) is not None}
    return tumor_network(str(numbers["network_name"]), int(numbers["width"]), **options).eval()
