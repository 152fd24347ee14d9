"""How long all of a plan's work still takes, judged by what has been done."""

from collections.abc import Sequence

from lungseg_monai.reproduce.plan import Model


class Clock:
    """Counts epochs and predicted cases, each weighed by the model's cost.

    `waiting`: (model, epochs still to train, cases still to predict) of all that is to be done. at_once: models that
    are worked on side by side.
    """

    def __init__(self, waiting: Sequence[tuple[Model, int, int]], at_once: int = 1) -> None:
        self.cost = {model.name: model.cost for model, _, _ in waiting}
        self.epochs = {model.name: epochs for model, epochs, _ in waiting}
        self.patients = {model.name: patients for model, _, patients in waiting}
        self.seconds = {"epoch": 0.0, "patient": 0.0}
        self.done = {"epoch": 0.0, "patient": 0.0}
        self.at_once = at_once

    def epoch(self, model: Model, seconds: float) -> None:
        self.epochs[model.name] = max(self.epochs[model.name] - 1, 0)
        self._count("epoch", model, seconds)

    def patient(self, model: Model, seconds: float) -> None:
        self.patients[model.name] = max(self.patients[model.name] - 1, 0)
        self._count("patient", model, seconds)

    def leave(self, model: Model) -> None:
        """Nothing more is done for this model."""
        self.epochs[model.name] = self.patients[model.name] = 0

    def left(self) -> str:
        """In words, of what has a pace: "about 12 min left in all", with "at least" while predicting has none yet.

        Side by side, all is shared out evenly, and no model ends before its own work is done.
        """
        each = dict.fromkeys(self.cost, 0.0)
        known = True
        for kind, waiting in (("epoch", self.epochs), ("patient", self.patients)):
            if not self.done[kind]:
                known = known and not any(waiting.values())
                continue
            for name, count in waiting.items():
                each[name] += count * self.cost[name] * self.seconds[kind] / self.done[kind]
        total = max(sum(each.values()) / self.at_once, max(each.values(), default=0.0))
        return f"{'about' if known else 'at least'} {span(total)} left in all" if total else ""

    def _count(self, kind: str, model: Model, seconds: float) -> None:
        self.seconds[kind] += seconds
        self.done[kind] += model.cost


def span(seconds: float) -> str:
    """ "40 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
