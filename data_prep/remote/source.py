"""A URL -> a local copy of what is behind it, in the cache."""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from data_prep.output import writing
from data_prep.remote.cache import GB, Cache, Slot, now
from data_prep.remote.fetch import Errand, Fetch
from data_prep.remote.listing import Item, list_items
from data_prep.remote.meter import Meter, silent
from data_prep.remote.names import local_names, safe_part
from data_prep.remote.stores import Store, connect
from data_prep.remote.trouble import RemoteError, Retries
from data_prep.remote.urls import file_path, is_file_url, last_name, shown

SAVED_EVERY_S = 5.0


def fetch_source(
    url: str,
    cache_dir: str | Path | None,
    cache_gb: float,
    meter: Meter | None = None,
    retries: Retries | None = None,
) -> Path:
    """What `data_prep.remote.open_source` says, for a URL."""
    if is_file_url(url):
        return file_path(url)
    retries = retries or Retries()
    cache = Cache(Path(cache_dir) if cache_dir else None, cache_gb)
    store = connect(url)
    items = list_items(store, retries)
    _check_sizes(items, store, cache)
    with cache.alone():
        slot = cache.slot(url)
        root, places = _places(items, slot, url)
        cache.hold(slot)
        _forget(slot, places)
        missing = [item for item in items if not _is_here(slot, item, places[item.name])]
        fetch = Fetch(store, slot.partial, retries, silent_advance)
        _drop_partial(slot, {fetch.partial_file(item).name for item in missing})
        _make_room(cache, slot, missing, fetch, places)
        _fetch_all(fetch, slot, missing, places, meter or silent)
    return root


def silent_advance(count: int) -> None:
    """Before anything moves."""


def _check_sizes(items: list[Item], store: Store, cache: Cache) -> None:
    for item in items:
        if item.size > cache.limit:
            raise RemoteError(
                f"{store.shown(item.name)} has {item.size / GB:.3g} GB, more than the cache's {cache.limit / GB:g} GB: "
                "allow more with --cache-gb"
            )
    total = sum(item.size for item in items)
    if total > cache.limit:
        raise RemoteError(
            f"{store.shown()} holds {len(items)} files of {total / GB:.3g} GB together, more than the cache's "
            f"{cache.limit / GB:g} GB: allow more with --cache-gb, or name a folder in it"
        )


def _places(items: list[Item], slot: Slot, url: str) -> tuple[Path, dict[str, Path]]:
    """What to return, and each object's file."""
    root = slot.files / safe_part(last_name(url) or "source")
    if [item.name for item in items] == [""]:
        return root, {"": root}
    paths: Mapping[str, PurePosixPath] = local_names(item.name for item in items)
    return root, {name: root.joinpath(*path.parts) for name, path in paths.items()}


def _is_here(slot: Slot, item: Item, place: Path) -> bool:
    known = slot.index.get(item.name)
    if not known or not item.version or place.is_symlink() or not place.is_file():
        return False
    here = known.get("path") == place.relative_to(slot.files).as_posix()
    same = (known.get("size"), known.get("version")) == (item.size, item.version)
    return here and same and place.stat().st_size == item.size


def _forget(slot: Slot, places: Mapping[str, Path]) -> None:
    """Remove files of objects that are no longer there."""
    wanted = set(places.values())
    for path in sorted(slot.files.rglob("*"), reverse=True):
        if path in wanted and (path.is_file() or path.is_symlink()):
            continue
        with writing(path):
            if path.is_dir() and not path.is_symlink():
                if path in wanted or not any(path.iterdir()):
                    shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    slot.index = {name: known for name, known in slot.index.items() if name in places}


def _drop_partial(slot: Slot, wanted: set[str]) -> None:
    """Pieces of what has changed since, or is whole by now."""
    for path in slot.partial.glob("*"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)


def _make_room(cache: Cache, slot: Slot, missing: list[Item], fetch: Fetch, places: Mapping[str, Path]) -> None:
    """For what will be fetched, less the pieces that are here. The old versions leave before the new ones come."""
    needed = 0
    for item in missing:
        places[item.name].unlink(missing_ok=True)
        partial = fetch.partial_file(item)
        needed += item.size - (partial.stat().st_size if partial.exists() else 0)
    cache.make_room(needed, slot)


def _fetch_all(fetch: Fetch, slot: Slot, missing: list[Item], places: Mapping[str, Path], meter: Meter) -> None:
    slot.opened = saved = now()

    def done(errand: Errand) -> None:
        nonlocal saved
        item, place = errand.item, errand.target.relative_to(slot.files).as_posix()
        slot.index[item.name] = {"path": place, "size": item.size, "version": item.version}
        if now() - saved > SAVED_EVERY_S:
            slot.save()
            saved = now()

    total = sum(item.size for item in missing)
    try:
        with meter(total, f"fetching {shown(fetch.store.url)}") as fetch.advance:
            fetch.run([Errand(item, places[item.name]) for item in missing], done)
    finally:
        slot.save()
