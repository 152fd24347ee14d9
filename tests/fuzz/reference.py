"""A second reading of DICOM, plain and slow and written apart from data_prep: what mutated files say now."""

import gzip
import io
import logging
import warnings
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from fuzz.seeds import Tree
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, RTStructureSetStorage, SegmentationStorage

MOST_BYTES = 2**24
NAMELESS = ""  # regions of files that carry their name outside
CLOSE_MM = 0.06  # 1 % of the seeds' slice step is allowed by the converter's rule; the rest is rounding
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, eq=False)
class Slice:
    """affine: (4, 3), index i, j, 1 -> mm in LPS. hu: [i, j]."""

    affine: np.ndarray
    hu: np.ndarray


@dataclass(eq=False)
class Roi:
    """contours_mm: of an RTSTRUCT. planes: of a SEG, pixels (0 or 1) in place of HU."""

    name: str
    number: int
    contours_mm: list[np.ndarray] = field(default_factory=list)
    planes: list[Slice] = field(default_factory=list)


@dataclass
class Meaning:
    """What the files say: their slices and ROIs. unreadable: files that were meant to say something and don't."""

    slices: list[Slice] = field(default_factory=list)
    rois: list[Roi] = field(default_factory=list)
    frames: set[str] = field(default_factory=set)
    unreadable: int = 0


def meaning(files: Iterable[bytes]) -> Meaning:
    found = Meaning()
    arrays: list[np.ndarray] = []
    for content in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if content.startswith(b"\x1f\x8b"):
                    _volume(content, found)
                    continue
                if content.startswith(b"PK") and b".npy" in content[:200]:
                    with np.load(io.BytesIO(content)) as archive:
                        arrays += [archive[name] for name in archive.files]
                    continue
                data = dcmread(io.BytesIO(content), force=True)
                if data.SOPClassUID == CTImageStorage:
                    found.slices.append(_slice(data))
                elif data.SOPClassUID == EnhancedCTImageStorage:
                    found.slices += _frames(data)
                elif data.SOPClassUID == SegmentationStorage:
                    found.rois += _segments(data)
                elif data.SOPClassUID == RTStructureSetStorage:
                    found.rois += _rois(data)
        except Exception:  # noqa: BLE001  # whatever damage leads to: then it says nothing that could be compared with
            found.unreadable += 1
    upwards = sorted(found.slices, key=lambda one: one.affine[2, 2])
    for array in arrays:
        planes = [Slice(one.affine, pixels.T) for one, pixels in zip(upwards, array, strict=False)]
        found.rois.append(Roi(NAMELESS, -1, planes=planes))
    return found


def _volume(content: bytes, found: Meaning) -> None:
    """A NIfTI file: a mask if it holds bytes, else an image."""
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    affine_lps = np.diag([-1.0, -1, 1, 1]) @ image.affine
    values = np.asarray(image.dataobj)
    slices = []
    for k in range(values.shape[2]):
        place = np.column_stack([affine_lps[:, 0], affine_lps[:, 1], affine_lps @ [0, 0, k, 1]])
        slices.append(Slice(place, values[:, :, k]))
    if values.dtype == np.uint8:
        found.rois.append(Roi(NAMELESS, -1, planes=slices))
    else:
        found.slices += slices


def contents(files: Tree) -> list[bytes]:
    """All files, those in archives too."""
    found = []
    for content in files.values():
        if isinstance(content, bytes):
            is_zip = content.startswith(b"PK") and b".npy" not in content[:200]
            found += _unzipped(content) if is_zip else [content]
    return found


def _unzipped(content: bytes) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            small = [info for info in archive.infolist() if info.file_size < MOST_BYTES]
            return [archive.read(info) for info in small]
    except Exception:  # noqa: BLE001  # as above
        return [content]


def _frames(data: Dataset) -> list[Slice]:
    """The frames of an enhanced CT, as single slices."""
    (shared,) = data.SharedFunctionalGroupsSequence
    stored = np.frombuffer(data.PixelData, "<u2")[: data.NumberOfFrames * data.Rows * data.Columns]
    stored = stored.reshape(data.NumberOfFrames, data.Rows, data.Columns)
    frames = []
    for pixels, own in zip(stored, data.PerFrameFunctionalGroupsSequence, strict=True):
        scale = own.PixelValueTransformationSequence[0]
        hu = pixels * float(scale.RescaleSlope) + float(scale.RescaleIntercept)
        frames.append(Slice(_affine(shared, own), hu.T))
    return frames


