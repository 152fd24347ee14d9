"""What is written of a radiograph: lungs.png, overlay.png, probability.png, and its areas for case.json."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.errors import UsageError
from lungseg_monai.pictures.measures import areas
from lungseg_monai.pictures.sides import LEFT, RIGHT
from lungseg_monai.segment.outputs import ROIS, Files, OutputOptions
from lungseg_monai.segment.radiographs.reading import LoadedRadiograph
from lungseg_monai.segment.result import Segmentation

PNG = "png"
MOST = 65535  # of 16 bits: probability 1
LEVEL = 3  # of zlib


@dataclass(frozen=True)
class PictureOutputs(OutputOptions):
    """As OutputOptions, for radiographs: formats is always ("png",). preview: whether overlay.png is written."""

    formats: tuple[str, ...] = (PNG,)

    def __post_init__(self) -> None:
        if self.roi not in ROIS:
            raise UsageError(f"--roi {self.roi}: choose one of {', '.join(ROIS)}")

    @classmethod
    def of(cls, asked: OutputOptions) -> "PictureOutputs":
        """What was asked for in general, for radiographs. Raises UsageError for formats that they can't have."""
        others = [one for one in asked.formats if one not in (PNG, "nifti")]  # nifti is what nobody asked for
        if others:
            raise UsageError(
                f"--format {','.join(asked.formats)}: masks of X-rays are PNG files; {', '.join(others)} are for CT"
            )
        return cls(roi=asked.roi, probabilities=asked.probabilities, preview=asked.preview)


def write_pictures(
    folder: Path, stem: str, loaded: LoadedRadiograph, found: Segmentation, options: OutputOptions
) -> Files:
    """Write what `options` ask for into `folder`. Raises OutputError where the disk is full or can't be written."""
    files = Files()
    with loaded.stages.stage("write"):
        write_png(folder / f"{stem}.png", found.labels_ijk)
        files.written[PNG] = f"{stem}.png"
    if options.preview:
        with loaded.stages.stage("overlay"):
            _write_overlay(folder / "overlay.png", loaded, found)
        files.written["overlay"] = "overlay.png"
    if options.probabilities and found.probability is not None:
        with loaded.stages.stage("probability"):
            whole = np.rint(np.clip(found.probability[0].astype(np.float32), 0, 1) * MOST).astype(np.uint16)
            write_png(folder / "probability.png", whole)
        files.written["probability"] = "probability.png"
    return files


def write_png(path: Path, pixels: NDArray[Any], palette: list[int] | None = None) -> None:
    """(rows, columns) uint8 or uint16 as PNG of one channel, so that every reader finds these very values.

    palette: what the values look like; readers other than Pillow then find colours. Raises OutputError.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    if palette is not None:
        image = Image.frombytes("P", image.size, np.ascontiguousarray(pixels).tobytes())
        image.putpalette(palette)
    with atomic_file(path) as stream:
        image.save(stream, "PNG", compress_level=LEVEL)


def _write_overlay(path: Path, loaded: LoadedRadiograph, found: Segmentation) -> None:
    from lungseg_monai.segment.radiographs.overlay import draw

    drawn, colours = draw(loaded.image.pixels, found.labels_ijk, found.names, str(found.facts.get("convention", "")))
    write_png(path, drawn, colours)


def chosen_roi(found: Segmentation, roi: str, stem: str) -> Segmentation:
    """As outputs.choose_roi; the probability stays that of lung, whichever."""
    from lungseg_monai.segment.outputs import choose_roi

    return replace(choose_roi(replace(found, probability=None), roi, stem), probability=found.probability)


def measure(
    labels: NDArray[np.uint8], names: Mapping[int, str], spacing_mm: tuple[float, float] | None
) -> dict[str, Any]:
    """{"areas": {name: {"pixels", "cm2", "mm2", "share_of_picture"}}, "shapes": {name: {...}}, "right_to_left"}.

    Of each name and of "lungs", all together. shapes: rows and columns of the box (first, last + 1), height and width
    in mm where the spacing is known. right_to_left: ratio of the areas, null where a side is missing.
    """
    found: dict[str, dict[str, Any]] = {**areas(np.asarray(labels), spacing_mm)}
    whole = found["lungs"]
    held = {"lungs": whole} if set(names.values()) == {"lungs"} else {}
    for label, name in names.items():
        held.setdefault(name, found[name] if label == _own_label(name) else _of_mask(labels == label, spacing_mm))
    held["lungs"] = whole
    for one in held.values():
        one["mm2"] = None if spacing_mm is None else round(one["pixels"] * spacing_mm[0] * spacing_mm[1], 1)
    right, left = (held.get(f"lung_{side}", {}).get("pixels") for side in ("right", "left"))
    return {
        "areas": held,
        "shapes": {name: _shape(labels == label, spacing_mm) for label, name in names.items()},
        "right_to_left": round(right / left, 3) if right and left else None,
    }


def _own_label(name: str) -> int | None:
    return {"lung_right": RIGHT, "lung_left": LEFT}.get(name)


def _of_mask(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    return dict(areas(mask.astype(np.uint8), spacing_mm)["lungs"])


def _shape(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> dict[str, Any] | None:
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = [[int(rows[0]), int(rows[-1]) + 1], [int(columns[0]), int(columns[-1]) + 1]]
    sizes = [stop - start for start, stop in box]
    known = spacing_mm is not None
    height, width = (round(n * step, 1) for n, step in zip(sizes, spacing_mm or (0, 0), strict=True))
    return {
        "rows": box[0],
        "columns": box[1],
        "height_mm": height if known else None,
        "width_mm": width if known else None,
    }
