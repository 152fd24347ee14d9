"""Folders and files behind a URL (Azure Blob, S3, https ...) as local ones, and results back to a URL.

    open_source("abfs://container/xrays")     -> Path of a local copy in a bounded cache; a path stays what it is
    results_at("abfs://container/out")        -> with ... as folder: work there, it is sent when the block ends well

Nothing here is imported, and no network used, before a URL is given.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.remote.urls import is_url

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from data_prep.remote.meter import Meter

CACHE_GB = 20.0

__all__ = ["CACHE_GB", "is_url", "open_source", "results_at"]


def open_source(
    place: str | Path, cache_dir: str | Path | None = None, cache_gb: float = CACHE_GB, meter: "Meter | None" = None
) -> Path:
    """A local path with the contents of `place`: itself if it is a path, else a copy in the cache.

    cache_dir: None for the user's own cache folder. cache_gb: what it may hold at most (1 GB = 10^9 bytes).
    The copy stays as it is while this process lives; what has not changed since is not fetched again.
    Raises UsageError (no such scheme, an extra missing, a malformed URL), NothingToDoError (nothing there) and
    RemoteError (no connection, no permission, no room in the cache).
    """
    if not is_url(place):
        return Path(place)
    from data_prep.remote.source import fetch_source

    return fetch_source(str(place), cache_dir, cache_gb, meter)


def results_at(
    place: str | Path, cache_dir: str | Path | None = None, meter: "Meter | None" = None
) -> "AbstractContextManager[Path]":
    """A folder to write into: `place` itself if it is a path, else a local one that is sent to `place`.

    It is sent when the block ends well, and kept where sending fails: the same call goes on with it.
    Raises UsageError, OutputError (not everything could be sent) and RemoteError.
    """
    from data_prep.remote.upload import results_folder

    return results_folder(place, cache_dir, meter)
