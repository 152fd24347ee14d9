"""Names of a store as names of files: nothing leads outside, nothing clashes on any file system."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

ODD = re.compile(r"[^\w.,+=@ ()\[\]{}~^$%&'!#-]|[\x00-\x1f\x7f]")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # on Windows
LONGEST_PART = 120  # bytes; file systems take 255, and a hash comes on top
LONGEST_PATH = 400
LONGEST_ENDING = 8
MARK = "~"  # before the hash of a name that had to be changed


def local_names(names: Iterable[str]) -> dict[str, PurePosixPath]:
    """Each of `names` (parts between slashes) -> a relative path, all different even where case doesn't count.

    Names that every file system can bear stay as they are. Others are changed and get a hash of what they were, so
    that they never depend on the names beside them, unless two clash.
    """
    paths = {name: _bounded(name, [_part(part) for part in name.split("/")]) for name in dict.fromkeys(names)}
    folders = {_folded(parent) for path in paths.values() for parent in path.parents if parent.parts}
    files = Counter(_folded(path) for path in paths.values())
    return {
        name: path
        if files[_folded(path)] == 1 and _folded(path) not in folders
        else path.with_name(_marked(path, name))
        for name, path in paths.items()
    }


def safe_part(name: str) -> str:
    """One name of a file that any file system can bear: `name` itself if it is one."""
    return _part(name.replace("/", "_"))


def _part(part: str) -> str:
    plain = unicodedata.normalize("NFC", ODD.sub("_", part))
    while len(plain.encode()) > LONGEST_PART:
        plain = plain[:-1]
    plain = plain.strip().rstrip(". ")
    fine = plain == part != "" and MARK not in part and not RESERVED.fullmatch(part)
    return part if fine else _hashed(plain, part)


def _hashed(plain: str, was: str) -> str:
    """`plain` with the hash of what it was before its ending."""
    plain = (f"_{plain}" if RESERVED.fullmatch(plain) else plain).replace(MARK, "_")
    stem, dot, ending = plain.rpartition(".")
    if not (stem and ending.isalnum() and len(ending) <= LONGEST_ENDING):
        stem, dot, ending = plain, "", ""
    return f"{stem}{MARK}{_hash(was)}{dot}{ending}"


def _marked(path: PurePosixPath, name: str) -> str:
    """For a clash: the hash of the whole name, longer than that of a part, so that no part ever looks like it."""
    stem, dot, ending = path.name.rpartition(".")
    stem, end = (stem, f".{ending}") if dot and stem else (path.name, "")
    return f"{stem}{MARK}{_hash(name, 20)}{end}"


def _bounded(name: str, parts: list[str]) -> PurePosixPath:
    path = PurePosixPath(*parts)
    if len(str(path).encode()) <= LONGEST_PATH:
        return path
    return PurePosixPath(f"long{MARK}{_hash(name.rpartition('/')[0], 20)}", parts[-1])


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", str(path)).casefold())


def _hash(text: str, length: int = 10) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
