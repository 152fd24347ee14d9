"""Noise smoothed away by a Gaussian kernel of a stated size."""

import numpy as np

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.grey import Picture


def gaussian_blur(picture: Picture, sigma: float = 1.1, radius: int = 2) -> Picture:
    """float32 (H, W) of that shape; the kernel has 2 * radius + 1 pixels a side, sigma is in pixels.

    The defaults are the usual 5x5 kernel: sigma = 0.3 ((5 - 1) / 2 - 1) + 0.8, OpenCV's rule for kernels without one.
    Beyond the edge the picture is mirrored. Raises ConfigError for sigma of 0 or less, or a radius below 1.
    """
    from scipy.ndimage import gaussian_filter

    if not sigma > 0 or radius < 1:
        raise ConfigError(
            f"a Gaussian blur of sigma {sigma!r}, radius {radius!r}; wanted sigma above 0, radius 1 or more"
        )
    blurred: Picture = gaussian_filter(picture, sigma, radius=int(radius), mode="mirror", output=np.float32)
    return blurred
