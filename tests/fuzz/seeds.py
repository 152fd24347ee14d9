"""Small, valid inputs of known truth: what the mutators start from. A tree is {path: bytes, or Link}."""

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from dicom_factory import Ct, boxes, ct_slice, make_patient, rotation, square, tree, write_ct, write_rtstruct
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)


@dataclass(frozen=True)
class Link:
    """A symbolic link, to a path relative to its own folder; `fifo` makes a pipe that nobody writes to instead."""

    target: str
    fifo: bool = False


Tree = dict[str, "bytes | Link"]


@dataclass(frozen=True)
class Seed:
    """name, its files, and which of them are slices and RTSTRUCTs.

    plain: each slice is a file and one RTSTRUCT is drawn on them; other seeds are only for mutators that need no such.
    """

    name: str
    files: Tree = field(repr=False)
    plain: bool = True

    @property
    def slices(self) -> list[str]:
        return [path for path in sorted(self.files) if "rs-" not in path]

    @property
    def structs(self) -> list[str]:
        return [path for path in sorted(self.files) if "rs-" in path]


def rois(ct: Ct) -> dict[str, list[np.ndarray]]:
    """Two lungs, one with a hole on each slice, and a tumour whose hole hangs on a keyhole."""
    left = boxes(ct, 2)
    left += [square(ct, k, (2.6, 4.5), (4.4, 6.5)) for k in (2, 3, 4)]
    corners = [(8.5, 2.5), (14.5, 2.5), (14.5, 9.5), (8.5, 9.5), (8.5, 6.2), (10.5, 6.2), (10.5, 8.4), (12.5, 8.4),
               (12.5, 4.4), (10.5, 4.4), (10.5, 6.1), (8.5, 6.1)]  # fmt: skip
    keyhole = [ct.points_mm(np.array([(i, j, k) for i, j in corners])) for k in (1, 2, 3)]
    return {"Lung-Left": left, "Lung-Right": boxes(ct, 15, (1, 2, 3, 4, 5)), "GTV-1": keyhole}


def _written(write: Callable[[Path], None]) -> Tree:
    with TemporaryDirectory() as folder:
        write(Path(folder))
        return dict(tree(Path(folder)))


def _patient(ct: Ct, **options: object) -> Tree:
    def write(folder: Path) -> None:
        write_ct(folder / "ct", ct, **options)  # type: ignore[arg-type]
        write_rtstruct(folder / "rs-1", ct, rois(ct))

    return _written(write)


def _compressed(ct: Ct) -> Tree:
    """The series in RLE, by pydicom's own encoder."""
    files = _patient(ct)
    for k, path in enumerate(path for path in sorted(files) if path.startswith("ct/")):
        data = ct_slice(ct, k, ct.coded())
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        files[path] = dumped(data)
    return files


