"""Which mask belongs to which image: by folders and names, or by a CSV file."""

import csv
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from data_prep.errors import UsageError
from data_prep.radiographs.find import Source
from data_prep.radiographs.names import named, stem_of
from data_prep.scan import Refusal

MASK_COLUMNS = {"mask": "lungs", "mask_left": "lung_left", "mask_right": "lung_right"}


@dataclass(eq=False)
class Pair:
    """An image and its masks, by what they show. patient: as a CSV file says, else ""."""

    image: Source
    masks: dict[str, Source] = field(default_factory=dict)
    patient: str = ""


def pair(pictures: Iterable[Source], dicom: Iterable[Source]) -> tuple[list[Pair], list[Refusal]]:
    """Images with their masks, in the order of their places, and the masks that fit no image or several.

    A mask belongs to the image of its name (else: without _mask and its kin) in the sister folder, or to the only
    image of that name at all.
    """
    names = {source: named(source.place) for source in (*pictures, *dicom)}
    pairs = [Pair(source) for source, name in names.items() if not name.is_mask or source.dicom]
    by_place: dict[tuple[tuple[str, ...], str], list[Pair]] = defaultdict(list)
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for one in pairs:
        name = names[one.image]
        for stem in {_composed(name.stem).casefold(), _composed(name.short).casefold()}:
            by_place[name.base, stem].append(one)
            by_stem[stem].append(one)
    refused: list[Refusal] = []
    claims: dict[tuple[int, str], list[Source]] = defaultdict(list)
    owner = dict[int, Pair]()
    for source, name in names.items():
        if not name.is_mask or source.dicom:
            continue
        stems = [_composed(stem).casefold() for stem in dict.fromkeys((name.stem, name.short))]
        fits = next((hits for stem in stems if (hits := by_place.get((name.base, stem)) or by_stem.get(stem))), [])
        if len(fits) != 1:
            refused.append(Refusal("mask", str(source.place), _no_image(fits)))
            continue
        owner[id(fits[0])] = fits[0]
        claims[id(fits[0]), name.roi].append(source)
    for (key, roi), sources in claims.items():
        if len(sources) == 1:
            owner[key].masks[roi] = sources[0]
        else:
            refused += [Refusal("mask", str(one.place), _several(roi, owner[key])) for one in sources]
    return sorted(pairs, key=lambda one: str(one.image.place)), refused


def _composed(name: str | PurePath) -> str:
    """Umlauts as one character each: file systems and archives of macOS write them as two."""
    return unicodedata.normalize("NFC", str(name))


def _no_image(fits: list[Pair]) -> str:
    if not fits:
        return "a mask without its image: name both alike, or say with --pairs which belong together"
    listed = ", ".join(str(one.image.place) for one in fits[:3])
    return f"fits several images ({listed}): say with --pairs which is meant"


def _several(roi: str, one: Pair) -> str:
    return f"one of several masks of {roi} for {one.image.place}: keep one, or say with --pairs which is meant"


def pair_by_csv(path: Path, source: Path, sources: Iterable[Source]) -> tuple[list[Pair], list[Refusal]]:
    """Images and masks as the CSV file `path` says, relative to `source` or to the file's own folder.

    Columns, parted by commas, semicolons or tabs: `image`; `mask`, or `mask_left` and `mask_right` (each may be empty);
    `patient` (optional). With `case` in place of `image`, names without endings: those cases are taken, paired by rule.
    Other columns and empty lines are not looked at.
    Raises UsageError for a file that can't be read or has neither column; a line that names what is not there is
    refused.
    """
    known = list(sources)
    rows = _rows(path)
    if not any("image" in row for row in rows.values()):
        return _by_case(rows, known)
    places = {_composed(one.place): one for one in known}
    found_at = {_composed(one.path.resolve()): one for one in known}
    pairs: dict[Source, Pair] = {}
    refused: list[Refusal] = []
    for number, row in rows.items():
        lost = [row[column] for column in ("image", *MASK_COLUMNS) if row.get(column)
                and _named_file(row[column], path, source, places, found_at) is None]  # fmt: skip
        image = _named_file(row["image"], path, source, places, found_at)
        if image is None or lost or image in pairs:
            why = "names an image a second time" if not lost and image else f"names {', '.join(lost) or 'no image'}"
            refused.append(Refusal("pair", f"line {number}", why + (", not there or no picture" if lost else "")))
            continue
        pairs[image] = Pair(image, patient=row.get("patient", ""))
        for column, roi in MASK_COLUMNS.items():
            mask = _named_file(row.get(column, ""), path, source, places, found_at)
            if mask is not None:
                pairs[image].masks[roi] = mask
    return sorted(pairs.values(), key=lambda one: str(one.image.place)), refused


def _rows(path: Path) -> dict[int, dict[str, str]]:
    """Those that are not empty, by their line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=max(",;\t", key=first.count))
            rows = [(reader.line_num, _cleaned(row)) for row in reader]
    except UnicodeDecodeError as error:
        raise UsageError(f"--pairs {path} is not UTF-8: save it again as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise UsageError(f"--pairs {path} can't be read: {error}") from error
    filled = {number: row for number, row in rows if any(row.values())}
    if not any({"image", "case"} & set(row) for row in filled.values()):
        raise UsageError(f"--pairs {path}: wanted a first line with the columns image, mask and, if known, patient")
    return filled


def _cleaned(row: Mapping[str | None, Any]) -> dict[str, str]:
    """Columns in small letters; what stands beyond the last column is dropped."""
    return {(key or "").strip().lower(): value.strip() if isinstance(value, str) else "" for key, value in row.items()}


def _named_file(
    value: str, path: Path, source: Path, places: dict[str, Source], found_at: dict[str, Source]
) -> Source | None:
    if not value:
        return None
    named = value.replace("\\", "/")
    folders = (source if source.is_dir() else source.parent, path.parent)
    hits = [found_at.get(_composed((folder / named).resolve())) for folder in folders]
    return next((one for one in (places.get(_composed(PurePosixPath(named))), *hits) if one), None)


def _by_case(rows: dict[int, dict[str, str]], known: list[Source]) -> tuple[list[Pair], list[Refusal]]:
    pairs, refused = pair([one for one in known if not one.dicom], [one for one in known if one.dicom])
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for one in pairs:
        by_stem[stem_of(one.image.place)].append(one)
    chosen: list[Pair] = []
    for number, row in rows.items():
        hits = by_stem.pop(row["case"], [])
        if len(hits) != 1:
            why = f"{len(hits)} images are called so" if hits else "no image is called so, or it was named before"
            refused.append(Refusal("pair", f"line {number}", why))
            continue
        hits[0].patient = row.get("patient", "")
        chosen.append(hits[0])
    return sorted(chosen, key=lambda one: str(one.image.place)), refused
