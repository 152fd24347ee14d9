"""What a bundle says of itself: its metadata, the weights that it ships and what they scored. Nothing heavy loads."""

import json
from pathlib import Path
from typing import Any

from lungseg_monai import bundle
from lungseg_monai.errors import ModelError

WEIGHTS = ("model.pt", "model.onnx")
SCORES = ("dice", "iou")  # of those in weights.json, what can be compared between bundles
Facts = dict[str, Any]


def bundle_names() -> list[str]:
    """All bundles that `bundle_path` finds, by name: those with a configs/metadata.json."""
    places = (bundle.INSTALLED, bundle.CHECKOUT)
    return sorted({path.parents[1].name for place in places for path in place.glob("*/configs/metadata.json")})


def bundle_facts(name: str) -> Facts:
    """name, title, task, papers, input, output, phantom_only, settings' file, weights (None where none is shipped).

    `weights` says files (name -> bytes), licence (as docs/README.md has it), parameters, scores and what they were
    measured on, each None where that is not written down. Raises UsageError for an unknown name, ModelError for files
    that can't be read.
    """
    folder = bundle.bundle_path(name)
    path = folder / "configs" / "metadata.json"
    metadata = _read(path)
    try:
        formats = metadata["network_data_format"]
        return {
            "name": name,
            "folder": str(folder),
            "version": metadata["version"],
            "title": metadata["name"],
            "task": metadata["task"],
            "papers": list(metadata["references"]),
            "input": {"what": metadata["image_classes"], **_format(formats["inputs"]["image"])},
            "output": {"what": metadata["pred_classes"], **_format(formats["outputs"]["pred"])},
            "trained_on": metadata["data_source"],
            "phantom_only": bool(metadata.get("phantom_only", False)),
            "segments": "segmenter" in metadata,
            "weights": _weights(folder),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} lacks {error}: install the package again, or mend the bundle") from error


def _format(given: Facts) -> Facts:
    return {"modality": given.get("modality"), "channels": given["num_channels"], "shape": given["spatial_shape"]}


def _weights(folder: Path) -> Facts | None:
    models = folder / "models"
    sizes = {name: (models / name).stat().st_size for name in WEIGHTS if (models / name).is_file()}
    if not sizes:
        return None
    table = _read(models / "weights.json") if (models / "weights.json").is_file() else {}
    run = table.get("run") or {}
    scores = run.get("scores") or {}
    return {
        "files": sizes,
        "licence": table.get("licence") or _row(folder / "docs" / "README.md", "licence"),
        "parameters": table.get("parameters"),
        "epoch": run.get("epoch"),
        "numbers": run.get("numbers") or {},
        "scores": {name: float(scores[name]) for name in SCORES if name in scores},
        "scored_on": "the validation cases of its own training" if scores else None,
    }


def _row(page: Path, name: str) -> str | None:
    """The second column of the table row that `name` begins, in a Markdown page."""
    if not page.is_file():
        return None
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 2 and cells[0].lower() == name:
            return cells[1]
    return None


def _read(path: Path) -> Facts:
    # Not io.read_json, which stands beside numpy.
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} can't be read ({error}): install the package again, or mend the bundle") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} must hold a JSON object, it holds a {type(content).__name__}: mend the bundle")
    return content
