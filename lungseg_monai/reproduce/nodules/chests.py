"""The cases of a PREPARED folder on a network's grid, with what a run found in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg_monai.bundle import bundle_path
from lungseg_monai.data import Case, CaseLists, select_cases
from lungseg_monai.errors import CheckpointError, ConfigError, UsageError
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.nodules.regions import Chest

if TYPE_CHECKING:
    from torch import nn

BUNDLE = "ct_nodule_vgg_segnet"
LUNGS = {"lungs": ("lung_left", "lung_right")}


@dataclass(frozen=True)
class Trained:
    """A network and the numbers it was trained with; found: case -> predicted mask, as far as there are any."""

    network: "nn.Module"
    numbers: Mapping[str, Any]
    checkpoint: Path
    found: Mapping[str, Path]

    @property
    def target(self) -> str:
        return next(iter(self.numbers["labels"]))


def open_run(run: Path | None) -> Trained:
    """The best weights and the predictions of a run; without one, the bundle's own weights and no predictions.

    Raises CheckpointError where there are no weights, ConfigError where they name a target `lungs`.
    """
    from lungseg_monai.networks import VggSegNet
    from lungseg_monai.training.checkpoints import load_weights, read_checkpoint
    from lungseg_monai.training.runs import find_checkpoint

    shipped = bundle_path(BUNDLE) / "models" / "model.pt"
    file = find_checkpoint(run, shipped=None if run else shipped)
    if file is None:
        raise CheckpointError(
            f"there are no weights of {BUNDLE} in {run or shipped.parent}: train it with `lungseg train {BUNDLE} "
            "--data PREPARED --out RUN` and give --run RUN"
        )
    numbers = read_checkpoint(file)["numbers"]
    network = VggSegNet(width=int(numbers.get("width", 64)))
    load_weights(network, file)
    trained = Trained(network.eval(), numbers, file, {})
    if trained.target in LUNGS:
        raise ConfigError(f"the run's target is called {trained.target}: wanted one that finds nodules")
    return Trained(network, numbers, file, _predicted(run, trained.target) if run else {})


def _predicted(run: Path, target: str) -> dict[str, Path]:
    journal = run / "predictions" / "predictions.json"
    if not journal.is_file():
        return {}
    cases = read_json(journal).get("cases", [])
    return {case["case_id"]: journal.parent / case["files"][target] for case in cases if target in case["files"]}


def chosen_cases(data: Path, trained: Trained, sections: Sequence[str]) -> CaseLists:
    """The cases of `sections` with both lungs; a case without nodule ROI is one without nodules. Raises DatasetError,
    UsageError where nothing of them was predicted but something of others."""
    labels = {trained.target: trained.numbers["labels"][trained.target], **LUNGS}
    lists = select_cases(data, labels, needed=sections, fold=trained.numbers.get("fold"), optional=[trained.target])
    here = {case.case_id for case in lists.section(*sections)}
    if trained.found and not here & set(trained.found):
        raise UsageError(f"the run's predictions are of none of the {len(here)} cases of {data} in "
                         f"{', '.join(sections)}")  # fmt: skip
    return lists


def patients_of(lists: CaseLists) -> dict[str, str]:
    """Whose each case is, by dataset.json; a case of which it is not known is a patient's only one."""
    known = read_json(lists.folder / "dataset.json")["cases"] if lists.folder else []
    return {str(case["id"]): str(case.get("patient_id") or case["id"]) for case in known}


def chests(cases: Sequence[Case], trained: Trained) -> Iterator[Chest]:
    """Each case on the grid that the network was trained on, axes to L, P, S. Raises what loading raises."""
    from monai.transforms import Compose

    from lungseg_monai.transforms.tumor_chains import tumor_volume

    window, size = trained.numbers["window_hu"], trained.numbers["spatial_size"]
    for case in cases:
        item = case.item()
        targets = [trained.target, "lungs"]
        if case.case_id in trained.found:
            item["found"] = [str(trained.found[case.case_id])]
            targets.append("found")
        loaded: Any = Compose(tumor_volume(targets, "window", window, size))(item)
        masks = np.asarray(loaded["label"], bool)
        yield Chest(
            case.case_id, np.asarray(loaded["image"][0], np.float32), masks[0], masks[1],
            masks[2] if len(masks) > 2 else None,
        )  # fmt: skip
