"""Tasks for the processes of lungseg_monai/reproduce/workers.py, which import them by name."""

import os
import time
from pathlib import Path

PATIENCE_S = 60.0


def answer(value, progress):
    progress.say(f"thinks about {value}")
    progress.epoch(1.5)
    print("what a library prints is no message", flush=True)
    return {"value": value}


def fail(progress):
    raise ValueError("out of luck")


def die(progress):
    os._exit(7)


def meet(own: Path, others: list[Path], progress):
    """Return once all of `others` are there too: only tasks that run side by side can meet."""
    own.touch()
    until = time.monotonic() + PATIENCE_S
    while not all(one.exists() for one in others):
        if time.monotonic() > until:
            raise TimeoutError("nobody came")
        time.sleep(0.02)
    return own.name


def work_until_stopped(began: Path, stopped: Path, progress):
    began.touch()
    try:
        time.sleep(PATIENCE_S)
    except KeyboardInterrupt:
        stopped.touch()
        raise
