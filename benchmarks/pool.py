"""Work spread over processes of one thread each."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spread(work: Callable[[T], R], todo: Sequence[T], jobs: int) -> Iterator[R]:
    """work's results, in the order of todo."""
    if jobs <= 1:
        yield from map(work, todo)
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for number, one in enumerate(pool.map(work, todo), 1):
            print(f"\r{work.__name__.strip('_')}: {number} of {len(todo)}", end="", file=sys.stderr, flush=True)
            yield one
    print(file=sys.stderr)
