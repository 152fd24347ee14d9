"""postprocessing.json: the rules that `lungseg tune` chose, beside the weights that they were chosen for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.io import read_json, sha256, write_json
from lungseg_monai.postprocessing import RULES, TumorRules, rules_from
from lungseg_monai.segment.backends.weights import same_weights

TUNED = "postprocessing.json"
CHOICES = ("tuned", *RULES)  # what rules may be asked for by name


def read_tuned(weights: Path, used: str | None = None) -> TumorRules | None:
    """The rules beside a file of weights, or in a folder with weights; None where nothing was tuned.

    used: SHA-256 of the weights that run, by default that of the file. A bundle's files hold the same weights: rules
    for one are rules for all. Raises ConfigError where the file is damaged, holds no rules, or is for other weights.
    """
    folder = weights if weights.is_dir() else weights.parent
    path = folder / TUNED
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except DatasetError as error:
        raise ConfigError(f"{error}; remove it, or run lungseg tune again") from error
    values = content.get("rules")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no rules: remove it, or run lungseg tune again")
    made_for = made_for_of(content)
    used = used or (sha256(weights) if weights.is_file() and made_for else None)
    if made_for and used is not None and not made_for & same_weights(folder, used):
        raise ConfigError(
            f"{path} was made for other weights than {weights.name}: run lungseg tune again, or remove it"
        )
    try:
        return rules_from(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; remove it, or run lungseg tune again") from error


def made_for_of(content: Mapping[str, Any]) -> set[str]:
    """SHA-256 of the files of weights that rules were chosen for; empty where they don't tell."""
    told = content.get("weights_sha256") or []
    return {str(one) for one in ([told] if isinstance(told, str) else told)}


def carry_tuned(weights: Path, folder: Path, hashes: Sequence[str]) -> bool:
    """Put the rules beside `weights` into `folder`, for the same weights in files with `hashes`.

    What lies there was made for others and goes. Returns whether there were rules; raises ConfigError as read_tuned.
    """
    if read_tuned(weights) is None:
        (folder / TUNED).unlink(missing_ok=True)
        return False
    write_json(folder / TUNED, {**read_json(weights.parent / TUNED), "weights_sha256": list(hashes)})
    return True


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
