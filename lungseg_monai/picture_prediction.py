"""What inference.yaml of the radiograph bundles needs: which pictures, which rules, lungs.png at their own size."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.engines import SupervisedEvaluator
from torch.utils.data import Dataset

from data_prep.radiographs.png import write_png
from lungseg_monai.data import SECTIONS, Case, CaseLists
from lungseg_monai.errors import ConfigError, DatasetError, NothingToDoError, UsageError
from lungseg_monai.io import read_json
from lungseg_monai.pictures.files import picture_grid
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import NAMES
from lungseg_monai.postprocessing_cxr import ANATOMICAL, CONVENTIONS, CxrRules, cxr_rules_from
from lungseg_monai.prediction import Journal, Output, Written, cases_to_predict, predict_cases

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
PASSED_BY = {"masks", "predictions"}  # folders
NO_IMAGES = {"lungs", "overlay", "probability", "uncertainty"}  # what we write beside pictures
NOT_ONE = "no PNG, JPEG, TIFF, BMP or GIF; DICOM and volumes: lungseg-prep cxr, or lungseg segment --model {bundle}"
FULL = 65535  # probability.png has 16 bits


def pictures_to_predict(
    dataset_dir: str | Path | None,
    sections: Sequence[str] = SECTIONS,
    images: Sequence[str] | None = None,
    fold: int | None = None,
    bundle: str = "",
) -> CaseLists:
    """The radiographs of `sections` of a PREPARED folder, or, when `images` (files or folders) are given, those.

    A case that holds no picture is left out and named. Raises DatasetError, UsageError for an unknown section or for
    two images of one name, NothingToDoError when there is no picture at all.
    """
    if images is not None:
        return picture_cases([Path(name) for name in ([images] if isinstance(images, str) else images)], bundle)
    lists = cases_to_predict(dataset_dir, sections, fold=fold)
    fitting = [case for case in lists.cases if case.image.suffix.lower() in SUFFIXES]
    others = [_left_out(case.case_id, case.section, f"{case.image.name} is {NOT_ONE}", bundle)
              for case in lists.cases if case not in fitting]  # fmt: skip
    if not fitting:
        raise NothingToDoError(f"{dataset_dir} holds no radiograph; {others[0]['reason'] if others else ''}")
    return CaseLists(fitting, [*lists.left_out, *others], lists.split, lists.folder)


def picture_cases(paths: Sequence[Path], bundle: str = "") -> CaseLists:
    """Picture files, alone or anywhere below folders, as cases. One that can't be read is left out and named.

    A case is named by its file's stem, or by the folder of an `image.png`, as PREPARED folders have it.
    Raises NothingToDoError when there is none, UsageError when two have the same name.
    """
    cases: dict[str, Case] = {}
    left_out = []
    for file in (file for path in paths for file in (_below(path) if path.is_dir() else [path])):
        name = file.absolute().parent.name if file.stem == "image" else file.stem
        if name in cases:
            raise UsageError(f"{cases[name].image} and {file} would both be predicted as {name}: rename one")
        try:
            if file.is_file() and file.suffix.lower() not in SUFFIXES:
                raise DatasetError(f"{file} is {NOT_ONE}")
            cases[name] = Case(name, "", file.resolve(), picture_grid(file)[0])
        except DatasetError as error:
            left_out.append(_left_out(name, "", str(error), bundle))
    if not cases:
        reasons = "; ".join(entry["reason"] for entry in left_out)
        raise NothingToDoError(f"no radiograph in {', '.join(map(str, paths))}. {reasons}")
    return CaseLists(list(cases.values()), left_out, {})


def picture_items(cases: CaseLists) -> list[dict[str, Any]]:
    """The cases as items of a MONAI dataset, each with `mirrored`: 1 where PatientOrientation says that the patient's
    right is at the picture's right, 0 where it says left, -1 where dataset.json does not know."""
    known: dict[str, str] = {}
    if cases.folder is not None:
        described = read_json(cases.folder / "dataset.json")["cases"]
        known = {str(case["id"]): str(case.get("orientation") or "") for case in described}
    hangs = {"L": 0, "R": 1}
    return [
        {"image": str(case.image), "case_id": case.case_id, "mirrored": hangs.get(known.get(case.case_id, "")[:1], -1)}
        for case in cases.cases
    ]


