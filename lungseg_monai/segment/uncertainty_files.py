"""The map of uncertainty as files: uncertainty.nii.gz beside the masks, or uncertainty.png."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Segmentation

KIND = "uncertainty"  # in `outputs` of case.json, and what the files are called


def write_volume(folder: Path, image: Any, found: Segmentation, preview: bool) -> dict[str, str]:
    """uncertainty.nii.gz, uint8 percent on the image's grid, and in preview/ on its; {kind: file}, {} without a map.

    Raises OutputError.
    """
    if found.uncertainty_percent is None:
        return {}
    from data_prep.nifti import write_nifti

    write_nifti(folder / f"{KIND}.nii.gz", found.uncertainty_percent, image.affine_ras)
    if preview:
        from lungseg_monai.segment.preview import write_preview_labels

        write_preview_labels(folder / "preview", image, {KIND: found.uncertainty_percent})
    return {KIND: f"{KIND}.nii.gz"}


def write_picture(folder: Path, found: Segmentation) -> dict[str, str]:
    """uncertainty.png, uint8 percent, one channel, of the picture's size. Raises OutputError."""
    if found.uncertainty_percent is None:
        return {}
    from lungseg_monai.segment.radiographs.outputs import write_png

    held: NDArray[np.uint8] = found.uncertainty_percent
    write_png(folder / f"{KIND}.png", held)
    return {KIND: f"{KIND}.png"}
