"""Back to DICOM: masks -> RTSTRUCT or SEG on the series they belong to, checked by reading them back."""

from data_prep.export.masks_in import find_masks, parse_labels, read_masks
from data_prep.export.reference import ReferenceSeries, read_reference, reference_of
from data_prep.export.regions import ExportOptions, ExportReport, MaskError, Refused, Region, RtstructOptions, Written
from data_prep.export.rtstruct_file import write_rtstruct
from data_prep.export.seg_file import write_seg

__all__ = [
    "ExportOptions",
    "ExportReport",
    "MaskError",
    "ReferenceSeries",
    "Refused",
    "Region",
    "RtstructOptions",
    "Written",
    "find_masks",
    "parse_labels",
    "read_masks",
    "read_reference",
    "reference_of",
    "write_rtstruct",
    "write_seg",
]
