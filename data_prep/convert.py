"""DICOM CT, and what was drawn on it, -> NIfTI and dataset.json: many cases, each put in place when whole."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.case import make_case, public
from data_prep.dataset import CASE_FILE, holds_radiographs, write_dataset
from data_prep.errors import OutputError, PrepError, UsageError
from data_prep.identity import hashed, load_or_create_salt
from data_prep.lock import alone_in
from data_prep.options import DEFAULTS, ConvertOptions, NnunetOptions
from data_prep.output import writing
from data_prep.plan import CasePlan, Context, fingerprint, make_plans
from data_prep.progress import Progress, silent
from data_prep.report import summary, write_report
from data_prep.roi_names import RoiMap
from data_prep.scan import Refusal, Scan, scan
from data_prep.stages import Stages
from data_prep.work import Job, Limits, Outcome, in_processes, in_turn, on_dask

__all__ = ["ConvertOptions", "ConvertResult", "convert"]
PARTIAL = ".partial-"
FOREIGN = "the folder {} is there already and was not made by lungseg-prep: move it, or choose another OUT"


@dataclass
class ConvertResult:
    """dataset: what dataset.json holds. converted, reused: case ids of this run, made now or found finished.

    stages: how long what took, summed over the cases. nnunet: the nnU-Net data set that was written besides, if any;
    nnunet_problem: why it was not.
    """

    dataset: dict[str, Any]
    out: Path
    converted: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)
    nnunet: Any = None
    nnunet_problem: str | None = None

    @property
    def refused(self) -> list[dict[str, Any]]:
        """All that this run refused, ROIs included: what, where, reason, uid_hash."""
        done = {*self.converted, *self.reused}
        rois = [
            {"what": "roi", "where": f"{case['id']}: {roi['name']}", "reason": roi["reason"], "uid_hash": None}
            for case in self.dataset["cases"]
            if case["id"] in done
            for roi in case["rois"]
            if roi["status"] == "refused"
        ]
        refused = [*self.dataset["refused"], *rois]
        if self.nnunet_problem:
            where = {"what": "layout", "where": "nnunet", "uid_hash": None}
            refused.append({**where, "reason": self.nnunet_problem})
        return refused

    @property
    def exit_code(self) -> int:
        """0 all done; 1 done, but something was refused; 3 not one case could be made."""
        if not self.converted and not self.reused:
            return 3
        return 1 if self.refused else 0

    def table(self) -> str:
        """The summary for people."""
        text = summary(self.dataset, self.out, len(self.reused))
        return f"{text}\nno nnU-Net data set: {self.nnunet_problem}" if self.nnunet_problem else text


def convert(
    source: Path, out: Path, *, options: ConvertOptions = DEFAULTS, progress: Progress = silent
) -> ConvertResult:
    """Convert all CT series below `source` (a folder, zip archive or file) and what was drawn on them into `out`.

    A case that is there already, made from the same input by the same version, is kept as it is, so an interrupted
    run goes on where it stopped; one made from other input is made again. One bad file, ROI or series costs only
    itself and stands in the result. Raises NothingToDoError (no CT at all; nothing is written), UsageError, and
    OutputError (`out` can't be written or is full; finished cases stay).
    """
    source, out = Path(source), Path(out)
    if out.resolve() == source.resolve():
        raise UsageError(f"IN and OUT are the same folder, {out}: choose another one for the results")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; wanted a folder for the results")
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link to {out.readlink()}, which does not exist: make that folder first")
    if holds_radiographs(out):
        raise UsageError(f"{out} holds X-rays that lungseg-prep cxr wrote: choose another folder for volumes")
    RoiMap.load(options.masks.roi_map)  # a faulty table stops the run before anything is written
    stages = Stages()
    with stages.stage("scan"):
        found = scan(source, skip=out, keep_ids=options.keep_ids, progress=progress)
    salt = options.salt or load_or_create_salt()
    with stages.stage("plan"):
        plans = make_plans(found, salt, options)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        _tidy(out)
        result = _Run(found, plans, out, salt, options, progress, stages).run()
    if options.nnunet is not None:
        _add_nnunet(result, options.nnunet)
    return result


def _add_nnunet(result: ConvertResult, options: NnunetOptions) -> None:
    """nnU-Net's layout besides. That it can't be written costs nothing of what was converted."""
    from data_prep.nnunet import write_nnunet

    try:
        with result.stages.stage("nnU-Net"):
            result.nnunet = write_nnunet(result.out, name=options.name, number=options.number, labels=options.labels)
    except PrepError as error:
        result.nnunet_problem = str(error)


@dataclass(eq=False)
class _Run:
    """One conversion: which cases are there already, which are made now, and what comes of them."""

    found: Scan
    plans: list[CasePlan]
    out: Path
    salt: bytes
    options: ConvertOptions
    progress: Progress
    stages: Stages

    def __post_init__(self) -> None:
        found, options = self.found, self.options
        self.context = Context(found.source, self.salt, found.secrets, options.stack, options.masks, found.archived)
        self.records: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, dict[str, Any]] = {}
        self.result = ConvertResult({}, self.out, stages=self.stages)

    def run(self) -> ConvertResult:
        todo = []
        with self.stages.stage("plan"):
            for plan in self.plans:
                print_now = fingerprint(plan, self.salt, self.found, self.options)
                record = _read_record(self.out / plan.name.case_id)
                if record is not None and record["fingerprint"] == print_now and not self.options.overwrite:
                    self.records[plan.name.case_id] = record
                    self.result.reused.append(plan.name.case_id)
                elif record is None and _is_foreign(self.out / plan.name.case_id):
                    self._fail(plan, Outcome(plan.name.case_id, problem=FOREIGN.format(plan.name.case_id)))
                else:
                    todo.append((plan, print_now))
        if todo:
            self._make(todo)
        return self._finish()

    def _make(self, todo: Sequence[tuple[CasePlan, str]]) -> None:
        plans = {plan.name.case_id: plan for plan, _ in todo}
        jobs = [
            Job(plan.name.case_id, make_case, (plan, self._partial(plan), print_now, self.context.for_case(plan)))
            for plan, print_now in todo
        ]
        try:
            for outcome in self.progress(_Sized(self._outcomes(jobs), len(jobs)), "converting"):
                self._take(plans[outcome.name], outcome)
        finally:
            for plan in plans.values():
                shutil.rmtree(self._partial(plan), ignore_errors=True)
                shutil.rmtree(f"{self._partial(plan)}.unpacked", ignore_errors=True)

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        limits = Limits(self.options.time_limit_s, self.options.memory_gb)
        if self.options.dask is not None:
            return on_dask(jobs, self.options.dask, limits)
        return in_processes(jobs, self.options.jobs, limits) if self.options.jobs > 0 else in_turn(jobs)

    def _take(self, plan: CasePlan, outcome: Outcome) -> None:
        if outcome.record is None:
            if outcome.fatal:
                raise OutputError(outcome.problem)
            self._fail(plan, outcome)
            return
        _put_in_place(self._partial(plan), self.out / plan.name.case_id)
        self.stages.add(outcome.record["seconds"])
        self.records[plan.name.case_id] = outcome.record["record"]
        self.result.converted.append(plan.name.case_id)

    def _fail(self, plan: CasePlan, outcome: Outcome) -> None:
        self.failed[plan.name.case_id] = public(self._refusal(plan, outcome), self.context)

    def _partial(self, plan: CasePlan) -> Path:
        return self.out.resolve() / f"{PARTIAL}{plan.name.case_id}"

    def _refusal(self, plan: CasePlan, outcome: Outcome) -> Refusal:
        found, files = self.found, plan.files
        folder = Path(os.path.commonpath([one.path.parent for one in plan.slices])) if plan.slices else None
        where = "" if found.source.is_file() or folder is None else found.where(folder)
        problem = str(outcome.problem)
        reason = found.secrets.hide(problem) if outcome.unexpected else found.secrets.hide_files(problem, files)
        return Refusal("series" if plan.slices else "volume", where or found.where(files[0]), reason, plan.series_uid)

    def _finish(self) -> ConvertResult:
        found = self.found
        refused = [public(one, self.context) for one in found.refused]
        cases = []
        for name in (plan.name.case_id for plan in self.plans):  # not in the order in which they ended
            if name in self.failed:
                refused.append(self.failed[name])
            else:
                cases.append(self.records[name]["case"])
                refused += self.records[name]["refused"]
        if cases and not (found.structs or found.segs or any(case["rois"] for case in cases)):
            nothing_drawn = Refusal("rtstruct", ".", "no RTSTRUCT found: images only, nothing to train on")
            refused.append(public(nothing_drawn, self.context))
        earlier, left_out = _earlier(self.out, self.plans, self.salt)
        self.result.dataset = write_dataset(self.out, cases + earlier, refused, _passed_over(found) + left_out)
        write_report(self.out / "report.csv", self.result.dataset)
        self.result.converted.sort()
        return self.result


@dataclass(frozen=True, eq=False)
class _Sized:
    """An iterator of known length, for the progress bar."""

    items: Iterator[Outcome]
    length: int

    def __iter__(self) -> Iterator[Outcome]:
        return self.items

    def __len__(self) -> int:
        return self.length


def _is_foreign(folder: Path) -> bool:
    return folder.exists() and not (folder / CASE_FILE).exists()


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename the finished case to its name; one made earlier is moved aside first, then deleted."""
    with writing(folder):
        old = folder.with_name(f"{PARTIAL}old-{folder.name}")
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _read_record(folder: Path) -> dict[str, Any] | None:
    """case.json of a case whose files are all there, or None."""
    try:
        record = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
        case = record["case"]
        files = [case["image"], *(roi["file"] for roi in case["rois"] if roi["file"])]
        whole = case["id"] == folder.name and all((folder.parent / file).is_file() for file in files)
        return record if whole and {"fingerprint", "salt_hash", "patient_hash", "refused"} <= record.keys() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _earlier(out: Path, plans: list[CasePlan], salt: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases that earlier runs left in `out` from other input, and those of them that must stay out of dataset.json."""
    planned = {plan.name.case_id for plan in plans}
    series = {hashed(salt, plan.series_uid) for plan in plans if plan.series_uid}
    patients = {plan.name.patient_hash: plan.name.patient_id for plan in plans}
    cases, left_out = [], []
    for folder in sorted(out.iterdir()):
        record = None if folder.name in planned or folder.name.startswith(PARTIAL) else _read_record(folder)
        if record is None:
            continue
        case = record["case"]
        if record["salt_hash"] != hashed(salt, "salt"):
            why = "converted with another salt, so its patient may be here under another name"
        elif case["source"]["series_uid_hash"] in series or (
            patients.get(record["patient_hash"], case["patient_id"]) != case["patient_id"]
        ):
            why = "an earlier conversion of a series or patient that has another name now"
        else:
            cases.append(case)
            continue
        left_out.append({"where": folder.name, "reason": f"case left out ({why}): delete the folder", "files": 1})
    return cases, left_out


def _passed_over(found: Scan) -> list[dict[str, Any]]:
    return [
        {"where": found.secrets.hide(where), "reason": why, "files": count}
        for (where, why), count in sorted(found.passed_over.items())
        if count
    ]


def _tidy(out: Path) -> None:
    """Remove what an interrupted run left in `out`."""
    with writing(out):
        for left in out.glob(f"{PARTIAL}*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
