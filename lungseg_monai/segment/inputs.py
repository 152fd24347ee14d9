"""INPUTs as they were given -> the cases of the images that a model takes: CT, or radiographs."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path

from data_prep.progress import Progress, silent
from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import NothingToDoError, UsageError
from lungseg_monai.segment.cases import Cases, InputOptions, find_cases
from lungseg_monai.segment.models import modality_of
from lungseg_monai.segment.worker import Settings


def expanded(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The paths, and in place of one that does not exist and has *, ? or [ in it all that it fits, sorted.

    ** goes into folders below. Raises UsageError for a pattern that fits nothing.
    """
    paths: list[Path] = []
    for one in map(Path, inputs):
        if one.exists() or not has_magic(str(one)):
            paths.append(one)
            continue
        fits = sorted(map(Path, glob(str(one), recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute ones
        if not fits:
            raise UsageError(f"{one} fits no file: check its spelling, and that its folder exists")
        paths += fits
    return list(dict.fromkeys(paths))


def fitted(settings: Settings) -> Settings:
    """`settings` for the images that their model takes. Raises UsageError for outputs that it can't have."""
    if modality_of(settings.model) != "CR":
        return settings
    from lungseg_monai.segment.radiographs.outputs import PictureOutputs

    return replace(settings, outputs=PictureOutputs.of(settings.outputs))


@contextmanager
def found_cases(
    inputs: Sequence[Path],
    model: str,
    *,
    skip: Path | None = None,
    options: InputOptions | None = None,
    progress: Progress = silent,
) -> Iterator[Cases]:
    """The cases in `inputs` for the bundle `model`; what archives of radiographs hold is there within the block.

    Raises as find_cases and find_radiographs do, and UsageError for a bundle that is not there.
    """
    if modality_of(model) != "CR":
        try:
            found = find_cases(inputs, skip=skip, options=options, progress=progress)
        except NothingToDoError:
            bundle_path(model)  # a model's name misspelt: X-rays were looked at as if CT were wanted
            raise
        yield found
        return
    from lungseg_monai.segment.radiographs.find import find_radiographs

    with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
        yield find_radiographs(inputs, Path(scratch), skip=skip, options=options, progress=progress)
