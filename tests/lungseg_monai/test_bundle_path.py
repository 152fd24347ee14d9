"""Bundles are found by name, without importing anything heavy."""

import subprocess
import sys

import pytest

from lungseg_monai import bundle, bundle_path
from lungseg_monai.errors import UsageError


def test_an_installed_copy_comes_before_the_checkout(tmp_path, monkeypatch):
    for place in ("installed", "checkout"):
        (tmp_path / place / "x" / "configs").mkdir(parents=True)
    monkeypatch.setattr(bundle, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.setattr(bundle, "INSTALLED", tmp_path / "nowhere")
    assert bundle_path("x") == tmp_path / "checkout" / "x"
    monkeypatch.setattr(bundle, "INSTALLED", tmp_path / "installed")
    assert bundle_path("x") == tmp_path / "installed" / "x"


@pytest.mark.parametrize("name", ["ct_lung_unet", "", "../bundles/ct_lung_unet2d/configs"])
def test_an_unknown_name_is_told_with_the_known_ones(name):
    with pytest.raises(UsageError, match=r"there are: .*ct_lung_unet2d"):
        bundle_path(name)


def test_importing_the_package_is_light():
    code = "import sys, lungseg_monai; sys.exit(', '.join({'torch', 'monai', 'numpy', 'nibabel'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""
