"""How many processes a cohort of CT is spread over where nobody said. Light: asked before NumPy is imported."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from lungseg_monai.bundle import bundle_path
from lungseg_monai.cores_and_memory import cores, memory
from lungseg_monai.errors import LungsegError

LUNGS = "lungseg_monai.segment.lungs.LungModel"
LEAST_CASES = 3  # of fewer, opening the model more than once costs what it gains
MOST = 4
BYTES_EACH = 2 * 2**30  # 0.8 GB at 512x512x200, 1.9 GB at 2000 slices
GPU = Path("/dev/nvidia0")
IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".zip")


def processes_for(inputs: Sequence[Path | str], model: str, device: str) -> int:
    """At most so many processes for `inputs`, by the names in them alone; 1 for one case or another model.

    One process less than there are cores: each has steps that take one core, and the network shares the rest. A GPU is
    filled by one process.
    """
    if device != "cpu" and (device != "auto" or GPU.exists()):
        return 1
    if not _at_least(LEAST_CASES, _places(inputs)) or not _gains(model):
        return 1
    return max(1, min(MOST, cores() - 1, _room() // BYTES_EACH))


def _places(inputs: Sequence[Path | str]) -> Iterable[Path]:
    """What may be a case each: files of whole images, and folders in a folder. A folder of DICOM files has none."""
    for one in map(Path, inputs):
        if len(inputs) >= LEAST_CASES and one.exists():
            yield one
        elif one.is_dir():
            yield from (each for each in one.iterdir() if each.name.lower().endswith(IMAGES) or each.is_dir())


def _at_least(count: int, things: Iterable[Path]) -> bool:
    try:
        return any(number == count for number, _ in enumerate(things, start=1))
    except OSError:  # told where the folder is read
        return False


def _gains(model: str) -> bool:
    try:
        told = json.loads((bundle_path(model) / "configs" / "metadata.json").read_text(encoding="utf-8"))
    except (LungsegError, OSError, ValueError):  # told where the model is opened
        return False
    return bool(told.get("segmenter", {}).get("_target_") == LUNGS)


def _room() -> int:
    free = memory()["free_bytes"]
    return BYTES_EACH if free is None else free
