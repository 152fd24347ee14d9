"""Networks: one paper, one file. What is exported here is found and tested by tests/networks."""

from lungseg_monai.networks.cxr_deeplabv3 import CxrDeepLabV3
from lungseg_monai.networks.cxr_fcnn import CxrFCNN
from lungseg_monai.networks.cxr_unet import CxrUNet
from lungseg_monai.networks.dilated_unet import DilatedUNet
from lungseg_monai.networks.lung_unet3d import LungUNet3D
from lungseg_monai.networks.lungnet import LungNet2D
from lungseg_monai.networks.lungnet3d import LungNet3D
from lungseg_monai.networks.recurrent_denseunet import RecurrentDenseUNet3D
from lungseg_monai.networks.resnet50_unet import ResNet50UNet
from lungseg_monai.networks.unet2d import GaoUNet
from lungseg_monai.networks.vgg_segnet import VggSegNet

__all__ = [
    "CxrDeepLabV3",
    "CxrFCNN",
    "CxrUNet",
    "DilatedUNet",
    "GaoUNet",
    "LungNet2D",
    "LungNet3D",
    "LungUNet3D",
    "RecurrentDenseUNet3D",
    "ResNet50UNet",
    "VggSegNet",
]
