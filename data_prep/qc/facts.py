"""What is measured of a case, as plain values: the flags and the page are made from these alone."""

from dataclasses import dataclass, field
from typing import Any

Side = tuple[float, float, float]


@dataclass(frozen=True)
class HuFacts:
    """Of all voxels of an image, in HU. Shares are of the voxels that are not padding.

    padding_hu: the lowest value where it fills a part of the image below -1024 HU, else None. lowest, highest: without
    padding. air_peak: the lowest peak of the histogram that holds a part of the image, None where there is none.
    counts: voxels in bins of bin_hu from first_hu on, what lies beyond counted in the first and last one.
    """

    lowest: float
    highest: float
    padding_hu: int | None
    padding_share: float
    below_share: float
    above_share: float
    air_peak: int | None
    air_share: float
    tissue_share: float
    not_finite: int = 0
    first_hu: int = -1200
    bin_hu: int = 20
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class RoiFacts:
    """One ROI as dataset.json and its mask tell. centre_mm, low_mm, high_mm: LPS, None where there is no mask.

    problem: why its mask can't be measured. edges: letters of the image's sides that its mask touches -> mm2 there.
    one_slice_gaps: slices without voxels between two with. islands_ml: connected parts but the largest, falling.
    body_share: of its voxels, inside the body.
    """

    name: str
    label: str | None
    status: str
    reason: str | None = None
    flags: tuple[str, ...] = ()
    planes: dict[str, int] = field(default_factory=dict)
    polygon_ml: float | None = None
    problem: str | None = None
    voxels: int = 0
    volume_ml: float = 0.0
    slices: int = 0
    centre_mm: Side | None = None
    low_mm: Side | None = None
    high_mm: Side | None = None
    median_hu: float | None = None
    soft_share: float = 0.0
    body_share: float = 1.0
    edges: dict[str, float] = field(default_factory=dict)
    one_slice_gaps: int = 0
    islands_ml: tuple[float, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether there is a mask with voxels in it."""
        return self.problem is None and self.voxels > 0


@dataclass(frozen=True)
class CaseFacts:
    """One case. body_middle_mm: LPS x of the body's centre, None where no body was found.

    step_mm: distance of neighbouring slices along the third axis. tilt_deg: the largest angle between an axis of the
    grid and the patient's nearest one. lungs_overlap_share: voxels in both lungs' masks, of the smaller one.
    """

    case_id: str
    patient_id: str
    shape: tuple[int, int, int]
    spacing_mm: Side
    orientation: str
    hu: HuFacts
    step_mm: float
    tilt_deg: float = 0.0
    body_middle_mm: float | None = None
    lungs_overlap_share: float = 0.0
    rois: tuple[RoiFacts, ...] = ()
    repairs: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)

    def labelled(self, *labels: str) -> list[RoiFacts]:
        """Measured ROIs of these labels."""
        return [roi for roi in self.rois if roi.measured and roi.label in labels]
