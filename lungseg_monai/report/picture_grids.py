"""Radiographs with reference and prediction beside them, as in Figures 3 to 12 of the chest X-ray paper."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.errors import ReportError
from lungseg_monai.report.pictures import FALSE_POSITIVE, MISSED, TRUTH, paint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("image", "reference", "prediction", "overlay")
LONGEST_SIDE_PX = 400
TILE_INCH, DPI = 2.1, 130
LUNGS = {1: (86, 180, 233), 2: (230, 159, 0)}  # right and left lung: Okabe and Ito's sky blue and orange
KEY = (("reference, found", TRUTH), ("found, not in the reference", FALSE_POSITIVE), ("missed", MISSED))
SPLIT_COLOURS = {"training": "#0072b2", "validation": "#8a6fc7", "test": "#c2510a"}


@dataclass(frozen=True, eq=False)
class PictureRow:
    """One film. image: (H, W) of any range, dense is bright. reference, prediction: (H, W), 0 nothing, 1 right, 2 left
    lung, or bool. title, below: what stands beside it, e.g. a case's name and its Dice."""

    title: str
    image: NDArray
    reference: NDArray
    prediction: NDArray
    below: str = ""


def prediction_grid(rows: Sequence[PictureRow], path: Path) -> Path:
    """Write a PNG with a line a film: image, reference, prediction, overlay of both; returns `path`.

    Raises ReportError where there is no film or a mask has another size than its image, data_prep's OutputError.
    """
    if not rows:
        raise ReportError("a picture grid needs at least one radiograph")
    tiles = [row_tiles(row) for row in rows]

    def draw(figure: "Figure") -> None:
        from matplotlib.patches import Patch

        grid = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
        for name, axes in zip(COLUMNS, grid[0], strict=True):
            axes.set_title(name, fontsize=10)
        for line, row, of_row in zip(grid, rows, tiles, strict=True):
            for axes, tile in zip(line, of_row, strict=True):
                axes.imshow(tile, interpolation="antialiased")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            label = f"{_short(row.title)}\n{row.below}" if row.below else _short(row.title)
            line[0].set_ylabel(label, fontsize=8, parse_math=False)
        handles = [Patch(color="#{:02x}{:02x}{:02x}".format(*colour), label=name) for name, (colour, _) in KEY]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)

    heights = sum(tile[0].shape[0] / tile[0].shape[1] for tile in tiles)
    return _write(draw, path, (TILE_INCH * len(COLUMNS) + 0.5, TILE_INCH * heights + 0.7))


def curves_picture(curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], path: Path) -> Path:
    """Write a PNG of loss and accuracy (and Dice, where recorded) by epoch: Figures 3, 5 and 7. curves: as read_curves.

    Raises ReportError where there is nothing to draw.
    """
    columns = [one for one in ("loss", "accuracy", "dice") if any(one in of for of in curves.values())]
    if not columns:
        raise ReportError("there are no curves: train first")

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        for number, column in enumerate(columns, start=1):
            axes = figure.add_subplot(1, len(columns), number)
            for split, of in curves.items():
                if column in of:
                    epochs, values = zip(*sorted(of[column]), strict=True)
                    style = "-" if split == "training" else "--"
                    axes.plot(epochs, values, style, color=SPLIT_COLOURS.get(split), linewidth=1.6, label=split)
            axes.set_title({"dice": "Dice"}.get(column, column.capitalize()), loc="left", fontsize=11)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#d5dce3", linewidth=0.6)
        figure.axes[0].legend(frameon=False)

    return _write(draw, path, (4.2 * len(columns), 3.2))


def row_tiles(row: PictureRow) -> tuple[NDArray[np.uint8], ...]:
    """COLUMNS of a film as (h, w, 3) uint8, at most LONGEST_SIDE_PX high and wide. Raises ReportError."""
    for name, mask in (("reference", row.reference), ("prediction", row.prediction)):
        if mask.shape != row.image.shape[:2]:
            raise ReportError(
                f"{row.title}: the {name} has {list(mask.shape)} pixels, its image {list(row.image.shape)}"
            )
    image, masks = _smaller(row)
    truth, found = masks[0] > 0, masks[1] > 0
    overlay = image.copy()
    for mask, colour in ((truth & found, TRUTH), (found & ~truth, FALSE_POSITIVE), (truth & ~found, MISSED)):
        paint(overlay, mask, colour)
    tiles = (image, _coloured(masks[0]), _coloured(masks[1]), overlay)
    return tuple(tile.round().astype(np.uint8) for tile in tiles)


def _smaller(row: PictureRow) -> tuple[NDArray[np.float64], list[NDArray]]:
    """The film in grey (h, w, 3) from 0 to 255, and both masks, for display."""
    from lungseg_monai.pictures.resize import resize

    values = row.image.astype(np.float64)
    if values.ndim == 3:
        values = values[..., :3].mean(axis=2)
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    scale = min(1.0, LONGEST_SIDE_PX / max(scaled.shape))
    rows, columns = (max(1, round(side * scale)) for side in scaled.shape)
    places = [((2 * np.arange(new) + 1) * old) // (2 * new)
              for new, old in zip((rows, columns), scaled.shape, strict=True)]  # fmt: skip
    masks = [np.asarray(mask)[np.ix_(*places)].astype(np.uint8) for mask in (row.reference, row.prediction)]
    grey = np.clip(resize(scaled, (rows, columns)).astype(np.float64), 0, 255)
    return np.repeat(grey[..., None], 3, axis=2), masks


def _coloured(labels: NDArray) -> NDArray[np.float64]:
    """White on black where sides are not told apart, else in the colours of LUNGS."""
    picture = np.zeros((*labels.shape, 3))
    sides = bool((labels == 2).any())
    for label, colour in LUNGS.items():
        picture[labels == label] = colour if sides else (255, 255, 255)
    return picture


def _short(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _write(draw: Any, path: Path, size_inch: tuple[float, float]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inch, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    draw(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    with atomic_file(path) as target:
        target.write(stream.getvalue())
    return path
