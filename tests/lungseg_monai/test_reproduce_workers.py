"""Models side by side: results and progress come back, one that fails costs no other, an interruption stops all."""

from functools import partial
from pathlib import Path

import pytest
import reproduce_tasks as tasks

from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.plan import Model
from lungseg_monai.reproduce.progress import Line
from lungseg_monai.reproduce.workers import Task, side_by_side


@pytest.fixture(autouse=True)
def found_by_children(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(tasks.__file__).parent))


def task(name, call, clock=None, said=None):
    model = Model(name, {})
    line = Line(model, "1/2", clock or Clock([(model, 2, 0)]), (said if said is not None else []).append)
    return Task(name, call, line)


def test_results_and_progress_come_back():
    clock, said = Clock([(Model("a", {}), 2, 0)]), []
    assert list(side_by_side([task("a", partial(tasks.answer, 5), clock, said)], 2)) == [("a", {"value": 5}, "")]
    assert said == ["[1/2] thinks about 5"] and clock.epochs == {"a": 1} and clock.seconds["epoch"] == 1.5


def test_as_many_run_at_once_as_are_asked_for(tmp_path):
    places = [tmp_path / name for name in "ab"]
    meeting = [task(one.name, partial(tasks.meet, one, places)) for one in places]
    assert sorted(name for name, _, _ in side_by_side(meeting, 2)) == ["a", "b"]


def test_one_that_fails_or_dies_costs_no_other():
    calls = {"failing": tasks.fail, "dying": tasks.die, "fine": partial(tasks.answer, 1)}
    ends = {
        name: (result, problem) for name, result, problem in side_by_side(list(map(task, calls, calls.values())), 3)
    }
    assert ends["failing"] == (None, "ValueError: out of luck")
    assert ends["dying"][0] is None and "exit code 7" in ends["dying"][1]
    assert ends["fine"] == ({"value": 1}, "")


def test_an_interruption_stops_all_and_waits_for_them(tmp_path):
    began, stopped = ([tmp_path / f"{word}{n}" for n in (1, 2)] for word in ("began", "stopped"))
    calls = [partial(tasks.work_until_stopped, *pair) for pair in zip(began, stopped, strict=True)]
    calls.append(partial(tasks.meet, tmp_path / "own", began))
    running = side_by_side([task(f"task{n}", call) for n, call in enumerate(calls)], 3)
    assert next(running)[1] == "own"
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt)
    assert all(one.exists() for one in stopped)


def test_the_time_left_is_shared_out_but_never_below_the_longest_model():
    models = [Model(name, {}) for name in "abc"]
    clock = Clock([(model, 10, 0) for model in models], at_once=2)
    clock.epoch(models[0], 60.0)  # 29 epochs of a minute are left, two at a time
    assert clock.left() == "about 14 min left in all"
    clock.leave(models[1])
    clock.leave(models[2])
    assert clock.left() == "about 9 min left in all"
