"""Which versions made a file."""

from importlib.metadata import version

from data_prep import __version__


def tool_versions() -> dict[str, str]:
    """Package name -> version, of what the voxels depend on."""
    return {"lungseg-monai": __version__, "pydicom": version("pydicom"), "numpy": version("numpy")}
