"""A file that says who trains, validates and tests: JSON or CSV -> id and list."""

import csv
import json
from pathlib import Path
from typing import Any

from data_prep.errors import UsageError

SECTIONS = ("training", "validation", "test")


def read_lists(path: Path) -> dict[str, str]:
    """Case or patient ids -> training, validation or test.

    JSON: {"training": ["id", ...], "validation": [...], "test": [...]}, or a datalist.json, whose entries have a
    `case_id`. CSV: one id and the name of its list a line; a first line without such a name is taken as heading.
    Raises UsageError for a file that can't be read, an unknown list, or an id in two lists.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _of_json(json.loads(text)) if text.lstrip().startswith("{") else _of_csv(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UsageError(f"--lists {path} can't be read: {error}") from error
    found: dict[str, str] = {}
    for name, section in pairs:
        if section not in SECTIONS:
            raise UsageError(f"--lists: {name} is in {section!r}; there are: {', '.join(SECTIONS)}")
        if found.setdefault(name, section) != section:
            raise UsageError(f"--lists: {name} is in {found[name]} and in {section}")
    if not found:
        raise UsageError(f"--lists {path} names nobody")
    return found


def _of_json(content: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for section in SECTIONS:
        entries = content.get(section, [])
        if not isinstance(entries, list):
            raise UsageError(f"--lists: {section} must be a list of ids, got {type(entries).__name__}")
        for entry in entries:
            name = entry.get("case_id") if isinstance(entry, dict) else entry
            if not isinstance(name, str):
                raise UsageError(f"--lists: {section} must hold ids as text, got {entry!r}")
            pairs.append((name, section))
    unknown = [name for name in content if name not in SECTIONS] if "split" not in content else []
    if unknown:
        raise UsageError(f"--lists: there is no list {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    return pairs


def _of_csv(text: str) -> list[tuple[str, str]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(map(str.strip, row))]
    wrong = next((row for row in rows if len(row) < 2), None)
    if wrong is not None:
        raise UsageError(f"--lists: each line must hold an id, a comma and {', '.join(SECTIONS)}; got {wrong[0]!r}")
    if rows and rows[0][1] not in SECTIONS:
        rows = rows[1:]
    return [(row[0], row[1]) for row in rows]
