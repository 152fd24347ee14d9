"""A case -> its image in memory, on exactly the grid of what came in; and what has to be said about it."""

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import SeriesError
from data_prep.geometry import LPS_TO_RAS, Array, Grid
from data_prep.output import writing
from data_prep.plan import CasePlan, unpack
from data_prep.series import Series, arrange, read_volume
from data_prep.stages import Stages
from data_prep.volume_files import DETACHED, NIFTI, ending, read_voxels
from data_prep.volume_voxels import read_image_volume
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.cases import Case
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.phantom_only import is_phantom_file, is_phantom_series
from lungseg_monai.segment.result import Flag

MOST_OF_MEMORY = 3  # bytes a voxel that the least of runs takes at once: int16 and a label
UNKNOWN_AXES = "left and right may be swapped"


@dataclass(eq=False)
class Loaded:
    """A case that was read. series, slices: of DICOM, for exports that refer to it. facts: for case.json.

    scratch: a folder with what was unpacked, to be removed by `close`. began: when reading began, by perf_counter.
    begun: what the model has made of it so far.
    """

    case: Case
    image: Image
    flags: tuple[Flag, ...]
    facts: dict[str, Any]
    stages: Stages
    series: Series | None = None
    plan: CasePlan | None = None
    scratch: Path | None = None
    began: float = field(default_factory=time.perf_counter)
    begun: Any = None

    @property
    def grid(self) -> Grid:
        """Where the voxels are."""
        i, j, k = self.image.array_ijk.shape
        return Grid((i, j, k), LPS_TO_RAS @ self.image.affine_ras)

    def close(self) -> None:
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


def load(case: Case, scratch: Path) -> Loaded:
    """Read the voxels of a case. scratch: a folder of its own for what lies in archives, made if needed.

    Raises data_prep's PrepErrors where it can't become one volume, ImageError where memory can't hold it.
    """
    began = time.perf_counter()
    _refuse_too_large(case.nbytes)
    if case.plan.volume is not None:
        return _load_file(case, began)
    stages = Stages()
    with stages.stage("read"):
        with writing(scratch):
            plan = unpack(case.plan, case.context, scratch)
        series = arrange(plan.slices, case.context.stack)
        volume = read_volume(series)
    one = plan.slices[0]
    image = Image(volume.array_ijk, volume.grid.affine_ras, phantom=is_phantom_series(plan.slices))
    enhanced = len({each.path for each in plan.slices}) < len(plan.slices) or any(each.frame for each in plan.slices)
    repairs = [*volume.repairs, *filter(None, [plan.name.note])]
    facts = _facts("dicom-enhanced" if enhanced else "dicom", volume.grid, repairs)
    facts |= {"manufacturer": one.manufacturer, "kernel": one.kernel, "separated_by": plan.rule or None}
    flags = _series_flags(plan, series)
    there = scratch if case.context.archived else None
    return Loaded(case, image, flags, facts, stages, series, plan, there, began)


def _load_file(case: Case, began: float) -> Loaded:
    path = case.plan.files[0]
    stages = Stages()
    with stages.stage("read"):
        try:
            volume = read_image_volume(path)
            array, grid, repairs = volume.array_ijk, volume.grid, list(volume.repairs)
        except SeriesError as error:
            if "no finite numbers" not in str(error):
                raise
            array, grid, repairs = _with_holes(path)
        affine_ras = grid.affine_ras
        if _is_turned(path):  # data_prep counts slices along the normal; results lie as the file's own voxels do
            array, affine_ras = array[:, :, ::-1], _turned_back(affine_ras, array.shape[2])
    image = Image(array, affine_ras, phantom=is_phantom_file(path))
    unknown = [one for one in repairs if UNKNOWN_AXES in one]
    flags = tuple(Flag("orientation_unknown", one, "check") for one in unknown)
    i, j, k = array.shape
    facts = _facts("volume", Grid((i, j, k), LPS_TO_RAS @ affine_ras), repairs)
    return Loaded(case, image, flags, facts, stages, plan=case.plan, began=began)


