"""What the tumour bundles' configs need to score: volume Dice of patients out of windows."""

from logging import getLogger
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor

from lungseg_monai.data import CaseLists
from lungseg_monai.patch_windows import window_stop
from lungseg_monai.patches import PatchDataset
from lungseg_monai.training.processes import gather, is_main

log = getLogger(__name__)
TOTAL = ""  # the case that stands for all of an epoch


def can_validate(cases: CaseLists) -> bool:
    """Whether a validation case has a tumour; says so when there are cases but none has: their Dice tells nothing."""
    listed = cases.section("validation")
    there = any(files for case in listed for files in case.masks.values())
    if listed and not there and is_main():
        log.warning("No validation case has a tumour: best.pt is the epoch with the smallest training loss")
    return there


class TumorScores:
    """Puts the epoch's scores into engine.state.metrics, from logits (B, 1, H, W, D) at probability 0.5 and the label.

    Of the training (no `dataset`), whose windows overlap, all windows are one: dice = 2 TP / (found + wanted). Of the
    validation, whose windows come from `dataset`: dice is the mean, over the patients with tumour, of the volume Dice
    of all of a patient's slices, on the network's grid; dice_pooled that of all patients' voxels together. A slice
    that two windows show (the last one of a patient is moved back to the end) counts once, in the first.
    accuracy: of all voxels. Not a number where there is nothing to find and nothing is found.
    """

    def __init__(self, dataset: PatchDataset | None = None) -> None:
        self.fresh = None if dataset is None else fresh_slices(dataset)
        self.counts: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.counts = {}

    def add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        found = output["pred"].detach() > 0
        wanted = output["label"] > 0.5
        if self.fresh is None:
            self._count(TOTAL, found, wanted)
            return
        for number, case_id in enumerate(batch["case_id"]):
            fresh = self.fresh[case_id, int(batch["start"][number])]
            self._count(case_id, found[number, ..., fresh], wanted[number, ..., fresh])

    def _count(self, case_id: str, found: Tensor, wanted: Tensor) -> None:
        """[both, found, wanted, the same, voxels], added to those of the case."""
        sums = [(found & wanted).sum(), found.sum(), wanted.sum(), (found == wanted).sum()]
        now = torch.stack([*sums, torch.tensor(found.numel(), device=found.device)]).double().cpu()
        self.counts[case_id] = self.counts.get(case_id, torch.zeros(5, dtype=torch.float64)) + now

    def finish(self, engine: Engine) -> None:
        engine.state.metrics.update(scores(merged(gather(self.counts))))


def fresh_slices(dataset: PatchDataset) -> dict[tuple[str, int], slice]:
    """(case, start) of each window -> its slices that no earlier window of the case shows and that are no copies."""
    fresh = {}
    for stack in dataset.stacks:
        shown = 0
        for start in stack.starts:
            stop = window_stop(stack.blocks, start, dataset.slices)
            fresh[stack.case_id, start] = slice(max(shown - start, 0), stop - start)
            shown = stop
    return fresh


def merged(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """What several processes counted, added up, in an order that does not depend on who had what."""
    cases = sorted({case_id for part in parts for case_id in part})
    return {case_id: sum(part[case_id] for part in parts if case_id in part) for case_id in cases}  # type: ignore[misc]


def scores(counts: dict[str, Tensor]) -> dict[str, float]:
    """The metrics of TumorScores out of [both, found, wanted, the same, voxels] of each case."""
    table = torch.stack(list(counts.values())) if counts else torch.zeros(0, 5, dtype=torch.float64)
    total = table.sum(dim=0)
    each = [dice(row) for row in table[table[:, 2] > 0]]
    return {
        "dice": sum(each) / len(each) if each else float("nan"),
        "dice_pooled": dice(total),
        "accuracy": float(total[3] / total[4].clamp(min=1)),
    }


def dice(counts: Tensor) -> float:
    """2 * both / (found + wanted); not a number when both are empty."""
    sizes = float(counts[1] + counts[2])
    return 2 * float(counts[0]) / sizes if sizes else float("nan")
