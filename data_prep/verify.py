"""A prepared folder against what dataset.json says of it: every file hashed, every volume read to its last byte."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_prep.dataset import CASE_FILE, FILE_NAME, read_dataset, stays_inside
from data_prep.errors import DatasetError, NothingToDoError
from data_prep.progress import Progress, silent
from data_prep.verify_case import Problem, check_case, forbidden_keys

PARTIAL = ".partial-"
LABEL = re.compile(r"[a-z][a-z0-9_]*")  # which ones there are is for the user's --roi-map to say


@dataclass
class VerifyResult:
    """problems: in the order of cases. checked: how many cases, files, hashes and voxels were looked at."""

    problems: list[Problem] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        """0 all right; 1 problems."""
        return 1 if self.problems else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": not self.problems,
            "checked": dict(sorted(self.checked.items())),
            "problems": [asdict(one) for one in self.problems],
        }

    def table(self) -> str:
        """The problems, a line each, and what was looked at."""
        lines = [f"{one.case or '-'}  {one.file or '-'}: {one.what}" for one in self.problems]
        looked = ", ".join(f"{self.checked[name]} {name}" for name in ("cases", "files", "hashes"))
        lines.append(f"{looked} checked: {f'{len(self.problems)} problem(s)' if self.problems else 'all right'}")
        return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines)


def verify(out: Path, progress: Progress = silent, jobs: int = 1) -> VerifyResult:
    """Check the prepared folder `out`; nothing is written. In memory: one volume a job.

    jobs: cases looked at side by side. Raises NothingToDoError where no dataset.json is; all else is a problem.
    """
    out = Path(out)
    if not (out / FILE_NAME).is_file():
        raise NothingToDoError(f"{out} holds no {FILE_NAME}: nothing to verify. Name the OUT of `dicom2nifti`.")
    result = VerifyResult()
    try:
        dataset = read_dataset(out)
    except DatasetError as error:
        result.problems.append(Problem(None, FILE_NAME, str(error)))
        return result
    result.problems += [Problem(None, FILE_NAME, what) for what in _dataset_problems(dataset)]
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        safe = [case for case in dataset["cases"] if is_safe(case["id"])]
        checks = pool.map(lambda case: check_case(out, case), safe)
        for problems, checked in progress(checks, "verifying"):
            result.problems += problems
            result.checked += checked
    result.problems += _folder_problems(out, dataset)
    result.problems += [Problem(None, "datalist.json", what) for what in _datalist_problems(out, dataset)]
    return result


def _dataset_problems(dataset: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with dataset.json as a whole."""
    yield from (f"holds the key {key}, which must not be written" for key in sorted(forbidden_keys(dataset)))
    ids = Counter(case["id"].casefold() for case in dataset["cases"])
    yield from (f"{count} cases are called {name}" for name, count in sorted(ids.items()) if count > 1)
    for case in dataset["cases"]:
        if not is_safe(case["id"]):
            yield f"a case is called {json.dumps(case['id'])[:80]}: no safe name of a folder"
        for roi in case["rois"]:
            if roi["label"] is not None and not LABEL.fullmatch(roi["label"]):
                yield f"{case['id']}: {json.dumps(roi['label'])[:80]} can be no label"


def is_safe(case_id: str) -> bool:
    """Whether a case's id can name its folder."""
    return stays_inside(case_id) and "/" not in case_id and not case_id.startswith(".")


def _folder_problems(out: Path, dataset: Mapping[str, Any]) -> list[Problem]:
    """Leftovers of broken-off runs, and cases that dataset.json does not know."""
    known = {case["id"] for case in dataset["cases"]} | {entry["where"] for entry in dataset.get("ignored", [])}
    problems = []
    for entry in sorted(os.scandir(out), key=lambda entry: entry.name):
        if entry.name.startswith(PARTIAL):
            problems.append(Problem(None, entry.name, "is left from an interrupted run: run the same command again"))
        elif entry.name not in known and (Path(entry.path) / CASE_FILE).is_file():
            problems.append(Problem(entry.name, None, "is a case that dataset.json does not name"))
    return problems


def _datalist_problems(out: Path, dataset: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with datalist.json, where there is one."""
    path = out / "datalist.json"
    if not path.exists():
        return
    try:
        datalist = json.loads(path.read_text(encoding="utf-8"))
        entries = [(part, one) for part in ("training", "validation", "test") for one in datalist.get(part, [])]
        files = {file for _, one in entries for file in (one["image"], *one["label"])}
        sides: dict[str, set[str]] = {}
        for part, one in entries:
            sides.setdefault(one["patient_id"], set()).add(f"{part} {one.get('fold', '')}".strip())
        by_slice = datalist["split"]["by"] == "slice"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        yield f"is damaged ({type(error).__name__}): run `lungseg-prep split` again"
        return
    yield from (f"holds the key {key}, which must not be written" for key in sorted(forbidden_keys(datalist)))
    named = {case["image"] for case in dataset["cases"]}
    named |= {roi["file"] for case in dataset["cases"] for roi in case["rois"] if roi["file"]}
    yield from (f"names {file}, which dataset.json does not" for file in sorted(map(str, files)) if file not in named)
    for patient, parts in sorted(sides.items()):
        if len(parts) > 1 and not by_slice:
            yield f"puts patient {patient} on several sides: {', '.join(sorted(parts))}"
