"""What other readers make of our RTSTRUCTs: `python -m benchmarks.readers_of_rtstruct`.

Masks of a made chest are written in each contour style, and by rt-utils for comparison, and read by each reader that
is installed. Prints a table: Dice and volume error of the voxels against the mask that went in.
"""

import contextlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.export import ReferenceSeries, Region, RtstructOptions, read_reference, write_rtstruct
from data_prep.phantom import PhantomOptions, write_cohort
from data_prep.rasterize import rasterize
from data_prep.rtstruct import read_rtstruct

Masks = dict[str, NDArray[np.bool_]]  # name -> [i, j, k]
STYLES = {
    "edge": RtstructOptions(names="as-found"),
    "edge, keyhole": RtstructOptions(names="as-found", holes="keyhole"),
    "centre": RtstructOptions(names="as-found", contour_style="centre"),
    "centre, keyhole": RtstructOptions(names="as-found", contour_style="centre", holes="keyhole"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (patient,) = write_cohort(root / "phantom", patients=1, seed=0, options=PhantomOptions(spacing_mm=(2, 2, 3)))
        series = read_reference(patient / "ct")
        masks = _masks(patient, series)
        files: dict[str, Path] = {}
        for style, options in STYLES.items():
            files[style] = root / f"{style}.dcm"
            assert series.grid is not None
            regions = [Region(name, mask, series.grid) for name, mask in masks.items()]
            write_rtstruct(regions, series, files[style], options)
        if _has_rt_utils():
            files["(written by rt-utils)"] = _by_rt_utils(masks, series, root / "rt-utils.dcm")
        columns, rows, slices = series.shape_ijk
        print(f"{columns} x {rows} x {slices} voxels of 2 x 2 x 3 mm. Dice, volume error in %\n")
        print(f"| reader | contours | {' | '.join(masks)} |\n|---|---|{'---|' * len(masks)}")
        for reader, read in READERS.items():
            for style, path in files.items():
                try:
                    found = read(path, series, list(masks))
                except ImportError as error:
                    print(f"| {reader} | skipped: {error} |")
                    break
                cells = [_score(mask, found.get(name)) for name, mask in masks.items()]
                print(f"| {reader} | {style} | {' | '.join(cells)} |")
        for style, path in files.items():
            errors = [_enclosed(path, series, name) / mask.sum() * 100 - 100 for name, mask in masks.items()]
            cells = [f"{round(error, 1) + 0.0:+.1f}" for error in errors]
            print(f"| volume that the contours enclose | {style} | {' | '.join(cells)} |")


def _enclosed(path: Path, series: ReferenceSeries, name: str) -> float:
    """In voxels: what a receiver finds that integrates the contours, or samples them finely."""
    assert series.grid is not None
    (roi,) = (roi for roi in read_rtstruct(path) if roi.name == name)
    return rasterize(roi.contours_mm, series.grid)[1].polygon_mm3 / series.grid.voxel_volume_mm3


def _score(mask: NDArray, found: NDArray | None) -> str:
    if found is None:
        return "lost"
    both, sizes = np.count_nonzero(mask & found), mask.sum() + found.sum()
    return f"{2 * both / sizes:.4f}, {(found.sum() / mask.sum() - 1) * 100:+.1f}"


def _masks(patient: Path, series: ReferenceSeries) -> Masks:
    from scipy.ndimage import gaussian_filter

    assert series.grid is not None
    lungs = np.zeros(series.shape_ijk, bool)
    for roi in read_rtstruct(next((patient / "rtstruct").iterdir())):
        if roi.name.startswith("Lung"):
            lungs |= rasterize(roi.contours_mm, series.grid)[0] != 0
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(lungs.shape), (1.2, 1.2, 2))
    vessels = noise > np.quantile(noise, 0.93)
    i, j, k = (int(middle) for middle in np.argwhere(lungs).mean(axis=0))
    nodule, chain = np.zeros_like(lungs), np.zeros_like(lungs)
    nodule[i : i + 2, j, k] = nodule[i, j + 1, k] = True
    for step in range(12):
        chain[i + step, j + step, k - 1 : k + 2] = True
    return {"lungs": lungs, "lungs without vessels": lungs & ~vessels, "3 voxels": nodule, "diagonal chain": chain}


def _ours(path: Path, series: ReferenceSeries, names: list[str]) -> Masks:
    assert series.grid is not None
    return {roi.name: rasterize(roi.contours_mm, series.grid)[0] != 0 for roi in read_rtstruct(path)}


def _rt_utils(path: Path, series: ReferenceSeries, names: list[str]) -> Masks:
    from rt_utils import RTStructBuilder

    struct = RTStructBuilder.create_from(str(series.slices[0].path.parent), str(path))
    return {name: struct.get_roi_mask_by_name(name).transpose(1, 0, 2) for name in names}


def _plastimatch(*flags: str) -> Callable[[Path, ReferenceSeries, list[str]], Masks]:
    def read(path: Path, series: ReferenceSeries, names: list[str]) -> Masks:
        import SimpleITK

        tool = shutil.which("plastimatch")
        if tool is None:
            raise ImportError("plastimatch is not installed")
        with tempfile.TemporaryDirectory() as folder:
            ct = str(series.slices[0].path.parent)
            command = [tool, "convert", "--input", str(path), "--referenced-ct", ct, "--output-prefix", folder]
            subprocess.run([*command, "--prefix-format", "nrrd", *flags], check=True, capture_output=True)
            found = {}
            for name in names:
                file = next((one for one in Path(folder).iterdir() if one.stem.replace("_", " ") == name), None)
                if file is not None:
                    found[name] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))).transpose(2, 1, 0) != 0
            return found

    return read


def _has_rt_utils() -> bool:
    try:
        import rt_utils  # noqa: F401
    except ImportError:
        return False
    return True


def _by_rt_utils(masks: Masks, series: ReferenceSeries, path: Path) -> Path:
    from rt_utils import RTStructBuilder

    struct = RTStructBuilder.create_new(str(series.slices[0].path.parent))
    for name, mask in masks.items():
        struct.add_roi(mask=mask.transpose(1, 0, 2), name=name)
    with contextlib.redirect_stdout(io.StringIO()):
        struct.save(str(path))
    return path


READERS: dict[str, Callable[[Path, ReferenceSeries, list[str]], Masks]] = {
    "lungseg-prep": _ours,
    "plastimatch --xor-contours": _plastimatch("--xor-contours"),
    "plastimatch": _plastimatch(),
    "rt-utils": _rt_utils,
}

if __name__ == "__main__":
    main()
