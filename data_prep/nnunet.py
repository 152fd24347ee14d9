"""Prepared data -> nnU-Net's raw-data format (v2): one label map a case, built aside and put in place when whole."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.dataset import FILE_NAME, is_radiograph, read_dataset, write_json
from data_prep.errors import DatasetError, NothingToDoError, UsageError
from data_prep.label_maps import merge
from data_prep.lock import alone_in
from data_prep.output import writing
from data_prep.progress import Progress, silent

ROOT = "nnUNet_raw"
LEDGER = "lungseg.json"  # beside nnU-Net's dataset.json: which case became what, and what was left out
PARTIAL = ".partial-"
ENDING = ".nii.gz"
MOST_LABELS = 255


@dataclass
class NnunetResult:
    """folder: the data set. ledger: what lungseg.json holds: cases, overlaps, cases left out and why."""

    folder: Path
    ledger: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all done; 1 done, but cases were left out."""
        return 1 if self.ledger["left_out"] else 0

    def table(self) -> str:
        cases = self.ledger["cases"]
        lines = [f"{self.folder}: {sum(case['side'] == 'Tr' for case in cases)} cases train, "
                 f"{sum(case['side'] == 'Ts' for case in cases)} test"]  # fmt: skip
        lines += [
            f"{case['id']}: {count} voxels lie in {pair.replace(' ', ' and ')}: they became {pair.split()[1]}"
            for case in cases
            for pair, count in case["overlaps"].items()
        ]
        lines += [f"left out: {entry['id']} ({entry['reason']})" for entry in self.ledger["left_out"]]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Plan:
    """One case: its name in nnU-Net, on which side it stands (Tr, Ts), and the mask files of each label in turn."""

    case: Mapping[str, Any]
    name: str
    side: str
    files: tuple[tuple[str, ...], ...]


def write_nnunet(
    prepared: Path,
    name: str,
    number: int,
    labels: Sequence[str],
    *,
    out: Path | None = None,
    progress: Progress = silent,
) -> NnunetResult:
    """Write `out` (default `prepared`)/nnUNet_raw/DatasetNNN_<name> for nnU-Net v2 (documentation/dataset_format.md).

    labels: in the order of their values, from 1. `lungs=lung_left+lung_right` takes masks labelled `lungs`, else the
    union of the parts, as in training. Where two labels overlap the later one wins; the voxels are counted. Cases that
    lack a label, or lie on a sheared grid, are left out by name. `datalist.json`, if there, says who tests.
    Raises UsageError, DatasetError, NothingToDoError (no case has all labels) and OutputError.
    """
    wanted = _check(name, number, labels)
    prepared = Path(prepared)
    dataset = read_dataset(prepared)
    if any(map(is_radiograph, dataset["cases"])):
        raise UsageError(f"volumes are exported to nnU-Net's layout, and {prepared} holds X-rays")
    plans, left_out = _plan(dataset, wanted, _sides(prepared))
    if not plans:
        raise NothingToDoError(f"no case in {prepared} has all of {', '.join(wanted)}: {_first_reasons(left_out)}")
    root = Path(out or prepared) / ROOT
    folder = root / f"Dataset{number:03d}_{name}"
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    with alone_in(root):
        _refuse_foreign(root, folder)
        partial = root / f"{PARTIAL}{folder.name}"
        with writing(partial):
            _begin(partial, _fingerprint(prepared, plans, wanted))
            cases, unfit = _write_cases(prepared, partial, plans, list(wanted), progress)
            if not cases:
                raise NothingToDoError(f"no case can be written: {_first_reasons(unfit)}")
            ledger = {
                "created_by": {"lungseg-monai": __version__},
                "labels": {label: list(parts) for label, parts in wanted.items()},
                "cases": cases,
                "left_out": [*left_out, *unfit],
            }
            _finish(partial, folder, ledger, name, list(wanted))
    return NnunetResult(folder, ledger)


