"""One CT series with its RTSTRUCTs -> image.nii.gz, masks and the case's entry in dataset.json."""

import hashlib
import hmac
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.errors import RtstructError
from data_prep.geometry import Grid
from data_prep.identity import CaseId, Secrets, hashed
from data_prep.nifti import write_nifti
from data_prep.pairing import Pair
from data_prep.planes import PlaneReport
from data_prep.rasterize import rasterize
from data_prep.roi_names import label_of, safe_name
from data_prep.rtstruct import Roi, read_rtstruct
from data_prep.scan import Refusal, Scan
from data_prep.series import arrange, read_volume
from data_prep.slices import SliceHeader


@dataclass(frozen=True, eq=False)
class CasePlan:
    """What becomes one case."""

    name: CaseId
    slices: list[SliceHeader]
    pairs: list[Pair]


def fingerprint(plan: CasePlan, salt: bytes, found: Scan) -> str:
    """Changes with anything that the result depends on: slice headers, RTSTRUCT contents, names, this tool's version.

    Not with file names or times. Pixels are not read for it: a slice is known by its UIDs, size and header.
    """
    parts = [f"{__version__} {plan.name} {_beside_damage(plan, found)}"]
    for one in plan.slices:
        known = asdict(one)
        del known["path"]
        parts.append(repr(sorted(known.items())))
    parts.extend(hashlib.sha256(pair.struct.path.read_bytes()).hexdigest() for pair in plan.pairs)
    return hmac.new(salt, "\n".join(sorted(parts)).encode(), hashlib.sha256).hexdigest()


def convert_case(plan: CasePlan, folder: Path, salt: bytes, found: Scan) -> tuple[dict[str, Any], list[Refusal]]:
    """Write the image and the masks of one case to `folder`; return its entry (docs/reference/files.md) and refusals.

    In memory: one volume at a time, the image's or a mask's. Raises SeriesError and its kin where the series can't
    become a volume, OutputError where `folder` can't be written. RTSTRUCTs and ROIs that fail don't raise.
    """
    series = arrange(plan.slices)
    volume = read_volume(series)
    write_nifti(folder / "image.nii.gz", volume.array_ijk, series.grid.affine_ras)
    repairs = [*volume.repairs]
    del volume  # before the masks are made
    repairs += [note for note in (plan.name.note, *(pair.note for pair in plan.pairs)) if note]
    masks = _Masks(folder / "masks", f"{plan.name.case_id}/masks", series.grid, plan.slices[0].frame_uid, found.secrets)
    rois: list[dict[str, Any]] = []
    sources: Counter[str] = Counter()
    refusals = []
    for pair in plan.pairs:
        try:
            drawn = read_rtstruct(pair.struct.path)
        except RtstructError as error:
            path = pair.struct.path
            reason = found.secrets.hide_files(str(error), [path])
            refusals.append(Refusal("rtstruct", found.where(path), reason, pair.struct.sop_uid))
            continue
        struct_hash = hashed(salt, pair.struct.sop_uid)
        entries = [masks.write(roi) | {"rtstruct_uid_hash": struct_hash} for roi in drawn]
        sources.update({roi["label"] for roi in entries if roi["file"] and roi["label"]})
        rois += entries
    entry = _entry(plan, series.grid, series.deviation_mm, repairs, rois, salt, found)
    entry["flags"] += [
        f"{label} comes from {count} RTSTRUCTs: readers unite them, check that they are not two versions of one"
        for label, count in sorted(sources.items())
        if count > 1
    ]
    return entry, refusals


def _beside_damage(plan: CasePlan, found: Scan) -> bool:
    return any(one.path.parent in found.damaged_folders for one in plan.slices)