def rules_for(rules: str | Mapping[str, Any], trained: str | None, convention: str | None = None) -> CxrRules:
    """The rules (by name, or what differs from CxrRules) that bring weights `trained` for a convention to `convention`.

    None: whatever the rules make. Both lungs are completed from visible to anatomical; there is no way back.
    Raises ConfigError for an unknown convention and for what can't be.
    """
    found = cxr_rules_from(rules)
    if convention is None:
        return found
    if convention not in CONVENTIONS:
        raise ConfigError(f"there is no convention {convention!r}; there are: {', '.join(CONVENTIONS)}, or null")
    if trained not in CONVENTIONS:
        raise ConfigError(
            f"the weights do not say what their convention is ({trained!r}), so that they can't be brought to "
            f"{convention}: leave --convention out, or give --trained_convention"
        )
    if convention == "anatomical" and trained == "visible":
        return replace(found, complete=ANATOMICAL)
    if convention == "visible" and (trained == "anatomical" or found.complete != "none"):
        raise ConfigError(
            f"--convention visible: what is made anatomical can't be made visible again (weights: {trained}, "
            f"complete: {found.complete}). Take weights trained on visible lungs."
        )
    return found


def convention_of(rules: CxrRules, trained: str | None) -> str | None:
    """What the masks mean that these rules make of weights `trained` for a convention."""
    return "anatomical" if rules.complete != "none" else trained


class PictureJournal(Journal):
    """predictions.json of radiographs: also which convention the masks follow and what their values are.

    Raises ConfigError for `labels` that do not name one target: the network finds lung, and sides are told afterwards.
    """

    def __init__(
        self,
        output_dir: str | Path,
        cases: CaseLists,
        checkpoint: Path | Sequence[Path],
        labels: Mapping[str, Sequence[str]],
        facts: Mapping[str, Any],
    ) -> None:
        if len(labels) != 1:
            raise ConfigError(f"labels must name one target, as {{'lungs': ['lungs']}}; got {dict(labels)}")
        super().__init__(output_dir, cases, checkpoint, labels, facts)


def values_of(rules: CxrRules, labels: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """value -> label of the masks that these rules make, for predictions.json."""
    return {str(value): name for value, name in NAMES.items()} if rules.sides else {"1": next(iter(labels))}


def write_picture(output: Output, folder: Path, names: Sequence[str], case: Case) -> Written:
    """Write `pred`, uint8 (1, H, W), as folder/<name>.png, and in 16 bits, where there are, `probability` (H, W) and
    `uncertainty` (1, h, w), this one enlarged.

    Raises DatasetError when `pred` has another size than the picture that it was predicted from.
    """
    labels = torch.as_tensor(output["pred"]).to(torch.uint8).cpu().numpy()
    if labels.shape != (1, *case.shape_ijk[:2]):
        raise DatasetError(
            f"the prediction for {case.image.name} has {list(labels.shape)} pixels, wanted {[1, *case.shape_ijk[:2]]}"
        )
    file = folder / f"{names[0]}.png"
    facts: dict[str, Any] = {"flags": output["flags"]}
    if "probability" in output:
        write_png(folder / "probability.png", np.rint(np.asarray(output["probability"]) * FULL).astype(np.uint16))
        facts["probability"] = f"{folder.name}/probability.png"
    if "uncertainty" in output:
        spread = np.clip(resize(np.asarray(output["uncertainty"][0], np.float32), case.shape_ijk[:2]), 0, 1)
        write_png(folder / "uncertainty.png", np.rint(spread * FULL).astype(np.uint16))
        facts["uncertainty"] = f"{folder.name}/uncertainty.png"
    write_png(file, np.ascontiguousarray(labels[0]))
    return {names[0]: file}, facts


def predict_pictures(evaluator: SupervisedEvaluator, dataset: Dataset, journal: Journal) -> None:
    """`predict_cases`, writing pictures."""
    predict_cases(evaluator, dataset, journal, write_picture)


def _below(folder: Path) -> list[Path]:
    """The pictures of a folder and those below it, but for masks, our own predictions and what is hidden."""
    below = [(file, file.relative_to(folder).parts) for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        file
        for file, parts in below
        if file.suffix.lower() in SUFFIXES
        and file.stem not in NO_IMAGES
        and not PASSED_BY & set(parts)
        and not any(part.startswith(".") for part in parts)
    ]


def _left_out(case_id: str, section: str, reason: str, bundle: str) -> dict[str, str]:
    told = reason.replace("{bundle}", bundle or "cxr_lung_unet")
    return {"case_id": case_id, "section": section, "reason": told, "kind": "damaged"}
