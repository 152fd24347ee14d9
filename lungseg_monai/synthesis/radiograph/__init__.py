"""Radiographs projected from made chests, their lungs known: `make_radiograph(seed, index)`. numpy, scipy, Pillow.

What `anatomical` and `visible` mean, and how they are made, stands in docs/reference/made-radiographs.md.
"""

from lungseg_monai.synthesis.radiograph.make import DEFAULTS, TINY, Radiograph, RadiographOptions, make_radiograph

__all__ = ["DEFAULTS", "TINY", "Radiograph", "RadiographOptions", "make_radiograph"]
