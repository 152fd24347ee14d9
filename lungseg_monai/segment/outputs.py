"""One case's masks -> the files that were asked for: NIfTI, NRRD for 3D Slicer, RTSTRUCT, DICOM SEG, probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import OutputError, PrepError
from data_prep.nifti import write_nifti
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.reading import Loaded
from lungseg_monai.segment.result import Segmentation

if TYPE_CHECKING:
    from data_prep.export.regions import Resample

FORMATS = ("nifti", "rtstruct", "seg", "nrrd")
ROIS = ("both", "right", "left", "union")
NEEDS_DICOM = "needs the DICOM series: RTSTRUCT and SEG refer to its slices; give the DICOM folder as INPUT"
NOTHING_DRAWN = "no {} was found: a file without regions is not written"
ONE = {"lungs": "lung"}


@dataclass(frozen=True)
class OutputOptions:
    """formats: of FORMATS. roi: of ROIS. probabilities, preview: whether these are written besides."""

    formats: tuple[str, ...] = ("nifti",)
    roi: str = "both"
    probabilities: bool = False
    preview: bool = True

    def __post_init__(self) -> None:
        unknown = [one for one in self.formats if one not in FORMATS]
        if unknown or not self.formats:
            what = f"{unknown[0]!r} is not known" if unknown else "no format was given"
            raise UsageError(f"--format: {what}; choose of {', '.join(FORMATS)}, with commas between")
        if self.roi not in ROIS:
            raise UsageError(f"--roi {self.roi}: choose one of {', '.join(ROIS)}")


@dataclass
class Files:
    """written: what -> file name, relative to the case's folder. refused: what -> why. notes: what was assumed."""

    written: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose_roi(found: Segmentation, roi: str, stem: str) -> Segmentation:
    """`found` as --roi wants it: all labels, one lung as 1, or the union of all as 1, called `stem`.

    Raises UsageError where there is no such lung among its names.
    """
    if roi == "both":
        return found
    if roi == "union":
        probability = None if found.probability is None else _summed(found.probability)[None]
        labels = (found.labels_ijk != 0).view(np.uint8)
        return replace(found, labels_ijk=labels, names={1: stem}, probability=probability)
    label = label_of(found.names, roi)
    order = list(found.names).index(label)
    return replace(
        found,
        labels_ijk=(found.labels_ijk == label).view(np.uint8),
        names={1: found.names[label]},
        probability=None if found.probability is None else found.probability[order : order + 1],
    )


def label_of(names: Mapping[int, str], side: str) -> int:
    """The label of the lung on `side`. Raises UsageError where the model knows none."""
    for label, name in names.items():
        if name == f"lung_{side}":
            return label
    raise UsageError(f"--roi {side}: this model finds {', '.join(names.values())}")


def all_masks(stem: str, found: Segmentation) -> dict[str, Segmentation]:
    """What was found by what its files are called: the model's own first, then what it found on the way."""
    return {stem: found, **found.beside}


def write_all(folder: Path, stem: str, loaded: Loaded, found: Segmentation, options: OutputOptions) -> Files:
    """As write_masks, for all that was found; kinds of what lies beside are called e.g. "lungs_nifti".

    Probabilities are written of the model's own labels alone.
    """
    files = write_masks(folder, stem, loaded, found, options)
    for name, one in found.beside.items():
        more = write_masks(folder, name, loaded, one, replace(options, probabilities=False))
        files.written |= {f"{name}_{kind}": file for kind, file in more.written.items()}
        files.refused |= {f"{name}_{kind}": why for kind, why in more.refused.items()}
        files.notes += [f"{name}: {note}" for note in more.notes]
    return files


