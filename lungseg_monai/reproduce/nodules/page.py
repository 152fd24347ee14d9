"""OUT/khan.md, khan.json and regions.png."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.features.classify import table
from lungseg_monai.io import write_json
from lungseg_monai.reproduce.nodules.khan import Classified, as_dict
from lungseg_monai.reproduce.nodules.regions import KINDS, Region
from lungseg_monai.reproduce.nodules.values import SETS

PAPER = 97.83  # percent of accuracy, abstract
SHOWN, TILE_PX, ENLARGED = 8, 48, 3  # regions of a kind, pixels of a slice around each, screen pixels for one of them
EDGE = (230, 120, 0)


def write(done: Classified, out: Path) -> list[Path]:
    """Write all files into `out`; returns their paths. Raises data_prep's OutputError."""
    with atomic_file(out / "khan.md") as stream:
        stream.write(markdown(done).encode("utf-8"))
    with atomic_file(out / "regions.png") as stream:
        stream.write(png(picture(done.regions)))
    write_json(out / "khan.json", as_dict(done))
    return [out / name for name in ("khan.md", "khan.json", "regions.png")]


def markdown(done: Classified) -> str:
    """The tables of all feature sets, what was told apart, and the paper's best beside ours."""
    name, best = max(((name, score) for name, scores in done.scores.items() for score in scores),
                     key=lambda each: each[1].accuracy)  # fmt: skip
    asked, kinds = done.asked, done.kinds
    source = "the network's prediction, those that it missed left out" if asked.by_network else "the reference"
    lines = [
        "# Khan et al.: nodule against no nodule",
        "",
        "| | accuracy | of |",
        "|---|---|---|",
        f"| here | {100 * best.accuracy:.1f} % ({name}, {best.classifier}) | {best.cases} regions of "
        f"{done.patients[1]} patients |",
        f"| the paper | {PAPER} % (joined, SVM, RBF) | regions of LIDC-IDRI and Lung-PET-CT-Dx |",
        "",
        "The two can't be compared: other images, other regions, and here the best of all that were tried.",
        "",
        f"Data {done.data_hash[:16]}, {' and '.join(asked.sections)}: {done.patients[0]} patients. Nodules from "
        f"{source}: {kinds['nodule']} regions. Against them: {kinds['false positive']} false positives of the network, "
        f"{kinds['vessel']} regions of vessel and {kinds['lung']} of lung of the nodules' shapes. {asked.folds} folds "
        f"by patient, seed {asked.seed}. Features are brought to principal components of 95 % of the variance.",
        "",
    ]
    for key, scores in done.scores.items():
        lines += [f"## {key}: {SETS[key]}", "", table(scores)]
    there = ", ".join(kind for kind in KINDS if kinds[kind])
    return "\n".join(
        [
            *lines,
            f"![Regions, from the top: {there}](regions.png)",
            "",
            f"From the top: {there}.",
            "",
            "For research, not a medical device.",
            "",
        ]
    )


def picture(regions: Sequence[Region]) -> NDArray[np.uint8]:
    """(height, width, 3): a row of regions for each of KINDS that there is, evenly out of all, their edges marked."""
    side = TILE_PX * ENLARGED + 2
    rows = []
    for kind in KINDS:
        of_kind = [region for region in regions if region.kind == kind]
        if not of_kind:
            continue
        tiles = [
            tile(of_kind[index]) for index in np.unique(np.linspace(0, len(of_kind) - 1, SHOWN).round().astype(int))
        ]
        tiles += [np.zeros((side, side, 3), np.uint8)] * (SHOWN - len(tiles))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


def tile(region: Region) -> NDArray[np.uint8]:
    """The surroundings of a region, front of the patient up, enlarged, the outline of the region drawn over them."""
    from skimage.segmentation import find_boundaries

    row, column = region.centre
    half = TILE_PX // 2
    image = np.pad(region.image, half)[row : row + TILE_PX, column : column + TILE_PX].T
    mask = np.pad(region.mask, half)[row : row + TILE_PX, column : column + TILE_PX].T
    large = np.ones((ENLARGED, ENLARGED), np.uint8)
    grey = np.kron((np.clip(image, 0, 1) * 255).round().astype(np.uint8), large)
    pixels = np.stack([grey] * 3, axis=-1)
    pixels[find_boundaries(np.kron(mask.astype(np.uint8), large), mode="outer")] = EDGE
    return np.pad(pixels, ((0, 2), (0, 2), (0, 0)))


def png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
