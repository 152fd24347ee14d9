"""A wheel carries the bundles and the data files with it, and an installed copy finds them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lungseg_monai import bundle_path

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.name for path in (ROOT / "bundles").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory) -> Path:
    """The wheel built from a copy of what git tracks, unpacked: what pip would install."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of what belongs to the project")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    # The environment's own setuptools: a test must not reach for a package registry.
    build = "from setuptools.build_meta import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize("name", BUNDLES)
def test_the_wheel_carries_the_bundle(unpacked_wheel, name):
    code = "import sys, lungseg_monai; print(lungseg_monai.bundle_path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        cwd=unpacked_wheel,
        env={"PYTHONPATH": str(unpacked_wheel)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    installed = Path(done.stdout.strip())
    assert installed.is_relative_to(unpacked_wheel)
    for file in (ROOT / "bundles" / name).rglob("*"):
        if file.is_file() and ".gitkeep" not in file.name:
            assert (installed / file.relative_to(ROOT / "bundles" / name)).read_bytes() == file.read_bytes()


def test_the_wheel_carries_data_files_and_only_our_packages(unpacked_wheel):
    assert (unpacked_wheel / "data_prep" / "roi_labels.json").is_file()
    packages = {path.name for path in unpacked_wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert packages == {"data_prep", "lungseg_monai"}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_checkout_finds_its_own_bundles(name):
    assert bundle_path(name) == ROOT / "bundles" / name
