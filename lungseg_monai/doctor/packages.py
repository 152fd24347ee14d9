"""Which packages are installed, by their metadata: importing the heavy ones would take seconds."""

import platform
from importlib.metadata import PackageNotFoundError, version

# What cannot be done without, then what extras bring.
NEEDED = ("lungseg-monai", "numpy", "scipy", "scikit-image", "SimpleITK", "pydicom", "nibabel", "highdicom", "isal")
OTHERS = ("openvino", "onnxruntime", "torch", "monai", "connected-components-3d", "fill-voids")
SHOWN = (*NEEDED, *OTHERS)
# package -> the extra of setup.cfg that brings it, and what it is good for
OPTIONAL = {
    "openvino": ("segment", "lungseg segment on a CPU: the fastest backend"),
    "onnxruntime": ("segment", "lungseg segment on a CPU"),
    "connected-components-3d": ("segment", "faster clean-up of masks"),
    "fill-voids": ("segment", "faster clean-up of masks"),
    "torch": ("train", "training, GPUs"),
    "monai": ("train", "training"),
    "matplotlib": ("train", "lungseg report of a run"),
    "jinja2": ("train", "lungseg report"),
}


def installed(package: str) -> str | None:
    """Its version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """Package -> version, or None where it is not installed."""
    return {"python": platform.python_version()} | {name: installed(name) for name in SHOWN}


def optional() -> list[dict[str, str]]:
    """What is not installed: package, good_for, install."""
    return [
        {"package": name, "good_for": use, "install": f"pip install 'lungseg-monai[{extra}]'"}
        for name, (extra, use) in OPTIONAL.items()
        if installed(name) is None
    ]


def problems() -> list[str]:
    return [f"{name} is not installed: pip install lungseg-monai" for name in NEEDED if installed(name) is None]
