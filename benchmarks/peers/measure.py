"""Run a command and say what it took: wall time, CPU time of it and its children, peak memory. Linux and macOS."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.02
LOOK_SHARE = 40  # a look may take one part in so many of the time
MB = 1e6


@dataclass(frozen=True)
class Taken:
    """wall_s, cpu_s: user + system, children included. peak_mb: of all processes together, sampled, or of the largest
    by the kernel's count, whichever is more; None where it was not sampled. said: stdout and stderr."""

    wall_s: float
    cpu_s: float
    peak_mb: float | None
    code: int
    said: str


def run(command: Sequence[str], log: Path, limit_s: float, sampled: bool = False) -> Taken:
    """Run `command` in the folder of `log` with its words in `log`. After limit_s it is killed: code -9."""
    return run_all([command], log, limit_s, sampled)


def run_all(commands: Sequence[Sequence[str]], log: Path, limit_s: float, sampled: bool = False) -> Taken:
    """Run `commands` at the same time; the code is the worst of theirs."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # pip compiles what it installs; a checkout is compiled by a first run
    with log.open("wb") as stream:
        begin = time.perf_counter()
        children = [
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=log.parent,
                env=environment,
                start_new_session=True,
            )
            for command in commands
        ]
        killer = threading.Timer(limit_s, _kill, [children])
        killer.start()
        watch = _Memory([child.pid for child in children]) if sampled else None
        cpu, peak, codes = 0.0, 0.0, []
        for child in children:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            codes.append(child.returncode)
            cpu += usage.ru_utime + usage.ru_stime
            peak = max(peak, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MB)
        wall = time.perf_counter() - begin
        killer.cancel()
    sampled_peak = watch.stop() if watch else None
    said = log.read_text(encoding="utf-8", errors="replace")
    return Taken(wall, cpu, None if sampled_peak is None else max(peak, sampled_peak), max(codes, key=abs), said)


def _kill(children: Sequence[subprocess.Popen]) -> None:
    for child in children:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


class _Memory(threading.Thread):
    """Peak of the memory that some processes and their children hold together, shared pages counted once (Linux)."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.pids, self.peak, self.done = pids, 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        pause = SAMPLE_S
        while not self.done.wait(pause):
            begin = time.perf_counter()
            self.peak = max(self.peak, sum(_tree_mb(pid) for pid in self.pids))
            # The kernel counts the pages of large processes one by one: that may not slow down what is measured.
            pause = max(SAMPLE_S, LOOK_SHARE * (time.perf_counter() - begin))

    def stop(self) -> float:
        self.done.set()
        self.join()
        return self.peak


def _tree_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return 0.0
    return own / MB + sum(_tree_mb(int(child)) for child in children)
