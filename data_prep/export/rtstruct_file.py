"""Regions -> an RTSTRUCT (PS3.3 A.19), checked by reading it back before it is put in place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UsageError
from data_prep.export.check import Difference, difference, publish, read_masks_back
from data_prep.export.drawing import Placed, content_hash, nothing_left, place
from data_prep.export.encode import contour_data, file_bytes
from data_prep.export.keyhole import join_holes
from data_prep.export.limits import refuse_speckle
from data_prep.export.origin import Origin, copy_patient, set_character_set
from data_prep.export.outline import outlines
from data_prep.export.reference import ReferenceSeries
from data_prep.export.regions import ExportReport, MaskError, Refused, Region, RtstructOptions, Written
from data_prep.export.simplify import simplify
from data_prep.export.structures import TISSUE
from data_prep.rtstruct import CONTOUR_DATA, RTSTRUCT

if TYPE_CHECKING:
    from pydicom import Dataset

STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # retired; what planning systems still write and expect here
IMPLICIT = "1.2.840.10008.1.2"
SERIES_NUMBER = 901
DEFAULTS = RtstructOptions()


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour on slice k. data: the value of ContourData; points: how many it holds."""

    k: int
    data: bytes
    points: int


def write_rtstruct(
    masks: Iterable[Region | Refused],
    series: ReferenceSeries,
    path: Path,
    options: RtstructOptions = DEFAULTS,
) -> ExportReport:
    """Write `masks` as one RTSTRUCT that refers to `series`, and return what became of each.

    Masks lie on any grid that has the series' voxels, axes permuted or flipped (see align.align). The file is read
    back by rtstruct.read_rtstruct and rasterize.rasterize before it appears at `path`: a region that does not give the
    same voxels is left out, unless options.allow_loss; so is one of more contours than limits.py allows.
    Raises NothingToDoError where no mask is left, UsageError for options that make no sense or another's file there,
    OutputError where `path` can't be written.
    """
    _refuse_nonsense(options)
    placed, refused = place(masks, series, options)
    placed, contours = _traced(placed, series, options, refused)
    while placed:
        data, notes = _data_set(placed, contours, series, options)
        # In explicit encodings ContourData has a length of 16 bits, too short for some 2,000 points.
        found: list[Difference] = []
        with publish(path, file_bytes(data, IMPLICIT), RTSTRUCT) as draft:
            back = read_masks_back(draft.path, series)
            found = [difference(one, mask) for one, mask in zip(placed, back, strict=True)]
            draft.approved = options.allow_loss or not any(one.voxels for one in found)
        if draft.approved:
            written = [_written(*one) for one in zip(placed, contours, found, strict=True)]
            return ExportReport(path, written, refused, [*series.notes, *notes])
        refused += [_lossy(one, lost) for one, lost in zip(placed, found, strict=True) if lost.voxels]
        kept = [n for n, lost in enumerate(found) if not lost.voxels]
        placed, contours = [placed[n] for n in kept], [contours[n] for n in kept]
    raise nothing_left(refused)


def _refuse_nonsense(options: RtstructOptions) -> None:
    if not 0 <= options.simplify_mm < 100:
        raise UsageError(f"contours may leave their points by 0 to 100 mm, not {options.simplify_mm}")
    if not 1 <= len(options.label) <= 16 or not options.label.isprintable() or "\\" in options.label:
        raise UsageError(
            f"StructureSetLabel (3006,0002) has 1 to 16 characters and no backslash; got {options.label!r}"
        )


def _lossy(one: Placed, lost: Difference) -> Refused:
    return Refused(
        one.found_as,
        f"read back, {lost.voxels} voxels differ (Dice {lost.dice:.4f}): allow it (--allow-loss), or write more points",
    )


def _written(one: Placed, contours: Sequence[Contour], lost: Difference) -> Written:
    return Written(
        name=one.name,
        found_as=one.found_as,
        voxels=one.voxels,
        volume_ml=round(one.volume_ml, 3),
        contours=len(contours),
        points=sum(contour.points for contour in contours),
        differing=lost.voxels,
        dice=lost.dice,
        notes=one.notes,
    )


def _traced(
    placed: Sequence[Placed], series: ReferenceSeries, options: RtstructOptions, refused: list[Refused]
) -> tuple[list[Placed], list[list[Contour]]]:
    """The regions with their contours; one that would take too many is put to `refused`."""
    kept, contours = [], []
    for one in placed:
        mask = one.mask()
        try:
            refuse_speckle(mask)
        except MaskError as error:
            refused.append(Refused(one.found_as, str(error)))
            continue
        kept.append(one)
        contours.append(_contours(mask, series, options))
    return kept, contours


