"""Models by the name of their bundle: the seam that new bundles slot into.

A bundle that can segment says so in its metadata.json, under "segmenter": a `_target_` below `lungseg_monai.` and the
arguments it is built with. The class takes them as keywords, besides `bundle` (its folder), `device`, `backend` and
`threads`, and answers as `Model`.
"""

import json
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import LungsegError, ModelError, UsageError
from lungseg_monai.segment.backends.weights import table_of
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.result import Segmentation

OURS = "lungseg_monai."
PICTURES = "lungseg_monai.segment.pictures.PictureModel"


class Model(Protocol):
    """stem: what its masks are called, e.g. "lungs". names: label -> ROI name. modality: of the images it takes."""

    stem: str
    names: dict[int, str]
    modality: str
    facts: dict[str, Any]  # bundle, version, weights_sha256 (of the file that is used), backend, device: for case.json

    def segment(self, image: Image, *, probabilities: bool = False) -> Segmentation:
        """Masks on the image's own grid. Raises ImageError where this image can't be segmented."""


def open_model(
    name: str, *, device: str = "auto", backend: str = "auto", threads: int | None = None, **options: Any
) -> Model:
    """The model of the bundle `name`, loaded. `options` replace arguments that the bundle names.

    device: auto, cpu, cuda, mps. backend: auto, openvino, onnxruntime, torch. threads: on the CPU, None for all.
    Raises UsageError for a bundle that can't segment, ModelError where weights or a backend are missing or damaged.
    """
    bundle = bundle_path(name)
    arguments = _segmenter(name, bundle) | options
    target = str(arguments.pop("_target_", ""))
    if not target.startswith(OURS):
        raise ModelError(f"{bundle} names the segmenter {target!r}; only classes below {OURS} are loaded")
    module, _, attribute = target.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{bundle} names the segmenter {target}, which is not there: {error}") from error
    model: Model = made(bundle=bundle, device=device, backend=backend, threads=threads, **arguments)
    model.facts.update(weights_facts(bundle, model.facts.get("weights_sha256")))
    return model


def modality_of(name: str) -> str:
    """What images the model of the bundle `name` takes: "CR" for radiographs, else "CT". Nothing heavy is loaded.

    A bundle that is not there or names no segmenter counts as CT: `open_model` says what is wrong with it.
    """
    try:
        target = str(_segmenter(name, bundle_path(name)).get("_target_", ""))
    except LungsegError:
        return "CT"
    return "CR" if target == PICTURES else "CT"


def weights_facts(bundle: Path, used: str | None) -> dict[str, str]:
    """Which file of weights has the SHA-256 `used`, and one hash for all the files that hold these weights.

    weights_file, weights_set_sha256: the latter over what models/weights.json lists, so that it is the same whichever
    backend runs. Nothing where that table does not list `used`.
    """
    hashes = {str(name): str(one).lower() for name, one in table_of(bundle / "models").get("sha256", {}).items()}
    file = next((name for name, one in hashes.items() if one == used), None)
    if file is None:
        return {}
    whole = sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return {"weights_file": file, "weights_set_sha256": whole}


def _segmenter(name: str, bundle: Path) -> dict[str, Any]:
    path = bundle / "configs" / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read ({error}): install the package again") from error
    segmenter = metadata.get("segmenter")
    if not isinstance(segmenter, dict):
        raise UsageError(
            f"the bundle {name} has no segmenter: use it by python -m monai.bundle run (its docs/README.md)"
        )
    return dict(segmenter)
