"""`python -m monai.bundle ...` in a process that ends, resumable, when the one that started it is gone."""

import os
import runpy
import signal
import threading
import time
from _thread import interrupt_main

LOOK_EVERY_S = 1.0
PATIENCE_S = 30.0  # to leave a step and write down where it stopped


def main() -> None:
    """Run MONAI's bundle command with this process's arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
    end_with_parent()
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


def end_with_parent() -> None:
    """From now on an end of the process that started this one interrupts it."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    """Interrupt, as Ctrl-C does, once the parent has ended: a run that was killed leaves nothing at work."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    interrupt_main()
    time.sleep(PATIENCE_S)
    os._exit(130)


if __name__ == "__main__":
    main()
