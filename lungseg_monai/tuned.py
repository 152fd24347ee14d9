"""postprocessing.json: the rules that `lungseg tune` chose, beside the weights that they were chosen for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.io import read_json, sha256, write_json
from lungseg_monai.postprocessing import RULES, TumorRules, rules_from

TUNED = "postprocessing.json"
CHOICES = ("tuned", *RULES)  # what rules may be asked for by name


def read_tuned(weights: Path) -> TumorRules | None:
    """The rules beside a file of weights, or in a folder with weights; None where nothing was tuned.

    Raises ConfigError where the file is damaged, holds no rules, or was made for other weights than this file.
    """
    path = (weights if weights.is_dir() else weights.parent) / TUNED
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except DatasetError as error:
        raise ConfigError(f"{error}; remove it, or run lungseg tune again") from error
    values = content.get("rules")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no rules: remove it, or run lungseg tune again")
    made_for = content.get("weights_sha256")
    if weights.is_file() and made_for is not None and sha256(weights) != made_for:
        raise ConfigError(
            f"{path} was made for other weights than {weights.name}: run lungseg tune again, or remove it"
        )
    try:
        return rules_from(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; remove it, or run lungseg tune again") from error


def write_tuned(folder: Path, rules: TumorRules, facts: Mapping[str, Any]) -> Path:
    """Write the rules and how they were chosen; returns the file. Raises data_prep's OutputError."""
    path = folder / TUNED
    write_json(path, {"schema": "1.0", "rules": rules.as_dict(), **facts})
    return path


def chosen_rules(
    name: str = "tuned",
    weights: Path | None = None,
    bundle: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> TumorRules:
    """Rules by name, with `changes` over them, but for those that are None.

    "tuned": those beside `weights` if there are, else the bundle's, else the recommended ones. "recommended", "paper",
    "authors_code": as they stand. Raises ConfigError for another name, an unknown rule, or a damaged file.
    """
    if name not in CHOICES:
        raise ConfigError(f"rules {name!r} are not known; choose one of {', '.join(CHOICES)}")
    if name == "tuned":
        found = read_tuned(weights) if weights is not None else None
        rules = found or rules_from(dict(bundle or {}))
    else:
        rules = RULES[name]
    given = {one: value for one, value in (changes or {}).items() if value is not None}
    return rules_from({**rules.as_dict(), **given})
