"""X-rays and their masks, in picture files or DICOM -> PNG and dataset.json: `prepare`."""

from data_prep.radiographs.options import RadiographOptions
from data_prep.radiographs.prepare import PrepareResult, prepare

__all__ = ["PrepareResult", "RadiographOptions", "prepare"]
