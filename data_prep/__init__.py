"""DICOM CT and RTSTRUCT to NIfTI and dataset.json. Never imports torch or MONAI."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lungseg-monai")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
