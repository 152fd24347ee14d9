"""All that a plan needs, one model after another or several at once, going on where an earlier call stopped."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.lock import alone_in
from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import ConfigError, UsageError
from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.made import Made, Options, Reproduction
from lungseg_monai.reproduce.plan import Model, Plan, models_of
from lungseg_monai.reproduce.progress import Line, Say
from lungseg_monai.reproduce.training import Job, epochs_done, state
from lungseg_monai.reproduce.work import attempt
from lungseg_monai.reproduce.workers import Task, side_by_side

Numbers = Mapping[str, Any]
Report = Callable[[Reproduction], object]


def numbers_of(bundle: str, setting: str) -> dict[str, Any]:
    """The numbers of a setting of the bundle's train.yaml. Raises ConfigError."""
    from lungseg_monai.bundle_command import read_configs
    from lungseg_monai.training.numbers import choose_numbers

    settings = read_configs([str(bundle_path(bundle) / "configs" / "train.yaml")])["settings"]
    return choose_numbers(setting, settings)


def with_given(by_bundle: Mapping[str, Numbers], given: Numbers) -> dict[str, dict[str, Any]]:
    """Numbers of bundles with those that are given in their place. Raises ConfigError for one that no bundle has."""
    known = {name for numbers in by_bundle.values() for name in numbers}
    for name in given:
        if name not in known:
            raise ConfigError(f"{', '.join(by_bundle)} has no number {name!r}; it has {', '.join(sorted(known))}")
    return {
        bundle: {**numbers, **{name: value for name, value in given.items() if name in numbers}}
        for bundle, numbers in by_bundle.items()
    }


def reproduce(
    make_plan: Callable[[Mapping[str, Numbers]], Plan], bundles: list[str], options: Options, report: Report, say: Say
) -> Reproduction:
    """Do all that is missing; `report` is called after each model, `say` gets a line now and then.

    make_plan: of the numbers of `bundles` (options.setting, options.given), by their names. A model that fails stands
    in `problems` and costs no other. Raises UsageError, ConfigError, DatasetError and OutputError where nothing can
    begin; an interruption is handed on, and the same call goes on.
    """
    if options.stride < 1 or options.jobs < 1:
        raise UsageError(f"--stride {options.stride}, --jobs {options.jobs}: wanted 1 or more")
    by_bundle = with_given({name: numbers_of(name, options.setting) for name in bundles}, options.given)
    plan = make_plan(by_bundle)
    unknown = [number for number in options.tables or () if number not in plan.numbers]
    if unknown:
        raise UsageError(f"{plan.name} has no Table {unknown[0]}; there are {', '.join(map(str, plan.numbers))}")
    cohort = plan.kind.read(plan, options, by_bundle[plan.bundle])
    options.out.mkdir(parents=True, exist_ok=True)
    with alone_in(options.out):
        counts = plan.kind.counts(cohort)
        done = Reproduction(plan, options, by_bundle, cohort, counts, plan.chosen(options.tables))
        _all_models(done, report, say)
        report(done)
    return done


def _all_models(done: Reproduction, report: Report, say: Say) -> None:
    models = models_of(done.tables)
    clock = Clock([_waiting(done, model) for model in models], done.options.jobs)
    lines = {model.name: Line(model, f"{place}/{len(models)}", clock, say) for place, model in enumerate(models, 1)}
    done.waiting = [model.name for model in models]

    def ended(model: Model, made: Made) -> None:
        made_by_name = {**done.made, model.name: made}
        done.made = {one.name: made_by_name[one.name] for one in models if one.name in made_by_name}
        clock.leave(model)
        done.waiting.remove(model.name)
        report(done)

    if done.options.jobs > 1 and len(models) > 1:
        _side_by_side(done, models, lines, ended)
        return
    for model in models:
        done.made[model.name] = _begun(done, model)
        ended(model, attempt(done, done.made[model.name], job_of(done, model), lines[model.name]))


def _side_by_side(
    done: Reproduction, models: list[Model], lines: Mapping[str, Line], ended: Callable[[Model, Made], None]
) -> None:
    """Each model in a process of its own, options.jobs of them at a time."""
    plain = Reproduction(done.plan, done.options, done.by_bundle, done.cohort, done.counts, done.tables)
    tasks = [
        Task(model.name, partial(attempt, plain, _begun(done, model), job_of(done, model)), lines[model.name])
        for model in models
    ]
    by_name = {model.name: model for model in models}
    with closing(side_by_side(tasks, done.options.jobs)) as outcomes:
        for name, made, problem in outcomes:
            if made is None:
                made = _begun(done, by_name[name])
                made.problems.append(problem)
                lines[name].say(f"{name} failed: {problem}")
            ended(by_name[name], made)


def job_of(done: Reproduction, model: Model) -> Job:
    numbers = json.loads(json.dumps(done.numbers_of(model)))
    return Job(done.plan.bundle_of(model), done.options.setting, model, numbers, done.cohort.data_hash)


def folder_of_model(done: Reproduction, model: Model) -> Path:
    return (done.options.out / "models" / job_of(done, model).key).resolve()


def _begun(done: Reproduction, model: Model) -> Made:
    return Made(model, folder_of_model(done, model), "")


def _waiting(done: Reproduction, model: Model) -> tuple[Model, int, int]:
    """The model, its epochs and cases still to do."""
    folder = folder_of_model(done, model)
    if state(folder) == "done":
        return model, 0, done.plan.kind.to_predict(done, folder)
    epochs = int(done.numbers_of(model)["epochs"]) - epochs_done(folder)
    return model, max(epochs, 0), len(done.cohort.section("test"))
