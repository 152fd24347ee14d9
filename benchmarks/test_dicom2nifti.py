"""`lungseg-prep dicom2nifti` of 512x512x200 with RTSTRUCT as a whole process, beside SimpleITK on the CT alone."""

import itertools
import subprocess
import sys

import pytest

pytestmark = pytest.mark.benchmark(group="dicom2nifti 512x512x200, whole process")
ROUNDS = 3

SIMPLEITK = """
import sys
import SimpleITK as sitk
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
sitk.WriteImage(reader.Execute(), sys.argv[2])
"""

RT_UTILS = """
import sys
from pathlib import Path
from rt_utils import RTStructBuilder
(rtstruct,) = Path(sys.argv[2]).iterdir()
structures = RTStructBuilder.create_from(dicom_series_path=sys.argv[1], rt_struct_path=str(rtstruct))
masks = {name: structures.get_roi_mask_by_name(name) for name in structures.get_roi_names()}
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def test_help(benchmark):
    benchmark.pedantic(run, (sys.executable, "-m", "data_prep.cli", "--help"), rounds=ROUNDS)


def test_ct_and_rtstruct(benchmark, full_dicom, tmp_path):
    number = itertools.count()

    def convert() -> None:
        run(sys.executable, "-m", "data_prep.cli", "dicom2nifti", str(full_dicom), str(tmp_path / str(next(number))))

    benchmark.pedantic(convert, rounds=ROUNDS, warmup_rounds=1)


def test_simpleitk_ct_only(benchmark, full_dicom, tmp_path):
    (ct,) = full_dicom.glob("*/ct")
    command = (sys.executable, "-c", SIMPLEITK, str(ct), str(tmp_path / "image.nii.gz"))
    benchmark.pedantic(run, command, rounds=ROUNDS, warmup_rounds=1)


def test_rt_utils_masks_only(benchmark, full_dicom):
    pytest.importorskip("rt_utils", reason="rt-utils is not installed: the extra `peers`", exc_type=ImportError)
    (ct,) = full_dicom.glob("*/ct")
    command = (sys.executable, "-c", RT_UTILS, str(ct), str(ct.with_name("rtstruct")))
    benchmark.pedantic(run, command, rounds=ROUNDS, warmup_rounds=1)
