"""Networks: one paper, one file. What is exported here is found and tested by tests/networks."""

from lungseg_monai.networks.lung_unet3d import LungUNet3D
from lungseg_monai.networks.lungnet import LungNet2D
from lungseg_monai.networks.lungnet3d import LungNet3D
from lungseg_monai.networks.recurrent_denseunet import RecurrentDenseUNet3D
from lungseg_monai.networks.unet2d import GaoUNet

__all__ = ["GaoUNet", "LungNet2D", "LungNet3D", "LungUNet3D", "RecurrentDenseUNet3D"]
