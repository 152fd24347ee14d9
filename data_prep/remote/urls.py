"""URLs as text: what is one, what of it may be shown, how names are put together. No network."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from data_prep.errors import UsageError

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# Their user part is the container: abfs://container@account.dfs.core.windows.net/folder
CONTAINER_FIRST = ("abfs", "abfss", "az")


def is_url(place: str | Path) -> bool:
    """Whether `place` is text with a scheme in front. A Path never is: it would have lost a slash."""
    return isinstance(place, str) and URL.match(place) is not None


def scheme_of(url: str) -> str:
    """The scheme in lower case. Raises UsageError for a chained URL, which could lead anywhere."""
    found = URL.match(url)
    if found is None or "::" in url:
        raise UsageError(f"{shown(url)}: wanted one URL such as abfs://container/folder, without '::'")
    return found[1].lower()


def shown(url: str) -> str:
    """`url` for people and logs: without password, query and fragment, where keys and signatures stand."""
    scheme, rest = url.split("://", 1) if "://" in url else ("", url)
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    kept = f"{user.partition(':')[0]}@" if at and scheme.lower() in CONTAINER_FIRST else ""
    return f"{scheme}://{kept}{host}{slash}{path}" if scheme else rest


def last_name(url: str) -> str:
    """The last part of the path: of a.org/b/c.zip?x=1 it is c.zip; of a container alone its name."""
    parts = [part for part in urlsplit(shown(url)).path.split("/") if part]
    host = shown(url).split("://", 1)[-1].split("/", 1)[0].partition("@")[0]
    return unquote(parts[-1]) if parts else host


def is_file_url(url: str) -> bool:
    return is_url(url) and scheme_of(url) in ("file", "local")


def file_path(url: str) -> Path:
    """file:///data/x -> /data/x. Raises UsageError for another machine's."""
    rest = url.split("://", 1)[1]
    if rest.startswith("localhost/"):
        rest = rest.removeprefix("localhost")
    if not rest.startswith("/"):
        raise UsageError(f"{shown(url)}: wanted file:/// and an absolute path of this machine")
    path = unquote(rest)
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)
