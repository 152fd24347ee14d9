"""Chests made from a seed, to train and test on: no patient's data in them. numpy and scipy alone.

`make_scene(seed, index)` makes one. What counts as lung stands in docs/reference/lung-convention.md.
"""

from lungseg_monai.synthesis.chest import Chest, Scene
from lungseg_monai.synthesis.scene import DEFAULTS, SceneOptions, make_scene

__all__ = ["DEFAULTS", "Chest", "Scene", "SceneOptions", "make_scene"]
