"""A folder of copies that never grows beyond its bound: what was opened longest ago leaves first."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from data_prep.errors import UsageError
from data_prep.nifti import atomic_file
from data_prep.output import writing
from data_prep.remote.trouble import RemoteError

GB = 10**9
PRIVATE = 0o700  # copies of patients' images: nobody else looks into them
_held: dict[Path, IO[bytes]] = {}  # locks on the sources that this process has opened, until it ends


@dataclass
class Slot:
    """The copy of one source: CACHE/sources/<hash of the URL>/. `index`: name in the store -> size and version here."""

    folder: Path
    index: dict[str, dict[str, Any]] = field(default_factory=dict)
    opened: float = 0.0

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def partial(self) -> Path:
        return self.folder / "partial"

    def save(self) -> None:
        with atomic_file(self.folder / "index.json") as stream:
            stream.write(json.dumps({"opened": self.opened, "files": self.index}, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> "Slot":
        """An index that is missing or damaged is an empty one: everything is fetched again."""
        try:
            read = json.loads((folder / "index.json").read_bytes())
            index = {str(name): {"path": str(one["path"]), **one} for name, one in read["files"].items()}
            return cls(folder, index, float(read["opened"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(folder)


class Cache:
    """CACHE/sources/* with `limit` bytes in all, and CACHE/results/* for results that wait to be sent (not counted)."""

    def __init__(self, folder: Path | None, gigabytes: float) -> None:
        if not gigabytes > 0:
            raise UsageError(f"the cache's size is {gigabytes:g} GB: wanted more than 0")
        self.folder, self.limit = folder or default_folder(), int(gigabytes * GB)
        with writing(self.folder):
            (self.folder / "sources").mkdir(PRIVATE, parents=True, exist_ok=True)

    def slot(self, url: str) -> Slot:
        folder = self.folder / "sources" / key_of(url)
        with writing(folder):
            folder.mkdir(PRIVATE, exist_ok=True)
        return Slot.load(folder)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one process at a time fetch into this cache; the others wait."""
        with (self.folder / ".lock").open("ab") as lock:
            _flock(lock, "LOCK_EX")
            yield

    def hold(self, slot: Slot) -> None:
        """Keep `slot` from being emptied by others as long as this process lives."""
        if slot.folder not in _held:
            _held[slot.folder] = (slot.folder / ".lock").open("ab")
            _flock(_held[slot.folder], "LOCK_SH")

    def used(self) -> int:
        """Bytes of all copies, whole and partial."""
        return sum(_size(path) for slot in (self.folder / "sources").iterdir() for path in _contents(slot))

    def make_room(self, needed: int, slot: Slot) -> None:
        """Remove what was opened longest ago until `needed` bytes fit. Raises RemoteError where they can't.

        Files of `slot`, and those of sources that a process has open, stay.
        """
        missing = self.used() + needed - self.limit
        for other in sorted(self._others(slot), key=lambda one: one.opened):
            if missing <= 0:
                return
            missing -= _empty(other, missing)
        if missing > 0:
            raise RemoteError(
                f"the cache {self.folder} may hold {self.limit / GB:g} GB, and {missing / GB:.3g} GB more are needed "
                "beside what is in use: allow more with --cache-gb, or name a smaller folder"
            )

    def _others(self, slot: Slot) -> Iterator[Slot]:
        for folder in (self.folder / "sources").iterdir():
            if folder.is_dir() and folder != slot.folder:
                yield Slot.load(folder)


def default_folder() -> Path:
    """The user's own cache folder, by the system's custom."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lungseg" / "remote"


def key_of(url: str) -> str:
    """A folder's name for `url`, which may hold a signature that must not be shown."""
    return hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:24]


def now() -> float:
    return time.time()


def _empty(slot: Slot, missing: int) -> int:
    """Remove files of `slot` until `missing` bytes are free; returns how many were. None of a source in use."""
    with (slot.folder / ".lock").open("ab") as lock:
        if not _flock(lock, "LOCK_EX", wait=False):
            return 0
        freed = 0
        for path in _contents(slot.folder):
            if freed >= missing:
                break
            freed += _size(path)
            path.unlink(missing_ok=True)
        if not _contents(slot.folder):
            shutil.rmtree(slot.folder, ignore_errors=True)
        return freed


def _contents(folder: Path) -> list[Path]:
    """The files of one slot that count: whole ones and partial ones, by name."""
    found = [*(folder / "files").rglob("*"), *(folder / "partial").glob("*")]
    return sorted(path for path in found if path.is_file())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _flock(stream: IO[bytes], kind: str, *, wait: bool = True) -> bool:
    """Lock a file; False if another has it. True where the system or the file system knows no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(stream, getattr(fcntl, kind) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
