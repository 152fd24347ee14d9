"""One model of a plan: trained, its patients predicted, its lines scored."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lungseg_monai.io import read_json, write_json
from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.reproduce.clock import Clock, span
from lungseg_monai.reproduce.made import Made, Reproduction
from lungseg_monai.reproduce.plan import Row, rows_of
from lungseg_monai.reproduce.predicting import folder_of, make_predict, missing, predict_all
from lungseg_monai.reproduce.scoring import score_row
from lungseg_monai.reproduce.training import Failed, Job, command, epochs_done, shown, state, train
from lungseg_monai.reproduce.tuning import choose_rules

Say = Callable[[str], None]
RESUME = " --resume true"
TIMES = "seconds.json"  # beside the probabilities: how long each patient took


def one_model(done: Reproduction, made: Made, job: Job, clock: Clock, say: Say) -> None:
    """Train, predict and score. Raises Failed and the package's errors."""
    options, model = done.options, made.model
    given = {**options.given, **options.machine}
    arguments = command(job, given, options.data, made.folder, options.device)
    made.command = shown(arguments).removesuffix(RESUME)
    before = state(made.folder)
    if before != "done":
        say(f"{model.name}: {'goes on' if before == 'begun' else 'begins'}: {shown(arguments)}")
        _train(made, arguments, options.threads, clock, say)
    _facts(made)
    rows = rows_of(done.tables, model)
    _predict(done, made, any(row.rules is None for row in rows), clock, say)
    _score(done, made, rows)
    say(f"{model.name}: {_headline(made, rows)}")


def _train(made: Made, arguments: list[str], threads: int | None, clock: Clock, say: Say) -> None:
    known = epochs_done(made.folder)

    def told(rows: list[dict[str, str]]) -> None:
        nonlocal known
        epochs = [row for row in rows if row["split"] == "training"]
        for row in epochs[known:]:
            clock.epoch(made.model, float(row["seconds"]))
            checks = [one for one in rows if one["split"] == "validation" and one["epoch"] == row["epoch"]]
            dice = f", validation Dice {float(checks[0]['dice']):.3f}" if checks else ""
            told_ = f"{made.model.name}: epoch {row['epoch']}, loss {float(row['loss']):.4f}{dice}, {clock.left()}"
            say(told_.rstrip(", "))
        known = max(known, len(epochs))

    train(arguments, made.folder, threads, told)


def _facts(made: Made) -> None:
    """What run.json and curves.csv say of the training."""
    from lungseg_monai.training.epochs import read_curves

    facts = read_json(made.folder / "run.json")
    made.best, made.epochs = facts.get("best") or {}, int(facts.get("epochs_done") or 0)
    made.versions, made.device = facts.get("versions") or {}, str(facts.get("device") or "")
    rows = read_curves(made.folder / "curves.csv")
    made.training_s = sum(float(row["seconds"]) for row in rows if row["seconds"])


def _predict(done: Reproduction, made: Made, validation: bool, clock: Clock, say: Say) -> None:
    options = done.options
    folder = folder_of(made.folder, options.stride)
    patients = done.cohort.section("test", *(["validation"] if validation else []))
    times: dict[str, Any] = read_json(folder / TIMES) if (folder / TIMES).is_file() else {}
    if missing(folder, patients):
        say(f"{made.model.name}: predicts {len(missing(folder, patients))} patients, {clock.left()}".rstrip(", "))
        predict = make_predict(made.folder, options.stride, options.device)
        for patient, seconds, problem in predict_all(folder, patients, predict):
            clock.patient(made.model, seconds)
            if problem:
                made.problems.append(f"{patient.case_id} can't be predicted: {problem}")
                continue
            times[patient.case_id] = round(seconds, 3)
            write_json(folder / TIMES, times)
    made.predicting_s = sum(times.get(patient.case_id, 0.0) for patient in done.cohort.section("test"))


def _score(done: Reproduction, made: Made, rows: Sequence[Row]) -> None:
    folder = folder_of(made.folder, done.options.stride)
    there = [patient for patient in done.cohort.section("test") if not missing(folder, [patient])]
    if not there:
        raise Failed("not one test patient could be predicted")
    for row in rows:
        rules = row.rules if row.rules is not None else _chosen(done, made, folder)
        if rules is None:
            continue
        made.scores[row.rules], problems = score_row(made.folder, folder, there, rules)
        made.problems += [one for one in problems if one not in made.problems]


def _chosen(done: Reproduction, made: Made, folder: Path) -> TumorRules | None:
    """Rules by the validation patients; None, with a word why, where none of them has a tumour."""
    there = [patient for patient in done.cohort.section("validation") if not missing(folder, [patient])]
    weights = made.folder / "checkpoints" / "best.pt"
    made.tuned = choose_rules(folder, there, done.plan.rules, weights, done.options.stride)
    if made.tuned is None:
        made.problems.append("no validation patient with tumour: threshold and kernel can't be chosen")
        return None
    return made.tuned[0]


def _headline(made: Made, rows: Sequence[Row]) -> str:
    scores = made.scores.get(rows[0].rules) or {}
    dice = (scores.get("volume_dice") or {}).get("mean")
    shown_dice = "not computed" if dice is None else f"{dice:.3f}"
    return f"done, volume Dice {shown_dice} over the test patients with tumour, {span(made.training_s)} of training"
