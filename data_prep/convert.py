"""DICOM CT and RTSTRUCT -> NIfTI and dataset.json: many cases, each built aside and put in place when whole."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.case import CasePlan, convert_case, fingerprint
from data_prep.dataset import SCHEMA_VERSION, write_dataset, write_json
from data_prep.errors import OutputError, PrepError, UsageError
from data_prep.identity import hashed, load_or_create_salt, name_cases
from data_prep.lock import alone_in
from data_prep.pairing import pair
from data_prep.progress import Progress, silent
from data_prep.report import summary, write_report
from data_prep.scan import Refusal, Scan, scan

PARTIAL = ".partial-"
CASE_FILE = "case.json"


@dataclass(frozen=True)
class ConvertOptions:
    """keep_ids: name cases by PatientID even where identity was not removed. overwrite: convert finished cases again.

    salt: the secret behind pseudonyms and hashes; None takes the user's own (identity.load_or_create_salt).
    """

    keep_ids: bool = False
    salt: bytes | None = None
    overwrite: bool = False


@dataclass
class ConvertResult:
    """dataset: what dataset.json holds. converted, reused: case ids of this run, made now or found finished."""

    dataset: dict[str, Any]
    out: Path
    converted: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)

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
        return [*self.dataset["refused"], *rois]

    @property
    def exit_code(self) -> int:
        """0 all done; 1 done, but something was refused; 3 not one case could be made."""
        if not self.converted and not self.reused:
            return 3
        return 1 if self.refused else 0

    def table(self) -> str:
        """The summary for people."""
        return summary(self.dataset, self.out, len(self.reused))


def convert(
    source: Path, out: Path, *, options: ConvertOptions = ConvertOptions(), progress: Progress = silent
) -> ConvertResult:
    """Convert all CT series below `source` (a folder or one file) and the RTSTRUCTs drawn on them into `out`.

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
    found = scan(source, skip=out, keep_ids=options.keep_ids, progress=progress)
    salt = options.salt or load_or_create_salt()
    plans = _plan(found, salt, options.keep_ids)
    with _output(out):
        out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        _tidy(out)
        return _convert_all(plans, out, salt, found, options.overwrite, progress)


def _convert_all(
    plans: list[CasePlan], out: Path, salt: bytes, found: Scan, overwrite: bool, progress: Progress
) -> ConvertResult:
    result = ConvertResult({}, out)
    cases: list[dict[str, Any]] = []
    refused = [_public(one, found, salt) for one in found.refused]
    for plan in progress(plans, "converting"):
        try:
            record, reused = _make_or_reuse(plan, out, salt, found, overwrite)
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001  # isolates one case: whatever goes wrong with it costs no other
            refused.append(_public(_series_refusal(plan, error, found), found, salt))
            continue
        (result.reused if reused else result.converted).append(plan.name.case_id)
        cases.append(record["case"])
        refused += record["refused"]
    if cases and not found.structs:
        nothing_drawn = Refusal("rtstruct", ".", "no RTSTRUCT found: images only, nothing to train on")
        refused.append(_public(nothing_drawn, found, salt))
    earlier, left_out = _earlier(out, plans, salt)
    result.dataset = write_dataset(out, cases + earlier, refused, _passed_over(found) + left_out)
    write_report(out / "report.csv", result.dataset)
    return result


def _plan(found: Scan, salt: bytes, keep_ids: bool) -> list[CasePlan]:
    """One case a series, in the order of case ids; RTSTRUCTs that fit no series are refused."""
    first = {uid: slices[0] for uid, slices in found.series.items()}
    pairing = pair(found.structs, first)
    for struct, reason in pairing.unpaired:
        found.refused.append(Refusal("rtstruct", found.where(struct.path), reason, struct.sop_uid))
    if pairing.copies:
        found.passed_over["", "copy of an RTSTRUCT"] += pairing.copies
    names = name_cases(list(first.values()), salt, keep_ids)
    plans = [CasePlan(names[uid], slices, pairing.by_series.get(uid, [])) for uid, slices in found.series.items()]
    return sorted(plans, key=lambda plan: plan.name.case_id)


def _make_or_reuse(plan: CasePlan, out: Path, salt: bytes, found: Scan, overwrite: bool) -> tuple[dict[str, Any], bool]:
    """The case's record (what case.json holds), and whether it was there already."""
    folder = out / plan.name.case_id
    print_now = fingerprint(plan, salt, found)
    there = _read_record(folder)
    if there is not None and there["fingerprint"] == print_now and not overwrite:
        return there, True
    if folder.exists() and there is None and not (folder / CASE_FILE).exists():
        raise UsageError(f"{folder} is there already and was not made by lungseg-prep: move it, or choose another OUT")
    partial = out / f"{PARTIAL}{plan.name.case_id}"
    try:
        with _output(partial):
            partial.mkdir()
        case, refusals = convert_case(plan, partial, salt, found)
        record = {
            "schema_version": SCHEMA_VERSION,
            "fingerprint": print_now,
            "salt_hash": hashed(salt, "salt"),
            "patient_hash": plan.name.patient_hash,
            "case": case,
            "refused": [_public(one, found, salt) for one in refusals],
        }
        write_json(partial / CASE_FILE, record)
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return record, False


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename the finished case to its name; one made earlier is moved aside first, then deleted."""
    with _output(folder):
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
    series = {hashed(salt, plan.slices[0].series_uid) for plan in plans}
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


def _series_refusal(plan: CasePlan, error: Exception, found: Scan) -> Refusal:
    folder = Path(os.path.commonpath([one.path.parent for one in plan.slices]))
    where = "" if found.source.is_file() else found.where(folder)
    if isinstance(error, PrepError):
        reason = found.secrets.hide_files(str(error), [one.path for one in plan.slices])
    else:
        reason = found.secrets.hide(f"unexpected {type(error).__name__}: {error}")
    return Refusal("series", where or found.where(plan.slices[0].path), reason, plan.slices[0].series_uid)


def _public(refusal: Refusal, found: Scan, salt: bytes) -> dict[str, Any]:
    """The refusal as it is written: UIDs hashed, and no part of a name in the path."""
    return {
        "what": refusal.what,
        "where": found.secrets.hide(refusal.where),
        "reason": refusal.reason,
        "uid_hash": hashed(salt, refusal.uid),
    }


def _passed_over(found: Scan) -> list[dict[str, Any]]:
    return [
        {"where": found.secrets.hide(where), "reason": why, "files": count}
        for (where, why), count in sorted(found.passed_over.items())
        if count
    ]


def _tidy(out: Path) -> None:
    """Remove what an interrupted run left in `out`."""
    with _output(out):
        for left in out.glob(f"{PARTIAL}*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


@contextmanager
def _output(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror or error}. Choose a folder you may write to, with room left."
        ) from error
