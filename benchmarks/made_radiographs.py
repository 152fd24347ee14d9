"""What made radiographs look like and how fast they are made: `python -m benchmarks.made_radiographs`.

Draws docs/images/made-radiographs.png and prints the times and figures of docs/reference/made-radiographs.md. With
`--films FOLDER` (images/ and masks/ of the same names) it prints the same figures of real films beside them.
"""

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungseg_monai.synthesis.radiograph import DEFAULTS, TINY, Radiograph, RadiographOptions, make_radiograph

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "made-radiographs.png"
SEED, TILE, ACROSS = 77, 240, 6
TIMED, LOOKED_AT = 5, 60
COLOURS = {"anatomical": ((255, 215, 0),) * 2, "completed": ((80, 220, 80),) * 2}
VISIBLE = ((255, 80, 70), (70, 170, 255))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-picture", action="store_true", help="print figures only")
    parser.add_argument("--no-figures", action="store_true", help="draw only")
    parser.add_argument("--films", type=Path, help="folder of real films to print the same figures of")
    choice = parser.parse_args()
    if not choice.no_picture:
        draw(24)
    if not choice.no_figures:
        print_times()
        print_figures()
    if choice.films is not None:
        print_films(choice.films)


def draw(count: int) -> None:
    """A grid of films as training sees them, with their three masks' borders."""
    options = RadiographOptions(shape=(TILE, TILE), grid_mm=2.8)
    tiles = [outlined(make_radiograph(SEED, index, options)) for index in range(count)]
    rows = [np.concatenate(tiles[at : at + ACROSS], axis=1) for at in range(0, count, ACROSS)]
    PICTURE.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(rows)).quantize(128).save(PICTURE, optimize=True)
    print(PICTURE)


def outlined(film: Radiograph) -> NDArray[np.uint8]:
    picture = np.repeat(np.round(film.image * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    for name, colours in (*COLOURS.items(), ("visible", VISIBLE)):
        for label, colour in zip((1, 2), colours, strict=True):
            mask = getattr(film, name) == label
            inner = mask.copy()
            for axis in (0, 1):
                for step in (1, -1):
                    inner &= np.roll(mask, step, axis)
            picture[mask & ~inner] = colour
    return picture


def print_times() -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, {TIMED} films each, one process, CPU seconds")
    quarter = RadiographOptions(shape=(256, 256), grid_mm=3.2)
    for name, options in (("512x512, 2.4 mm", DEFAULTS), ("256x256, 3.2 mm", quarter), ("128x128, 4.5 mm", TINY)):
        began = time.process_time()
        for index in range(TIMED):
            make_radiograph(SEED, index, options)
        print(f"| {name} | {(time.process_time() - began) / TIMED:.2f} |", flush=True)


def print_figures() -> None:
    """Medians and 5th to 95th percentiles over films of healthy people at difficulty 0.5, PA."""
    options = RadiographOptions(shape=(128, 128), grid_mm=4.5, difficulty=0.5, view="PA", findings=(), children=0.0)
    films = [make_radiograph(SEED, index, options) for index in range(LOOKED_AT)]
    show("area, visible", [share(film.visible) for film in films])
    show("area, completed", [share(film.completed) for film in films])
    show("area, anatomical", [share(film.anatomical) for film in films])
    show("heart to chest", [film.facts["cardiothoracic_ratio"] for film in films])
    show("Dice, visible with completed", [dice(film.visible > 0, film.completed > 0) for film in films])
    show("Dice, visible with anatomical", [dice(film.visible > 0, film.anatomical > 0) for film in films])
    show("mean grey", [float(film.image.mean()) for film in films])
    show("mean grey in the lungs", [float(film.image[film.visible > 0].mean()) for film in films])


def print_films(folder: Path) -> None:
    """The same of real films: `LOOKED_AT` of them, evenly spread over the folder by name."""
    paths = sorted((folder / "images").iterdir())
    areas, greys, inside = [], [], []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        with Image.open(path) as opened, Image.open(folder / "masks" / path.name) as drawn:
            grey = np.asarray(opened.convert("L").resize((128, 128)), np.float32) / 255
            mask = np.asarray(drawn.convert("L").resize((128, 128))) > 127
        areas.append(float(mask.mean()))
        greys.append(float(grey.mean()))
        inside.append(float(grey[mask].mean()))
    print(f"real films in {folder.name}:")
    for name, values in (("area", areas), ("mean grey", greys), ("mean grey in the lungs", inside)):
        show(name, values)


def show(name: str, values: list[Any]) -> None:
    low, middle, high = np.percentile([value for value in values if value is not None], [5, 50, 95]).tolist()
    print(f"| {name} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def share(labels: NDArray[np.uint8]) -> float:
    return float((labels > 0).mean())


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float(2 * (first & second).sum() / max(first.sum() + second.sum(), 1))


if __name__ == "__main__":
    main()
