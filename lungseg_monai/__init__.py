"""lungseg-monai: lungs and lung tumours out of chest images, on MONAI. Importing it loads neither torch nor MONAI."""

from lungseg_monai.bundle import bundle_path

__all__ = ["bundle_path"]
