"""Corruptions of grey values: machine, film and file. Labels stay as they are."""

import io

import numpy as np

from lungseg_monai.pictures.clahe import clahe
from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import Labels

Random = np.random.Generator
Both = tuple[Picture, Labels]


def inverted(picture: Picture, labels: Labels, random: Random, curve: float) -> Both:
    """1 - picture; `curve` above 0: through a logistic curve of that steepness."""
    negative = 1 - picture
    if curve > 0:
        low, high = (1 / (1 + np.exp(curve * at)) for at in (0.5, -0.5))
        negative = (1 / (1 + np.exp(-curve * (negative - 0.5))) - low) / (high - low)
    return negative, labels


def portable(picture: Picture, labels: Labels, random: Random, scatter: float, width: float, cut: float) -> Both:
    """`scatter` of the grey is a blur of an eighth of the width; all within `width` of the range; `cut` off one side.

    Grain of 0.04 of what is left of the range.
    """
    from scipy.ndimage import gaussian_filter

    wide = gaussian_filter(picture, 0.125 * picture.shape[1])
    hazy = (1 - scatter) * picture + scatter * wide
    across = np.linspace(0, 1, picture.shape[1])[None] ** 2
    shade = across if random.random() < 0.5 else across[:, ::-1]
    middle = random.uniform(0.45, 0.65)
    grain = gaussian_filter(random.normal(size=picture.shape), 0.7)
    return middle + width * (hazy - 0.5 + 0.04 * grain / grain.std()) + cut * (shade - 0.3), labels


def quantum_noise(picture: Picture, labels: Labels, random: Random, quanta: float, dead: float) -> Both:
    """Grey as if `quanta` fell on a black pixel and a tenth of that on a white one; a share `dead` at 0 or 1.

    Grain is of a 400th of the width, so that reading at another size does not average it away.
    """
    from scipy.ndimage import gaussian_filter

    counts = quanta * np.exp(-2.3 * picture)
    size = max(picture.shape[1] / 400, 0.5)
    grain = gaussian_filter(random.normal(size=picture.shape), size / 2)
    noisy = picture + grain / grain.std() / (2.3 * np.sqrt(counts))
    struck = random.random(picture.shape)
    return np.where(struck < dead, np.where(struck < dead / 2, 0.0, 1.0), noisy), labels


def motion_blur(picture: Picture, labels: Labels, random: Random, length: float) -> Both:
    """The mean along a line of `length` of the width, centred, so that lungs stay where they were."""
    from scipy.ndimage import shift

    angle = random.uniform(0, np.pi)
    pixels = length * picture.shape[1]
    steps = np.linspace(-0.5, 0.5, max(3, 2 * round(pixels / 2) + 1)) * pixels
    total = np.zeros(picture.shape)
    for step in steps.tolist():
        total += shift(picture, (step * np.sin(angle), step * np.cos(angle)), order=1, mode="nearest")
    return (total / len(steps)).astype(np.float32), labels


def gamma(picture: Picture, labels: Labels, random: Random, factor: float) -> Both:
    """picture to the power of `factor` or of its inverse."""
    return picture ** (factor if random.random() < 0.5 else 1 / factor), labels


def equalised_at_source(picture: Picture, labels: Labels, random: Random, clip: float, tiles: int) -> Both:
    """CLAHE of all of it, with `tiles` a side (fewer where the picture is small)."""
    sides = [int(min(tiles, size // 2)) for size in picture.shape]
    return clahe(picture, clip, sides), labels


def squeezed(picture: Picture, labels: Labels, random: Random, values: int) -> Both:
    """Rounded to `values` neighbouring grey values of 256, anywhere in the range."""
    first = int(random.integers(0, 256 - values))
    return (first + np.rint(picture * np.float32(values - 1))) / np.float32(255), labels


def pressed(picture: Picture, labels: Labels, random: Random, quality: int, size: int) -> Both:
    """As JPEG of that `quality`, its longer side `size` pixels at most, and back to the shape."""
    from PIL import Image

    scale = min(1.0, size / max(picture.shape))
    small = resize(picture, [max(8, round(scale * side)) for side in picture.shape])
    buffer = io.BytesIO()
    Image.fromarray(np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)).save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer) as read:
        return resize(np.asarray(read, np.float32) / 255, picture.shape), labels
