"""Where a value begins to be odd, as data: every threshold of the flags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """HU, mm, ml, or shares from 0 to 1, as the names say. What they mean for people stands in docs/how-to/qc.md."""

    low_hu: int = -1100  # nothing in a body, or around it, is below air by more than noise
    high_hu: int = 4000  # above: only metal on an extended scale
    low_share: float = 0.001
    high_share: float = 0.001
    air_peak_hu: tuple[int, int] = (-1100, -600)  # the lowest peak: air around the patient or, cropped, in the lungs
    least_air_share: float = 0.02
    least_tissue_share: float = 0.03
    largest_step_mm: float = 5.0
    fewest_slices: int = 20
    farthest_across_mm: float = 20.0  # a lone lung's centre beyond the body's middle, on the other side
    lung_ratio: tuple[float, float] = (0.4, 1.6)  # left to right
    lungs_ml: tuple[float, float] = (1000.0, 10000.0)
    lung_median_hu: float = -400.0
    lung_soft_share: float = 0.35  # of the mask's voxels above that
    lungs_overlap_share: float = 0.02
    outside_share_bad: float = 0.5
    outside_share_look: float = 0.05
    thorax_margin_mm: float = 30.0
    edge_area_mm2: float = 100.0
    skipped_share: float = 0.1
    moved_share: float = 0.1
    volume_share: float = 0.05
    volume_ml: float = 1.0
    island_ml: float = 1.0


LIMITS = Limits()
