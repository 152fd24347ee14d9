"""When `python -m monai.bundle run` runs one of our bundles: misspelt keys, true and null, readable errors, exit codes.

MONAI adds a key that it does not know (`--epoch 1`) without a word, takes `--resume false` for the text "false", which
counts as true, wraps every error in two others, and always exits with 1. A bundle's `initialize` calls `prepare`, which
changes that for the command line and does nothing elsewhere.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from data_prep.errors import OutputError
from lungseg_monai.errors import ConfigError, IncompleteError, LungsegError, UsageError

REFUSED, USAGE, NOTHING, INTERRUPTED = 1, 2, 3, 130
WORDS = {"true": True, "false": False, "null": None}
# The options of `python -m monai.bundle run` itself.
RUN_OPTIONS = {
    "args_file", "config_file", "final_id", "init_id", "logging_file", "meta_file", "properties_path", "run_id",
    "tracking", "workflow_name", "workflow_type",
}  # fmt: skip


def prepare() -> None:
    """Under `python -m monai.bundle run`: refuse misspelt keys, read true, false and null as in the config files, and
    from now on tell errors in one line. To be called by the config itself, before anything else in it.

    Raises ConfigError for a key that the bundle's config files do not have.
    """
    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
        return
    sys.excepthook = tell_error
    keys, files = command_line_keys(sys.argv[1:])
    check_keys(keys, read_configs(files))
    read_words(keys)


def read_words(keys: Iterable[str]) -> None:
    """Make True, False and None of the "true", "false" and "null" that `keys` have in the config under evaluation.

    MONAI's command line only knows Python's spelling. What evaluates the config calls this function, but hands nothing
    on; so it is looked for among the callers. Nested keys stay as they are.
    """
    from monai.bundle import ConfigParser

    frame: FrameType | None = sys._getframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), ConfigParser):
        frame = frame.f_back
    if frame is None:
        return
    parser = frame.f_locals["self"]
    for key in keys:
        given = parser.config.get(key)
        if isinstance(given, str) and given in WORDS:
            parser.config[key] = WORDS[given]  # not parser[key], which would begin the evaluation anew
            parser.ref_resolver.items[key].update_config(WORDS[given])


def read_configs(files: Iterable[str]) -> dict[str, Any]:
    """The config files as MONAI merges them: {} for none."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    return {**parser.get(), "_meta_": {}}


def check_keys(given: Iterable[str], known: Mapping[str, Any]) -> None:
    """Refuse keys that the bundle's config does not have: MONAI would add them as new ones without a word.

    `given` are ids as on the command line ("epochs", "train#dataset#seed"); of a nested id the parent must exist.
    Raises ConfigError naming the nearest key.
    """
    for key in given:
        parts = key.replace("::", "#").split("#")
        place: Any = known
        for depth, part in enumerate(parts):
            last_of_nested = len(parts) > 1 and depth == len(parts) - 1
            if isinstance(place, Sequence) and not isinstance(place, str) and part.isdigit() and int(part) < len(place):
                place = place[int(part)]
            elif isinstance(place, Mapping) and part in place:
                place = place[part]
            elif not (last_of_nested and isinstance(place, Mapping)):
                names = list(place) if isinstance(place, Mapping) else []
                raise ConfigError(
                    f"this bundle has no key {key!r}.{did_you_mean(part, names)} All that can be set stands in its "
                    "configs/*.yaml."
                )


def command_line_keys(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(override ids, config files) of the arguments of `python -m monai.bundle run`, both in their order."""
    keys: list[str] = []
    files: list[str] = []
    for place, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        name, _, value = argument[2:].partition("=")
        name = name.replace("-", "_")
        if name == "config_file":
            value = value or (arguments[place + 1] if place + 1 < len(arguments) else "")
            files = [part.strip(" '\"") for part in value.strip(" []()").split(",")]
        elif name not in RUN_OPTIONS:
            keys.append(name)
    return keys, [file for file in files if file]


def tell_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An excepthook: what we raise on purpose becomes one line and its exit code, anything else stays as it is."""
    for cause in causes(error):
        code = exit_code(cause)
        if code is not None:
            message = "interrupted" if code == INTERRUPTED else str(cause)
            sys.stderr.write(f"\nerror: {message}\n")
            raise SystemExit(code)
        if isinstance(cause, TypeError) and of_nested_key(str(cause)):
            sys.stderr.write(f"\nerror: {cause}, which was given on the command line\n")
            raise SystemExit(USAGE)
    sys.__excepthook__(kind, error, traceback)


def of_nested_key(message: str) -> bool:
    """Whether a TypeError is about an argument that a nested key of the command line (train#dataset#strid) added."""
    keys, _ = command_line_keys(sys.argv[1:])
    added = {key.replace("::", "#").rpartition("#")[2] for key in keys if "#" in key or "::" in key}
    return any(f"unexpected keyword argument '{name}'" in message for name in added)


def exit_code(error: BaseException) -> int | None:
    """Of one of our own errors; None for all others."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, IncompleteError):
        return REFUSED
    if isinstance(error, UsageError | ConfigError):
        return USAGE
    return NOTHING if isinstance(error, LungsegError | OutputError) else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""
