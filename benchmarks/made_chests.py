"""What made chests look like and how fast they are made: `python -m benchmarks.made_chests`.

Draws docs/images/{made-chests,lung-convention}.png and writes docs/reference/made-chests.md.
"""

import argparse
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lungseg_monai.synthesis import SceneOptions, make_scene
from lungseg_monai.synthesis.build import make_chest
from lungseg_monai.synthesis.pathology import FINDINGS_HELP, afflict

DOCS = Path(__file__).parents[1] / "docs"
SEED, TILE = 99, 240
COLOURS = {1: (255, 96, 80), 2: (64, 190, 255)}
TIMED = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-times", action="store_true", help="draw only")
    parser.add_argument("--no-pictures", action="store_true", help="write the page only")
    choice = parser.parse_args()
    if not choice.no_pictures:
        grid([finding(name) for name in FINDINGS_HELP], DOCS / "images" / "lung-convention.png", across=8)
        grid([anything(index) for index in range(24)], DOCS / "images" / "made-chests.png", across=8)
    if not choice.no_times:
        write_page()


def finding(name: str) -> Image.Image:
    """One finding alone on an ordinary chest, on the slice that holds most of it."""
    chest = make_chest((192, 144, 144), 2.0, np.random.default_rng(SEED), 0.0)
    before = chest.hu.copy()
    afflict(chest, np.random.default_rng(SEED), only=(name,))
    changed = (np.abs(chest.hu - before) > 60).sum(axis=(0, 1))
    return tile(chest.hu, chest.lung, int(np.argmax(changed)), name.replace("_", " "))


def anything(index: int) -> Image.Image:
    """A scene as training sees it, on its fullest slice; every third from the front."""
    scene = make_scene(SEED, index, SceneOptions())
    if index % 3 == 2:
        hu, lung = (np.ascontiguousarray(a.transpose(0, 2, 1)[:, ::-1]) for a in (scene.hu, scene.lung))
    else:
        hu, lung = scene.hu, scene.lung
    return tile(hu, lung, int(np.argmax((lung > 0).sum(axis=(0, 1)) + (hu > -300).sum(axis=(0, 1)) * 1e-3)), "")


def tile(hu: NDArray[Any], lung: NDArray[np.uint8], k: int, text: str) -> Image.Image:
    grey = np.clip((hu[:, :, k].T.astype(np.float32) + 1000) / 1350 * 255, 0, 255).astype(np.uint8)
    scale = TILE / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    picture = np.array(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB"))
    labels = np.array(Image.fromarray(np.ascontiguousarray(lung[:, :, k].T)).resize(size, Image.Resampling.NEAREST))
    for label, colour in COLOURS.items():
        mask = labels == label
        inner = mask.copy()
        for axis in (0, 1):
            for step in (1, -1):
                inner &= np.roll(mask, step, axis)
        picture[mask & ~inner] = colour
    framed = Image.new("RGB", (TILE, TILE + (16 if text else 0)))
    framed.paste(Image.fromarray(picture), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    ImageDraw.Draw(framed).text((4, TILE + 1), text, fill=(230, 230, 230))
    return framed


def grid(tiles: list[Image.Image], path: Path, across: int) -> None:
    width, height = tiles[0].size
    sheet = Image.new("RGB", (across * width, -(-len(tiles) // across) * height))
    for number, picture in enumerate(tiles):
        sheet.paste(picture, (number % across * width, number // across * height))
    sheet.quantize(128).save(path, optimize=True)
    print(path)


def write_page() -> None:
    rows = ["| voxels | processes | scenes a second | CPU seconds a scene |", "|---|---|---|---|"]
    for spacing in (4.5, 3.0):
        for processes in (1, os.cpu_count() or 1):
            wall, cpu = timed(spacing, processes)
            rows.append(f"| {spacing} mm | {processes} | {TIMED / wall:.2f} | {cpu / TIMED:.2f} |")
    findings = [f"| {name.replace('_', ' ')} | {text} |" for name, text in FINDINGS_HELP.items()]
    page = PAGE.format(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        times="\n".join(rows),
        findings="\n".join(findings),
        count=TIMED,
    )
    (DOCS / "reference" / "made-chests.md").write_text(page, encoding="utf-8")
    print(DOCS / "reference" / "made-chests.md")


def timed(spacing: float, processes: int) -> tuple[float, float]:
    """Wall and CPU seconds of TIMED scenes."""
    began = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        cpu = sum(pool.map(_one, [(spacing, index) for index in range(TIMED)]))
    return time.perf_counter() - began, cpu


def _one(job: tuple[float, int]) -> float:
    began = time.process_time()
    make_scene(SEED, job[1], SceneOptions(spacing_mm=job[0]))
    return time.process_time() - began


PAGE = """# Made chests

`lungseg_monai.synthesis.make_scene(seed, index)` makes a CT and its lungs from two numbers: a body in a frame that is
turned, scaled and warped at three scales, so that image and labels deform together; lungs, mediastinum, abdomen and
bones as distance fields in that frame; findings; and a scanner with its faults. The same numbers give the same voxels.
What counts as lung in them: [lung-convention.md](lung-convention.md).

```python
from lungseg_monai.synthesis import SceneOptions, make_scene

scene = make_scene(0, 7)  # hu int16 and lung uint8 (I, J, K), axes LPS, 3 mm
ill = make_scene(0, 7, SceneOptions(findings=("effusion",), spacing_mm=4.5, scan=False))
print(scene.hu.shape, ill.facts["findings"])
```

![24 scenes as training sees them](../images/made-chests.png)

Right lung red, left lung blue. Seven in a hundred scenes hold no chest at all.

## How fast

{count} scenes, wall clock and CPU time, processes started included, by `python -m benchmarks.made_chests` on {machine}
(other work on the machine slows the wall clock):

{times}

## Findings

![every finding on one chest](../images/lung-convention.png)

| name | what is drawn |
|---|---|
{findings}
"""


if __name__ == "__main__":
    main()
