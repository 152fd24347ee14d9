"""Cases as work items, each in isolation: in turn, in processes of their own, or on a Dask cluster.

A crash, a hang, exhausted memory or an error costs the case that it happens in.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_prep.errors import OutputError, PrepError, UsageError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

POLL_S = 0.5
TOO_LITTLE = "it needs more memory than there is, or than --memory-gb allows"
GIVE_UP_S = 5.0  # how long a process that was asked to end may take


@dataclass(frozen=True)
class Limits:
    """What one case may take. None: no limit. memory_gb works on Linux."""

    time_s: float | None = None
    memory_gb: float | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """`make(*arguments)` builds one case and returns its record. name: for messages. Everything can be pickled."""

    name: str
    make: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """record: what `make` returned, or None and the `problem` that cost the case. fatal: the output can't be written.

    unexpected: the problem is no PrepError, so its text may hold anything.
    """

    name: str
    record: dict[str, Any] | None = None
    problem: str | None = None
    fatal: bool = False
    unexpected: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def run_job(job: Job) -> Outcome:
    """Do one job here and now. Nothing that goes wrong with it is raised, but KeyboardInterrupt."""
    try:
        return Outcome(job.name, job.make(*job.arguments))
    except OutputError as error:
        return Outcome(job.name, problem=str(error), fatal=True)
    except PrepError as error:
        return Outcome(job.name, problem=str(error))
    except MemoryError:
        return Outcome(job.name, problem=TOO_LITTLE)
    except Exception as error:  # noqa: BLE001  # isolates one case: whatever goes wrong with it costs no other
        if "can't start new thread" in str(error):  # how Python says that a thread's stack found no room
            return Outcome(job.name, problem=TOO_LITTLE)
        return Outcome(job.name, problem=f"unexpected {type(error).__name__}: {error}", unexpected=True)


def in_turn(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """One after the other in this process: no isolation from crashes and hangs."""
    for job in jobs:
        yield run_job(job)


@dataclass(eq=False)
class _Running:
    job: Job
    process: "BaseProcess"
    answers: "Connection"
    deadline: float


def in_processes(jobs: Sequence[Job], at_once: int, limits: Limits) -> Iterator[Outcome]:
    """Each in a process of its own, `at_once` at a time, in the order in which they end."""
    import multiprocessing
    from multiprocessing.connection import wait

    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    waiting = list(reversed(jobs))
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < max(1, at_once):
                running.append(_start(context, waiting.pop(), limits))
            patience = min(POLL_S, *(max(0.0, one.deadline - time.monotonic()) for one in running))
            wait([handle for one in running for handle in (one.answers, one.process.sentinel)], patience)
            for one in list(running):
                outcome = _outcome(one, limits)
                if outcome is not None:
                    running.remove(one)
                    yield outcome
    finally:
        for one in running:
            _end(one, 0)


def _start(context: Any, job: Job, limits: Limits) -> _Running:
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(job, theirs, limits.memory_gb), daemon=True)
    process.start()
    theirs.close()
    return _Running(job, process, answers, time.monotonic() + (limits.time_s or float("inf")))


def _outcome(one: _Running, limits: Limits) -> Outcome | None:
    """What became of it, or None while it works."""
    alive = one.process.is_alive()  # asked first: an answer may still come from a process that ends just now
    if one.answers.poll():
        try:
            outcome = one.answers.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            one.process.join(GIVE_UP_S)
            outcome = Outcome(one.job.name, problem=how_it_ended(one.process.exitcode))
        _end(one, GIVE_UP_S)
        return outcome
    if alive and time.monotonic() < one.deadline:
        return None
    _end(one, 0)
    return Outcome(one.job.name, problem=_too_long(limits) if alive else how_it_ended(one.process.exitcode))


def _end(one: _Running, patience_s: float) -> None:
    one.process.join(patience_s)
    if one.process.is_alive():
        one.process.kill()
        one.process.join(GIVE_UP_S)
    one.answers.close()


def _too_long(limits: Limits) -> str:
    return f"it took longer than {limits.time_s:g} s and was stopped: look into it, or raise --time-limit"


def how_it_ended(code: int | None) -> str:
    """Why a process gave no result, by its exit code."""
    if code == -signal.SIGKILL:
        return "its process was killed, most likely because memory ran out: free some, or use fewer --jobs"
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"its process crashed ({signal.Signals(-code).name}): a file that breaks a decoder, most likely"
    return f"its process ended without a result (exit code {code})"


def _serve(job: Job, answers: "Connection", memory_gb: float | None) -> None:
    """In the child: do the job, send the outcome. Ctrl-C is the parent's business; when the parent dies, so do we."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    bound_memory(memory_gb)
    answers.send(run_job(job))
    answers.close()


def die_with_parent() -> None:
    """End this process when the one that started it is gone; for a thread."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def bound_memory(memory_gb: float | None) -> None:
    """Let this process hold no more than that (Linux only), so that too much is a MemoryError and not a kill."""
    if memory_gb is None or sys.platform != "linux":
        return
    import resource

    limit = int(memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def on_dask(jobs: Sequence[Job], address: str, limits: Limits) -> Iterator[Outcome]:
    """On the workers of the Dask scheduler at `address`; they must see the same folders under the same names.

    Each job runs in a process of its own on its worker, so that a crash costs no worker.
    Raises UsageError where dask is not installed or the scheduler can't be reached.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise UsageError("--dask needs the extra `dask`: pip install 'lungseg-monai[dask]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address} ({type(error).__name__})") from error
    with client:
        names = {client.submit(run_in_subprocess, job, limits, pure=False, retries=0): job.name for job in jobs}
        for future in as_completed(list(names)):
            failure = future.exception()
            if failure is None:
                yield future.result()
            else:
                yield Outcome(names[future], problem=f"its Dask worker failed ({type(failure).__name__})")


def run_in_subprocess(job: Job, limits: Limits) -> Outcome:
    """Do one job in a fresh Python: what a thread of a worker may do where it may not fork."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from data_prep.work import main; main()"],
            input=pickle.dumps((job, limits)),
            capture_output=True,
            timeout=limits.time_s,
        )
    except subprocess.TimeoutExpired:
        return Outcome(job.name, problem=_too_long(limits))
    if done.returncode:
        return Outcome(job.name, problem=how_it_ended(done.returncode))
    outcome: Outcome = pickle.loads(done.stdout)  # written by our own process just now
    return outcome


def main() -> None:
    """Take a job from stdin, send its outcome to stdout."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not get into the answer
    job, limits = pickle.loads(sys.stdin.buffer.read())
    bound_memory(limits.memory_gb)
    with answers:
        pickle.dump(run_job(job), answers)
