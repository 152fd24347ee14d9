"""A radiograph's case -> its pixels in memory, and what has to be said about them."""

import time
from dataclasses import dataclass, field
from typing import Any

from data_prep.radiographs.radiograph import Radiograph, check
from data_prep.stages import Stages
from lungseg_monai.segment.radiographs.find import RadiographCase
from lungseg_monai.segment.result import Flag

LATERAL = "a lateral view"  # how data_prep begins what it says of these
SPACING = "spacing at the detector"


@dataclass(eq=False)
class LoadedRadiograph:
    """A radiograph that was read. facts: for case.json. began: when reading began, by perf_counter."""

    case: RadiographCase
    image: Radiograph
    flags: tuple[Flag, ...]
    facts: dict[str, Any]
    stages: Stages
    began: float = field(default_factory=time.perf_counter)

    @property
    def flipped(self) -> bool | None:
        """Whether the picture hangs mirrored, by PatientOrientation (0020,0020); None where nothing says so."""
        first = self.image.orientation[:1]
        return {"R": True, "L": False}.get(first)

    def close(self) -> None:
        """Nothing is held open."""


def load_radiograph(case: RadiographCase) -> LoadedRadiograph:
    """Read and check one. Raises data_prep's UnreadableFileError where it can't be an X-ray."""
    began, stages = time.perf_counter(), Stages()
    path = case.plan.files[0]
    with stages.stage("read"):
        if case.dicom:
            from data_prep.radiographs.dicom import read_dicom

            image = read_dicom(path)
        else:
            from lungseg_monai.segment.radiographs.colour import read_any_picture

            image = read_any_picture(path)
        check(image)
    if case.entry:
        _remember(image, case)
    flags = tuple(_flag(one) for one in image.flags)
    return LoadedRadiograph(case, image, flags, facts_of(image, case), stages, began)


def _remember(image: Radiograph, case: RadiographCase) -> None:
    """What dataset.json knows of the picture that its PNG file can't say."""
    spacing = case.entry.get("spacing_mm")
    if spacing:
        image.spacing_mm = float(spacing[0]), float(spacing[1])
        image.spacing_from = case.entry.get("spacing_from") or "dataset.json"
    image.modality = str(case.entry["modality"])
    image.orientation = str(case.entry.get("orientation") or "")
    image.flags += [str(one) for one in case.entry.get("flags") or () if str(one).startswith((LATERAL, SPACING))]


def facts_of(image: Radiograph, case: RadiographCase | None = None) -> dict[str, Any]:
    """`image` of case.json."""
    kind = "array" if case is None else "prepared" if case.entry else "dicom" if case.dicom else "picture"
    return {
        "kind": kind,
        "modality": image.modality,
        "shape_hw": list(image.shape),
        "bits": image.pixels.dtype.itemsize * 8,
        "values": [int(image.pixels.min()), int(image.pixels.max())],
        "spacing_mm": None if image.spacing_mm is None else [round(step, 6) for step in image.spacing_mm],
        "spacing_from": image.spacing_from,
        "orientation": image.orientation or None,
        "view_position": image.about.get("view_position"),
        "format": image.about.get("format"),
        "repairs": list(image.repairs),
    }


def _flag(what: str) -> Flag:
    """A sentence of data_prep's as a flag: "input" for what deserves a look, "lateral" for what was not meant."""
    if what.startswith(LATERAL):
        return Flag("lateral", what, "alarm")
    return Flag("input", what, "note" if what.startswith(SPACING) else "check")
