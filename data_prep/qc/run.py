"""A prepared folder -> qc.html and qc.json, each case in isolation."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.dataset import is_radiograph, read_dataset, write_json
from data_prep.errors import UsageError
from data_prep.nifti import atomic_file
from data_prep.progress import Progress, silent
from data_prep.qc.case import examine
from data_prep.qc.flags import SEVERITIES, Flag, worst_first
from data_prep.qc.limits import LIMITS
from data_prep.work import Job, Limits, Outcome, in_processes, in_turn

SCHEMA_VERSION = "1.0"
MOST_JOBS = 4  # by default: each holds an image and a mask
PAGE_BYTES = 45e6  # what a page should stay under
CASE_BYTES, LEVEL_BYTES = 75e3, 13e3  # what a case takes of it, and each of its slices to walk through
MOST_LEVELS = 9


@dataclass
class QcResult:
    """content: what qc.json holds. page: the HTML file. measured: how many cases could be."""

    content: dict[str, Any]
    page: Path
    measured: int = 0
    damaged: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all measured, flagged or not; 1 files are damaged; 3 not one case could be measured."""
        return 3 if not self.measured else int(bool(self.damaged))

    def table(self) -> str:
        """The summary for people: a case a line, worst first, its flags below."""
        lines = []
        for case in self.content["cases"]:
            lines.append(f"{case['id']}  {case['worst'] or 'clean'}")
            for flag in case["flags"]:
                about = f"{flag['roi']}: " if flag["roi"] else ""
                lines.append(f"  {flag['severity']}: {about}{flag['text']}")
        counts = self.content["counts"]
        told = ", ".join(f"{counts[key]} {key}" for key in (*SEVERITIES, "clean"))
        lines += ["", f"{len(self.content['cases'])} case(s): {told}. Page: {self.page}"]
        return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines)


def qc(folder: Path, *, page: Path | None = None, jobs: int | None = None, progress: Progress = silent) -> QcResult:
    """Look at every case of a prepared folder; write the page (by default `folder`/qc.html) and qc.json beside it.

    jobs: cases at once, each in a process of its own; None: as many as there are cores, up to 4. A case whose files
    are damaged costs only itself. Raises DatasetError where dataset.json can't be used, OutputError.
    """
    from data_prep.qc.page import render

    dataset = read_dataset(Path(folder))
    if any(map(is_radiograph, dataset["cases"])):
        raise UsageError(f"qc draws CT volumes, and {folder} holds X-rays")
    folder = Path(folder) if Path(folder).is_dir() else Path(folder).parent
    page = page or folder / "qc.html"
    made = {outcome.name: outcome for outcome in _examine_all(folder, dataset["cases"], jobs, progress)}
    entries = []
    for n, case in enumerate(dataset["cases"]):
        outcome = made[str(n)]
        entries.append(outcome.record if outcome.record is not None else _broken(case, _why(outcome)))
    entries.sort(key=_order)
    content = _content(dataset, entries)
    result = QcResult(content, page, sum(entry["pictures"] is not None for entry in entries))
    result.damaged = [entry["facts"]["case_id"] for entry in entries if entry["damaged"]]
    with atomic_file(page) as stream:
        for part in render(content, entries):
            stream.write(part.encode("utf-8", "replace"))
    write_json(page.with_suffix(".json"), content)
    return result


def _examine_all(folder: Path, cases: list[dict[str, Any]], jobs: int | None, progress: Progress) -> Iterator[Outcome]:
    room = (PAGE_BYTES / max(len(cases), 1) - CASE_BYTES) // LEVEL_BYTES
    levels = int(min(max(room, 0), MOST_LEVELS))
    work = [Job(str(n), examine, (folder, case, levels)) for n, case in enumerate(cases)]
    at_once = jobs if jobs is not None else min(MOST_JOBS, _cores())
    if min(at_once, len(work)) <= 1:
        outcomes = in_turn(work)
    else:
        _import_once()
        outcomes = in_processes(work, at_once, Limits())
    yield from progress(_Counted(outcomes, len(work)), "looking")


def _import_once() -> None:
    """What each process needs, before they part from this one: half a second a case where processes are forked."""
    import nibabel  # noqa: F401
    import PIL.Image  # noqa: F401
    import scipy.ndimage  # noqa: F401


@dataclass(frozen=True)
class _Counted:
    """An iterator that knows its length, for the bar."""

    items: Iterator[Outcome]
    count: int

    def __iter__(self) -> Iterator[Outcome]:
        return self.items

    def __len__(self) -> int:
        return self.count


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _order(entry: dict[str, Any]) -> tuple[Any, ...]:
    flags = [Flag(**flag) for flag in entry["flags"]]
    return entry["pictures"] is not None, worst_first(flags), entry["facts"]["case_id"]


def _why(outcome: Outcome) -> str:
    # What is unexpected may say anything, a path among it: its kind is enough.
    problem = outcome.problem or "no result"
    return problem.split(":")[0] if outcome.unexpected else problem


def _broken(case: dict[str, Any], problem: str) -> dict[str, Any]:
    facts = {"case_id": case["id"], "patient_id": case["patient_id"], "shape": case["shape"]}
    facts |= {"spacing_mm": case["spacing_mm"], "orientation": case["orientation"], "rois": []}
    flag = asdict(Flag("unreadable", "bad", f"this case can't be looked at: {problem}"))
    return {"facts": facts, "flags": [flag], "damaged": [problem], "pictures": None, "colours": []}


def _content(dataset: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    cases = [
        {
            "id": entry["facts"]["case_id"],
            "worst": entry["flags"][0]["severity"] if entry["flags"] else None,
            "flags": entry["flags"],
            "damaged": entry["damaged"],
            "facts": entry["facts"],
        }
        for entry in entries
    ]
    worst = [case["worst"] for case in cases]
    return {
        "schema_version": SCHEMA_VERSION,
        "created_by": {name: version(name) for name in ("numpy", "nibabel", "pillow")} | {"lungseg-monai": __version__},
        "converted_by": dataset.get("created_by", {}),
        "limits": asdict(LIMITS),
        "counts": {**{key: worst.count(key) for key in SEVERITIES}, "clean": worst.count(None)},
        "cases": cases,
        "refused": dataset.get("refused", []),
        "ignored": dataset.get("ignored", []),
    }
