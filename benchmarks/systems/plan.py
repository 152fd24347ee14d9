"""Which systems are compared and with which numbers: plan.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungseg_monai.errors import ConfigError, UsageError

PLAN = Path(__file__).with_name("plan.yaml")
# What is found -> the label of `lungseg segment`, and the labels of the prepared data that it is compared with.
FINDS = {"lungs": ("lungs", ("lung_left", "lung_right")), "nodules": ("gtv", ("gtv",))}


@dataclass(frozen=True)
class System:
    """One line of a table, as plan.yaml has it."""

    name: str
    bundle: str
    finds: str
    setting: str = "recommended"
    numbers: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    shipped: bool = False
    segment: Sequence[str] | None = None
    predict: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None

    @property
    def epochs(self) -> int:
        """To train at most."""
        return 0 if self.shipped else int(self.numbers["epochs"])


def read_plan(path: Path = PLAN) -> list[System]:
    """Raises ConfigError for what is no plan."""
    import yaml

    try:
        systems = [System(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is no plan of systems: {error}") from error
    for one in systems:
        if one.finds not in FINDS or not (one.shipped or "epochs" in one.numbers):
            raise ConfigError(f"{path}: {one.name} must find one of {', '.join(FINDS)}, and be shipped or have epochs")
    return systems


def chosen(systems: Sequence[System], names: Sequence[str]) -> list[System]:
    """Those of these names, all where none is named. Raises UsageError for an unknown one."""
    known = [one.name for one in systems]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no system {unknown[0]!r}; there are: {', '.join(known)}")
    return [one for one in systems if not names or one.name in names]
