"""Arguments of commands that name a folder: a path, or a URL that is copied here first or sent to afterwards."""

import argparse
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.remote import CACHE_GB, is_url, open_source, results_at

if TYPE_CHECKING:
    from data_prep.remote.meter import Meter


def place(text: str) -> Path | str:
    """The type of such an argument: text for a URL, since a Path would lose one of its slashes."""
    return text if is_url(text) else Path(text)


def add_cache(command: Any) -> None:
    """--cache-dir and --cache-gb, beside an argument of type `place`."""
    group = command.add_argument_group("URLs in place of folders (abfs://, s3://, https://)")
    group.add_argument("--cache-dir", type=Path, metavar="DIR", help="where copies lie (default: your cache folder)")
    group.add_argument(
        "--cache-gb",
        type=float,
        default=CACHE_GB,
        metavar="GB",
        help=f"what they may take up; those used longest ago leave first (default {CACHE_GB:g})",
    )


def source_of(arguments: argparse.Namespace, source: Path | str | None = None) -> Path:
    """IN, or `source`, as a local path; fetched if it is a URL."""
    chosen = arguments.source if source is None else source
    return open_source(chosen, arguments.cache_dir, arguments.cache_gb, _meter(arguments))


def out_of(arguments: argparse.Namespace) -> AbstractContextManager[Path]:
    """OUT as a local folder; sent when the block ends well if it is a URL."""
    return results_at(arguments.out, arguments.cache_dir, _meter(arguments))


def _meter(arguments: argparse.Namespace) -> "Meter":
    from data_prep.remote.meter import bar, silent

    return silent if arguments.quiet or arguments.json else bar
