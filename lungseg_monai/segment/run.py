"""INPUTs -> masks, many cases, each put in place when whole: what `lungseg segment` does."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.errors import OutputError, PrepError
from data_prep.lock import alone_in
from data_prep.output import writing
from data_prep.progress import Progress, silent
from data_prep.report import printable
from data_prep.stages import Stages
from lungseg_monai.cores_and_memory import cores
from lungseg_monai.errors import LungsegError, UsageError
from lungseg_monai.segment.cases import Case, Cases, InputOptions
from lungseg_monai.segment.inputs import expanded, fitted, found_cases
from lungseg_monai.segment.journal import JOURNAL, Journal, tidy
from lungseg_monai.segment.worker import Outcome, Settings, Worker, open_worker, prefetching

SEVERE = {"alarm": 0, "check": 1, "note": 2}


@dataclass
class SegmentResult:
    """journal: what segment.json holds. outcomes: of this run. stages: seconds, summed over the cases made now.

    report: the page that was written, report_problem: why it was not.
    """

    out: Path
    journal: dict[str, Any] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)
    report: Path | None = None
    report_problem: str | None = None

    def names(self, status: str) -> list[str]:
        """Cases of this run: "done" now, "reused", "failed" or "refused"."""
        return [one.name for one in self.outcomes if ("reused" if one.reused else one.entry["status"]) == status]

    @property
    def exit_code(self) -> int:
        """0 all done; 1 done, but something was refused or failed; 3 not one case could be segmented."""
        good = [one for one in self.outcomes if one.entry["status"] == "done"]
        if not good:
            return 3
        whole = len(good) == len(self.outcomes) and not any(one.entry["outputs_refused"] for one in good)
        return 0 if whole and not self.journal["refused"] and self.report_problem is None else 1

    def as_dict(self) -> dict[str, Any]:
        """For machines: segment.json, and what this run did."""
        named = {status: self.names(status) for status in ("done", "reused", "failed", "refused")}
        run = {**named, "exit_code": self.exit_code, "report": str(self.report) if self.report else None}
        return {**self.journal, "run": run}

    def problems(self) -> list[str]:
        """A line for each thing that failed or was refused."""
        lines = [
            f"{one.name} {one.entry['status']}: {one.entry['error']}{_place(one)}"
            for one in self.outcomes
            if one.entry["error"]
        ]
        for one in self.outcomes:
            lines += [f"{one.name}: no {kind}: {why}" for kind, why in one.entry["outputs_refused"].items()]
        lines += [f"{one['what']} {one['where']} refused: {one['reason']}" for one in self.journal["refused"]]
        return lines + ([f"no report: {self.report_problem}"] if self.report_problem else [])

    def table(self, *, verbose: bool = False) -> str:
        """For people: one line a case, then what was refused and passed over."""
        lines = [line for one in self.outcomes if not one.entry["error"] for line in _lines(one, verbose)]
        lines += self.problems()
        if verbose:
            lines += [
                f"passed over {one['files']} {one['reason']}" + (f" in {one['where']}" if one["where"] else "")
                for one in self.journal["ignored"]
            ]
        done, reused = len(self.names("done")), len(self.names("reused"))
        kept = f", {reused} were there already" if reused else ""
        bad, files = len(self.outcomes) - done - reused, len(self.journal["refused"])
        lost = (f", {bad} not" if bad else "") + (f", {files} of the inputs' files or series refused" if files else "")
        lines.append(f"{done} case(s) segmented{kept}{lost}: {self.out / JOURNAL}")
        if self.report:
            lines.append(f"report: {self.report}")
        return "\n".join(map(printable, lines))


def segment(
    inputs: Sequence[Path],
    out: Path,
    settings: Settings | None = None,
    *,
    choice: InputOptions | None = None,
    jobs: int = 1,
    memory_gb: float | None = None,
    report: bool = False,
    progress: Progress = silent,
) -> SegmentResult:
    """Segment all images in `inputs` into `out`, with a journal by which an interrupted run goes on where it stopped.

    A case that is there already, made from the same input by the same model with the same settings, is kept. One bad
    file, series or case costs only itself. jobs: processes, each with a model of its own and its share of the cores;
    memory_gb: what one of them may take (Linux). Raises UsageError, NothingToDoError (no image at all), ModelError, and
    data_prep's OutputError where `out` can't be written; in all of these cases finished cases stay.
    """
    settings = fitted(settings or Settings())
    inputs, out = expanded(inputs), Path(out)
    _refuse_nonsense(inputs, out, jobs)
    apart = jobs > 1 or memory_gb is not None
    worker = None if apart else open_worker(settings, out)  # opens its model from now on
    result = SegmentResult(out)
    with ExitStack() as held:
        with result.stages.stage("scan"):
            looking = found_cases(inputs, settings.model, skip=out, options=choice, progress=progress)
            found = held.enter_context(looking)
        with writing(out):
            fresh = not out.exists()
            out.mkdir(parents=True, exist_ok=True)
        try:
            with alone_in(out):
                tidy(out)
                try:
                    with closing(_steps(found.cases, worker, settings, out, jobs, memory_gb)) as steps:
                        _work_off(steps, found, result, settings, progress)
                finally:  # broken off, by Ctrl-C or an error: its processes have ended
                    with suppress(OutputError):
                        tidy(out)
        finally:
            if fresh:
                with suppress(OSError):  # goes only if it is empty
                    out.rmdir()
    order = {case.name: number for number, case in enumerate(found.cases)}
    result.outcomes.sort(key=lambda one: order[one.name])
    if report:
        _add_report(result)
    return result


def _work_off(
    steps: Iterator[Any], found: Cases, result: SegmentResult, settings: Settings, progress: Progress
) -> None:
    """Note each outcome in the journal and in `result` when it comes."""
    facts = next(steps)
    journal = Journal(result.out, settings.public(), {"refused": found.refused, "ignored": found.ignored})
    journal.model(facts)
    for outcome in progress(_Sized(steps, len(found.cases)), "segmenting"):
        journal.add(outcome.name, outcome.entry)
        result.outcomes.append(outcome)
        result.stages.add(outcome.seconds)
    result.journal = journal.finish()


def _steps(
    cases: Sequence[Case], worker: Worker | None, settings: Settings, out: Path, jobs: int, memory_gb: float | None
) -> Generator[Any, None, None]:
    """The model's facts, then outcomes."""
    if worker is not None:
        yield from prefetching(worker, cases)
        return
    from lungseg_monai.segment.pool import in_processes

    jobs = min(jobs, len(cases))
    share = settings.threads or max(1, cores() // jobs)
    yield from in_processes(cases, replace(settings, threads=share), out, jobs, memory_gb)


def _refuse_nonsense(inputs: Sequence[Path], out: Path, jobs: int) -> None:
    if not inputs:
        raise UsageError("no INPUT given: name a folder, a zip archive or a file")
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: wanted 1 or more")
    if any(out.resolve() == one.resolve() for one in inputs):
        raise UsageError(f"INPUT and --out are the same, {out}: choose another folder for the results")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; wanted a folder for the results")
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link to {out.readlink()}, which does not exist: make that folder first")


def _add_report(result: SegmentResult) -> None:
    """That it can't be written costs nothing of what was segmented."""
    from lungseg_monai.report.segmentation import write_report

    try:
        with result.stages.stage("report"):
            result.report = write_report(result.out)
    except (LungsegError, PrepError) as error:
        result.report_problem = str(error)


@dataclass(frozen=True, eq=False)
class _Sized:
    """An iterator of known length, for the progress bar."""

    items: Iterator[Any]
    length: int

    def __iter__(self) -> Iterator[Any]:
        return self.items

    def __len__(self) -> int:
        return self.length


def _place(one: Outcome) -> str:
    """Where a case lies, unless the error says it: its name may be a pseudonym."""
    where = one.entry["where"]
    return f" (in {where})" if where and where.rpartition("/")[2] not in one.entry["error"] else ""


def _sizes(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Volumes, or a radiograph's areas: in cm2 where the spacing is known, else in share of the picture."""
    for name, ml in entry.get("volumes_ml", {}).items():
        yield name, f"{ml:.0f} ml"
    for name, area in entry.get("areas", {}).items():
        known = area["cm2"] is not None
        yield name, f"{area['cm2']:.0f} cm2" if known else f"{100 * area['share_of_picture']:.1f} %"


def _lines(one: Outcome, verbose: bool) -> list[str]:
    entry = one.entry
    volumes = ", ".join(f"{name} {size}" for name, size in _sizes(entry))
    flags = sorted(entry["flags"], key=lambda flag: SEVERE.get(flag["severity"], 1))
    shown = [flag for flag in flags if verbose or flag["severity"] != "note"]
    named = f"  {', '.join(flag['code'] for flag in shown)}" if shown else ""
    took = "there already" if one.reused else f"{entry['seconds']:.1f} s"
    return [
        f"{one.name}  {volumes}{named}  {took}",
        *(f"  {flag['severity']}: {flag['what']}" for flag in shown if verbose or flag["severity"] == "alarm"),
    ]
