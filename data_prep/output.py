"""What stands in the way of writing, as our own error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import OutputError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is written into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror or error}. Choose a folder you may write to, with room left."
        ) from error