def dumped(data: Dataset) -> bytes:
    """`data` as the bytes of a DICOM file."""
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def seeds() -> list[Seed]:
    """All seeds, always the same bytes."""
    padded = {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": 0, "RescaleIntercept": -1500}
    turned = rotation(14, -8, 33)
    return [
        Seed("even", _patient(Ct())),
        Seed("oblique", _patient(Ct(axes=turned), syntax=ImplicitVRLittleEndian)),
        Seed("padded", _patient(Ct(tags=padded))),
        Seed("rle", _compressed(Ct(axes=rotation(90, 0, 0)))),
        Seed("deflated", _patient(Ct(), syntax=DeflatedExplicitVRLittleEndian)),
        Seed("named", _written(_named)),
        Seed("zipped", {"all.zip": zipped(_patient(Ct(axes=turned)))}, plain=False),
        Seed("enhanced", _enhanced(Ct(axes=turned)), plain=False),
        Seed("segmented", _segmented(Ct(axes=turned)), plain=False),
        Seed("npz", _with_npz(Ct(axes=rotation(5, 4, 33))), plain=False),
        Seed("nifti", _written(_nifti), plain=False),
    ]


def zipped(files: Mapping[str, "bytes | Link"]) -> bytes:
    """An archive of `files` (those that are no links), always the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if isinstance(content, bytes):
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _enhanced(ct: Ct) -> Tree:
    """The series as one file with its frames out of order, and the RTSTRUCT."""
    files = _patient(ct)
    order = [3, 0, 6, 1, 5, 2, 4]
    slices = [ct_slice(ct, k, ct.coded()) for k in order]
    data, frames, shared = slices[0], [], Dataset()
    for one in slices:
        frame = Dataset()
        frame.PlanePositionSequence = [_only(one, "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [_only(one, "RescaleSlope", "RescaleIntercept")]
        frame.PixelValueTransformationSequence[0].RescaleType = "HU"
        frames.append(frame)
    shared.PlaneOrientationSequence = [_only(data, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(data, "PixelSpacing", "SliceThickness")]
    data.PixelData = b"".join(one.PixelData for one in slices)
    data.SOPClassUID, data.SOPInstanceUID = EnhancedCTImageStorage, f"{ct.series_uid}.99"
    data.NumberOfFrames = len(slices)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    for keyword in (*MOVED, "RescaleSlope", "RescaleIntercept"):
        delattr(data, keyword)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return {"ct/frames": dumped(data), "rs-1": files["rs-1"]}


def _with_npz(ct: Ct) -> Tree:
    """The series, and an archive with its masks, slices first, ascending in z."""
    files = {path: content for path, content in _patient(ct).items() if path.startswith("ct/")}
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: mask.transpose(2, 1, 0) for name, mask in masks_of(ct).items()})
    return {**files, "rs-masks.npz": stream.getvalue()}


def _nifti(folder: Path) -> None:
    """An image with a folder of masks, packed by the standard library."""
    ct = Ct(axes=rotation(14, -8, 33))
    affine_ras = np.diag([-1.0, -1, 1, 1]) @ ct.affine_lps
    arrays = {"P1/image": ct.coded().astype(np.int16) - 1024}
    arrays |= {f"P1/masks/{name}": mask for name, mask in masks_of(ct).items()}
    for name, array in arrays.items():
        image = nib.Nifti1Image(array, affine_ras)
        image.set_sform(affine_ras, 1)
        image.set_qform(affine_ras, 1)
        path = folder / f"{name.replace('masks/', 'masks/rs-')}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def masks_of(ct: Ct) -> dict[str, np.ndarray]:
    """Two boxes, uint8 [i, j, k]."""
    masks = {name: np.zeros(ct.shape, np.uint8) for name in ("lung_left", "gtv")}
    masks["lung_left"][3:9, 4:11, 2:5] = 1
    masks["gtv"][11:14, 2:8, 1:4] = 1
    return masks


MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")


def _only(data: Dataset, *keywords: str) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        setattr(part, keyword, data[keyword].value)
    return part


def _segmented(ct: Ct) -> Tree:
    """The series, and a SEG with a frame a slice of each of two segments."""
    files = _patient(ct)
    del files["rs-1"]
    data, series = ct_slice(ct, 0, ct.coded()), Dataset()
    series.SeriesInstanceUID = ct.series_uid
    masks, frames = [], []
    for number, i in ((1, 3), (2, 11)):
        for k in (2, 3, 4):
            frame, identity = Dataset(), Dataset()
            frame.PlanePositionSequence = [_only(ct_slice(ct, k, ct.coded()), "ImagePositionPatient")]
            identity.ReferencedSegmentNumber = number
            frame.SegmentIdentificationSequence = [identity]
            frames.append(frame)
            masks.append(np.zeros((ct.shape[1], ct.shape[0]), np.uint8))
            masks[-1][3 + k : 9, i : i + 5] = 1
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(data, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(data, "PixelSpacing", "SliceThickness")]
    for keyword in (*MOVED, "RescaleSlope", "RescaleIntercept", "ConvolutionKernel"):
        delattr(data, keyword)
    data.SOPClassUID, data.Modality, data.ImageType = SegmentationStorage, "SEG", ["DERIVED", "PRIMARY"]
    data.SOPInstanceUID, data.SeriesInstanceUID = f"{ct.series_uid}.98", f"{ct.series_uid}.9"
    data.SegmentationType, data.NumberOfFrames = "BINARY", len(frames)
    data.BitsAllocated = data.BitsStored = 1
    data.HighBit = data.PixelRepresentation = 0
    data.ReferencedSeriesSequence, data.SegmentSequence = [series], [_segment(1, "Lung-Left"), _segment(2, "GTV-1")]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    packed = np.packbits(np.concatenate([mask.ravel() for mask in masks]), bitorder="little").tobytes()
    data.PixelData = packed + b"\0" * (len(packed) % 2)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return {**files, "rs-seg": dumped(data)}


def _segment(number: int, label: str) -> Dataset:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = number, label, "MANUAL"
    return segment


def _named(folder: Path) -> None:
    """A patient whose identity was not removed."""
    ct = Ct(patient="4711", identity_removed=False)
    make_patient(folder, ct, rois(ct))
