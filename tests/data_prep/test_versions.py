"""Versions are those of the package's metadata, found at little cost."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from data_prep.versions import installed_version, tool_versions


@pytest.mark.parametrize("package", ["numpy", "pydicom", "nibabel", "tqdm"])
def test_versions_are_what_importlib_gives(package):
    assert installed_version(package) == version(package)


def test_two_sets_of_metadata_are_left_to_importlib(tmp_path, monkeypatch):
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PackageNotFoundError):
        installed_version("made_up")
    for number in ("1.0", "2.0"):
        folder = tmp_path / f"made_up-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made_up\nVersion: {number}\n\nVersion: 9\n")
        assert installed_version("made_up") == version("made_up")


def test_asking_imports_neither_package_nor_importlib_metadata():
    code = (
        "import sys; from data_prep.versions import tool_versions; tool_versions(); "
        "sys.exit('pydicom' in sys.modules or 'importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(tool_versions()) == {"lungseg-monai", "pydicom", "numpy"}
