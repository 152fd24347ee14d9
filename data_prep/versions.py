"""Which versions made a file."""

from importlib.util import find_spec
from pathlib import Path

from data_prep import __version__


def tool_versions() -> dict[str, str]:
    """Package name -> version, of what the voxels depend on."""
    return {"lungseg-monai": __version__, "pydicom": installed_version("pydicom"), "numpy": installed_version("numpy")}


def installed_version(package: str) -> str:
    """The version that importlib.metadata gives, found without importing that: it takes longer than many a case.

    Raises PackageNotFoundError where the package is not installed.
    """
    spec = find_spec(package)
    if spec is not None and spec.origin:
        found = list(Path(spec.origin).parents[1].glob(f"{package}-*.dist-info/METADATA"))
        version = _stated_version(found[0]) if len(found) == 1 else ""
        if version:
            return version
    from importlib.metadata import version as ask

    return ask(package)


def _stated_version(metadata: Path) -> str:
    with metadata.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():  # the end of the header
                break
            if line.startswith("Version:"):
                return line.partition(":")[2].strip()
    return ""