def _check(name: str, number: int, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Label -> the labels that it unites. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise UsageError(f"--name must be letters, digits, - and _, got {name!r}")
    if not 1 <= number <= 999:
        raise UsageError(f"--number must be from 1 to 999, got {number}")
    wanted: dict[str, tuple[str, ...]] = {}
    for spec in labels:
        label, equals, parts = spec.partition("=")
        if not re.fullmatch(r"\w+", label) or label == "background" or label in wanted:
            raise UsageError(f"--labels: {spec!r} is no new label; wanted for example lung_right,lung_left,gtv")
        wanted[label] = tuple(parts.split("+")) if equals else ()
        if not all(re.fullmatch(r"\w+", part) for part in wanted[label]):
            raise UsageError(f"--labels: {spec!r} unites nothing; wanted for example lungs=lung_left+lung_right")
    if not 1 <= len(wanted) <= MOST_LABELS:
        raise UsageError(f"--labels wants 1 to {MOST_LABELS} labels, got {len(wanted)}")
    return wanted


def _sides(prepared: Path) -> dict[str, str] | None:
    """Case id -> Tr or Ts by datalist.json; None where there is no such file: then all train."""
    path = prepared / "datalist.json"
    if not path.exists():
        return None
    try:
        datalist = json.loads(path.read_text(encoding="utf-8"))
        by_slice = datalist["split"]["by"] == "slice"
        lists = {part: [entry["case_id"] for entry in datalist[part]] for part in ("training", "validation", "test")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{path} is damaged ({type(error).__name__}): run `lungseg-prep split` again") from error
    if by_slice:
        raise UsageError(f"{path} splits within a patient; nnU-Net takes whole cases: delete it or split by patient")
    return {case: "Ts" if part == "test" else "Tr" for part, cases in lists.items() for case in cases}


def _plan(
    dataset: Mapping[str, Any], wanted: Mapping[str, tuple[str, ...]], sides: Mapping[str, str] | None
) -> tuple[list[_Plan], list[dict[str, str]]]:
    plans, left_out = [], []
    taken: set[str] = set()
    for case in sorted(dataset["cases"], key=lambda one: one["id"]):
        by_label: dict[str, list[str]] = {}
        for roi in case["rois"]:
            if roi["file"] and roi["label"]:
                by_label.setdefault(roi["label"], []).append(roi["file"])
        files = {label: _files_of(label, parts, by_label) for label, parts in wanted.items()}
        missing = [label for label, found in files.items() if not found]
        if missing:
            left_out.append({"id": case["id"], "reason": f"has no {', '.join(missing)}"})
        elif sides is not None and case["id"] not in sides:
            left_out.append({"id": case["id"], "reason": "stands on no list of datalist.json"})
        else:
            side = "Tr" if sides is None else sides[case["id"]]
            plans.append(_Plan(case, _nnunet_id(case["id"], taken), side, tuple(map(tuple, files.values()))))
    return plans, left_out


def _files_of(label: str, parts: Sequence[str], by_label: Mapping[str, list[str]]) -> list[str]:
    """The masks of `label`; where there are none those of all its parts, if each has one."""
    if label in by_label:
        return by_label[label]
    return [file for part in parts for file in by_label[part]] if parts and all(p in by_label for p in parts) else []


def _nnunet_id(case_id: str, taken: set[str]) -> str:
    """`case_id` in the characters that nnU-Net's tools expect, unique without regard to case."""
    name = re.sub(r"[^A-Za-z0-9-]+", "_", case_id).strip("_") or "case"
    if name != case_id or name.casefold() in taken:
        name = f"{name}_{hashlib.sha256(case_id.encode()).hexdigest()[:6]}"
    taken.add(name.casefold())
    return name


def _refuse_foreign(root: Path, folder: Path) -> None:
    for other in root.glob(f"{folder.name[:10]}_*"):
        if other != folder:
            raise UsageError(f"{other} has this number already, and nnU-Net knows data sets by it: choose another one")
    if folder.exists() and not (folder / LEDGER).is_file():
        raise UsageError(f"{folder} is there already and was not made by lungseg-prep: move it or choose another name")


def _fingerprint(prepared: Path, plans: Sequence[_Plan], wanted: Mapping[str, tuple[str, ...]]) -> str:
    """Changes with anything that the result depends on."""
    digest = hashlib.sha256((prepared / FILE_NAME).read_bytes())
    digest.update(repr((__version__, wanted)).encode())
    for plan in plans:
        files = [plan.case["image"], *(file for group in plan.files for file in group)]
        states = [(file, (prepared / file).stat() if (prepared / file).exists() else None) for file in files]
        digest.update(repr((plan.name, plan.side, [(f, s and (s.st_size, s.st_mtime_ns)) for f, s in states])).encode())
    return digest.hexdigest()


def _begin(partial: Path, fingerprint: str) -> None:
    """Keep what an interrupted run of the same input left in `partial`, else start with an empty folder."""
    mark = partial / "fingerprint.json"
    if not mark.is_file() or json.loads(mark.read_text() or "{}").get("fingerprint") != fingerprint:
        shutil.rmtree(partial, ignore_errors=True)
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "cases"):
        (partial / name).mkdir(parents=True, exist_ok=True)
    write_json(mark, {"fingerprint": fingerprint})


def _write_cases(
    prepared: Path, partial: Path, plans: Sequence[_Plan], labels: list[str], progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    cases, unfit = [], []
    for plan in progress(plans, "writing"):
        done = partial / "cases" / f"{plan.name}.json"  # written last: the case's files are whole
        if done.is_file():
            cases.append(json.loads(done.read_text(encoding="utf-8")))
            continue
        try:
            target = partial / f"labels{plan.side}" / f"{plan.name}{ENDING}"
            overlaps = merge(prepared, plan.case["image"], plan.files, labels, target)
        except DatasetError as error:
            unfit.append({"id": plan.case["id"], "reason": str(error)})
            continue
        _link(prepared / plan.case["image"], partial / f"images{plan.side}" / f"{plan.name}_0000{ENDING}")
        entry = {"id": plan.case["id"], "name": plan.name, "side": plan.side, "overlaps": overlaps}
        write_json(done, entry)
        cases.append(entry)
    return cases, unfit


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system has them: the image is not there twice. Else a copy."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _finish(partial: Path, folder: Path, ledger: Mapping[str, Any], name: str, labels: Sequence[str]) -> None:
    """The descriptions, then the whole into place; one made earlier is moved aside first, then deleted."""
    write_json(partial / LEDGER, ledger)
    write_json(
        partial / "dataset.json",
        {
            "name": name,
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, **{label: value for value, label in enumerate(labels, start=1)}},
            "numTraining": sum(case["side"] == "Tr" for case in ledger["cases"]),
            "file_ending": ENDING,
        },
    )
    shutil.rmtree(partial / "cases")
    (partial / "fingerprint.json").unlink()
    old = folder.with_name(f"{PARTIAL}old-{folder.name}")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _first_reasons(left_out: Sequence[Mapping[str, str]]) -> str:
    return "; ".join(f"{entry['id']} {entry['reason']}" for entry in left_out[:4]) or "it holds no case"
