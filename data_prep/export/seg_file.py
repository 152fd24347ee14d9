"""Regions -> a DICOM SEG (PS3.3 A.51) through highdicom, checked by reading it back before it is put in place."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_prep import __version__
from data_prep.errors import OutputError, SeriesError
from data_prep.export.check import difference, publish
from data_prep.export.drawing import Placed, content_hash, nothing_left, place
from data_prep.export.encode import file_bytes
from data_prep.export.origin import MANUFACTURER, MODEL, Origin, copy_patient, set_character_set
from data_prep.export.reference import ReferenceSeries
from data_prep.export.regions import ExportOptions, ExportReport, Refused, Region, Written
from data_prep.export.structures import TISSUE
from data_prep.files import quiet_pydicom
from data_prep.geometry import Array
from data_prep.identity import Secrets

if TYPE_CHECKING:
    from pydicom import Dataset

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
EXPLICIT = "1.2.840.10008.1.2.1"
SERIES_NUMBER = 902
DEFAULTS = ExportOptions()
CREATOR = "lungseg^monai"
SAME_MM = 0.001  # positions pass through decimal strings


def write_seg(
    masks: Iterable[Region | Refused], series: ReferenceSeries, path: Path, options: ExportOptions = DEFAULTS
) -> ExportReport:
    """Write `masks` as one binary DICOM SEG that refers to `series`, and return what became of each.

    Masks lie on any grid that has the series' voxels (see align.align). Segments carry SNOMED CT codes; slices
    without a voxel have no frame. The file is read back by highdicom before it appears at `path`. Raises
    NothingToDoError where no mask is left, SeriesError where highdicom can't refer to the series, UsageError for
    another's file at `path`, OutputError where `path` can't be written or the file does not give the same voxels.
    """
    placed, refused = place(masks, series, options)
    if not placed:
        raise nothing_left(refused)
    origin = Origin(series, f"SEG {content_hash(placed, options)}", options.timestamp)
    sources, notes = _sources(series)
    try:
        with quiet_pydicom():
            data: Any = _segmentation(placed, sources, series, origin, options)
            _settle(data, series, origin)
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        secrets = Secrets()
        secrets.learn(series.header, keep_ids=False)
        reason = secrets.hide(str(error))
        raise SeriesError(f"highdicom can't write a SEG for this series: {reason}") from error
    with publish(path, file_bytes(data, EXPLICIT), SEG) as draft:
        _compare(draft.path, placed, series)
        draft.approved = True
    written = [
        Written(one.name, one.found_as, one.voxels, round(one.volume_ml, 3), notes=(*one.notes, *_uncoded(one)))
        for one in placed
    ]
    return ExportReport(path, written, refused, [*series.notes, *notes])


def _uncoded(one: Placed) -> list[str]:
    return [] if one.structure.type_code[0] != TISSUE else ["no SNOMED CT code known for it: coded as tissue"]


def _segmentation(
    placed: Sequence[Placed],
    sources: "Sequence[Dataset]",
    series: ReferenceSeries,
    origin: Origin,
    options: ExportOptions,
) -> "Dataset":
    from highdicom.seg import Segmentation

    frames = _frames(placed, series)
    return Segmentation(
        source_images=sources,
        pixel_array=frames,
        segmentation_type="BINARY",
        segment_descriptions=[_description(n, one, origin, options) for n, one in enumerate(placed, start=1)],
        series_instance_uid=origin.uid("series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=origin.uid("instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=__version__[:64],
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=options.description[:64],
        content_creator_name=CREATOR,
        series_description=options.description[:64],
        omit_empty_frames=True,
        transfer_syntax_uid=EXPLICIT,
        specific_character_set="ISO_IR 192",
    )


def _frames(placed: Sequence[Placed], series: ReferenceSeries) -> NDArray[np.uint8]:
    """(frames of the source, rows, columns) of segment numbers where no two overlap, else with an axis of segments."""
    slices, rows, columns = placed[0].shape
    # A file of frames is referred to as a whole and in its own order.
    to = [one.frame for one in series.slices] if series.multi_frame else list(range(slices))
    count = int(series.header.get("NumberOfFrames") or 1) if series.multi_frame else slices
    labels = np.zeros((count, rows, columns), np.uint8)
    for n, one in enumerate(placed, start=1):
        if n > 255 or _overlay(labels, to, one.mask(), n):
            break
    else:
        return labels
    stacked = np.zeros((count, rows, columns, len(placed)), np.uint8)
    for n, one in enumerate(placed):
        stacked[to, :, :, n] = one.mask()
    return stacked


def _overlay(labels: NDArray[np.uint8], to: Sequence[int], mask: NDArray[np.bool_], number: int) -> bool:
    """Set `number` in `labels` where `mask` is; true where something was there before."""
    for frame, plane in zip(to, mask, strict=True):
        if plane.any():
            if labels[frame][plane].any():
                return True
            labels[frame][plane] = number
    return False


def _description(number: int, one: Placed, origin: Origin, options: ExportOptions) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    by_hand = options.algorithm == "MANUAL"
    algorithm = AlgorithmIdentificationSequence(MANUFACTURER, codes.DCM.ArtificialIntelligence, __version__[:64])
    category, what = one.structure.category, one.structure.type_code
    return SegmentDescription(
        segment_number=number,
        segment_label=one.name,
        segmented_property_category=CodedConcept(category[0], "SCT", category[1]),
        segmented_property_type=CodedConcept(what[0], "SCT", what[1]),
        algorithm_type=options.algorithm,
        algorithm_identification=None if by_hand else algorithm,
        tracking_uid=origin.uid(f"segment {number}"),
        tracking_id=one.name,
        display_color=CIELabColor.from_rgb(*one.colour),
    )


def _sources(series: ReferenceSeries) -> tuple["list[Dataset]", list[str]]:
    """The images as highdicom wants to see them, from what was read of them already, and notes on what was missing."""
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage
    from pydicom.valuerep import format_number_as_ds

    common = Dataset()
    notes = copy_patient(common, series)
    if series.multi_frame:
        if len({one.path for one in series.slices}) > 1:
            raise SeriesError(
                "the series lies in several multi-frame files, and a SEG refers to one: export an RTSTRUCT"
            )
        whole = Dataset()
        whole.update(series.header)
        whole.update(common)
        return [whole], notes
    common.Modality = "CT"
    common.SOPClassUID = series.header.get("SOPClassUID") or CTImageStorage
    common.SeriesInstanceUID, common.FrameOfReferenceUID = series.slices[0].series_uid, series.slices[0].frame_uid
    common.Columns, common.Rows = series.shape_ijk[:2]
    di, dj = series.spacing_mm
    common.PixelSpacing = [format_number_as_ds(dj), format_number_as_ds(di)]
    common.SliceThickness = format_number_as_ds(series.slices[0].thickness_mm or float(series.thickness_mm.min()))
    cosines = series.steps_mm / np.linalg.norm(series.steps_mm, axis=1)[:, None]
    common.ImageOrientationPatient = [format_number_as_ds(float(value)) for value in cosines.ravel()]
    images = []
    for one, position in zip(series.slices, series.positions_mm, strict=True):
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID = one.sop_uid
        image.ImagePositionPatient = [format_number_as_ds(float(value)) for value in position]
        images.append(image)
    return images, notes


def _settle(data: Any, series: ReferenceSeries, origin: Origin) -> None:
    """Times and UIDs that highdicom takes from the clock and from chance."""
    origin.sign(data)
    data.ContentDate, data.ContentTime = origin.date, origin.time
    for equipment in data.get("ContributingEquipmentSequence") or []:  # highdicom names itself
        equipment.ContributionDateTime = origin.date + origin.time
    made = data.DimensionOrganizationSequence[0].DimensionOrganizationUID
    for organisation in data.DimensionOrganizationSequence:
        organisation.DimensionOrganizationUID = origin.uid("dimensions")
    for index in data.DimensionIndexSequence:
        if index.DimensionOrganizationUID == made:
            index.DimensionOrganizationUID = origin.uid("dimensions")
    set_character_set(data)


def _compare(path: Path, placed: Sequence[Placed], series: ReferenceSeries) -> None:
    """Raise OutputError unless the file gives every voxel back, at its place."""
    from highdicom.seg import segread

    with quiet_pydicom():
        seg = segread(path)
        pixels = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
        _, rows, columns = placed[0].shape
        found = [np.zeros(one.shape, np.bool_) for one in placed]
        shared = seg.SharedFunctionalGroupsSequence[0]
        frames = seg.PerFrameFunctionalGroupsSequence
        for n, frame in enumerate(frames):
            group = frame if "SegmentIdentificationSequence" in frame else shared  # where there is but one segment
            number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            k = _slice_at(position, series)
            plane = pixels[n * rows * columns : (n + 1) * rows * columns].reshape(rows, columns)
            if not plane.any():
                raise OutputError("the SEG was not written: read back, a frame is empty")
            found[number - 1][k] |= plane.view(np.bool_)
    for one, mask in zip(placed, found, strict=True):
        lost = difference(one, mask)
        if lost.voxels:
            raise OutputError(
                f"the SEG was not written: read back, {lost.voxels} voxels of {one.name} differ (Dice {lost.dice:.4f})"
            )


def _slice_at(position_mm: Array, series: ReferenceSeries) -> int:
    off = np.linalg.norm(series.positions_mm - position_mm, axis=1)
    k = int(off.argmin())
    if off[k] > SAME_MM:
        raise OutputError(f"the SEG was not written: read back, a frame lies {off[k]:.3f} mm from any slice")
    return k