def _contours(mask: NDArray[np.bool_], series: ReferenceSeries, options: RtstructOptions) -> list[Contour]:
    contours = []
    for k in range(len(mask)):
        rings = outlines(mask[k], options.contour_style)
        if not rings:
            continue
        if options.holes == "keyhole":
            rings = join_holes(rings)
        if options.simplify_mm:
            rings = [simplify(ring, options.simplify_mm, series.spacing_mm) for ring in rings]
        texts = contour_data([series.points_mm(k, ring.points_ij) for ring in rings])
        contours += [Contour(k, text, len(ring.points_ij)) for ring, text in zip(rings, texts, strict=True)]
    return contours


def _data_set(
    placed: Sequence[Placed], contours: Sequence[Sequence[Contour]], series: ReferenceSeries, options: RtstructOptions
) -> tuple["Dataset", list[str]]:
    from pydicom import Dataset

    origin = Origin(series, content_hash(list(placed), options), options.timestamp)
    data = Dataset()
    notes = copy_patient(data, series)
    origin.sign(data)
    data.SOPClassUID, data.SOPInstanceUID = RTSTRUCT, origin.uid("instance")
    data.Modality = "RTSTRUCT"
    data.SeriesInstanceUID, data.SeriesNumber = origin.uid("series"), SERIES_NUMBER
    data.SeriesDescription = options.description[:64]
    data.OperatorsName = ""
    data.InstanceNumber = 1
    frame_uid = data.FrameOfReferenceUID = series.slices[0].frame_uid
    if "PositionReferenceIndicator" not in data:
        data.PositionReferenceIndicator = ""
    data.StructureSetLabel, data.StructureSetName = options.label, options.label
    data.StructureSetDate, data.StructureSetTime = origin.date, origin.time
    images = _images(series)
    data.ReferencedFrameOfReferenceSequence = [_frame_of_reference(series, images)]
    numbered = list(enumerate(placed, start=1))
    data.StructureSetROISequence = [_roi(n, one, frame_uid, options) for n, one in numbered]
    data.RTROIObservationsSequence = [_observation(n, one) for n, one in numbered]
    data.ApprovalStatus = "UNAPPROVED"
    set_character_set(data)
    data.ROIContourSequence = [_drawn(n, one, contours[n - 1], images) for n, one in numbered]
    return data, notes


def _images(series: ReferenceSeries) -> list["Dataset"]:
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage

    images = []
    for one in series.slices:
        image = Dataset()
        image.ReferencedSOPClassUID = series.header.get("SOPClassUID") or CTImageStorage
        image.ReferencedSOPInstanceUID = one.sop_uid
        if series.multi_frame:
            image.ReferencedFrameNumber = one.frame + 1
        images.append(image)
    return images


def _frame_of_reference(series: ReferenceSeries, images: Sequence["Dataset"]) -> "Dataset":
    from pydicom import Dataset

    one, study, frame = Dataset(), Dataset(), Dataset()
    one.SeriesInstanceUID = series.slices[0].series_uid
    one.ContourImageSequence = list(images)
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_MANAGEMENT, series.slices[0].study_uid
    study.RTReferencedSeriesSequence = [one]
    frame.FrameOfReferenceUID = series.slices[0].frame_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(number: int, one: Placed, frame_uid: str, options: RtstructOptions) -> "Dataset":
    from pydicom import Dataset

    roi = Dataset()
    roi.ROINumber, roi.ROIName = number, one.name
    roi.ReferencedFrameOfReferenceUID = frame_uid
    roi.ROIGenerationAlgorithm = options.algorithm
    return roi


def _drawn(number: int, one: Placed, contours: Sequence[Contour], images: Sequence["Dataset"]) -> "Dataset":
    from pydicom import Dataset
    from pydicom.charset import default_encoding
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    drawn, items, tag = Dataset(), [], Tag(CONTOUR_DATA)
    drawn.ROIDisplayColor = list(one.colour)
    for contour in contours:
        item = Dataset()
        item.ContourImageSequence = [images[contour.k]]
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.NumberOfContourPoints = contour.points
        # The finished bytes, marked as encoded for this file: pydicom would make an object of each number first.
        item.set_original_encoding(True, True, default_encoding)
        item[tag] = RawDataElement(tag, "DS", len(contour.data), contour.data, 0, True, True)
        items.append(item)
    drawn.ContourSequence = items
    drawn.ReferencedROINumber = number
    return drawn


def _observation(number: int, one: Placed) -> "Dataset":
    from pydicom import Dataset

    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    if one.structure.type_code[0] != TISSUE:
        code = Dataset()
        code.CodeValue, code.CodeMeaning = one.structure.type_code
        code.CodingSchemeDesignator = "SCT"
        observation.RTROIIdentificationCodeSequence = [code]
    observation.RTROIInterpretedType = one.structure.kind
    observation.ROIInterpreter = ""
    return observation
