"""How long all of a plan's work still takes, judged by what has been done."""

from collections.abc import Sequence

from lungseg_monai.reproduce.plan import Model


class Clock:
    """Counts epochs and predicted patients, each weighed by the model's cost.

    `waiting`: (model, epochs still to train, patients still to predict) of all that is to be done.
    """

    def __init__(self, waiting: Sequence[tuple[Model, int, int]]) -> None:
        self.cost = {model.name: model.cost for model, _, _ in waiting}
        self.epochs = {model.name: epochs for model, epochs, _ in waiting}
        self.patients = {model.name: patients for model, _, patients in waiting}
        self.seconds = {"epoch": 0.0, "patient": 0.0}
        self.done = {"epoch": 0.0, "patient": 0.0}

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
        """In words, of what has a pace: "about 12 min left in all", with "at least" while predicting has none yet."""
        total, known = 0.0, True
        for kind, waiting in (("epoch", self.epochs), ("patient", self.patients)):
            cost = sum(self.cost[name] * count for name, count in waiting.items())
            if self.done[kind]:
                total += cost * self.seconds[kind] / self.done[kind]
            elif cost:
                known = False
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
