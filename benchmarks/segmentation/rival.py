"""A network of the size of lungmask's U-Net (R231) at random weights, for its time: `... rival INPUT OUT`.

Made of torch's own modules by what is published of it: 2D, five levels of 64 to 1024 channels, two 3 x 3 convolutions
with ReLU and batch norm a level, bilinear steps up, slices cropped to the body and resized to 256 x 256, batches of 20.
Its largest-component clean-up is left out. Only BATCHES of the batches run; the network's time is scaled to all.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE, BATCH, BATCHES = 256, 20, 1
WIDTHS = (64, 128, 256, 512, 1024)
WINDOW_HU = (-1024, 600)


def network() -> Any:
    import torch
    from torch import nn

    def twice(before: int, after: int) -> nn.Sequential:
        parts: list[nn.Module] = []
        for channels in (before, after):
            parts += [nn.Conv2d(channels, after, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(after)]
        return nn.Sequential(*parts)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(map(twice, (1, *WIDTHS[:-1]), WIDTHS))
            pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
            up = [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            self.up = nn.ModuleList(nn.Sequential(*up, nn.Conv2d(low, high, 1)) for low, high in pairs)
            self.join = nn.ModuleList(twice(low, high) for low, high in pairs)
            self.last = nn.Conv2d(WIDTHS[0], 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = []
            for level in self.down:
                x = level(nn.functional.avg_pool2d(x, 2) if held else x)
                held.append(x)
            for up, join, beside in zip(self.up, self.join, held[-2::-1], strict=True):
                x = join(torch.cat([up(x), beside], 1))
            return self.last(x)

    return UNet().eval()


def main() -> int:
    start = time.perf_counter()
    import SimpleITK
    import torch
    from scipy.ndimage import zoom

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(next(Path(sys.argv[1]).rglob("ct")))))
    image = reader.Execute()
    hu = np.clip(SimpleITK.GetArrayFromImage(image), *WINDOW_HU).astype(np.float32)
    boxes = [_body(plane) for plane in hu]
    small = np.stack([_resized(zoom, plane[box], (SIZE, SIZE), 1) for plane, box in zip(hu, boxes, strict=True)])
    given = torch.from_numpy((small + 1024) / 1624)[:, None]
    made, found, spent_s = network(), np.zeros(small.shape, np.uint8), 0.0
    with torch.inference_mode():
        for first in range(0, BATCHES * BATCH, BATCH):
            begin = time.perf_counter()
            found[first : first + BATCH] = made(given[first : first + BATCH]).argmax(1).numpy()
            spent_s += time.perf_counter() - begin
    labels = np.zeros(hu.shape, np.uint8)
    for plane, box, one in zip(labels, boxes, found, strict=True):
        plane[box] = _resized(zoom, one, plane[box].shape, 0)
    masks = SimpleITK.GetImageFromArray(labels)
    masks.CopyInformation(image)
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(masks, str(Path(sys.argv[2], "lungs.nii.gz")), useCompression=True)
    whole_s = time.perf_counter() - start
    left_s = spent_s * (len(hu) / (BATCHES * BATCH) - 1)
    print(f"network {spent_s + left_s:.2f} s scaled from {BATCHES * BATCH} slices; {whole_s + left_s:.2f} s in all")
    return 0


def _body(plane: np.ndarray) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero((plane > -500).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, plane.shape[0]), slice(0, plane.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _resized(zoom: Any, plane: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    return zoom(plane, [new / old for new, old in zip(shape, plane.shape, strict=True)], order=order)


if __name__ == "__main__":
    sys.exit(main())
