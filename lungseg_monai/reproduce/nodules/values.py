"""Features of regions: those made by hand, those of the network's encoder, and both in one row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.features.deep import deep_features
from lungseg_monai.features.join import handcrafted, join, random_half
from lungseg_monai.reproduce.nodules.regions import Region

if TYPE_CHECKING:
    from torch import nn

CROP = 64  # pixels of the square in which the encoder sees a region: 2 x 2 of them are left at its end
SETS = {"handcrafted": "PHOG, GLCM, LBP", "deep": "the encoder's", "joined": "half of the handcrafted, and the deep"}


def feature_sets(regions: Sequence[Region], network: "nn.Module", seed: int) -> Mapping[str, NDArray[np.float32]]:
    """(regions, values) for each of SETS. `seed` draws the half of the handcrafted, once for all regions."""
    by_hand, deep = [], []
    for region in regions:
        names, values = handcrafted(region.image, region.mask)
        by_hand.append(values)
        deep.append(deep_features(network, crop_around(region)))
    half = random_half(names, seed)
    joined = [join({"deep": one, "handcrafted": other[half]})[1] for one, other in zip(deep, by_hand, strict=True)]
    return {"handcrafted": np.stack(by_hand), "deep": np.stack(deep), "joined": np.stack(joined)}


def crop_around(region: Region, side: int = CROP) -> NDArray[np.float32]:
    """(side, side) of the slice around the region's centre; all that is not of the region is air, 0.

    As the paper, which classifies the nodule that was cut out.
    """
    row, column = region.centre
    padded = np.pad(np.where(region.mask, region.image, np.float32(0)), side // 2)
    return padded[row : row + side, column : column + side]
