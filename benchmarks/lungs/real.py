"""Real scans, for measuring only: nothing is ever tuned on them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.judge import Verdict, judge
from benchmarks.lungs.roads import ROADS, segmented
from benchmarks.lungs.sample import Sample

ENVIRONMENT = "LUNGSEG_TEST_DATA"
CIP_LEFT, CIP_RIGHT = (9, 10, 11), (12, 13, 14)  # thirds of a lung, the low byte of a voxel


@dataclass(frozen=True)
class Real:
    """verdicts, hd95_mm: by road; None without a reference."""

    case: str
    what: str
    verdicts: dict[str, Verdict]
    hd95_mm: dict[str, dict[int, float | None]]
    judged: bool


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    sample: Sample
    judged: bool


def measure(data: Path, threads: int) -> Iterator[Real]:
    """Each case that lies in `data`, as `lungseg segment` reads it. Raises FileNotFoundError where one is missing."""
    from lungseg_monai.evaluation.surface import surface_scores

    for case in cases(data):
        verdicts: dict[str, Verdict] = {}
        apart: dict[str, dict[int, float | None]] = {}
        for road in ROADS:
            labels, flagged = segmented(case.sample, road, threads)
            verdicts[road] = judge(labels, case.sample, flagged)
            steps = np.linalg.norm(case.sample.affine_ras[:3, :3], axis=0).tolist()
            apart[road] = {
                side: surface_scores(labels == side, case.sample.truth == side, steps)["hd95_mm"]
                for side in ((1, 2) if case.judged else ())
            }
        yield Real(case.name, case.what, verdicts, apart, case.judged)


def cases(data: Path) -> Iterator[Case]:
    yield lung1(data / "nsclc-radiomics" / "LUNG1-001")
    yield from cip(data / "cip-ct64")
    awkward = data / "dicom-awkward"
    head = _opened(awkward / "ge-tilt-mixed-spacing", resample=True)
    yield _without(head, "GE head, gantry tilt of 18.5 degrees, three slice gaps", "no lung in the image")
    one = _opened(awkward / "one-slice-many-encodings" / "CTImage.dcm")
    yield _without(one, "one GE slice of a chest", "no reference: what is found is written down")


def lung1(folder: Path) -> Case:
    """LUNG1-001 with the lungs of its RTSTRUCT."""
    from data_prep.rasterize import rasterize
    from data_prep.rtstruct import read_rtstruct

    loaded = _opened(folder / "ct")
    truth = np.zeros(loaded.image.array_ijk.shape, np.uint8)
    for roi in read_rtstruct(next((folder / "rtstruct").rglob("*.dcm"))):
        side = {"Lung-Right": 1, "Lung-Left": 2}.get(roi.name)
        if side:
            truth[rasterize(roi.contours_mm, loaded.grid)[0] > 0] = side
    return Case("LUNG1-001", "RTSTRUCT lungs; most of the tumour is left out", _sample(loaded, truth), True)


def cip(folder: Path) -> Iterator[Case]:
    """The chest of the Chest Imaging Platform, as NRRD and as DICOM, with its thirds of lungs."""
    from data_prep.volume_files import read_voxels

    regions = read_voxels(folder / "lm-64.nrrd")
    third = regions.array_ijk % 256
    truth = np.where(np.isin(third, CIP_RIGHT), 1, np.where(np.isin(third, CIP_LEFT), 2, 0)).astype(np.uint8)
    for name, path in (("NRRD", folder / "ct-64.nrrd"), ("DICOM", folder / "dicom")):
        loaded = _opened(path)
        there = nearest(truth, regions.grid.affine_ras, loaded.image.array_ijk.shape, loaded.image.affine_ras)
        yield Case(f"CIP chest, {name}", "label map; lobes with their vessels", _sample(loaded, there), True)


def nearest(
    labels: NDArray[np.uint8],
    affine_ras: NDArray[np.float64],
    shape: tuple[int, ...],
    onto_affine_ras: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """labels on another grid, each voxel the nearest one's; 0 outside."""
    matrix = np.linalg.inv(affine_ras) @ onto_affine_ras
    index = np.moveaxis(np.indices(shape), 0, -1) @ matrix[:3, :3].T + matrix[:3, 3]
    index = np.rint(index).astype(int)
    inside = ((index >= 0) & (index < labels.shape)).all(axis=-1)
    found = np.zeros(shape, np.uint8)
    found[inside] = labels[tuple(index[inside].T)]
    return found


def _opened(path: Path, resample: bool = False) -> Any:
    """The only case in `path`, read as the command reads it. resample: uneven gaps and a tilted gantry too."""
    from data_prep.options import StackOptions
    from lungseg_monai.segment.cases import InputOptions, find_cases
    from lungseg_monai.segment.reading import load

    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: see {ENVIRONMENT}")
    stack = StackOptions(gaps="resample", tilt="resample") if resample else StackOptions()
    with tempfile.TemporaryDirectory() as folder:
        options = InputOptions(salt_file=Path(folder, "salt"), stack=stack)
        (case,) = find_cases([path], options=options).cases
        return load(case, Path(folder, "scratch"))


def _sample(loaded: Any, truth: NDArray[np.uint8]) -> Sample:
    return Sample(loaded.image.array_ijk, truth, loaded.image.affine_ras)


def _without(loaded: Any, name: str, what: str) -> Case:
    return Case(name, what, _sample(loaded, np.zeros(loaded.image.array_ijk.shape, np.uint8)), False)