def write_masks(folder: Path, stem: str, loaded: Loaded, found: Segmentation, options: OutputOptions) -> Files:
    """Write what `options` ask for into `folder`. Exports that this case can't have stand in `refused`.

    Where nothing else could be written the NIfTI is, so that the work is not lost. Raises OutputError where the disk
    is full or can't be written.
    """
    files = Files()
    for kind in ("rtstruct", "seg"):
        if kind in options.formats:
            _export(kind, folder / f"{stem}_{kind}.dcm", loaded, found, files)
            if files.refused.get(kind) == NOTHING_DRAWN:
                files.refused[kind] = NOTHING_DRAWN.format(ONE.get(stem, stem.replace("tumor", "tumour")))
    if "nrrd" in options.formats:
        from lungseg_monai.segment.nrrd import write_seg_nrrd

        with loaded.stages.stage("nrrd"):
            write_seg_nrrd(folder / f"{stem}.seg.nrrd", found.labels_ijk, loaded.grid, found.names)
        files.written["nrrd"] = f"{stem}.seg.nrrd"
    if "nifti" in options.formats or not files.written:
        with loaded.stages.stage("nifti"):
            write_nifti(folder / f"{stem}.nii.gz", found.labels_ijk, loaded.image.affine_ras)
        files.written = {"nifti": f"{stem}.nii.gz", **files.written}
    if options.probabilities:
        with loaded.stages.stage("probability"):
            _write_probabilities(folder, loaded, found, files)
    return files


def percent(probability: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Probabilities 0 to 1 as whole percent, slice by slice; the order in memory stays."""
    planes = probability.transpose(2, 1, 0)
    out = np.empty(planes.shape, np.uint8)
    for k, plane in enumerate(planes):
        out[k] = np.rint(np.clip(plane.astype(np.float32), 0, 1) * 100)
    return out.transpose(2, 1, 0)


def _write_probabilities(folder: Path, loaded: Loaded, found: Segmentation, files: Files) -> None:
    """probability.nii.gz: of any of the labels; and of each label alone where there are several."""
    if found.probability is None:
        files.refused["probability"] = "this model gives no probabilities"
        return
    affine_ras = loaded.image.affine_ras
    write_nifti(folder / "probability.nii.gz", percent(_summed(found.probability)), affine_ras)
    files.written["probability"] = "probability.nii.gz"
    for name, one in zip(found.names.values(), found.probability, strict=True):
        if len(found.names) > 1:
            write_nifti(folder / f"probability_{name}.nii.gz", percent(one), affine_ras)
            files.written[f"probability_{name}"] = f"probability_{name}.nii.gz"


def _summed(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    return probability[0] if len(probability) == 1 else probability.sum(axis=0, dtype=np.float16)


def _export(kind: str, path: Path, loaded: Loaded, found: Segmentation, files: Files) -> None:
    if loaded.series is None or loaded.plan is None:
        files.refused[kind] = NEEDS_DICOM
        return
    present = [label for label in found.names if (found.labels_ijk == label).any()]
    if not present:
        files.refused[kind] = NOTHING_DRAWN
        return
    try:
        with loaded.stages.stage(kind):
            refused, notes = _write_dicom(kind, path, loaded, found, present)
    except PrepError as error:
        if isinstance(error, OutputError) and isinstance(error.__cause__, OSError):
            raise  # the disk, and no fault of this export
        files.refused[kind] = loaded.case.context.secrets.hide_files(str(error), loaded.plan.files)
        return
    files.written[kind] = path.name
    files.notes += [f"{kind}: {note}" for note in notes]
    if refused:
        files.refused[kind] = "; ".join(refused)


def _write_dicom(
    kind: str, path: Path, loaded: Loaded, found: Segmentation, labels: list[int]
) -> tuple[list[str], list[str]]:
    """What of it was left out, and what had to be assumed."""
    from data_prep.export import ExportOptions, Region, RtstructOptions, reference_of, write_rtstruct, write_seg

    regridded = loaded.series is not None and loaded.series.regrid is not None
    resample: Resample = "nearest" if regridded else "refuse"  # onto the slices as they were scanned
    series = reference_of(loaded.plan.slices if loaded.plan else [])
    grid = loaded.grid
    regions = [Region(found.names[one], found.labels_ijk == one, grid, found.names[one]) for one in labels]
    if kind == "rtstruct":
        report = write_rtstruct(regions, series, path, RtstructOptions(resample=resample))
    else:
        report = write_seg(regions, series, path, ExportOptions(resample=resample))
    notes = [*report.notes, *(f"{one.name}: {note}" for one in report.written for note in one.notes)]
    return [f"{one.name}: {one.reason}" for one in report.refused], notes
