"""All that a plan needs, one model after another, going on where an earlier call stopped; tables kept up to date."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.errors import OutputError
from data_prep.lock import alone_in
from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import ConfigError, LungsegError, UsageError
from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.cohort import count_slices, read_cohort
from lungseg_monai.reproduce.made import Made, Options, Reproduction
from lungseg_monai.reproduce.plan import Model, Plan, models_of
from lungseg_monai.reproduce.predicting import folder_of, missing
from lungseg_monai.reproduce.training import Failed, Job, epochs_done, state
from lungseg_monai.reproduce.work import Say, one_model


def numbers_of(bundle: str, setting: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a setting of the bundle's train.yaml, with those that are given. Raises ConfigError."""
    from lungseg_monai.bundle_command import read_configs
    from lungseg_monai.training.numbers import choose_numbers

    settings = read_configs([str(bundle_path(bundle) / "configs" / "train.yaml")])["settings"]
    numbers = choose_numbers(setting, settings)
    unknown = [name for name in given if name not in numbers]
    if unknown:
        raise ConfigError(f"{bundle} has no number {unknown[0]!r}; it has {', '.join(numbers)}")
    return {**numbers, **given}


def reproduce(
    make_plan: Callable[[str, int], Plan],
    bundle: str,
    options: Options,
    report: Callable[[Reproduction], object],
    say: Say,
) -> Reproduction:
    """Do all that is missing; `report` is called after each model, `say` gets a line now and then.

    A model that fails stands in `problems` and costs no other. Raises UsageError, ConfigError, DatasetError and
    OutputError where nothing can begin; an interruption is handed on, and the same call goes on.
    """
    if options.stride < 1:
        raise UsageError(f"--stride {options.stride}: wanted 1 or more")
    numbers = numbers_of(bundle, options.setting, options.given)
    plan = make_plan(options.setting, min(numbers["spatial_size"]))
    unknown = [number for number in options.tables if number not in plan.numbers]
    if unknown:
        raise UsageError(f"{plan.name} has no Table {unknown[0]}; there are {', '.join(map(str, plan.numbers))}")
    cohort = read_cohort(options.data, plan.labels, options.undrawn)
    options.out.mkdir(parents=True, exist_ok=True)
    with alone_in(options.out):
        counts = {name: count_slices(cohort.section(name)) for name in ("training", "validation", "test")}
        done = Reproduction(plan, options, numbers, cohort, counts, plan.chosen(options.tables))
        _all_models(done, report, say)
        report(done)
    return done


def _all_models(done: Reproduction, report: Callable[[Reproduction], object], say: Say) -> None:
    models = models_of(done.tables)
    jobs = {model.name: _job(done, model) for model in models}
    clock = Clock([_waiting(done, jobs[model.name]) for model in models])
    done.waiting = [model.name for model in models]
    for place, model in enumerate(models, 1):
        folder = _folder(done, jobs[model.name])
        made = Made(model, folder, "")
        done.made[model.name] = made
        try:
            one_model(done, made, jobs[model.name], clock, partial(_numbered, say, f"{place}/{len(models)}"))
        except (Failed, LungsegError, OutputError, OSError, RuntimeError, MemoryError) as error:
            made.problems.append(str(error) or type(error).__name__)
            say(f"{model.name} failed: {made.problems[-1]}")
        clock.leave(model)
        done.waiting.remove(model.name)
        report(done)


def _numbered(say: Say, place: str, text: str) -> None:
    say(f"[{place}] {text}")


def _job(done: Reproduction, model: Model) -> Job:
    numbers = json.loads(json.dumps({**done.numbers, **model.numbers}))
    return Job(done.plan.bundle, done.options.setting, model, numbers, done.cohort.data_hash)


def _folder(done: Reproduction, job: Job) -> Path:
    return (done.options.out / "models" / job.key).resolve()


def _waiting(done: Reproduction, job: Job) -> tuple[Model, int, int]:
    """The model, its epochs and patients still to do."""
    folder = _folder(done, job)
    before = state(folder)
    epochs = int(job.numbers["epochs"]) - epochs_done(folder)
    patients = done.cohort.section("test")
    if before == "done":
        return job.model, 0, len(missing(folder_of(folder, done.options.stride), patients))
    return job.model, max(epochs, 0), len(patients)
