"""What was drawn on one image -> mask files and their entries in dataset.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.drawn import Drawn
from data_prep.geometry import Array, Grid
from data_prep.identity import Secrets
from data_prep.nifti import write_nifti
from data_prep.onto import MaskReport
from data_prep.options import MaskOptions
from data_prep.planes import PlaneReport
from data_prep.rasterize import rasterize
from data_prep.references import cross_check
from data_prep.roi_names import RoiMap, safe_name
from data_prep.rtstruct import Roi
from data_prep.stages import Stages


@dataclass(frozen=True, eq=False)
class Canvas:
    """What masks are filled on, and how they get from there to the image's grid.

    planes: where the slices really lie. grid: of the image that was written; to_grid: mask or coverage on `planes` ->
    the same on `grid`. uids_by_k: SOPInstanceUIDs of the images on each plane.
    """

    planes: Grid
    grid: Grid
    to_grid: Callable[[NDArray], NDArray]
    frame_uid: str
    uids_by_k: Sequence[Sequence[str]] = ()


def drawn_contours(roi: Roi, canvas: Canvas) -> Drawn:
    """A ROI of an RTSTRUCT as something that can be filled; what is odd about it goes to its notes."""
    notes = [] if roi.problem else cross_check(roi, canvas.planes, canvas.uids_by_k)

    def fill(grid: Grid) -> tuple[NDArray[np.uint8], PlaneReport]:
        return rasterize(roi.contours_mm, grid)

    return Drawn(roi.name, roi.number, roi.frame_uid, fill, roi.problem, notes)


@dataclass
class MaskWriter:
    """Writes the masks of one case to `folder`, each under a name of its own.

    prefix: of their paths in dataset.json.
    """

    folder: Path
    prefix: str
    canvas: Canvas
    secrets: Secrets
    options: MaskOptions
    roi_map: RoiMap
    stages: Stages
    taken: set[str] = field(default_factory=set)

    def write_roi(self, roi: Roi) -> dict[str, Any]:
        """Fill and write one ROI of an RTSTRUCT, and with the option its coverage."""
        with self.stages.stage("contours"):
            drawn = drawn_contours(roi, self.canvas)
        entry = self.write(drawn, "rtstruct", roi.unusable)
        if entry["file"] and self.options.coverage:
            self._write_coverage(roi.contours_mm, entry)
        return entry

    def write(
        self, drawn: Drawn, kind: str, unusable: Mapping[str, int] | None = None, label: str | None = None
    ) -> dict[str, Any]:
        """Fill and write one region; return its entry, with the reason where it is refused.

        unusable: what was left out before, and how often. label: what the file's own codes say that it is, for a name
        that the table does not know.
        """
        problem = drawn.problem
        if problem is None and drawn.frame_uid and self.canvas.frame_uid not in ("", drawn.frame_uid):
            problem = "drawn in another frame of reference (3006,0024) than the CT's"
        report, file, voxels = PlaneReport(), None, 0
        if problem is None:
            with self.stages.stage("contours"):
                mask, report = drawn.fill(self.canvas.planes)
                if self.options.interpolate and kind == "rtstruct":
                    from data_prep.between import interpolate

                    mask = interpolate(mask, report, self.canvas.planes)
                problem = blank(report, self.canvas.planes)
                mask = self.canvas.to_grid(mask)
                voxels = report.voxels if self.canvas.grid is self.canvas.planes else int(np.count_nonzero(mask))
        if problem is None and not voxels:
            problem = "nothing of it is left after resampling: it is smaller than the new slices"
        if problem is None:
            file = f"{self._file_name(drawn)}.nii.gz"
            with self.stages.stage("write masks"):
                write_nifti(self.folder / "masks" / file, mask, self.canvas.grid.affine_ras)
        for why, count in (unusable or {}).items():
            report.planes_in += count
            report.skip(why, count)
        voxel_ml = voxels * self.canvas.grid.voxel_volume_mm3 / 1000
        entry = self._entry(drawn, kind, report, file, problem)
        entry["label"] = entry["label"] or (label if self.roi_map.find(drawn.name) is None else None)
        entry["volume_ml"] = {"polygon": round(report.polygon_mm3 / 1000, 3), "voxel": round(voxel_ml, 3)}
        return entry

    def _write_coverage(self, contours_mm: Sequence[Array], entry: dict[str, Any]) -> None:
        from data_prep.coverage import coverage

        file = Path(entry["file"]).name
        with self.stages.stage("coverage"):
            share, report = coverage(contours_mm, self.canvas.planes)
            path = self.folder / "coverage" / file
            write_nifti(path, self.canvas.to_grid(share).astype(np.float32, copy=False), self.canvas.grid.affine_ras)
        entry["coverage_file"] = f"{self.prefix}/coverage/{file}"
        if report.sampled_slices:
            entry["flags"].append(f"coverage of {report.sampled_slices} slice(s) is sampled 16 x 16 a pixel, not exact")

    def _file_name(self, drawn: Drawn) -> str:
        name = f"roi-{drawn.number}" if self.secrets.in_name(drawn.name) else drawn.name
        return safe_name(name, self.taken)

    def _entry(
        self, drawn: Drawn, kind: str, report: PlaneReport, file: str | None, problem: str | None
    ) -> dict[str, Any]:
        flags = ["name holds a part of the patient's name"] if self.secrets.in_name(drawn.name) else []
        flags += [*drawn.notes, *(report.notes if isinstance(report, MaskReport) else [])]
        flags += _oddities(report) if file else []
        skipped = "; ".join(f"{count} skipped: {why}" for why, count in sorted(report.skipped_why.items()))
        return {
            "name": drawn.name,
            "number": drawn.number,
            "kind": kind,
            "label": self.roi_map.label_of(drawn.name),
            "status": "ok" if file else "refused",
            "reason": problem or skipped or None,
            "file": f"{self.prefix}/masks/{file}" if file else None,
            "coverage_file": None,
            "planes": {
                "in": report.planes_in,
                "rasterised": report.rasterised,
                "clipped": report.clipped,
                "moved": report.moved,
                "skipped": report.skipped,
                "interpolated": report.interpolated,
            },
            "flags": flags,
        }


def _oddities(report: PlaneReport) -> list[str]:
    flags = []
    if report.blank_slices:
        flags.append(f"{report.blank_slices} slice(s) whose contours enclose no pixel centre")
    if report.crossed_slices and not report.clipped:
        flags.append(f"{report.crossed_slices} slice(s) whose contours overlap or cross: what lies in two is left out")
    return flags


def blank(report: PlaneReport, grid: Grid) -> str | None:
    """Why nothing of a region reached the mask, or None: an empty mask would read as "there is none"."""
    if report.voxels:
        return None
    if report.crossed_slices and not report.clipped:
        return "its contours cancel each other out: what lies in two of them is left out, and these are nearly the same"
    if report.rasterised:
        spacing = " x ".join(f"{step:.2f}" for step in grid.spacing_mm)
        return f"its contours enclose no pixel centre: {report.polygon_mm3:.1f} mm3 are too little for {spacing} mm"
    skipped = "; ".join(f"{count} skipped: {why}" for why, count in sorted(report.skipped_why.items()))
    return f"no contour lies on the image ({skipped})"
