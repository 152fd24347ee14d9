"""How long work shows itself. Verbs take a `Progress`; the command line passes `bar`, a library caller nothing."""

from collections.abc import Callable, Iterable, Sized
from typing import Any

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def silent(items: Iterable[Any], label: str) -> Iterable[Any]:
    """Show nothing."""
    return items


def bar(items: Iterable[Any], label: str) -> Iterable[Any]:
    """A bar on stderr with the time left; quiet where stderr is not a terminal."""
    from tqdm import tqdm

    total = len(items) if isinstance(items, Sized) else None
    return tqdm(items, desc=label, total=total, disable=None, leave=False, dynamic_ncols=True)
