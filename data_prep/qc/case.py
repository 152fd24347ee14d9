"""One prepared case -> facts, flags, pictures. In memory: the image and one mask."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.contour_file import FILE_NAME as CONTOURS
from data_prep.contour_file import read_contours
from data_prep.errors import DatasetError
from data_prep.geometry import Grid
from data_prep.qc.body import Body, find_body
from data_prep.qc.facts import CaseFacts, RoiFacts
from data_prep.qc.flags import Flag, flags_of
from data_prep.qc.histogram import hu_facts
from data_prep.qc.masks import Packed, measure
from data_prep.qc.pictures import Scene, colours_of, draw
from data_prep.qc.views import tilt_deg
from data_prep.qc.volumes import read_volume

AFFINE_TOLERANCE_MM = 1e-3


def examine(folder: Path, case: Mapping[str, Any], levels: int) -> dict[str, Any]:
    """`facts`, `flags` and `damaged` (files that aren't right) for qc.json; `pictures` and `colours` for the page.

    case: its entry in dataset.json. levels: how many slices to draw to walk through. Raises DatasetError where the
    image can't be used; a mask that can't be costs itself.
    """
    image_ijk, grid = read_volume(folder / case["image"], case["shape"])
    body = find_body(image_ijk, grid)
    rois, masks = [], {}
    for n, roi in enumerate(case["rois"]):
        facts, packed = _roi(folder, roi, image_ijk, grid, body)
        rois.append(facts)
        if packed is not None:
            masks[n] = packed
    contours, problem = _contours((folder / case["image"]).with_name(CONTOURS))
    damaged = [f"{roi.name}: {roi.problem}" for roi in rois if roi.problem] + ([problem] if problem else [])
    middle = body.middle_mm()
    known = CaseFacts(
        case_id=case["id"],
        patient_id=case["patient_id"],
        shape=grid.shape_ijk,
        spacing_mm=_three(grid.spacing_mm),
        orientation=grid.orientation,
        hu=hu_facts(image_ijk),
        step_mm=round(float(grid.thickness_mm[0]), 6),
        tilt_deg=round(tilt_deg(grid), 3),
        body_middle_mm=None if middle is None else round(float(middle[0]), 3),
        lungs_overlap_share=_overlap(rois, masks),
        rois=tuple(rois),
        repairs=_texts(case.get("repairs")),
        flags=_texts(case.get("flags")),
        source=_source(case.get("source")),
    )
    flags = flags_of(known) + ([Flag("unreadable", "bad", problem)] if problem else [])
    labels = [roi.label for roi in rois]
    scene = Scene(image_ijk, grid, body, masks, labels, {n: c for n, c in contours.items() if 0 <= n < len(rois)})
    return {
        "facts": asdict(known),
        "flags": [asdict(flag) for flag in flags],
        "damaged": damaged,
        "pictures": draw(scene, levels),
        "colours": [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours_of(labels)],
    }


def _roi(
    folder: Path, roi: Mapping[str, Any], image_ijk: np.ndarray, grid: Grid, body: Body
) -> tuple[RoiFacts, Packed | None]:
    told: dict[str, Any] = {
        "name": roi["name"],
        "label": roi["label"],
        "status": roi["status"],
        "reason": roi.get("reason"),
        "flags": _texts(roi.get("flags")),
        "planes": {key: n for key, n in _mapping(roi.get("planes")).items() if isinstance(n, int)},
        "polygon_ml": _number(_mapping(roi.get("volume_ml")).get("polygon")),
    }
    if roi["file"] is None:
        return RoiFacts(**told), None
    try:
        mask_ijk, its_grid = read_volume(folder / roi["file"], grid.shape_ijk)
        corners = np.array([[0, 0, 0], grid.shape_ijk])
        if np.abs(its_grid.points_mm(corners) - grid.points_mm(corners)).max() > AFFINE_TOLERANCE_MM:
            raise DatasetError("it lies on another grid than its image")
    except DatasetError as error:
        return RoiFacts(**told, problem=str(error)), None
    measured, packed = measure(mask_ijk, image_ijk, grid, body)
    return RoiFacts(**told, **measured), packed


def _contours(path: Path) -> tuple[dict[int, list[Any]], str | None]:
    if not path.exists():
        return {}, None
    try:
        return dict(read_contours(path)), None
    except DatasetError as error:
        return {}, str(error)


def _overlap(rois: list[RoiFacts], masks: Mapping[int, Packed]) -> float:
    """Share of the smaller lung that lies in the other one."""
    sides = [[masks[n] for n in masks if rois[n].label == label] for label in ("lung_left", "lung_right")]
    if not all(sides):
        return 0.0
    smallest = min(sum(int(mask.slice_voxels.sum()) for mask in side) for side in sides)
    shared = sum(one.shared(other) for one in sides[0] for other in sides[1])
    return round(shared / smallest, 6)


def _source(source: Any) -> dict[str, Any]:
    shown = ("kind", "manufacturer", "kernel", "series_description", "position_deviation_mm")
    return {key: value for key, value in _mapping(source).items() if key in shown and value is not None}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _three(values: tuple[float, float, float]) -> tuple[float, float, float]:
    i, j, k = (round(value, 6) for value in values)
    return i, j, k
