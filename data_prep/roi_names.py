"""ROI names: what they mean, and what their files are called. The spellings are data, in roi_labels.json."""

import hashlib
import json
import re
import unicodedata
from functools import cache
from pathlib import Path

LABELS = Path(__file__).with_name("roi_labels.json")
LONGEST_BYTES = 120  # leaves room for `.nii.gz`, a temporary prefix and a suffix in the 255 of common file systems
RESERVED = {"CON", "PRN", "AUX", "NUL", "CLOCK$"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(10)}


def label_of(name: str) -> str | None:
    """The label that a ROI name stands for, or None for a spelling that the table does not know.

    Case, blanks, hyphens, underscores, dots, commas and slashes don't matter; the rest must match as a whole, so
    that helpers such as `Lungs-GTV`, `PTV`, `PRV cord` or `zLung_L` stay unmapped.
    """
    squashed = re.sub(r"[\s_\-.,/]+", "", unicodedata.normalize("NFKC", name).casefold())
    for pattern, label in _table():
        if pattern.fullmatch(squashed):
            return label
    return None


@cache
def _table() -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = json.loads(LABELS.read_text(encoding="utf-8"))
    return tuple((re.compile(row["pattern"]), row["label"]) for row in rows)


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
