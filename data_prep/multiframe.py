"""Enhanced CT and Legacy Converted Enhanced CT: one slice header a frame, out of the functional groups."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import SeriesError
from data_prep.slices import PixelFormat, SliceHeader, number, numbers, slice_header, text

if TYPE_CHECKING:
    from data_prep.files import Header

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# To be read beside slices.SLICE_TAGS. A file that holds them is read by pydicom, whole sequences at a time.
FRAME_TAGS = (SHARED, PER_FRAME)


def expand_frames(path: Path, header: "Header") -> list[SliceHeader]:
    """One SliceHeader a frame, in the order of the file; `header` was read with SLICE_TAGS and FRAME_TAGS.

    A frame's own functional group beats the shared one (PS3.3 C.7.6.16). Position, orientation, spacing and rescale are
    taken from there alone: beside functional groups the top-level tags have no meaning. Image type, kernel and
    acquisition come from the top level where no group says them. Localizer frames carry it in `image_type`.
    Raises SeriesError naming the tag and the first frame where something is missing, and where NumberOfFrames
    contradicts the functional groups.
    """
    base = slice_header(path, header)
    shared = _items(header.dataset, SHARED)
    frames = _items(header.dataset, PER_FRAME)
    stated = text(header.dataset, "NumberOfFrames")
    if not frames:
        raise SeriesError(f"{path.name} has no PerFrameFunctionalGroupsSequence (5200,9230): its frames have no place")
    if stated != str(len(frames)):
        raise SeriesError(
            f"NumberOfFrames (0028,0008) is {stated or 'missing'} in {path.name}, and there are functional groups "
            f"(5200,9230) for {len(frames)} frame(s): it is not known which pixels belong where"
        )
    if len(shared) > 1:
        raise SeriesError(
            f"SharedFunctionalGroupsSequence (5200,9229) has {len(shared)} items in {path.name}; wanted 1"
        )
    return [_one_frame(base, n, [own, *shared]) for n, own in enumerate(frames)]


def _one_frame(base: SliceHeader, frame: int, groups: Sequence[Any]) -> SliceHeader:
    """The header of one frame. groups: its own functional groups, then the shared ones."""
    measures = _macro(groups, "PixelMeasuresSequence")
    content = _macro(groups, "FrameContentSequence")
    frame_type = text(_macro(groups, "CTImageFrameTypeSequence"), "FrameType").upper()
    found = replace(
        base,
        frame=frame,
        position_mm=numbers(_macro(groups, "PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(_macro(groups, "PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers(measures, "PixelSpacing", 2),
        thickness_mm=number(measures, "SliceThickness"),
        image_type=tuple(part.strip() for part in frame_type.split("\\")) if frame_type else base.image_type,
        kernel=text(_macro(groups, "CTReconstructionSequence"), "ConvolutionKernel") or base.kernel,
        acquisition=text(content, "FrameAcquisitionNumber") or base.acquisition,
        temporal_position=text(content, "TemporalPositionIndex") or base.temporal_position,
        pixels=_pixels(base.pixels, _macro(groups, "PixelValueTransformationSequence")),
    )
    _require_all(found)
    return found


def _pixels(pixels: PixelFormat, transformation: Any) -> PixelFormat:
    return replace(
        pixels,
        slope=number(transformation, "RescaleSlope"),
        intercept=number(transformation, "RescaleIntercept"),
        rescale_type=text(transformation, "RescaleType").upper(),
        by_frame=True,
    )


def _require_all(one: SliceHeader) -> None:
    required = {
        "ImagePositionPatient (0020,0032) of PlanePositionSequence (0020,9113)": one.position_mm,
        "ImageOrientationPatient (0020,0037) of PlaneOrientationSequence (0020,9116)": one.orientation,
        "PixelSpacing (0028,0030) of PixelMeasuresSequence (0028,9110)": one.pixel_spacing_mm,
        "RescaleSlope (0028,1053) of PixelValueTransformationSequence (0028,9145)": one.pixels.slope,
        "RescaleIntercept (0028,1052) of PixelValueTransformationSequence (0028,9145)": one.pixels.intercept,
    }
    for tag, value in required.items():
        if value is None and "LOCALIZER" not in one.image_type:
            raise SeriesError(f"{tag} is missing or unusable in frame {one.frame + 1} of {one.path.name}")


def _macro(groups: Sequence[Any], keyword: str) -> Any:
    """The functional group `keyword` of the first that holds it; an empty one where none does."""
    for group in groups:
        items = _items(group, keyword)
        if items:
            return items[0]
    return {}


def _items(data: Any, keyword: str) -> list[Any]:
    try:
        return list(data.get(keyword) or [])
    except (ValueError, TypeError, LookupError, AttributeError, OSError, NotImplementedError):
        return []