def _segments(data: Dataset) -> list[Roi]:
    rois = {int(one.SegmentNumber): Roi(str(one.SegmentLabel), int(one.SegmentNumber)) for one in data.SegmentSequence}
    (shared,) = data.SharedFunctionalGroupsSequence
    bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")
    bits = bits[: data.NumberOfFrames * data.Rows * data.Columns].reshape(-1, data.Rows, data.Columns)
    for pixels, own in zip(bits, data.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(own.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        rois[number].planes.append(Slice(_affine(shared, own), pixels.T))
    return list(rois.values())


def _affine(shared: Dataset, own: Dataset) -> np.ndarray:
    together = Dataset()
    together.update(shared.PlaneOrientationSequence[0])
    together.update(shared.PixelMeasuresSequence[0])
    together.update(own.PlanePositionSequence[0])
    return _placed(together)


def _slice(data: Dataset) -> Slice:
    affine = _placed(data)
    stored = _stored(data).astype(np.int64)
    hu = stored * float(data.RescaleSlope) + float(data.RescaleIntercept)
    padding = data.get("PixelPaddingValue")
    if isinstance(padding, int) and float(data.RescaleSlope) * padding + float(data.RescaleIntercept) <= -1000:
        hu[stored == padding] = -1024
    return Slice(affine, hu.T)


def _placed(data: Dataset) -> np.ndarray:
    """(4, 3) index i, j, 1 -> mm of ImagePositionPatient, ImageOrientationPatient and PixelSpacing."""
    orientation = [float(one) for one in data.ImageOrientationPatient]
    between_rows, between_columns = (float(one) for one in data.PixelSpacing)
    affine = np.zeros((4, 3))
    affine[:3, 0] = np.multiply(orientation[:3], between_columns)
    affine[:3, 1] = np.multiply(orientation[3:], between_rows)
    affine[:3, 2] = [float(one) for one in data.ImagePositionPatient]
    affine[3, 2] = 1
    if not np.isfinite(affine).all():
        raise ValueError("no finite place")
    return affine


def _stored(data: Dataset) -> np.ndarray:
    """[j, i] stored values, sign and unused bits dealt with."""
    if data.file_meta.TransferSyntaxUID.is_compressed and not data.file_meta.TransferSyntaxUID.is_deflated:
        values = data.pixel_array
    else:
        dtype = np.dtype(f"{'<' if data.original_encoding[1] else '>'}{'i' if data.PixelRepresentation else 'u'}"
                         f"{data.BitsAllocated // 8}")  # fmt: skip
        count = data.Rows * data.Columns
        values = np.frombuffer(data.PixelData[: count * dtype.itemsize], dtype)
        values = values.reshape(data.Rows, data.Columns)
    values = values.astype(np.int64)
    if data.BitsStored < data.BitsAllocated:
        high = data.get("HighBit", data.BitsStored - 1)
        values = (values >> (high + 1 - data.BitsStored)) & (2**data.BitsStored - 1)
        if data.PixelRepresentation:
            values = np.where(values >= 2 ** (data.BitsStored - 1), values - 2**data.BitsStored, values)
    return values


def _rois(data: Dataset) -> list[Roi]:
    """The ROIs with the contours that can be read; one that can't takes no other along."""
    rois: dict[int, Roi] = {}
    for item in data.StructureSetROISequence:
        with suppress(Exception):
            rois[int(item.ROINumber)] = Roi(str(item.get("ROIName", "")), int(item.ROINumber))
    for item in data.ROIContourSequence:
        with suppress(Exception):
            roi = rois[int(item.ReferencedROINumber)]
            for contour in item.get("ContourSequence") or []:
                with suppress(Exception):
                    points = np.array([float(one) for one in contour.ContourData]).reshape(-1, 3)
                    if contour.ContourGeometricType == "CLOSED_PLANAR" and len(points) > 2:
                        roi.contours_mm.append(points)
    return list(rois.values())


def fits(one: Slice, affine_lps: np.ndarray, k: int, hu: np.ndarray) -> bool:
    """Whether slice k of a volume, `hu` [i, j], is `one`: the same values at the same places."""
    if one.hu.shape != hu.shape:
        return False
    corners = np.array([(i, j, 1) for i in (0, hu.shape[0] - 1) for j in (0, hu.shape[1] - 1)], float).T
    there = affine_lps @ np.vstack([corners[:2], np.full((1, 4), float(k)), np.ones((1, 4))])
    off_mm = np.linalg.norm((one.affine @ corners - there)[:3], axis=0).max()
    return bool(off_mm < CLOSE_MM and np.allclose(one.hu, hu, rtol=1e-6, atol=1e-3))


def mask_of(roi: Roi, affine_lps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What `roi` covers of a grid."""
    if not roi.planes:
        return fill(roi.contours_mm, affine_lps, shape)
    mask = np.zeros(shape, bool)
    for plane in roi.planes:
        for k in range(shape[2]):
            if fits(plane, affine_lps, k, plane.hu) and plane.hu.shape == shape[:2]:
                mask[:, :, k] |= plane.hu > 0
    return mask


def fill(contours_mm: Iterable[np.ndarray], affine_lps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The mask of closed contours on the nearest slices: even-odd at pixel centres, one pixel at a time in spirit."""
    mask = np.zeros(shape, bool)
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    back = np.linalg.inv(affine_lps)
    for points in contours_mm:
        if not np.abs(points).max() < 1e12:
            continue  # not finite, or as good as that
        index = np.round((np.c_[points, np.ones(len(points))] @ back.T)[:, :3], 9)
        k = int(np.floor(index[:, 2].mean() + 0.5))
        if not 0 <= k < shape[2] or np.ptp(index[:, 2]) > 0.1:
            continue
        for (x0, y0, _), (x1, y1, _) in zip(index, np.roll(index, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            crossing = x0 + (j - y0) * (x1 - x0) / (y1 - y0)
            mask[:, :, k] ^= ((y0 <= j) != (y1 <= j)) & (crossing <= i + 1e-9)
    return mask
