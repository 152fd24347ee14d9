"""How many parameters a bundle's network has: built from train.yaml without memory for its weights."""

from collections.abc import Mapping
from typing import Any

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import ConfigError


def parameters_by_setting(name: str) -> dict[str, int]:
    """setting of train.yaml -> trained parameters of the network that it trains.

    Raises UsageError for an unknown bundle, ConfigError where its train.yaml makes no network.
    """
    return {setting: count_parameters(name, {"setting": setting}) for setting in _read(name)["settings"]}


def count_parameters(name: str, numbers: Mapping[str, Any]) -> int:
    """Trained parameters of the bundle's network with `numbers` in place of keys of train.yaml.

    Numbers that train.yaml has no key for are left aside. Raises as `parameters_by_setting`.
    """
    import torch
    from monai.bundle import ConfigParser

    config = _read(name)
    parser = ConfigParser(config)
    known = {key: value for key, value in numbers.items() if key in config}
    parser.update({**known, "run_dir": None, "resume_file": None})  # there is no run
    try:
        with torch.device("meta"):
            network = parser.get_parsed_content("network_def")
    except Exception as error:  # a config can fail with anything
        raise ConfigError(f"the network of {name} can't be built from its train.yaml: {error}") from error
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def _read(name: str) -> dict[str, Any]:
    from monai.bundle import ConfigParser

    path = bundle_path(name) / "configs" / "train.yaml"
    try:
        config: dict[str, Any] = ConfigParser.load_config_file(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read ({error}): install the package again") from error
    return config
