"""X-rays and masks -> PNG and dataset.json: many cases, each put in place when whole."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.dataset import CASE_FILE, write_dataset
from data_prep.errors import NothingToDoError, OutputError, UsageError
from data_prep.identity import hashed, load_or_create_salt
from data_prep.lock import alone_in
from data_prep.output import writing
from data_prep.progress import Progress, silent
from data_prep.radiographs.case import NO_MASK, make_case
from data_prep.radiographs.find import Found, find
from data_prep.radiographs.groups import grouped
from data_prep.radiographs.options import DEFAULTS, RadiographOptions
from data_prep.radiographs.pairs import pair, pair_by_csv
from data_prep.radiographs.plan import CasePlan, Context, fingerprint, make_plans
from data_prep.radiographs.report import summary, write_report
from data_prep.scan import Refusal
from data_prep.work import Job, Limits, Outcome, in_processes, in_turn

PARTIAL = ".partial-"
RECORD_KEYS = {"xray_fingerprint", "salt_hash", "patient_hash", "case"}


@dataclass
class PrepareResult:
    """dataset: what dataset.json holds. prepared, reused: case ids of this run, made now or found finished."""

    dataset: dict[str, Any]
    out: Path
    prepared: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[dict[str, Any]]:
        """All that this run refused, masks and missing masks included: what, where, reason, uid_hash."""
        done = {*self.prepared, *self.reused}
        found = list(self.dataset["refused"])
        for case in self.dataset["cases"]:
            if case["id"] not in done:
                continue
            reasons = [roi["reason"] for roi in case["rois"] if roi["status"] == "refused"]
            reasons += [NO_MASK] if NO_MASK in case["flags"] else []
            found += [{"what": "mask", "where": case["id"], "reason": why, "uid_hash": None} for why in reasons]
        return found

    @property
    def exit_code(self) -> int:
        """0 all done; 1 done, but something was refused or has no mask; 3 not one case could be made."""
        if not self.prepared and not self.reused:
            return 3
        return 1 if self.refused else 0

    def table(self) -> str:
        """The summary for people."""
        return summary(self.dataset, self.refused, self.out, len(self.reused))


def prepare(
    source: Path, out: Path, *, options: RadiographOptions = DEFAULTS, progress: Progress = silent
) -> PrepareResult:
    """Prepare all X-rays below `source` (a folder, zip archive or file) and their masks into `out`.

    A case that is there already, made from the same files by the same version, is kept as it is, so an interrupted
    run goes on where it stopped. One bad file costs only itself and stands in the result. Raises NothingToDoError (no
    X-ray at all; nothing is written), UsageError, and OutputError (`out` can't be written; finished cases stay).
    """
    source, out = Path(source), Path(out)
    if out.resolve() == source.resolve():
        raise UsageError(f"IN and OUT are the same folder, {out}: choose another one for the results")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; wanted a folder for the results")
    with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
        found = find(source, Path(scratch), skip=out, keep_ids=options.keep_ids, progress=progress)
        salt = options.salt or load_or_create_salt()
        plans = _plans(found, salt, options)
        if not plans:
            reasons = "; ".join(f"{one.where}: {one.reason}" for one in found.refused[:3])
            raise NothingToDoError(f"no X-ray in {source} can be used ({found.secrets.hide(reasons)})")
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        with alone_in(out):
            _tidy(out)
            return _Run(found, plans, out, salt, options, progress).run()


def _plans(found: Found, salt: bytes, options: RadiographOptions) -> list[CasePlan]:
    if options.pairs is not None:
        pairs, refused = pair_by_csv(options.pairs, found.source, [*found.pictures, *found.dicom])
    else:
        pairs, refused = pair(found.pictures, found.dicom)
    found.refused += refused
    return make_plans(pairs, salt, options)


@dataclass(eq=False)
class _Run:
    """One preparation: which cases are there already, which are made now, and what comes of them."""

    found: Found
    plans: list[CasePlan]
    out: Path
    salt: bytes
    options: RadiographOptions
    progress: Progress

    def __post_init__(self) -> None:
        self.context = Context(self.salt, self.found.secrets, self.options.convention)
        self.records: dict[str, dict[str, Any]] = {}
        self.result = PrepareResult({}, self.out)
        self.refused = [self._public(one) for one in self.found.refused]

    def run(self) -> PrepareResult:
        earlier, left_out = _earlier(self.out, self.plans, self.salt)
        todo = []
        for plan in self.progress(self.plans, "comparing"):
            print_now, name = fingerprint(plan, self.options, self.salt), plan.name.case_id
            record = _read_record(self.out / name)
            if record is not None and record["xray_fingerprint"] == print_now and not self.options.overwrite:
                self.records[name] = record
                self.result.reused.append(name)
            elif record is None and (self.out / name).exists():
                self._fail(plan, f"the folder {name} is there already and was not made by lungseg-prep cxr: "
                                 "move it, or choose another OUT")  # fmt: skip
            else:
                todo.append((plan, print_now))
        self._make(todo)
        cases = grouped([*(record["case"] for record in self.records.values()), *earlier])
        ignored = [{"where": where, "reason": why, "files": count}
                   for (where, why), count in sorted(self.found.passed_over.items())]  # fmt: skip
        self.result.dataset = write_dataset(self.out, cases, self.refused, ignored + left_out)
        write_report(self.out / "report.csv", self.result.dataset)
        self.result.prepared.sort()
        return self.result

    def _make(self, todo: Sequence[tuple[CasePlan, str]]) -> None:
        plans = {plan.name.case_id: plan for plan, _ in todo}
        jobs = [
            Job(name, make_case, (plan, self._partial(name), print_now, self.context))
            for (plan, print_now), name in zip(todo, plans, strict=True)
        ]
        try:
            for outcome in self.progress(_Sized(self._outcomes(jobs), len(jobs)), "preparing"):
                self._take(plans[outcome.name], outcome)
        finally:
            for name in plans:
                shutil.rmtree(self._partial(name), ignore_errors=True)

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        if not self.options.jobs:
            return in_turn(jobs)
        from PIL import Image

        Image.init()  # once, and not in each of the processes
        return in_processes(jobs, self.options.jobs, Limits(self.options.time_limit_s))

    def _take(self, plan: CasePlan, outcome: Outcome) -> None:
        if outcome.record is None:
            if outcome.fatal:
                raise OutputError(outcome.problem)
            self._fail(plan, str(outcome.problem))
            return
        _put_in_place(self._partial(outcome.name), self.out / outcome.name)
        self.records[outcome.name] = outcome.record
        self.result.prepared.append(outcome.name)

    def _fail(self, plan: CasePlan, problem: str) -> None:
        uid = plan.image.dicom.sop_uid if plan.image.dicom else ""
        self.refused.append(self._public(Refusal("image", str(plan.image.place), problem, uid)))

    def _public(self, refusal: Refusal) -> dict[str, Any]:
        hide = self.found.secrets.hide
        where, reason = hide(refusal.where), hide(refusal.reason)
        return {"what": refusal.what, "where": where, "reason": reason, "uid_hash": hashed(self.salt, refusal.uid)}

    def _partial(self, name: str) -> Path:
        return self.out.resolve() / f"{PARTIAL}{name}"


@dataclass(frozen=True, eq=False)
class _Sized:
    """An iterator of known length, for the progress bar."""

    items: Iterator[Outcome]
    length: int

    def __iter__(self) -> Iterator[Outcome]:
        return self.items

    def __len__(self) -> int:
        return self.length


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
        return record if whole and record.keys() >= RECORD_KEYS else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _earlier(out: Path, plans: list[CasePlan], salt: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases that earlier runs left in `out` from other input, and those of them that must stay out of dataset.json.

    Raises UsageError where `out` holds cases of another kind, as CT.
    """
    planned = {plan.name.case_id for plan in plans}
    keys = {hashed(salt, plan.key) for plan in plans}
    patients = {plan.name.patient_hash: plan.name.patient_id for plan in plans}
    cases, left_out = [], []
    for folder in sorted(one for one in out.iterdir() if (one / CASE_FILE).is_file()):
        if folder.name in planned or folder.name.startswith(PARTIAL):
            continue
        record = _read_record(folder)
        if record is None:
            raise UsageError(f"{out} holds {folder.name}, a case that is no X-ray (or is damaged): choose another OUT")
        case = record["case"]
        renamed = patients.get(record["patient_hash"], case["patient_id"]) != case["patient_id"]
        if record["salt_hash"] != hashed(salt, "salt"):
            why = "prepared with another salt, so its patient may be here under another name"
        elif renamed or case["source"]["series_uid_hash"] in keys:
            why = "an earlier preparation of an image or patient that has another name now"
        else:
            cases.append(case)
            continue
        left_out.append({"where": folder.name, "reason": f"case left out ({why}): delete the folder", "files": 1})
    return cases, left_out


def _tidy(out: Path) -> None:
    """Remove what an interrupted run left in `out`."""
    with writing(out):
        for left in out.glob(f"{PARTIAL}*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
