"""Networks: one paper, one file. What is exported here is found and tested by tests/networks."""

from lungseg_monai.networks.lung_unet3d import LungUNet3D
from lungseg_monai.networks.unet2d import GaoUNet

__all__ = ["GaoUNet", "LungUNet3D"]
