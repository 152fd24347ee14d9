"""RUN -> report.html: everything inline, nothing fetched, every name escaped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.nifti import atomic_file
from lungseg_monai.evaluation.summary import select
from lungseg_monai.evaluation.text import blank_sentence, policy, refusal_line
from lungseg_monai.report import content
from lungseg_monai.report.figures import curves_svg, slices_svg
from lungseg_monai.report.gao_figures import CURVES, GRIDS, SLICES, as_in_paper
from lungseg_monai.report.grids import Grid, choose_grids, draw
from lungseg_monai.report.picture_page import of_radiographs, picture_context, write_figures
from lungseg_monai.report.pictures import WINDOW_HU
from lungseg_monai.report.run import Note, Run, read_run


@dataclass(frozen=True)
class Report:
    """path: the HTML file. notes: what it lacks."""

    path: Path
    notes: list[Note]

    @property
    def damaged(self) -> bool:
        """Whether something is lacking because its file is there but can't be read."""
        return any(note.damaged for note in self.notes)


def write_report(run_folder: Path, out: Path | None = None, dataset: Path | None = None) -> Report:
    """Write one HTML file about a run, by default RUN/report.html.

    `dataset`: the PREPARED folder whose images are shown, by default the one that run.json names. What a run lacks
    is named in the report. Of radiographs the pictures are also written as PNG files, into `figures` beside the page.
    Raises UsageError, NothingToDoError and ReportError (see read_run), and data_prep's
    OutputError.
    """
    run = read_run(run_folder, dataset)
    path = out or run_folder / "report.html"
    pictures = of_radiographs(run)
    filled = picture_context(run) if pictures else context(run)
    html = render("radiographs.html" if pictures else "report.html", filled)
    with atomic_file(path) as stream:
        stream.write(html.encode("utf-8"))
    if pictures:
        write_figures(run, filled["sections"], path.parent)
    return Report(path, run.notes)


def render(template: str, filled: Mapping[str, Any]) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(filled)


def context(run: Run) -> dict[str, Any]:
    """What the template is filled with."""
    scores = run.scores if run.scores and run.scores["cases"] else None
    split = run.facts.get("split")
    warning = (scores or {}).get("warning") or (split.get("warning") if isinstance(split, Mapping) else None)
    return {
        "title": str(run.facts.get("bundle") or run.folder.resolve().name),
        "setting": content.shown(run.facts["setting"]) if run.facts.get("setting") else "",
        "folder": run.folder.resolve().name,
        "warning": warning,
        "notes": run.notes,
        "headline": content.headline(scores) if scores else None,
        "policy": policy(scores["empty"]) if scores else "",
        "curves": curves_svg(run.curves) if run.curves else None,
        "curves_paper": as_in_paper(run.facts, CURVES),
        "sections": [_section(run, scores, *group) for group in content.sections(scores)] if scores else [],
        "cases": content.case_table(scores) if scores else None,
        "refused": [refusal_line(refusal) for refusal in run.scores["refused"]] if run.scores else [],
        "left_out": content.left_out(run.facts),
        "settings": content.settings(run.facts, run.predictions.checkpoint if run.predictions else {}),
        "window": f"{WINDOW_HU[0]:g} to {WINDOW_HU[1]:g} HU",
        "version": __version__,
    }


def _section(run: Run, scores: Mapping[str, Any], label: str, section: str) -> dict[str, Any]:
    slices = select(scores["slices"], label, section)
    parts = scores["labels"].get(label, [label])
    return {
        "id": f"{label}-{section}",
        "label": label,
        "name": section,
        "parts": " + ".join(parts),
        "cases": len(select(scores["cases"], label, section)),
        "slices": len(slices),
        "blank": blank_sentence(slices, section, scores["empty"]),
        "volumes": content.summary_groups(scores, label, section, "case"),
        "of_slices": content.summary_groups(scores, label, section, "slice"),
        "figure": slices_svg(slices, section) if slices else None,
        "figure_paper": as_in_paper(run.facts, SLICES.get(section)),
        "grids": _grids(run, slices, parts, section),
    }


def _grids(run: Run, slices: list[Mapping[str, Any]], parts: list[str], section: str) -> list[Grid]:
    """The drawn grids; none where images or predictions are missing, which stands in the run's notes already."""
    if run.predictions is None or run.dataset is None:
        return []
    grids = choose_grids(slices)
    for grid in grids:
        told = as_in_paper(run.facts, GRIDS.get(section, {}).get(grid.title))
        grid.explanation += f", {told}" if told else ""
    draw(grids, parts, run.predictions, run.dataset)
    return grids
