"""segment.json, the journal of an output folder, and case.json, by which a finished case is known again."""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.dataset import CASE_FILE, file_hashes
from data_prep.errors import OutputError
from data_prep.output import writing
from data_prep.versions import tool_versions
from lungseg_monai.io import write_json

JOURNAL = "segment.json"
SCHEMA = "1.0"
PARTIAL = ".partial-"
RUN_FACTS = ("backend", "device", "precision", "threads", "weights_file")  # how a model ran, not which one it is


def fingerprint(contents: str, settings: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Changes with all that a case's files depend on: the input, the settings, the model's version and weights."""
    facts = {key: value for key, value in model.items() if key not in RUN_FACTS}
    if "weights_set_sha256" in facts:  # the same weights lie in several files, one for each kind of backend
        facts.pop("weights_sha256", None)
    text = json.dumps([SCHEMA, contents, dict(settings), facts], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()


def read_case(folder: Path) -> dict[str, Any] | None:
    """case.json of a case that was segmented and whose files are all there, or None."""
    try:
        record = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
        whole = record["case"] == folder.name and record["status"] == "done"
        whole = whole and all((folder / file).is_file() for file in record["hashes"]["outputs"])
        return record if whole and {"fingerprint", "place", "flags", "seconds"} <= record.keys() else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def is_foreign(folder: Path) -> bool:
    """Whether something lies there that `lungseg segment` has not made."""
    if not folder.exists() and not folder.is_symlink():
        return False
    try:
        record = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
        return not isinstance(record, dict) or "fingerprint" not in record or "outputs" not in record
    except (OSError, ValueError, RecursionError):
        return True


def put_in_place(partial: Path, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write case.json with the hashes of all files and rename the finished case; an earlier one makes room.

    Returns the record with the hashes. Raises OutputError.
    """
    with writing(folder):
        record["hashes"]["outputs"] = file_hashes(partial)
        write_json(partial / CASE_FILE, record)
        old = folder.with_name(f"{PARTIAL}old-{folder.name}")
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    return record


def tidy(out: Path) -> None:
    """Remove what an interrupted run left in `out`; a finished case that was moved aside goes back to its place."""
    with writing(out):
        for left in sorted(out.glob(f"{PARTIAL}*")):
            name = left.name.removeprefix(f"{PARTIAL}old-")
            if name != left.name and not (out / name).exists() and read_case_as(left, name):
                left.rename(out / name)
            elif left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def read_case_as(folder: Path, name: str) -> bool:
    """Whether `folder` holds the finished case `name`."""
    try:
        record = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
        return bool(record["case"] == name and record["status"] == "done")
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


class Journal:
    """segment.json, renewed after each case. Cases of earlier runs into the same folder stay in it.

    That it can't be written costs no case: the last try is `finish`, which raises OutputError.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """found: what else the inputs hold: refused, ignored. Raises OutputError where `out` can't be written."""
        self.path = out / JOURNAL
        self.content: dict[str, Any] = {
            "schema": SCHEMA,
            "versions": tool_versions(),
            "model": {},
            "settings": dict(settings),
            "cases": _earlier(self.path),
            **found,
        }
        write_json(self.path, self.content)

    def model(self, facts: Mapping[str, Any]) -> None:
        self.content["model"] = dict(facts)

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Note what became of a case. Nothing is raised."""
        self.content["cases"][name] = dict(entry)
        try:
            self._write()
        except OutputError:
            return  # a full disk may have room again when the case's partial files are gone

    def finish(self) -> dict[str, Any]:
        self._write()
        return self.content

    def _write(self) -> None:
        self.content["cases"] = dict(sorted(self.content["cases"].items()))
        write_json(self.path, self.content)


def _earlier(path: Path) -> dict[str, Any]:
    """Entries of earlier runs, but for those whose folder is gone. A damaged journal counts as none."""
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        return {
            name: entry
            for name, entry in cases.items()
            if isinstance(entry, dict) and (entry.get("status") != "done" or (path.parent / name / CASE_FILE).is_file())
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
