"""Weights that have seen phantoms alone: which images are phantoms of ours, and the refusal of all others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.result import Flag

MAKER = "lungseg-monai"  # Manufacturer (0008,0070) of the CT slices that `lungseg-prep phantom` writes; of no scanner


class Slice(Protocol):
    """A slice's header, as far as it is looked at here."""

    @property
    def manufacturer(self) -> str | None: ...


def is_phantom_series(slices: Sequence[Slice]) -> bool:
    """Whether all slices say that `lungseg-prep phantom` made them."""
    return bool(slices) and all(one.manufacturer == MAKER for one in slices)


def is_phantom_file(path: Path) -> bool:
    """Whether a dataset.json, in the folder of the file's case or of its cohort, says that it comes from a phantom.

    A NIfTI file alone says nothing: it counts as a patient's.
    """
    path = path.absolute()
    for folder in (path.parent, path.parent.parent):
        if any(_names(entry, folder, path) for entry in _cases(folder / "dataset.json")):
            return True
    return False


def refuse_patients(phantom: bool, allowed: bool, bundle: str) -> tuple[Flag, ...]:
    """What has to be said of weights that have seen phantoms alone. Raises ImageError for what is none, unless allowed.

    bundle: its name, for how to train.
    """
    if phantom:
        return (Flag("phantom_weights", f"the weights of {bundle} were trained on phantoms; this is one", "note"),)
    if allowed:
        what = f"the weights of {bundle} were trained on phantoms alone: what they find in a patient means nothing"
        return (Flag("phantom_weights", what, "alarm"),)
    raise ImageError(
        f"the weights of {bundle} were trained on phantoms alone, and this image is not known to be one of ours "
        "(DICOM of lungseg-prep phantom, or a folder prepared from it): they say nothing about patients. Train on your "
        f"data by python -m monai.bundle run --config_file bundles/{bundle}/configs/train.yaml --dataset_dir PREPARED "
        "and name that run by --weights RUN; or give --allow-phantom-weights (Python: allow_phantom_weights=True)"
    )


def _cases(path: Path) -> list[dict[str, Any]]:
    """The cases that a dataset.json lists; none where there is none or it can't be read."""
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        return [one for one in cases if isinstance(one, dict)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _names(entry: dict[str, Any], folder: Path, path: Path) -> bool:
    source = entry.get("source")
    made = isinstance(source, dict) and source.get("manufacturer") == MAKER
    return made and isinstance(entry.get("image"), str) and (folder / entry["image"]).absolute() == path
