"""Masks in NPZ archives, one a case beside its DICOM slices. They carry no geometry: what is assumed is said."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from data_prep.drawn import Drawn
from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.geometry import Grid
from data_prep.npz_lungs import UNITED, as_lungs, why_no_order
from data_prep.onto import Mask, MaskReport, blank_mask, measure

MOST_ARRAYS = 256
LARGEST_ITEM = 8  # bytes: no mask needs more for a voxel
HEADER_ROOM = 2**16
# Names of the axes of an array, for each order it may have; the first that fits the image's shape is taken.
ORDERS: dict[str, tuple[int, int, int]] = {
    "slices, rows, columns": (2, 1, 0),
    "rows, columns, slices": (1, 0, 2),
    "columns, rows, slices": (0, 1, 2),
}
VALUES = ((0.0, 1.0), (0.0, 255.0))


def read_npz(path: Path, image_shape_ijk: tuple[int, int, int], lungs: bool = False) -> list[Drawn]:
    """Each array of an NPZ as a region named by its key, those that can't be used with their `problem`.

    image_shape_ijk: columns, rows, slices of the image that it belongs to. An array must hold 0 and 1 (or False and
    True, or 0 and 255) and have the image's shape in one of the ORDERS; axes of length 1 may be more. If several fit,
    the first is taken and flagged. Slices are taken to ascend in z (ImagePositionPatient), as authors of such
    archives sort them; a note of the report says so, always. lungs: one of the arrays is the mask of both lungs
    (npz_lungs.as_lungs), and may hold 1 and 2 for them.
    Raises UnreadableFileError for an archive that is damaged, holds Python objects, or declares more than it should.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if one.filename.endswith(".npy")]
            if not entries:
                raise UnreadableFileError(f"{path.name} holds no array")
            if len(entries) > MOST_ARRAYS:
                raise UnreadableFileError(f"{path.name} holds {len(entries)} arrays, more than {MOST_ARRAYS}")
            found = [_entry(archive, one, number, image_shape_ijk, lungs) for number, one in enumerate(entries, 1)]
            return as_lungs(found) if lungs else found
    except UnreadableFileError:
        raise
    except Exception as error:  # zipfile, its decompressors and numpy's header parser raise many kinds for damage
        raise UnreadableFileError(f"{path.name} is no NPZ archive, or damaged ({type(error).__name__})") from error


def _entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, number: int, shape_ijk: tuple[int, int, int], lungs: bool
) -> Drawn:
    name = entry.filename.removesuffix(".npy")
    with archive.open(entry) as stream:
        shape, fortran, dtype = _declared(stream)
        if dtype.hasobject:
            return _refused(name, number, "it holds Python objects, which are never loaded: save a plain array")
        if dtype.kind not in "biuf" or dtype.itemsize > LARGEST_ITEM:
            return _refused(name, number, f"its values are of type {dtype}: wanted integers, booleans or floats")
        orders = _orders(shape, shape_ijk)
        if not orders:
            return _refused(name, number, why_no_order(shape, shape_ijk))
        size = int(np.prod(shape)) * dtype.itemsize  # no more than the image's voxels
        content = stream.read(size + 1)
    if len(content) != size:
        raise UnreadableFileError(f"{name} holds {len(content)} bytes and declares {size}: the archive is damaged")
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    mask = _binary(values, lungs)
    if isinstance(mask, str):
        return _refused(name, number, mask)
    order = ORDERS[orders[0]]
    mask_ijk = mask.reshape([shape_ijk[n] for n in order]).transpose(np.argsort(order))
    notes = [*_notes(orders, shape), *([UNITED] if values.max() == 2 else [])]
    return Drawn(name, number, "", partial(_fill, mask_ijk, notes))


def _declared(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type that the array's header declares. Raises ValueError for a damaged one."""
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream, max_header_size=HEADER_ROOM)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream, max_header_size=HEADER_ROOM)
    raise ValueError(f"NPY version {version}")


def _orders(shape: tuple[int, ...], shape_ijk: tuple[int, int, int]) -> list[str]:
    """The orders of axes that fit; axes of length 1 don't count, unless the array has exactly three."""
    found = []
    for name, order in ORDERS.items():
        wanted = tuple(shape_ijk[n] for n in order)
        bare = [n for n in shape if n != 1] == [n for n in wanted if n != 1]
        if shape == wanted if len(shape) == 3 else bare:
            found.append(name)
    return found


