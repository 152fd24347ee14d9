"""One case -> image.nii.gz, masks and its record: what case.json holds, and dataset.json under `cases`."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from data_prep.contour_file import write_contours
from data_prep.dataset import CASE_FILE, SCHEMA_VERSION, file_hashes, write_json
from data_prep.drawn import Drawn
from data_prep.errors import OutputError, PrepError
from data_prep.geometry import Array, Grid
from data_prep.identity import hashed
from data_prep.masks import Canvas, MaskWriter
from data_prep.nifti import write_nifti
from data_prep.npz_lungs import refuse_pictures
from data_prep.plan import CasePlan, Context, unpack
from data_prep.roi_names import RoiMap
from data_prep.rtstruct import read_rtstruct
from data_prep.scan import Refusal
from data_prep.segments import SegHeader, read_segments
from data_prep.series import arrange, read_volume
from data_prep.stages import Stages
from data_prep.versions import tool_versions

CONTOURS = "contours.npz"


def make_case(plan: CasePlan, partial: Path, fingerprint: str, context: Context) -> dict[str, Any]:
    """Build the case in the folder `partial`, which must not exist; return {"record": ..., "seconds": by stage}.

    Raises SeriesError and its kin where the image can't be used, OutputError where `partial` can't be written. What
    was drawn on it and fails doesn't raise: it stands in the record, under `refused` or with the ROI.
    """
    try:
        partial.mkdir()
        scratch = partial.with_name(f"{partial.name}.unpacked")
        local = unpack(plan, context, scratch)
    except OSError as error:
        raise OutputError(f"can't write {partial.parent}: {error.strerror or error}. Is there room left?") from error
    stages = Stages()
    try:
        entry, refused = _convert(local, partial, context, stages)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with stages.stage("hashes"):
        entry["files"] = file_hashes(partial)
    record = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": fingerprint,
        "salt_hash": hashed(context.salt, "salt"),
        "patient_hash": plan.name.patient_hash,
        "case": entry,
        "refused": refused,
    }
    write_json(partial / CASE_FILE, record)
    return {"record": record, "seconds": stages.seconds}


@dataclass(eq=False)
class _Image:
    """What was written as the image, and what masks are filled on."""

    canvas: Canvas
    repairs: list[str]
    flags: list[str]
    deviation_mm: float | None


def _convert(
    plan: CasePlan, folder: Path, context: Context, stages: Stages
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write all files of the case; return its entry (docs/reference/files.md) and what was refused.

    The image is compressed by a thread of its own while masks are filled. In memory: the image and one mask.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        read = _read_volume if plan.volume else _read_series
        image, array_ijk = read(plan, context, stages)
        if context.masks.npz_lungs:
            refuse_pictures(array_ijk)
        writing = pool.submit(_write_image, folder, array_ijk, image.canvas.grid, stages)
        del array_ijk  # the thread holds it as long as it must
        roi_map = RoiMap.load(context.masks.roi_map)
        name = plan.name.case_id
        masks = MaskWriter(folder, name, image.canvas, context.secrets, context.masks, roi_map, stages)
        rois, refused, contours = _drawings(plan, masks, context, stages)
        if contours:
            with stages.stage("contour file"):
                write_contours(folder / CONTOURS, contours)
        with stages.stage("wait for image"):
            writing.result()
    return _entry(plan, image, rois, context), refused


def _read_series(plan: CasePlan, context: Context, stages: Stages) -> tuple[_Image, NDArray]:
    with stages.stage("geometry"):
        series = arrange(plan.slices, context.stack)
    with stages.stage("pixels"):
        volume = read_volume(series)
    uids = [[one.sop_uid for one in place] for place in series.places]
    canvas = Canvas(series.planes, series.grid, series.to_grid, plan.slices[0].frame_uid, uids)
    return _Image(canvas, [*volume.repairs], [], series.deviation_mm), volume.array_ijk


def _read_volume(plan: CasePlan, context: Context, stages: Stages) -> tuple[_Image, NDArray]:
    from data_prep.volume_voxels import read_image_volume

    with stages.stage("pixels"):
        volume = read_image_volume(plan.files[0])
    canvas = Canvas(volume.grid, volume.grid, _same, "")
    return _Image(canvas, [*volume.repairs], [], None), volume.array_ijk


def _same(mask: NDArray) -> NDArray:
    return mask


def _write_image(folder: Path, array_ijk: NDArray, grid: Grid, stages: Stages) -> None:
    with stages.stage("write image"):
        write_nifti(folder / "image.nii.gz", array_ijk, grid.affine_ras)


def _drawings(
    plan: CasePlan, masks: MaskWriter, context: Context, stages: Stages
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[int, list[Array]]]:
    """Entries of all ROIs, refused files, and the contours by the place of their ROI among the entries."""
    rois: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    contours: dict[int, list[Array]] = {}
    for pair in plan.pairs:
        uid_hash = {"rtstruct_uid_hash": hashed(context.salt, pair.struct.sop_uid)}
        try:
            if isinstance(pair.struct, SegHeader):
                coded = {one.number: one.label for one in pair.struct.segments}
                rois += [
                    masks.write(one, "seg", label=coded.get(one.number)) | uid_hash
                    for one in read_segments(pair.struct.path)
                ]
                continue
            with stages.stage("read RTSTRUCT"):
                found = read_rtstruct(pair.struct.path)
            for roi in found:
                if roi.contours_mm:
                    contours[len(rois)] = roi.contours_mm
                rois.append(masks.write_roi(roi) | uid_hash)
        except OutputError:
            raise
        except PrepError as error:
            what = "seg" if isinstance(pair.struct, SegHeader) else "rtstruct"
            refused.append(_refusal(what, pair.struct.path, error, pair.struct.sop_uid, context))
    for what, path in _mask_files(plan):
        try:
            rois += [
                masks.write(one, what, label=one.label) | {"rtstruct_uid_hash": None}
                for one in _read_masks(what, path, plan, masks)
            ]
        except OutputError:
            raise
        except PrepError as error:
            refused.append(_refusal(what, path, error, "", context))
    return rois, refused, contours


def _mask_files(plan: CasePlan) -> list[tuple[str, Path]]:
    """Files of masks that are no DICOM, and what they are."""
    beside = plan.volume.masks if plan.volume else ()
    return [*(("npz", path) for path in plan.npz), *(("volume", path) for path in beside)]


def _read_masks(kind: str, path: Path, plan: CasePlan, masks: MaskWriter) -> list[Drawn]:
    if kind == "npz":
        from data_prep.npz import read_npz

        return read_npz(path, masks.canvas.planes.shape_ijk, masks.options.npz_lungs)
    from data_prep.volume_voxels import read_masks

    return read_masks(path, plan.volume.label_names if plan.volume else None)


def _refusal(what: str, path: Path, error: PrepError, uid: str, context: Context) -> dict[str, Any]:
    reason = context.secrets.hide_files(str(error), [path])
    return public(Refusal(what, context.where(path), reason, uid), context)


def public(refusal: Refusal, context: Context) -> dict[str, Any]:
    """The refusal as it is written: UIDs hashed, and no part of a name in the path."""
    return {
        "what": refusal.what,
        "where": context.secrets.hide(refusal.where),
        "reason": refusal.reason,
        "uid_hash": hashed(context.salt, refusal.uid),
    }


def _entry(plan: CasePlan, image: _Image, rois: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    grid = image.canvas.grid
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
        "source": _source(plan, image, context),
        "created_by": tool_versions(),
        "repairs": image.repairs + [note for note in (plan.name.note, *(pair.note for pair in plan.pairs)) if note],
        "flags": image.flags + _flags(plan, rois, context),
        "rois": rois,
    }


def _source(plan: CasePlan, image: _Image, context: Context) -> dict[str, Any]:
    first = plan.slices[0] if plan.slices else None
    deviation = image.deviation_mm
    enhanced = len({one.path for one in plan.slices}) < len(plan.slices) or any(s.frame for s in plan.slices)
    return {
        "kind": "volume" if first is None else "dicom-enhanced" if enhanced else "dicom",
        "slices": len(plan.slices) or image.canvas.grid.shape_ijk[2],
        "affine_lps": image.canvas.grid.affine_lps.round(9).tolist(),
        "separated_by": plan.rule or None,
        "series_uid_hash": hashed(context.salt, plan.series_uid),
        "frame_of_reference_uid_hash": hashed(context.salt, first.frame_uid if first else ""),
        "rtstruct_uid_hash": hashed(context.salt, plan.pairs[0].struct.sop_uid) if plan.pairs else None,
        "manufacturer": first.manufacturer if first else None,
        "kernel": first.kernel if first else None,
        "series_description": first.description if first else None,
        "position_deviation_mm": None if deviation is None else round(deviation, 4),
    }


def _flags(plan: CasePlan, rois: list[dict[str, Any]], context: Context) -> list[str]:
    flags = []
    if plan.slices and context.secrets.in_name(plan.slices[0].description):
        flags.append("series_description holds a part of the patient's name")
    if plan.damaged:
        flags.append("damaged files lie beside the slices: a slice at an end may be missing")
    named = {(roi["rtstruct_uid_hash"], roi["label"]) for roi in rois if roi["file"] and roi["label"]}
    sources = Counter(label for _, label in named)
    flags += [
        f"{label} comes from {count} RTSTRUCTs: readers unite them, check that they are not two versions of one"
        for label, count in sorted(sources.items())
        if count > 1
    ]
    return flags
