"""ROI names: what they mean, and what their files are called. The spellings are data, in roi_labels.json."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from data_prep.errors import UsageError

LABELS = Path(__file__).with_name("roi_labels.json")
LONGEST_BYTES = 120  # leaves room for `.nii.gz`, a temporary prefix and a suffix in the 255 of common file systems
RESERVED = {"CON", "PRN", "AUX", "NUL", "CLOCK$"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(10)}


@dataclass(frozen=True)
class Row:
    """One line of a map. The whole name has to match; label None: deliberately nothing."""

    pattern: re.Pattern[str]
    label: str | None


@dataclass(frozen=True)
class RoiMap:
    """What ROI names stand for: the user's own rows, in their order, then those that are shipped."""

    own: tuple[Row, ...] = ()

    @staticmethod
    def load(path: Path | None) -> "RoiMap":
        """The map with the rows of `path`: JSON, a list of {"pattern": ..., "label": ...}, or lines `pattern = label`.

        A pattern is a Python regular expression that has to match the whole name, whatever the case: the name as it
        stands in the file, or as `squashed` leaves it. A label is a name that can be a file's, or null: such names
        stay without label. Blank lines and lines that start with # don't count. None: what is shipped, no more.
        Raises UsageError, with the row, for anything that can't be read so, and for a pattern that stands there twice.
        """
        return RoiMap() if path is None else RoiMap(_read_rows(Path(path)))

    def find(self, name: str) -> Row | None:
        """The first row that knows a ROI name, or None."""
        plain, short = name.strip(), squashed(name)
        own = (row for row in self.own if row.pattern.fullmatch(plain) or row.pattern.fullmatch(short))
        return next(own, None) or _shipped_row(name)

    def label_of(self, name: str) -> str | None:
        """The label that a ROI name stands for, or None for one that no row knows or that a row unmaps."""
        row = self.find(name)
        return row.label if row else None

    def text(self) -> str:
        """The user's rows as lines, for a fingerprint of what a conversion depends on."""
        return "\n".join(f"{row.pattern.pattern} = {row.label}" for row in self.own)


SHIPPED = RoiMap()


def label_of(name: str) -> str | None:
    """The label that a ROI name stands for by the shipped table, or None for a spelling that it does not know.

    Case, accents, blanks, hyphens, underscores, dots, commas, slashes and brackets don't matter, nor does a phase at
    the end (`Lung_R_c20`, as in 4D-Lung); the rest must match as a whole, so that helpers such as `Lungs-GTV`, `PTV`,
    `PRV cord` or `zLung_L` stay unmapped. So do names that start with `_`, which TG-263 keeps for helpers.
    """
    row = _shipped_row(name)
    return row.label if row else None


def squashed(name: str) -> str:
    """`name` in lower case without accents, blanks, hyphens, underscores, dots, commas, slashes and brackets."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return re.sub(r"[\s_\-.,/()\[\]]+", "", "".join(one for one in letters if not unicodedata.combining(one)))


@lru_cache(maxsize=4096)
def _shipped_row(name: str) -> Row | None:
    if name.strip().startswith("_"):
        return None
    short = squashed(name)
    for spelling in dict.fromkeys((short, re.sub("c[0-9]0$", "", short))):
        for row in _shipped():
            if row.pattern.fullmatch(spelling):
                return row
    return None


@cache
def _shipped() -> tuple[Row, ...]:
    rows = json.loads(LABELS.read_text(encoding="utf-8"))
    return tuple(Row(re.compile(row["pattern"]), row["label"]) for row in rows)


def _read_rows(path: Path) -> tuple[Row, ...]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"can't read the ROI map {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the ROI map {path} is no text in UTF-8: save it as UTF-8") from error
    as_json = path.suffix.lower() == ".json" or re.match(r"\s*\[\s*[{\]]", content)
    pairs = _json_rows(content, path) if as_json else _lines(content, path)
    rows: list[Row] = []
    taken: dict[str, str] = {}
    for where, pattern, label in pairs:
        if pattern in taken:
            raise UsageError(f"{path}, {where}: the pattern {pattern!r} stands in {taken[pattern]} too; keep one")
        taken[pattern] = where
        rows.append(Row(_compiled(pattern, path, where), _checked(label, path, where)))
    return tuple(rows)


def _json_rows(content: str, path: Path) -> Iterator[tuple[str, str, object]]:
    wanted = 'wanted a list of {"pattern": "...", "label": "..."}'
    try:
        rows = json.loads(content)
    except ValueError as error:
        raise UsageError(f"the ROI map {path} is no JSON ({error}); {wanted}") from error
    if not isinstance(rows, list):
        raise UsageError(f"the ROI map {path} holds a {type(rows).__name__}; {wanted}")
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, dict) and row.keys() == {"pattern", "label"} and isinstance(row["pattern"], str)):
            raise UsageError(f"{path}, row {number}: {wanted}, got {json.dumps(row)[:80]}")
        yield f"row {number}", row["pattern"], row["label"]


def _lines(content: str, path: Path) -> Iterator[tuple[str, str, object]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pattern, equals, label = (part.strip() for part in line.rpartition("="))
        if not (pattern and equals and label):
            raise UsageError(f"{path}, line {number}: wanted `pattern = label`, got {line.strip()[:80]!r}")
        yield f"line {number}", pattern, None if label == "null" else label


def _compiled(pattern: str, path: Path, where: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{path}, {where}: {pattern!r} is no regular expression ({error})") from error


def _checked(label: object, path: Path, where: str) -> str | None:
    if label is None or (isinstance(label, str) and label and safe_name(label, set()) == label):
        return label
    raise UsageError(
        f"{path}, {where}: {str(label)[:80]!r} can't be a label; wanted letters, digits and _ - + . ( ), or null"
    )


def safe_name(name: str, taken: set[str], fallback: str = "roi") -> str:
    """A file name for `name` that is safe on every common file system and not in `taken`, which it joins.

    Letters and digits of any script stay (as NFC), everything else but `-+.()` becomes `_`. Names that differ only
    in case or in what was replaced get `-2`, `-3` ...; `taken` holds case-folded names.
    """
    cleaned = re.sub(r"[^\w\-+.()]+", "_", unicodedata.normalize("NFC", name)).strip("._ ") or fallback
    if cleaned.split(".")[0].upper() in RESERVED:
        cleaned = f"_{cleaned}"
    encoded = cleaned.encode("utf-8", "ignore")
    if len(encoded) > LONGEST_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        cleaned = f"{encoded[: LONGEST_BYTES - 9].decode('utf-8', 'ignore')}-{digest}"
    unique, number = cleaned, 2
    while unicodedata.normalize("NFC", unique.casefold()) in taken:
        unique, number = f"{cleaned}-{number}", number + 1
    taken.add(unicodedata.normalize("NFC", unique.casefold()))
    return unique