def _entry(
    plan: CasePlan,
    grid: Grid,
    deviation_mm: float,
    repairs: list[str],
    rois: list[dict[str, Any]],
    salt: bytes,
    found: Scan,
) -> dict[str, Any]:
    first = plan.slices[0]
    flags = []
    if found.secrets.in_name(first.description):
        flags.append("series_description holds a part of the patient's name")
    if _beside_damage(plan, found):
        flags.append("damaged files lie beside the slices: a slice at an end may be missing")
    return {
        "id": plan.name.case_id,
        "patient_id": plan.name.patient_id,
        "status": "ok",
        "reason": None,
        "image": f"{plan.name.case_id}/image.nii.gz",
        "modality": "CT",
        "shape": list(grid.shape_ijk),
        "spacing_mm": [round(step, 9) for step in grid.spacing_mm],
        "orientation": grid.orientation,
        "source": {
            "series_uid_hash": hashed(salt, first.series_uid),
            "frame_of_reference_uid_hash": hashed(salt, first.frame_uid),
            "rtstruct_uid_hash": hashed(salt, plan.pairs[0].struct.sop_uid) if plan.pairs else None,
            "manufacturer": first.manufacturer,
            "kernel": first.kernel,
            "series_description": first.description,
            "position_deviation_mm": round(deviation_mm, 4),
        },
        "repairs": repairs,
        "flags": flags,
        "rois": rois,
    }


@dataclass
class _Masks:
    """Writes the masks of one case, each under a name of its own."""

    folder: Path
    prefix: str
    grid: Grid
    frame_uid: str
    secrets: Secrets

    def __post_init__(self) -> None:
        self.taken: set[str] = set()

    def write(self, roi: Roi) -> dict[str, Any]:
        """Rasterise and write one ROI; return its entry, with the reason where it is refused."""
        problem = roi.problem
        if problem is None and roi.frame_uid and self.frame_uid and roi.frame_uid != self.frame_uid:
            problem = "drawn in another frame of reference (3006,0024) than the CT's"
        report = PlaneReport()
        file = None
        if problem is None:
            mask, report = rasterize(roi.contours_mm, self.grid)
            problem = _blank(report, self.grid)
            if problem is None:
                file = f"{self._file_name(roi)}.nii.gz"
                write_nifti(self.folder / file, mask, self.grid.affine_ras)
        report.planes_in += roi.unusable.total()
        report.skipped_why.update(roi.unusable)
        return self._roi_entry(roi, report, file, problem)

    def _file_name(self, roi: Roi) -> str:
        name = f"roi-{roi.number}" if self.secrets.in_name(roi.name) else roi.name
        return safe_name(name, self.taken)

    def _roi_entry(self, roi: Roi, report: PlaneReport, file: str | None, problem: str | None) -> dict[str, Any]:
        flags = ["name holds a part of the patient's name"] if self.secrets.in_name(roi.name) else []
        if file and report.blank_slices:
            flags.append(f"{report.blank_slices} slice(s) whose contours enclose no pixel centre")
        if file and report.crossed_slices and not report.clipped:
            flags.append(
                f"{report.crossed_slices} slice(s) whose contours overlap or cross: what lies in two is left out"
            )
        skipped = "; ".join(f"{count} skipped: {why}" for why, count in sorted(report.skipped_why.items()))
        return {
            "name": roi.name,
            "number": roi.number,
            "label": label_of(roi.name),
            "status": "ok" if file else "refused",
            "reason": problem or skipped or None,
            "file": f"{self.prefix}/{file}" if file else None,
            "planes": {
                "in": report.planes_in,
                "rasterised": report.rasterised,
                "clipped": report.clipped,
                "moved": report.moved,
                "skipped": report.skipped,
            },
            "volume_ml": {
                "polygon": round(report.polygon_mm3 / 1000, 3),
                "voxel": round(report.voxels * self.grid.voxel_volume_mm3 / 1000, 3),
            },
            "flags": flags,
        }


def _blank(report: PlaneReport, grid: Grid) -> str | None:
    """Why nothing of a ROI reached the mask, or None: an empty mask would read as "there is none"."""
    if report.voxels:
        return None
    if report.crossed_slices and not report.clipped:
        return "its contours cancel each other out: what lies in two of them is left out, and these are nearly the same"
    if report.rasterised:
        spacing = " x ".join(f"{step:.2f}" for step in grid.spacing_mm)
        return f"its contours enclose no pixel centre: {report.polygon_mm3:.1f} mm3 are too little for {spacing} mm"
    skipped = "; ".join(f"{count} skipped: {why}" for why, count in sorted(report.skipped_why.items()))
    return f"no contour lies on the image ({skipped})"
