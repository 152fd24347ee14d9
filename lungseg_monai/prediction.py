"""Predict cases one by one with a MONAI evaluator, and keep predictions.json (docs/reference/files.md)."""

import time
from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from torch.utils.data import Dataset, Subset

from data_prep.nifti import write_nifti
from data_prep.progress import bar
from lungseg_monai.data import SECTIONS, Case, CaseLists, check_labels, select_cases
from lungseg_monai.errors import DatasetError, IncompleteError, NothingToDoError, UsageError
from lungseg_monai.io import grid_of, read_json, sha256, write_json, write_masks
from lungseg_monai.slices import reason_of

SUFFIXES = (".nii.gz", ".nii")
Output = Mapping[str, Any]  # what the evaluator leaves of one case
Written = tuple[dict[str, Path], dict[str, Any]]  # name -> file; what else the journal says of the case
Write = Callable[[Output, Path, Sequence[str], Case], Written]
log = getLogger(__name__)


def cases_to_predict(
    dataset_dir: str | Path | None,
    sections: Sequence[str] = SECTIONS,
    images: Sequence[str] | None = None,
    fold: int | None = None,
) -> CaseLists:
    """The cases of `sections` of a PREPARED folder, or, when `images` (files or folders) are given, those.

    `fold` is the one that was validated on; it makes the validation section if the split has folds.
    Raises DatasetError, UsageError for an unknown section, NothingToDoError when there is no image.
    """
    if images is not None:
        return image_cases([Path(name) for name in ([images] if isinstance(images, str) else images)])
    wanted = [sections] if isinstance(sections, str) else list(sections)
    unknown = [section for section in wanted if section not in SECTIONS]
    if unknown:
        raise UsageError(f"there is no section {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    lists = select_cases(dataset_dir or "", labels=None, needed=())
    if fold is not None and lists.split.get("folds"):
        lists = select_cases(dataset_dir or "", labels=None, needed=(), fold=fold)
    cases = lists.section(*wanted)
    left_out = [entry for entry in lists.left_out if entry["section"] in wanted]
    if not cases:
        why = "; ".join(f"{one['case_id']}: {one['reason']}" for one in left_out[:3]) or "see its datalist.json"
        raise NothingToDoError(f"{dataset_dir} has no case in {', '.join(wanted)}: {why}")
    return CaseLists(cases, left_out, lists.split, lists.folder)


def image_cases(paths: Sequence[Path]) -> CaseLists:
    """NIfTI files, alone or anywhere below folders, as cases. One that can't be read is left out and named.

    A case is named by its file's stem, or by the folder of an `image.nii.gz`, as PREPARED folders have it.
    Raises NothingToDoError when there is none, UsageError when two have the same name.
    """
    files = [file for path in paths for file in (images_below(path) if path.is_dir() else [path])]
    cases: dict[str, Case] = {}
    left_out = []
    for file in files:
        name = file.name.removesuffix(".gz").removesuffix(".nii")
        name = file.absolute().parent.name if name == "image" else name
        if name in cases:
            raise UsageError(f"{cases[name].image} and {file} would both be predicted as {name}: rename one")
        try:
            cases[name] = Case(name, "", file.resolve(), grid_of(file)[0])
        except DatasetError as error:
            left_out.append({"case_id": name, "section": "", "reason": str(error), "kind": "damaged"})
    if not cases:
        reasons = "; ".join(entry["reason"] for entry in left_out)
        raise NothingToDoError(f"no NIfTI image in {', '.join(map(str, paths))}. {reasons}")
    return CaseLists(list(cases.values()), left_out, {})


def images_below(folder: Path) -> list[Path]:
    """The NIfTI files of a folder and those below it, but for masks, our own predictions and what is hidden."""
    below = [(file, file.relative_to(folder).parts) for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        file
        for file, parts in below
        if file.name.endswith(SUFFIXES)
        and not {"masks", "predictions"} & set(parts)
        and not any(part.startswith(".") for part in parts)
    ]


class Journal:
    """predictions.json: rewritten after each case, so that a run that was stopped goes on where it was.

    Raises ConfigError for `labels` that can't name files.
    """

    def __init__(
        self,
        output_dir: str | Path,
        cases: CaseLists,
        checkpoint: Path | Sequence[Path],
        labels: Mapping[str, Sequence[str]],
        facts: Mapping[str, Any],
    ) -> None:
        check_labels(labels)
        self.folder = Path(output_dir).resolve() / "predictions"
        self.path = self.folder / "predictions.json"
        self.labels = list(labels)
        self.cases = cases
        self.content: dict[str, Any] = {
            "schema_version": "1.0",
            **facts,
            "checkpoint": told_of(checkpoint),
            "labels": {target: list(parts) for target, parts in labels.items()},
            "split": cases.split,
            "cases": [],
            "refused": [{"case_id": e["case_id"], "reason": e["reason"]} for e in cases.left_out],
        }
        self.before = self._entries_before()

    def done(self, case: Case) -> dict[str, Any] | None:
        """What an earlier call wrote for this case with the same checkpoint and options, unless the image is newer."""
        entry = self.before.get(case.case_id)
        if entry is None or set(entry["files"]) != set(self.labels):
            return None
        masks = [self.folder / file for file in entry["files"].values()]
        newer = all(mask.is_file() and mask.stat().st_mtime >= case.image.stat().st_mtime for mask in masks)
        return entry if newer else None

    def add(self, case: Case, files: Mapping[str, str], seconds: float, facts: Mapping[str, Any] | None = None) -> None:
        """Note a predicted case, once for each section that it serves, with what else there is to say of it."""
        for each in self.cases.cases:
            if each.case_id == case.case_id:
                entry = {"case_id": case.case_id, "section": each.section or None, "files": dict(files)}
                rest = {"slices": each.slices, "seconds": round(seconds, 3), **(facts or {})}
                self.content["cases"].append({**entry, **rest})
        write_json(self.path, self.content)

    def keep(self, case: Case, earlier: Mapping[str, Any]) -> None:
        """Note a case as an earlier call noted it."""
        own = ("case_id", "section", "files", "slices", "seconds")
        facts = {name: value for name, value in earlier.items() if name not in own}
        self.add(case, earlier["files"], earlier["seconds"], facts)

    def refuse(self, case: Case, reason: str) -> None:
        log.error("case %s: %s", case.case_id, reason)
        self.content["refused"].append({"case_id": case.case_id, "reason": reason})
        write_json(self.path, self.content)

    def finish(self) -> None:
        """Raises NothingToDoError when no case could be predicted, IncompleteError when some could not."""
        write_json(self.path, self.content)
        refused = self.content["refused"]
        if refused:
            told = "; ".join(f"{entry['case_id']}: {entry['reason']}" for entry in refused[:3])
            kind = IncompleteError if self.content["cases"] else NothingToDoError
            raise kind(f"{len(refused)} cases could not be predicted (all in {self.path}): {told}")

    def _entries_before(self) -> dict[str, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        try:
            before = read_json(self.path)
            same = all(before.get(key) == self.content[key] for key in ("checkpoint", "labels", "bundle", "options"))
            return {entry["case_id"]: entry for entry in before["cases"]} if same else {}
        except (DatasetError, KeyError, TypeError):
            return {}  # damaged: predict again


def told_of(checkpoint: Path | Sequence[Path]) -> dict[str, Any]:
    """file and sha256 of a checkpoint; of several a list each, files with the names of their runs."""
    paths = [checkpoint] if isinstance(checkpoint, Path) else list(checkpoint)
    if len(paths) == 1:
        return {"file": paths[0].name, "sha256": sha256(paths[0])}
    return {"file": ["/".join(path.parts[-3:]) for path in paths], "sha256": [sha256(path) for path in paths]}


def write_volumes(output: Output, folder: Path, names: Sequence[str], case: Case) -> Written:
    """Write `pred`, masks (T, I, J, K) on the image's own grid, as folder/<name>.nii.gz; and `uncertainty`, if any."""
    prediction = output["pred"]  # a MetaTensor
    masks, affine_ras = prediction.as_tensor().to(torch.uint8).cpu().numpy(), prediction.affine.cpu().numpy()
    files = write_masks(folder, masks, affine_ras, names, case.image)
    facts: dict[str, Any] = {}
    if "uncertainty" in output:
        spread = output["uncertainty"][0].as_tensor().float().cpu().numpy()
        write_nifti(folder / "uncertainty.nii.gz", spread, grid_of(case.image)[1])
        facts["uncertainty"] = f"{folder.name}/uncertainty.nii.gz"
    return files, facts


def predict_cases(
    evaluator: SupervisedEvaluator, dataset: Dataset, journal: Journal, write: Write = write_volumes
) -> None:
    """Predict each case of `dataset` (in the order of the journal's cases) and write its masks.

    The evaluator's postprocessing must leave what `write` takes. One case at a time: a case that fails is named in the
    journal and costs no other. `journal.finish` reports at the end.
    """
    # ignite's interrupt-and-resume makes an engine that has once failed skip its next run without a word.
    evaluator.interrupt_resume_enabled = False
    seen = set()
    kept = 0
    for index, case in enumerate(bar(journal.cases.cases, "predicting")):
        if case.case_id in seen:
            continue  # the second section of a split within one patient
        seen.add(case.case_id)
        earlier = journal.done(case)
        if earlier is not None:
            journal.keep(case, earlier)
            kept += 1
            continue
        started = time.perf_counter()
        try:
            output = predict_case(evaluator, Subset(dataset, [index]))
            files, facts = write(output, journal.folder / case.case_id, journal.labels, case)
        except Exception as error:  # noqa: BLE001 - one case costs no other, whatever is wrong with it
            journal.refuse(case, reason_of(error))
            continue
        relative = {name: path.relative_to(journal.folder).as_posix() for name, path in files.items()}
        journal.add(case, relative, time.perf_counter() - started, facts)
        log.info("case %s predicted in %.1f s", case.case_id, time.perf_counter() - started)
    if kept:
        log.info("%d cases were predicted before with the same checkpoint and are kept", kept)


def predict_case(evaluator: SupervisedEvaluator, one_case: Dataset) -> Output:
    """Run the evaluator on one case; what it leaves of it."""
    evaluator.data_loader = DataLoader(one_case, batch_size=1)
    evaluator.state.epoch_length = 1
    evaluator.state.output = None
    evaluator.run()
    output: Output = evaluator.state.output[0]
    return output
