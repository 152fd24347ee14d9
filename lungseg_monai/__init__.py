"""lungseg-monai: lungs and lung tumours out of chest images, on MONAI. Importing it loads neither torch nor MONAI."""

from typing import TYPE_CHECKING, Any

from lungseg_monai.bundle import bundle_path

if TYPE_CHECKING:
    from lungseg_monai.segmenter import Segmenter

__all__ = ["Segmenter", "bundle_path"]


def __getattr__(name: str) -> Any:
    if name != "Segmenter":
        raise AttributeError(f"module 'lungseg_monai' has no attribute {name!r}")
    from lungseg_monai.segmenter import Segmenter

    return Segmenter


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
