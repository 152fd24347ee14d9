"""Single-frame CT slices -> one enhanced multi-frame CT (PS3.3 A.38): positions, spacing and rescale by frame."""

from collections.abc import Sequence

from pydicom import Dataset

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
PER_SLICE = (
    "SOPInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SliceLocation",
    "InstanceNumber",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "PixelData",
    "ConvolutionKernel",
    "KVP",
)


def join_frames(slices: Sequence[Dataset]) -> Dataset:
    """One data set of all slices, in the order given."""
    first = slices[0]
    data = Dataset()
    data.update({element.tag: element for element in first if element.keyword not in PER_SLICE})
    data.SOPClassUID = ENHANCED_CT
    data.SOPInstanceUID = first.SeriesInstanceUID + ".1" if len(first.SeriesInstanceUID) < 62 else first.SOPInstanceUID
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.InstanceNumber = 1
    data.NumberOfFrames = len(slices)
    data.PixelPresentation, data.VolumetricProperties = "MONOCHROME", "VOLUME"
    data.VolumeBasedCalculationTechnique = "NONE"
    data.PresentationLUTShape, data.BurnedInAnnotation, data.LossyImageCompression = "IDENTITY", "NO", "00"
    data.SharedFunctionalGroupsSequence = [_shared(first)]
    data.PerFrameFunctionalGroupsSequence = [_of_frame(one, number) for number, one in enumerate(slices, start=1)]
    data.DimensionOrganizationSequence, data.DimensionIndexSequence = [_organization(data)], [_index(data)]
    data.PixelData = b"".join(one.PixelData for one in slices)
    data["PixelData"].VR = "OW"
    return data


def _shared(first: Dataset) -> Dataset:
    measures, orientation, rescale, frame_type, groups = (Dataset() for _ in range(5))
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    rescale.RescaleIntercept, rescale.RescaleSlope = first.RescaleIntercept, first.RescaleSlope
    rescale.RescaleType = "HU"
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    frame_type.PixelPresentation, frame_type.VolumetricProperties = "MONOCHROME", "VOLUME"
    frame_type.VolumeBasedCalculationTechnique = "NONE"
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [measures], [orientation]
    groups.PixelValueTransformationSequence, groups.CTImageFrameTypeSequence = [rescale], [frame_type]
    return groups


def _of_frame(one: Dataset, number: int) -> Dataset:
    content, position, groups = Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", number, [number]
    position.ImagePositionPatient = one.ImagePositionPatient
    groups.FrameContentSequence, groups.PlanePositionSequence = [content], [position]
    return groups


def _organization(data: Dataset) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = data.SeriesInstanceUID
    return item


def _index(data: Dataset) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = data.SeriesInstanceUID
    item.DimensionIndexPointer, item.FunctionalGroupPointer = 0x00209057, 0x00209111
    return item
