"""OUT/tables.md, table<N>.csv, tables.html and results.json: each put in place whole, rewritten after each model."""

import csv
import io
from base64 import b64encode
from itertools import groupby
from pathlib import Path
from typing import Any

from data_prep.nifti import atomic_file
from lungseg_monai.io import write_json
from lungseg_monai.reproduce.facts import facts, other_numbers, stamps, told_command
from lungseg_monai.reproduce.grid import Column, Grid
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.made import Made, Reproduction

FOR_RESEARCH = "For research, not a medical device."
HERE = Path(__file__).parent


def write_all(done: Reproduction) -> list[Path]:
    """Write all files into the options' `out`; returns their paths. Raises data_prep's OutputError."""
    out, tables = done.options.out, done.plan.kind.grids(done)
    if not done.waiting and not done.figures:  # once: drawing takes longer than all the rest
        done.figures = done.plan.kind.figures(done)
    stamp = "; ".join(stamps(done))
    texts = {"tables.md": markdown(done), "tables.html": html(done)}
    texts |= {f"{grid.key}.csv": csv_text(grid, stamp) for grid in tables}
    for name, text in texts.items():
        with atomic_file(out / name) as stream:
            stream.write(text.encode("utf-8"))
    write_json(out / "results.json", as_dict(done))
    return [*(out / name for name in texts), out / "results.json", *(one.file for one in done.figures)]


def markdown(done: Reproduction) -> str:
    """The tables as a Markdown page."""
    lines = [f"# {done.plan.title}", ""]
    for stamp in stamps(done):
        lines += [f"**{stamp[0].upper()}{stamp[1:]}.**", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts(done)), ""]
    for grid in done.plan.kind.grids(done):
        lines += [f"## {grid.title}", "", *_markdown_table(grid), ""]
        lines += [line for note in grid.notes for line in (note, "")]
    if done.figures:
        lines += ["## Pictures", ""]
        lines += [f"![{one.title}]({_below(done, one)})\n\n{one.title}. {one.explanation}\n" for one in done.figures]
    if done.tables:
        lines += ["## What the columns are", "", *(f"- {said}" for said in done.plan.kind.said), ""]
    if done.problems:
        lines += ["## Left out and failed", "", *(f"- {problem}" for problem in done.problems), ""]
    return "\n".join([*lines, FOR_RESEARCH, ""])


def _markdown_table(grid: Grid) -> list[str]:
    heads = [" ".join(filter(None, (column.group, column.name))) for column in grid.columns]
    return [
        f"| {' | '.join(map(_cell, heads))} |",
        f"|---|{'---:|' * (len(heads) - 1)}",
        *(f"| {' | '.join(map(_cell, row))} |" for row in grid.cells),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def csv_text(grid: Grid, stamp: str) -> str:
    """One table; an empty field is a score that was not computed. The stamp ends every row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(column.key for column in grid.columns), "stamp"])
    writer.writerows([*("" if cell == "–" else cell.strip() for cell in row), stamp] for row in grid.cells)
    return text.getvalue()


def html(done: Reproduction) -> str:
    """One page with everything inline; nothing is fetched, every name escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([HERE, HERE.parent / "report"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groupby_runs"] = _runs
    return environment.get_template("page.html").render(
        title=done.plan.title,
        stamps=stamps(done),
        facts=facts(done),
        numbers=other_numbers(done),
        grids=done.plan.kind.grids(done),
        figures=[(one.title, one.explanation, _inline(one)) for one in done.figures],
        said=done.plan.kind.said if done.tables else (),
        problems=done.problems,
        models=[(one.model.name, told_command(one.command)) for one in done.made.values() if one.command],
        foot=FOR_RESEARCH,
    )


def _inline(figure: Figure) -> str:
    return "data:image/png;base64," + b64encode(figure.file.read_bytes()).decode()


def _below(done: Reproduction, figure: Figure) -> str:
    return figure.file.relative_to(done.options.out).as_posix()


def _runs(columns: list[Column]) -> list[tuple[str, int]]:
    """(group, how many columns it stands above), neighbours of one group together."""
    return [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]


def as_dict(done: Reproduction) -> dict[str, Any]:
    """results.json: every number unrounded."""
    return {
        "schema_version": "1.0",
        "paper": done.plan.name,
        "stamps": stamps(done),
        "facts": dict(facts(done)),
        "numbers": dict(done.numbers),
        "cohort": {name: vars(count) for name, count in done.counts.items()},
        **({"convention": done.cohort.convention} if done.cohort.convention else {}),
        "models": {name: _model(one) for name, one in done.made.items()},
        "tables": {
            str(table.number): [
                {"title": row.title, "model": row.model.name, "rules": row.rules and row.rules.as_dict(),
                 "paper": dict(row.paper), "scores": _scores(done.made.get(row.model.name), row.rules)}
                for row in table.rows
            ]
            for table in done.tables
        },
        "problems": done.problems,
    }  # fmt: skip


def _model(one: Made) -> dict[str, Any]:
    tuned = {"rules": one.tuned[0].as_dict(), "validation_dice": one.tuned[1]} if one.tuned else None
    return {
        "folder": one.folder.name, "command": told_command(one.command), "numbers": dict(one.model.numbers),
        "training_seconds": one.training_s, "predicting_seconds": one.predicting_s, "epochs": one.epochs,
        "best": dict(one.best), "versions": dict(one.versions), "tuned": tuned, "problems": one.problems,
    }  # fmt: skip


def _scores(made: Made | None, rules: Any) -> dict[str, Any] | None:
    return made.scores.get(rules) if made else None
