"""What lies behind a URL: names, sizes, and what tells one version of an object from the next."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

from data_prep.errors import NothingToDoError
from data_prep.remote.stores import Store
from data_prep.remote.trouble import MissingError, RemoteError, Retries

ETAGS = ("etag", "ETag", "Content-MD5")
TIMES = ("last_modified", "LastModified", "Last-Modified", "created", "mtime")
MOST_FILES = 1_000_000
MOST_PAGES = 20_000
DEEPEST = 32  # folders below a web page; a page may link to itself
THREADS = 8


@dataclass(frozen=True)
class Item:
    """One object. name: relative to the URL, "" for the URL itself. version: "" where the store doesn't tell."""

    name: str
    path: str
    size: int
    version: str


def list_items(store: Store, retries: Retries) -> list[Item]:
    """All objects below the URL, or itself alone, by name. Raises NothingToDoError, MissingError, RemoteError."""
    if store.is_http:
        return _web_items(store, retries)
    alone = _alone(store, retries)
    if alone is not None:
        return [alone]
    found = retries.call(f"listing {store.shown()}", lambda: store.files.find(store.root, detail=True))
    items = [
        _item(store, path.removeprefix(store.root).lstrip("/"), path, info)
        for path, info in sorted(found.items())
        if info["type"] == "file"
    ]
    if not items:
        raise NothingToDoError(f"{store.shown()} holds no files")
    return items


def find_items(store: Store, retries: Retries) -> list[Item]:
    """As `list_items`; none where there is nothing yet."""
    try:
        return list_items(store, retries)
    except (NothingToDoError, MissingError):
        return []


def version_of(info: Mapping[str, Any]) -> str:
    """A hash of the etag, or else of the time of change; "" where neither is told.

    The same whether the object was listed or asked for, which stores answer with other keys and types.
    """
    etag = next((str(info[key]).strip('"') for key in ETAGS if info.get(key)), "")
    time = next((info[key] for key in TIMES if info.get(key)), "")
    told = etag or str(time.timestamp() if isinstance(time, datetime) else time)
    return hashlib.sha256(told.encode()).hexdigest()[:16] if told else ""


def _alone(store: Store, retries: Retries) -> Item | None:
    """The object that the URL itself names; None for a folder. Asks for it, so that a denial is told as one."""
    info = retries.call(f"opening {store.shown()}", lambda: store.files.info(store.root))
    return None if info["type"] == "directory" else _item(store, "", store.root, info)


def _item(store: Store, name: str, path: str, info: Mapping[str, Any]) -> Item:
    if info.get("size") is None:
        raise RemoteError(
            f"{store.shown(name)}: the server doesn't say how large it is, so it can't be kept within bounds"
        )
    return Item(name, path, int(info["size"]), version_of(info))


def _web_items(store: Store, retries: Retries) -> list[Item]:
    """A page of links where the URL ends in a slash, else one file. Links that leave the folder are left alone."""
    if not store.root.split("?")[0].endswith("/"):
        return [_web_item(store, "", store.root, retries)]
    pages, files = [(store.root, 0)], set()
    seen = {store.root}
    while pages:
        page, depth = pages.pop()
        for link in retries.call(f"listing {store.shown()}", partial(store.files.ls, page, detail=False)):
            inside = _is_below(store.root, link)
            if inside and not link.endswith("/"):
                files.add(link)
            elif inside and depth < DEEPEST and link not in seen:
                seen.add(link)
                pages.append((link, depth + 1))
        if len(files) > MOST_FILES or len(seen) > MOST_PAGES:
            raise RemoteError(f"{store.shown()} links to more than {MOST_FILES} files or {MOST_PAGES} folders")
    if not files:
        raise NothingToDoError(f"{store.shown()} links to no files; a page that is no listing of files is not read")
    with ThreadPoolExecutor(THREADS) as pool:
        return list(
            pool.map(lambda at: _web_item(store, unquote(at.removeprefix(store.root)), at, retries), sorted(files))
        )


def _is_below(root: str, link: str) -> bool:
    """Whether `link` is a file or folder below `root`, by its plain name: no query, no dots that walk about."""
    parts = link.removeprefix(root).removesuffix("/").split("/")
    return link.startswith(root) and not {"?", "#"} & set(link) and not {"", ".", ".."} & set(parts)


def _web_item(store: Store, name: str, path: str, retries: Retries) -> Item:
    info = retries.call(f"opening {store.shown(name)}", lambda: store.files.info(path))
    return _item(store, name, path, info)
