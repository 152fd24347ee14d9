"""Cases spread over processes, each with a model of its own. A process that dies costs the case it was at."""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.work import GIVE_UP_S, bound_memory, die_with_parent, how_it_ended
from lungseg_monai.errors import LungsegError, ModelError
from lungseg_monai.segment.cases import Case
from lungseg_monai.segment.worker import Outcome, Settings, open_worker, stopped

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


@dataclass(eq=False)
class _Process:
    process: "BaseProcess"
    link: "Connection"
    case: Case | None = None
    ready: bool = False
    ended: bool = False


def in_processes(
    cases: Sequence[Case], settings: Settings, out: Path, jobs: int, memory_gb: float | None = None
) -> Iterator[Outcome | dict[str, Any]]:
    """First the model's facts, then outcomes in the order in which they come. memory_gb: of each process (Linux).

    Raises ModelError or UsageError where the model can't be opened.
    """
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    waiting = list(reversed(cases))
    running = [_start(context, settings, out, memory_gb) for _ in range(min(jobs, len(cases)))]
    told = False
    try:
        while running:
            wait([handle for one in running for handle in (one.link, one.process.sentinel)])
            for one in list(running):
                answer = _answer(one)
                if isinstance(answer, LungsegError):
                    raise answer
                if isinstance(answer, Outcome):
                    yield answer
                    one.case = None
                elif answer is not None and not told:
                    told = True
                    yield answer
                if one.ready and one.case is None:
                    _next(one, waiting, running)
                if one.ended and one in running:
                    running.remove(one)
                    _end(one)
                    if waiting:
                        running.append(_start(context, settings, out, memory_gb))
    finally:
        for one in running:
            one.process.kill()
            _end(one)


def _next(one: _Process, waiting: list[Case], running: list[_Process]) -> None:
    """Give it the next case; or let it go."""
    if one.ended:
        return
    one.case = waiting.pop() if waiting else None
    try:
        one.link.send(one.case)
    except OSError:  # it died just now: seen by its sentinel
        return
    if one.case is None:
        running.remove(one)
        _end(one)


def _answer(one: _Process) -> Any:
    """What it says: facts of the model, an error that concerns all, an outcome; None while it works."""
    alive = one.process.is_alive()  # asked first: an answer may still come from a process that ends just now
    if one.link.poll():
        try:
            answer = one.link.recv()
            one.ready = True
            return answer
        except (EOFError, OSError):
            one.process.join(GIVE_UP_S)
            alive = False
    if alive:
        return None
    one.ended = True
    if not one.ready:
        return ModelError(f"the process that loads the model ended ({how_it_ended(one.process.exitcode)})")
    return None if one.case is None else stopped(one.case, how_it_ended(one.process.exitcode))


def _start(context: Any, settings: Settings, out: Path, memory_gb: float | None) -> _Process:
    link, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(settings, out, theirs, memory_gb), daemon=True)
    process.start()
    theirs.close()
    return _Process(process, link)


def _end(one: _Process) -> None:
    one.link.close()
    one.process.join(GIVE_UP_S)
    if one.process.is_alive():
        one.process.kill()
        one.process.join(GIVE_UP_S)


def _serve(settings: Settings, out: Path, link: "Connection", memory_gb: float | None) -> None:
    """In the child: Ctrl-C is the parent's business; when the parent dies, so does this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    bound_memory(memory_gb)
    try:
        worker = open_worker(settings, out)
        facts = dict(worker.model.facts)
    except MemoryError:
        link.send(ModelError("the model needs more memory than there is, or than --memory-gb allows"))
        return
    except LungsegError as error:
        link.send(error)
        return
    link.send(facts)
    while (case := link.recv()) is not None:
        link.send(worker.finish(case, worker.prepare(case)))
