"""Objects of a store -> files: several at a time, in pieces, from where an earlier try stopped."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from data_prep.output import writing
from data_prep.remote.listing import THREADS, Item, version_of
from data_prep.remote.meter import Advance
from data_prep.remote.stores import Store
from data_prep.remote.trouble import RemoteError, Retries, ShortReadError

PIECE = 8 * 2**20  # bytes asked for at once, and lost at most when a connection drops


@dataclass(frozen=True)
class Errand:
    """One object and the file that it becomes. The file appears whole or not at all."""

    item: Item
    target: Path


class Fetch:
    """Errands at one store. partial: the folder where files lie until they are whole."""

    def __init__(self, store: Store, partial: Path, retries: Retries, advance: Advance) -> None:
        self.store, self.partial, self.retries, self.advance = store, partial, retries, advance
        self._stop = threading.Event()

    def run(self, errands: Iterable[Errand], done: Callable[[Errand], None]) -> None:
        """Fetch all, call `done` after each (one at a time), and stop at the first error, which is raised."""
        with writing(self.partial):
            self.partial.mkdir(parents=True, exist_ok=True)
        lock = threading.Lock()

        def one(errand: Errand) -> None:
            if not self._stop.is_set() and self._fetch(errand):
                with lock:
                    done(errand)

        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(one, errand) for errand in errands]
            try:
                ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
        for future in ended:
            future.result()

    def partial_file(self, item: Item) -> Path:
        """Where an object's pieces gather: another place for another version of it."""
        return self.partial / hashlib.sha256(f"{item.path}\n{item.size}\n{item.version}".encode()).hexdigest()[:32]

    def _fetch(self, errand: Errand) -> bool:
        item, partial = errand.item, self.partial_file(errand.item)
        if not self._gather(item, partial):
            return False
        if item.size > PIECE and item.version and self._version(item) != item.version:
            partial.unlink(missing_ok=True)
            raise RemoteError(f"{self.store.shown(item.name)} changed while it was read: run the same command again")
        with writing(errand.target):
            errand.target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(errand.target)
        return True

    def _gather(self, item: Item, partial: Path) -> bool:
        """Append what is missing to `partial`; False if asked to stop before it is whole."""
        with writing(partial):
            if not item.version:
                partial.unlink(missing_ok=True)
            stream = partial.open("ab")
        with stream:
            start = stream.tell()
            if start > item.size:
                start = 0
                stream.truncate(0)
            self.advance(start)
            while start < item.size:
                if self._stop.is_set():
                    return False
                piece = self._read(item, start, min(start + PIECE, item.size))
                if len(piece) == item.size:  # all of it: a server that knows no ranges
                    stream.truncate(0)
                    self.advance(-start)
                    start = 0
                with writing(partial):
                    stream.write(piece)
                    stream.flush()
                start += len(piece)
                self.advance(len(piece))
        return True

    def _read(self, item: Item, start: int, stop: int) -> bytes:
        def read() -> bytes:
            piece: bytes = self.store.files.cat_file(item.path, start=start, end=stop)
            if len(piece) not in (stop - start, item.size):
                raise ShortReadError
            return piece

        return self.retries.call(f"reading {self.store.shown(item.name)}", read)

    def _version(self, item: Item) -> str:
        what = f"opening {self.store.shown(item.name)}"
        return version_of(self.retries.call(what, lambda: self.store.files.info(item.path)))