def _binary(values: NDArray, lungs: bool) -> Mask | str:
    """0/1, or why the array is no mask. lungs: 1 and 2 are one lung and the other."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "it holds values that are no finite numbers"
    low, high = float(values.min()), float(values.max())
    if low == high == 0:
        return "it marks no voxel"
    if lungs and low >= 0 and high == 2 and np.isin(values, (0, 1, 2)).all():
        return (values != 0).astype(np.uint8)
    allowed = next((pair for pair in VALUES if low >= pair[0] and high == pair[1]), None)
    mask = values != 0
    if allowed is None or np.count_nonzero(values == values.dtype.type(high)) != np.count_nonzero(mask):
        more = ", or 0, 1 and 2" if lungs else ""
        return f"its values, from {low:g} to {high:g}, are not 0 and 1 (or 0 and 255{more}) alone: no mask"
    return mask.astype(np.uint8)


def _notes(orders: Sequence[str], shape: tuple[int, ...]) -> list[str]:
    notes = [
        f"an NPZ says nothing of where it lies: its axes were taken as {orders[0]}, "
        "its slices as ascending in z (ImagePositionPatient); look at the mask over the image"
    ]
    if len({name.split(", ").index("slices") for name in orders}) > 1:
        notes.append(f"its shape {shape} also fits {' and '.join(orders[1:])}: which axis counts slices is a guess")
    return notes


def _fill(mask_ijk: Mask, notes: list[str], grid: Grid) -> tuple[Mask, MaskReport]:
    if mask_ijk.shape != tuple(grid.shape_ijk):
        raise SeriesError(f"the mask has {mask_ijk.shape} voxels, the image {tuple(grid.shape_ijk)}")
    first, last = grid.points_mm(np.array([[0, 0, 0], [0, 0, grid.shape_ijk[2] - 1]]))
    down = last[2] < first[2] - 1e-3  # our slices ascend along their normal, which may point to the feet
    out, report = blank_mask(grid), MaskReport(notes=list(notes))
    out[...] = mask_ijk[:, :, ::-1] if down else mask_ijk
    measure(out, grid, report)
    report.planes_in = report.rasterised = len(report.drawn_slices)
    report.polygon_mm3 = report.voxel_mm3
    return out, report


def _refused(name: str, number: int, problem: str) -> Drawn:
    def fill(grid: Grid) -> tuple[Mask, MaskReport]:
        raise SeriesError(problem)

    return Drawn(name, number, "", fill, problem)


@dataclass
class NpzPairing:
    """by_series: key of the series -> its archives, in a fixed order. unpaired: with the reason."""

    by_series: dict[str, list[Path]] = field(default_factory=dict)
    unpaired: list[tuple[Path, str]] = field(default_factory=list)


def pair_npz(npz_files: Sequence[Path], series_folders: Mapping[str, Path]) -> NpzPairing:
    """Which archive belongs to which series, by the names of folders alone: there is nothing else to go by.

    series_folders: key of the series (its UID) -> the folder that its slices lie in. An archive beside the slices of
    one series belongs to it. Else its stem, and if that fits none the folders that it lies in, nearest first, are held
    against the folders on the way to each series: equal, or starting with a folder's name and a character that is
    neither letter nor digit ("Case_000_mask" for "Case_000"). Case does not matter. The longest folder's name wins;
    where it leads to several series, the archive is refused. Folders that all have in common don't count, but one
    archive alone above one series alone belongs to it.
    """
    result = NpzPairing()
    every = [path.parent for path in npz_files] + list(series_folders.values())
    common = len(_shared(every))
    ways = {key: folder.parts[common:] for key, folder in series_folders.items()}
    for path in sorted(npz_files):
        beside = [key for key, folder in series_folders.items() if folder == path.parent]
        if not beside and len(npz_files) == len(ways) == 1:
            beside = [key for key, folder in series_folders.items() if folder.is_relative_to(path.parent)]
        fitting, why = (beside, "series lie in its folder") if beside else _by_name(path, common, ways)
        if len(fitting) == 1:
            result.by_series.setdefault(fitting[0], []).append(path)
        elif fitting:
            result.unpaired.append((path, f"{len(fitting)} {why}: which one it belongs to can't be told"))
        else:
            result.unpaired.append((path, "no folder of a CT series has its name: name it as that folder"))
    return result


def _by_name(path: Path, common: int, ways: Mapping[str, tuple[str, ...]]) -> tuple[list[str], str]:
    for name in (path.stem, *reversed(path.parent.parts[common:])):
        lengths = {
            key: max((len(folder) for folder in way if _starts(name, folder)), default=0) for key, way in ways.items()
        }
        longest = max(lengths.values(), default=0)
        if longest:
            return [key for key, length in lengths.items() if length == longest], "series have folders of its name"
    return [], ""


def _starts(name: str, folder: str) -> bool:
    name, folder = name.casefold(), folder.casefold()
    return name.startswith(folder) and not name[len(folder) : len(folder) + 1].isalnum()


def _shared(folders: Sequence[Path]) -> tuple[str, ...]:
    """The folders on the way to all of them."""
    shared: list[str] = []
    for parts in zip(*(folder.parts for folder in folders), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return tuple(shared)
