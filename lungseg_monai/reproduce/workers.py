"""Tasks side by side, each in a process of its own that ends with this one. A process that dies costs its own task."""

import json
import pickle
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from signal import SIGINT
from threading import Thread
from typing import Any

from data_prep.work import how_it_ended
from lungseg_monai.reproduce.progress import Progress, retell
from lungseg_monai.reproduce.training import PATIENCE_S

MORE_PATIENCE_S = 10.0  # than a worker has with the training that it stops


@dataclass(frozen=True)
class Task:
    """call: takes a Progress, returns the result; both are pickled. progress: where what it tells goes here."""

    name: str
    call: Callable[[Any], Any]
    progress: Progress


@dataclass(eq=False)
class _Running:
    task: Task
    process: "subprocess.Popen[bytes]"
    result: Any = None
    problem: str = ""


Message = tuple[_Running, str, Any]


def side_by_side(tasks: Sequence[Task], jobs: int) -> Generator[tuple[str, Any, str], None, None]:
    """(name, result, "") of each task in the order in which they end, or (name, None, why there is none).

    `jobs` of them at a time. Progress is told from the caller's thread. Closed or interrupted, all are interrupted as
    by Ctrl-C and waited for.
    """
    waiting, running = list(reversed(tasks)), list[_Running]()
    messages: SimpleQueue[Message] = SimpleQueue()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(), messages))
            one, kind, value = messages.get()
            if kind == "closed":
                running.remove(one)
                yield _outcome(one)
            elif kind == "ended":
                one.result = pickle.loads(b64decode(value))
            elif kind == "failed":
                one.problem = value
            else:
                retell(one.task.progress, kind, value)
    finally:
        _stop([one.process for one in running])


def _start(task: Task, messages: "SimpleQueue[Message]") -> _Running:
    """In a session of its own: Ctrl-C in the terminal goes to this process alone, which stops the others in order."""
    content = pickle.dumps(task.call)
    process = subprocess.Popen(
        [sys.executable, "-m", "lungseg_monai.reproduce.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    one = _Running(task, process)
    Thread(target=_listen, args=(one, messages), daemon=True).start()
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as stream:  # one that died at once is found by its closed output
            stream.write(content)
    return one


def _listen(one: _Running, messages: "SimpleQueue[Message]") -> None:
    for line in one.process.stdout or ():
        kind, value = json.loads(line)
        messages.put((one, kind, value))
    messages.put((one, "closed", None))


def _outcome(one: _Running) -> tuple[str, Any, str]:
    code = one.process.wait()
    if one.process.stdout is not None:
        one.process.stdout.close()
    if one.result is not None:
        return one.task.name, one.result, ""
    return one.task.name, None, one.problem or how_it_ended(code)


def _stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """As Ctrl-C would, all at once; after a while by force."""
    for process in processes:
        process.send_signal(SIGINT)
    until = time.monotonic() + PATIENCE_S + MORE_PATIENCE_S
    for process in processes:
        try:
            process.wait(max(until - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
