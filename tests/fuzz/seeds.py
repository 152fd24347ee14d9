"""Small, valid inputs of known truth: what the mutators start from. A tree is {path: bytes, or Link}."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from dicom_factory import Ct, boxes, ct_slice, make_patient, rotation, square, tree, write_ct, write_rtstruct
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless


@dataclass(frozen=True)
class Link:
    """A symbolic link, to a path relative to its own folder; `fifo` makes a pipe that nobody writes to instead."""

    target: str
    fifo: bool = False


Tree = dict[str, "bytes | Link"]


@dataclass(frozen=True)
class Seed:
    """name, its files, and which of them are slices and RTSTRUCTs."""

    name: str
    files: Tree = field(repr=False)

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
        Seed("named", _written(lambda folder: _named(folder))),
    ]


def _named(folder: Path) -> None:
    """A patient whose identity was not removed."""
    ct = Ct(patient="4711", identity_removed=False)
    make_patient(folder, ct, rois(ct))
