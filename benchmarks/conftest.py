"""A full-size patient for the benchmarks, made once a run."""

from pathlib import Path

import pytest

from data_prep.convert import convert
from data_prep.phantom import PhantomOptions, write_cohort

# Brings this patient's field of view and height to 512 x 512 x 200 voxels.
OPTIONS = PhantomOptions(size="full", spacing_mm=(0.9766, 0.9766, 1.83))


@pytest.fixture(scope="session")
def full_dicom(tmp_path_factory) -> Path:
    """One phantom patient of 512 x 512 x 200 voxels as DICOM CT and RTSTRUCT."""
    folder = tmp_path_factory.mktemp("full")
    write_cohort(folder, patients=1, seed=0, options=OPTIONS)
    return folder


@pytest.fixture(scope="session")
def full_prepared(full_dicom, tmp_path_factory) -> Path:
    """The same patient, prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    convert(full_dicom, folder)
    return folder
