"""Curves, scores along the slices and their histograms as inline SVG (Gao Figures 2-3 and 4-5).

Colours are names of CSS variables: the figure is drawn in placeholders that are replaced in the SVG's text, so that it
follows the page from light to dark. Text stays text.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
Row = Mapping[str, Any]

INK, FAINT = "#010101", "#020202"
TRAINING, VALIDATION, TEST, BLANK, WRONG = "#030303", "#040404", "#050505", "#060606", "#070707"
CSS = {
    INK: "currentColor",
    FAINT: "var(--line)",
    TRAINING: "var(--training)",
    VALIDATION: "var(--validation)",
    TEST: "var(--test)",
    BLANK: "var(--blank)",
    WRONG: "var(--wrong)",
}
SECTION_COLOURS = {"training": TRAINING, "validation": VALIDATION, "test": TEST}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
NAMED_CASES = 6  # more names than this don't fit above a figure


def curves_svg(curves: Curves) -> str:
    """Loss, accuracy and, where recorded, Dice by epoch; a line a split."""
    columns = [column for column in ("loss", "accuracy", "dice") if any(column in of for of in curves.values())]

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        for number, column in enumerate(columns, start=1):
            axes = figure.add_subplot(1, len(columns), number)
            for split, of in curves.items():
                if column in of:
                    epochs, values = zip(*sorted(of[column]), strict=True)
                    style = "-" if split == "training" else "--"
                    colour = SECTION_COLOURS.get(split, INK)
                    axes.plot(
                        epochs, values, style, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=split
                    )
            axes.set_title({"dice": "Dice"}.get(column, column.capitalize()), loc="left")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.margins(x=0.04)
        figure.axes[0].legend()

    return _svg(draw, "curves", (10.5, 3.0))


def slices_svg(slices: Sequence[Row], section: str) -> str:
    """Dice and accuracy of each slice, in order of case and slice, with their histograms on the right."""
    cases = len({row["case_id"] for row in slices})
    positions = [row["slice"] for row in slices] if cases == 1 else list(range(len(slices)))
    kinds = _kinds(list(zip(positions, slices, strict=True)), SECTION_COLOURS.get(section, TEST))

    def draw(figure: "Figure") -> None:
        grid = figure.add_gridspec(2, 2, width_ratios=(4.2, 1))
        for row, (metric, name) in enumerate((("dice", "Dice"), ("accuracy", "accuracy"))):
            along = figure.add_subplot(grid[row, 0])
            histogram = figure.add_subplot(grid[row, 1], sharey=along)
            _draw_metric(along, histogram, kinds, metric)
            along.set_ylabel(f"{name} of a slice")
            histogram.tick_params(labelleft=False)
            if cases > 1:
                _mark_cases(along, slices, named=row == 0)
            if row:
                along.set_xlabel("slice" if cases == 1 else "slice, case after case")
                histogram.set_xlabel("slices")
        axes = figure.axes[0]
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1.08), borderaxespad=0, handletextpad=0.2)

    return _svg(draw, f"slices-{section}", (10.5, 4.8))


def _kinds(numbered: Sequence[tuple[int, Row]], colour: str) -> list[tuple[str, str, str, list[tuple[int, Row]]]]:
    """Name, colour, marker and (position, row) of the slices with reference, blank pairs and false positives."""
    with_label = [(x, row) for x, row in numbered if row["reference_voxels"]]
    blank = [(x, row) for x, row in numbered if not row["reference_voxels"]]
    return [
        ("slices with reference", colour, ".", with_label),
        ("both empty", BLANK, ".", [(x, row) for x, row in blank if not row["predicted_voxels"]]),
        ("false positive on empty reference", WRONG, "x", [(x, row) for x, row in blank if row["predicted_voxels"]]),
    ]


def _draw_metric(along: "Axes", histogram: "Axes", kinds: Sequence[tuple], metric: str) -> None:
    import numpy as np

    stacks, colours = [], []
    for name, colour, marker, numbered in kinds:
        points = [(x, row[metric]) for x, row in numbered if row[metric] is not None]
        if points:
            x, y = zip(*points, strict=True)
            along.plot(x, y, marker, color=colour, markersize=6 if marker == "." else 5, label=name, clip_on=False)
            stacks.append(y)
            colours.append(colour)
    lowest = min((min(values) for values in stacks), default=0.0)  # nothing to draw where all was left out
    low = max(0.0, min(lowest - 0.05 * (1 - lowest), 0.99))
    along.set_ylim(low - 0.03 * (1 - low), 1 + 0.02 * (1 - low))  # marks of 0 stand clear of the axis below
    if stacks:
        histogram.hist(
            stacks, bins=np.linspace(low, 1, 21).tolist(), orientation="horizontal", stacked=True, color=colours
        )


def _mark_cases(axes: "Axes", slices: Sequence[Row], named: bool) -> None:
    """A line where a case begins, with its name where there are few."""
    starts = [x for x, row in enumerate(slices) if not x or row["case_id"] != slices[x - 1]["case_id"]]
    for start in starts[1:]:
        axes.axvline(start - 0.5, color=FAINT, linewidth=1)
    if named and len(starts) <= NAMED_CASES:
        for start in starts:
            name = short(slices[start]["case_id"], 96 // len(starts))
            axes.text(start, 1.03, name, transform=axes.get_xaxis_transform(), fontsize=8, parse_math=False)


def short(text: str, length: int) -> str:
    """At most `length` characters, the end replaced by … where it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(draw, name: str, size_inch: tuple[float, float]) -> str:  # type: ignore[no-untyped-def]
    """Draw into a new figure -> <svg> element for a page; ids don't clash with those of other names."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size_inch, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # several figures share a page: such ids would occur twice
    for placeholder, variable in CSS.items():
        svg = svg.replace(placeholder, variable)
    return svg