def _facts(kind: str, grid: Grid, repairs: list[str]) -> dict[str, Any]:
    return {
        "kind": kind,
        "shape_ijk": list(grid.shape_ijk),
        "spacing_mm": [round(step, 6) for step in grid.spacing_mm],
        "orientation": grid.orientation,
        "repairs": repairs,
    }


def _series_flags(plan: CasePlan, series: Series) -> tuple[Flag, ...]:
    flags = []
    if series.regrid is not None:
        flags.append(Flag("image_resampled", "; ".join(series.notes) or "slices were resampled to an even grid"))
    if series.dropped:
        flags.append(Flag("slices_left_out", f"{len(series.dropped)} slice(s) of the series are not in the image"))
    if plan.damaged:
        what = "damaged files lie beside the slices: a slice at an end may be missing"
        flags.append(Flag("damaged_files_beside", what))
    return tuple(flags)


def _with_holes(path: Path) -> tuple[NDArray[Any], Grid, list[str]]:
    """An image with voxels that are no numbers, as float32: what they count as is for the model's checks to say."""
    found = read_voxels(path)
    array = found.array_ijk.astype(np.float32)
    if found.slope != 1 or found.inter != 0:
        array = array * np.float32(found.slope) + np.float32(found.inter)
    return array, found.grid, list(found.notes)


def _is_turned(path: Path) -> bool:
    """Whether the file's own axes are left-handed."""
    if ending(path) in NIFTI:
        import nibabel as nib

        affine: Any = nib.load(path).affine  # type: ignore[attr-defined]
        return bool(np.linalg.det(affine[:3, :3]) < 0)
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return bool(np.linalg.det(np.reshape(reader.GetDirection(), (reader.GetDimension(), -1))[:3, :3]) < 0)


def _turned_back(affine: Array, slices: int) -> Array:
    back = affine.copy()
    back[:3, 3] += affine[:3, 2] * (slices - 1)
    back[:3, 2] *= -1
    return back


def contents(case: Case) -> str:
    """What the case holds, in a hash: over the slices' headers, or over a file's bytes (with its data file's)."""
    if case.contents is not None:
        return case.contents
    digest = sha256()
    path = case.plan.files[0]
    for file in (path, *_data_file(path)):
        with suppress(OSError), file.open("rb") as stream:  # that it can't be read shows when it is
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _data_file(path: Path) -> list[Path]:
    """The file beside a detached header."""
    pattern = DETACHED.get(ending(path) or "")
    if pattern is None:
        return []
    with suppress(OSError), path.open("rb") as stream:
        named = re.search(pattern + rb"[ \t]*(\S[^\r\n]*)", stream.read(2**20), re.IGNORECASE)
        if named:
            return [path.parent / Path(os.fsdecode(named[1].strip())).name]
    return []


def voxel_hash(image: Image) -> str:
    """SHA-256 over shape and affine (float64, rounded to 1e-6) as text, and the voxels slice by slice, i fastest."""
    digest = sha256(f"{list(image.array_ijk.shape)} {image.array_ijk.dtype.str[1:]}".encode())
    digest.update(repr((np.round(image.affine_ras, 6) + 0.0).tolist()).encode())
    for plane in image.array_ijk.transpose(2, 1, 0):
        digest.update(np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).data.cast("B"))
    return digest.hexdigest()


def free_bytes() -> int | None:
    """Memory that can be had now, on Linux; None where nobody says."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _refuse_too_large(nbytes: int) -> None:
    free = free_bytes()
    wanted = nbytes * MOST_OF_MEMORY // 2
    if free is not None and wanted > free:
        raise ImageError(
            f"its voxels need {wanted / 2**30:.1f} GiB of memory at least, {free / 2**30:.1f} GiB are free: use a "
            "larger machine, fewer --jobs, or a part of the series (--select)"
        )
