"""A folder of results -> a URL: what is there already is not sent again, and a manifest says when all is there."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import PrepError, UsageError
from data_prep.output import writing
from data_prep.remote.cache import PRIVATE, default_folder, key_of
from data_prep.remote.listing import THREADS, find_items
from data_prep.remote.meter import Meter, silent
from data_prep.remote.names import safe_part
from data_prep.remote.stores import Store, connect
from data_prep.remote.trouble import MissingError, RemoteError, Retries
from data_prep.remote.urls import file_path, is_file_url, is_url, last_name

MANIFEST = "lungseg-upload.json"
UNFINISHED = ".partial-"  # files that a run left half-written (data_prep.nifti.atomic_file)
Files = dict[str, dict[str, Any]]


@contextmanager
def results_folder(
    place: str | Path, cache_dir: str | Path | None, meter: Meter | None = None, retries: Retries | None = None
) -> Iterator[Path]:
    """What `data_prep.remote.results_at` says."""
    if not is_url(place) or is_file_url(str(place)):
        yield file_path(str(place)) if is_url(place) else Path(place)
        return
    url, retries = str(place), retries or Retries()
    base = Path(cache_dir) if cache_dir else default_folder()
    folder = base / "results" / key_of(url) / safe_part(last_name(url) or "results")
    store = connect_to_write(url)
    begin(store, retries)
    with writing(folder):
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
    yield folder
    try:
        upload(folder, store, retries, meter or silent)
    except PrepError as error:
        raise type(error)(f"{error} The results are in {folder}; the same command sends what is missing.") from None
    shutil.rmtree(folder.parent, ignore_errors=True)


def connect_to_write(url: str) -> Store:
    """Raises UsageError for what can't be written, or is no folder in a container."""
    store = connect(url)
    if store.is_http:
        raise UsageError(f"{store.shown()}: results can't be sent to a web page; wanted abfs://, s3:// or a folder")
    return store


def begin(store: Store, retries: Retries) -> None:
    """Write the manifest, not complete yet: that credentials or the container are wrong is told before the work."""
    _write_manifest(store, read_manifest(store, retries), complete=False, retries=retries)


def upload(folder: Path, store: Store, retries: Retries, meter: Meter = silent) -> list[str]:
    """Send all files below `folder` that are not there with the same bytes; returns their names.

    Nothing that is there is removed. The manifest has each file's size and SHA-256, and `complete`.
    Raises RemoteError naming the object.
    """
    wanted = _hashes(folder)
    there = {item.name: item.size for item in find_items(store, retries)}
    known = {name: one for name, one in read_manifest(store, retries).items() if there.get(name) == one["size"]}
    missing = [name for name, one in wanted.items() if known.get(name) != one]
    sent: Files = {name: one for name, one in known.items() if name not in missing}
    lock, stop = threading.Lock(), threading.Event()

    def send(name: str) -> None:
        if stop.is_set():
            return
        path = str(folder / name)
        retries.call(f"writing {store.shown(name)}", lambda: store.files.put_file(path, store.path(name)))
        with lock:
            sent[name] = wanted[name]
            advance(wanted[name]["size"])

    with meter(sum(wanted[name]["size"] for name in missing), f"sending to {store.shown()}") as advance:
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                futures = [pool.submit(send, name) for name in missing]
                try:
                    ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
                finally:
                    stop.set()
            for future in ended:
                future.result()
        except BaseException:
            _leave_word(store, sent)
            raise
    _write_manifest(store, sent, complete=True, retries=retries)
    return missing


def read_manifest(store: Store, retries: Retries) -> Files:
    """Names, sizes and hashes of what was sent; nothing where there is no manifest, or a damaged one."""
    try:
        content = retries.call(f"reading {store.shown(MANIFEST)}", lambda: store.files.cat_file(store.path(MANIFEST)))
        files = json.loads(content)["files"]
        return {str(name): {"size": int(one["size"]), "sha256": str(one["sha256"])} for name, one in files.items()}
    except (MissingError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_manifest(store: Store, files: Mapping[str, Any], *, complete: bool, retries: Retries) -> None:
    content = json.dumps({"schema": 1, "complete": complete, "files": dict(sorted(files.items()))}, indent=1)
    path = store.path(MANIFEST)
    try:
        retries.call(f"writing {store.shown(MANIFEST)}", lambda: store.files.pipe_file(path, content.encode()))
    except MissingError:
        raise RemoteError(f"{store.shown()}: there is no such container or bucket. Make it first.") from None


def _leave_word(store: Store, sent: Files) -> None:
    """What was sent so far, for the next try. One attempt: the network may be what failed."""
    try:
        _write_manifest(store, sent, complete=False, retries=Retries(tries=1))
    except PrepError:
        return


def _hashes(folder: Path) -> Files:
    files: Files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(UNFINISHED) and name != MANIFEST:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[name] = {"size": path.stat().st_size, "sha256": digest}
    return files
