"""Chest CT and what was drawn on it, from DICOM to NIfTI and back. Never imports torch or MONAI.

The verbs, each found where its module is; nothing is imported before it is asked for:

    scan(source)                    what a folder holds           data_prep.scan
    convert(source, out)            DICOM -> NIfTI, many cases    data_prep.convert
    read_series(files)              one CT series -> array, grid  data_prep.series
    read_rtstruct(path)             ROIs with contours in mm      data_prep.rtstruct
    rasterize(contours_mm, grid)    contours -> mask              data_prep.rasterize
    coverage(contours_mm, grid)     contours -> share of pixels   data_prep.coverage
    verify(out)                     are the files as written      data_prep.verify
    write_rtstruct, write_seg       masks -> DICOM                data_prep.export
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.3.0"  # setup.cfg says the same; read from there it would cost more than `--help` does

VERBS = {
    "scan": "data_prep.scan",
    "convert": "data_prep.convert",
    "read_series": "data_prep.series",
    "read_rtstruct": "data_prep.rtstruct",
    "rasterize": "data_prep.rasterize",
    "coverage": "data_prep.coverage",
    "verify": "data_prep.verify",
    "write_rtstruct": "data_prep.export",
    "write_seg": "data_prep.export",
    "write_nifti": "data_prep.nifti",
    "Grid": "data_prep.geometry",
    "ConvertOptions": "data_prep.options",
    "StackOptions": "data_prep.options",
    "MaskOptions": "data_prep.options",
}


class _Package(ModuleType):
    """A package in which `scan` is the verb and not the module that Python would bind to its name on import."""

    def __setattr__(self, name: str, value: Any) -> None:
        is_module = isinstance(value, ModuleType) and VERBS.get(name) == value.__name__
        super().__setattr__(name, getattr(value, name) if is_module else value)

    def __getattr__(self, name: str) -> Any:
        if name not in VERBS:
            raise AttributeError(f"module 'data_prep' has no attribute {name!r}")
        return getattr(import_module(VERBS[name]), name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *VERBS})


sys.modules[__name__].__class__ = _Package
