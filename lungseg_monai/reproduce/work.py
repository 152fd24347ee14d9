"""One model of a plan: trained, its cases predicted, its lines scored."""

from data_prep.errors import OutputError
from lungseg_monai.errors import LungsegError
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.made import Made, Reproduction
from lungseg_monai.reproduce.plan import rows_of
from lungseg_monai.reproduce.progress import Progress
from lungseg_monai.reproduce.training import Failed, Job, command, epochs_done, shown, state, train

RESUME = " --resume true"


def attempt(done: Reproduction, made: Made, job: Job, progress: Progress) -> Made:
    """`one_model`, what goes wrong in made.problems: it costs no other model. An interruption is handed on."""
    try:
        one_model(done, made, job, progress)
    except (Failed, LungsegError, OutputError, OSError, RuntimeError, MemoryError) as error:
        made.problems.append(str(error) or type(error).__name__)
        progress.say(f"{made.model.name} failed: {made.problems[-1]}")
    return made


def one_model(done: Reproduction, made: Made, job: Job, progress: Progress) -> None:
    """Train, predict and score. Raises Failed and the package's errors."""
    options, model = done.options, made.model
    arguments = command(job, {**done.given_to(model), **options.machine}, options.data, made.folder, options.device)
    made.command = shown(arguments).removesuffix(RESUME)
    before = state(made.folder)
    if before != "done":
        progress.say(f"{model.name}: {'goes on' if before == 'begun' else 'begins'}: {shown(arguments)}")
        _train(made, arguments, options.threads, progress)
    _facts(made)
    rows = rows_of(done.tables, model)
    done.plan.kind.measure(done, made, rows, progress)
    progress.say(f"{model.name}: {done.plan.kind.headline(made, rows)}")


def _train(made: Made, arguments: list[str], threads: int | None, progress: Progress) -> None:
    known = epochs_done(made.folder)

    def told(rows: list[dict[str, str]]) -> None:
        nonlocal known
        epochs = [row for row in rows if row["split"] == "training"]
        for row in epochs[known:]:
            progress.epoch(float(row["seconds"]))
            checks = [one for one in rows if one["split"] == "validation" and one["epoch"] == row["epoch"]]
            dice = f", validation Dice {float(checks[0]['dice']):.3f}" if checks else ""
            progress.timed(f"{made.model.name}: epoch {row['epoch']}, loss {float(row['loss']):.4f}{dice}")
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
