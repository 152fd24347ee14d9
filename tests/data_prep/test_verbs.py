"""`import data_prep`: a few verbs, found late, never shadowed by the modules of the same names."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import Ct, boxes, write_ct, write_rtstruct

import data_prep


@pytest.mark.parametrize("name", sorted(data_prep.VERBS))
def test_each_verb_is_what_its_module_holds(name):
    script = (
        "import data_prep, importlib, types\n"
        f"module = importlib.import_module({data_prep.VERBS[name]!r})\n"  # binds the module to the package first
        f"assert data_prep.{name} is module.{name}\n"
        f"assert not isinstance(data_prep.{name}, types.ModuleType) and {name!r} in dir(data_prep)\n"
        f"from data_prep import {name}\n"
        f"assert {name} is module.{name}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_the_package_imports_nothing_else():
    script = "import sys, data_prep; sys.exit(any(m in sys.modules for m in ('numpy', 'pydicom', 'nibabel')))"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'scam'"):
        data_prep.scam  # noqa: B018


def test_from_files_to_a_mask(tmp_path):
    ct = Ct()
    write_ct(tmp_path / "ct", ct)
    struct = write_rtstruct(tmp_path / "rs", ct, {"Lung-Left": boxes(ct, 2)})
    array_ijk, grid = data_prep.read_series(list((tmp_path / "ct").iterdir()))
    (roi,) = data_prep.read_rtstruct(struct)
    mask_ijk, report = data_prep.rasterize(roi.contours_mm, grid)
    assert array_ijk.shape == mask_ijk.shape == grid.shape_ijk and report.voxels == 4 * 6 * 3
    np.testing.assert_allclose(grid.affine_lps, ct.affine_lps, atol=1e-6)
    result = data_prep.convert(tmp_path, tmp_path / "out", options=data_prep.ConvertOptions(salt=b"0" * 32))
    assert result.exit_code == 0 and data_prep.verify(tmp_path / "out").problems == []
    assert list(data_prep.scan(tmp_path, skip=tmp_path / "out").series) == [ct.series_uid]


def test_the_version_is_that_of_the_package():
    config = ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg")
    assert config["metadata"]["version"] == data_prep.__version__
