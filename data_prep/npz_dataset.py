"""Gao's data set, DICOM folders and an NPZ of masks a case, -> a PREPARED folder with its split: ready to train on."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from data_prep.convert import ConvertResult, convert
from data_prep.dataset import CASE_FILE
from data_prep.errors import NothingToDoError, PrepError
from data_prep.files import walk
from data_prep.options import ConvertOptions
from data_prep.progress import Progress, silent
from data_prep.split import SplitOptions, summary, write_split

DEPTH = 3  # of folders below which `is_npz_dataset` does not look: a quick look, whatever folder it is given
MOST_LOOKED_AT = 100_000
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
NO_PICTURES = "of 8 bits or colours hold no HU and are left aside: the CT's own DICOM slices are wanted"


@dataclass
class NpzResult:
    """datalist: who trains and tests, None where it could not be said. problems: what is wrong besides refusals."""

    converted: ConvertResult
    datalist: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """As ConvertResult's; 1 also for problems."""
        return self.converted.exit_code or (1 if self.problems else 0)

    def table(self) -> str:
        """For people."""
        split = ["", summary(self.datalist)] if self.datalist else []
        return "\n".join([self.converted.table(), *split, *(f"problem: {one}" for one in self.problems)])

    def as_dict(self) -> dict[str, Any]:
        """dataset.json's content, with the split and the problems."""
        return {**self.converted.dataset, "split": self.datalist, "problems": self.problems}


def is_npz_dataset(folder: Path) -> bool:
    """Whether a folder is not prepared yet, and holds NPZ archives near its top."""
    if not folder.is_dir() or (folder / "dataset.json").exists():
        return False
    patterns = ("/".join(["*"] * depth + ["*.npz"]) for depth in range(DEPTH))
    return any(
        not path.with_name(CASE_FILE).exists()
        for pattern in patterns
        for path in islice(folder.glob(pattern), MOST_LOOKED_AT)
    )


def prepare_npz(
    source: Path, out: Path, options: ConvertOptions, split: SplitOptions | None = None, progress: Progress = silent
) -> NpzResult:
    """`convert` with the NPZ masks taken as those of both lungs, then the split.

    split: None for 2:1 by patient (Gao section 2.3.2), or an earlier split that still fits. What is wrong with a case
    costs that case. Raises NothingToDoError where there is no NPZ, and what `convert` raises.
    """
    source = Path(source)
    files = walk(source, out).files if source.exists() else []
    if files and not any(path.suffix.lower() == ".npz" for path in files):
        raise NothingToDoError(f"{source} holds no NPZ masks: convert CT with other masks by lungseg-prep dicom2nifti")
    pictures = _pictures(source, files)
    try:
        made = convert(
            source, out, options=replace(options, masks=replace(options.masks, npz_lungs=True)), progress=progress
        )
    except NothingToDoError as error:
        raise NothingToDoError("; ".join([str(error), *pictures])) from error
    result = NpzResult(made, problems=pictures)
    if made.exit_code == 3:
        result.problems += [] if made.refused else [f"no DICOM CT series lies in {source} beside its NPZ masks"]
        return result
    result.problems += [
        f"case {case['id']} has no mask: no NPZ archive that can be read is named like the folder of its slices"
        for case in made.dataset["cases"]
        if not case["rois"]
    ]
    try:
        result.datalist = _split(out, bool(made.converted), split)
    except PrepError as error:
        result.problems.append(f"no split: {error} Then: lungseg-prep split {out}")
    return result


def _pictures(source: Path, files: list[Path]) -> list[str]:
    """A line for each folder with picture files."""
    folders = Counter(path.parent for path in files if path.suffix.lower() in PICTURES)
    return [
        f"{count} picture(s) in {folder.relative_to(source).as_posix() if source.is_dir() else folder} {NO_PICTURES}"
        for folder, count in sorted(folders.items())
    ]


def _split(out: Path, anew: bool, options: SplitOptions | None) -> dict[str, Any]:
    """Write datalist.json; one that is there stays where nobody asked for another and no case was converted since."""
    kept = out / "datalist.json"
    if options is None and not anew and kept.is_file():
        with suppress(ValueError, OSError):
            found: dict[str, Any] = json.loads(kept.read_bytes())
            return found
    return write_split(out, options or SplitOptions())
