"""How much of a transfer is done, in bytes, with the time left."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], object]
Meter = Callable[[int, str], AbstractContextManager[Advance]]


@contextmanager
def silent(total_bytes: int, label: str) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda count: None


@contextmanager
def bar(total_bytes: int, label: str) -> Iterator[Advance]:
    """A bar on stderr; quiet where stderr is not a terminal."""
    from tqdm import tqdm

    with tqdm(total=total_bytes, desc=label, unit="B", unit_scale=True, disable=None, leave=False) as shown:
        yield shown.update
