"""A bundle's weights: there, and those that it names."""

import json
from pathlib import Path
from typing import Any

from lungseg_monai.errors import DatasetError, ModelError
from lungseg_monai.io import sha256

TABLE = "weights.json"  # {"sha256": {"model.onnx": "...", "model.pt": "..."}, ...}


def check_weights(path: Path) -> str:
    """SHA-256 of a file of weights. Raises ModelError where it is missing or not the one that weights.json names."""
    bundle = path.parent.parent
    if not path.is_file():
        there = sorted(one.name for one in path.parent.glob("model.*")) if path.parent.is_dir() else []
        raise ModelError(
            f"the bundle {bundle.name} has no weights {path.name} (in {path.parent}: {', '.join(there) or 'none'}): "
            f"install the package again, or train: python -m monai.bundle run training ({bundle}/docs/README.md)"
        )
    try:
        found = sha256(path)
    except DatasetError as error:
        raise ModelError(str(error)) from error
    wanted = _named(path)
    if wanted is not None and found != wanted:
        raise ModelError(
            f"{path} is not what {TABLE} beside it names: SHA-256 {found}, wanted {wanted}: install the package again"
        )
    return found


def table_of(folder: Path) -> dict[str, Any]:
    """What a bundle's models/weights.json says: "sha256" by file, "run". {} where it is missing or can't be read."""
    try:
        content = json.loads((folder / TABLE).read_text(encoding="utf-8"))
        dict(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # check_weights complains where that matters
    return dict(content)


def same_weights(folder: Path, digest: str) -> set[str]:
    """`digest` and the SHA-256 of all files that hold the same weights, as weights.json in `folder` lists them."""
    listed = {str(one).lower() for one in table_of(folder).get("sha256", {}).values()}
    return listed if digest in listed else {digest}


def _named(path: Path) -> str | None:
    """The hash that weights.json has for this file; None where there is no such table or it does not list the file."""
    table = path.with_name(TABLE)
    if not table.exists():
        return None
    try:
        hashes = json.loads(table.read_text(encoding="utf-8"))["sha256"]
        return str(hashes[path.name]).lower() if path.name in hashes else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{table} can't be read ({error}): install the package again") from error
