"""Points in mm -> ContourData, and a data set -> the bytes of a file."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from data_prep.export.outline import Array

if TYPE_CHECKING:
    from pydicom import Dataset

DECIMALS = 5  # of a mm: at most 11 of the 16 characters that a DS may have (PS3.5 6.2), up to 10 km


def contour_data(contours_mm: list[Array]) -> list[bytes]:
    """For each contour, (n, 3) in mm, its ContourData: to 0.00001 mm, of even length."""
    values = np.round(np.concatenate(contours_mm).ravel(), DECIMALS) + 0.0  # no -0
    texts = list(map(repr, values.tolist()))
    ends = np.cumsum([points.size for points in contours_mm]).tolist()
    parts = ["\\".join(texts[start:end]).encode("ascii") for start, end in zip([0, *ends], ends, strict=False)]
    return [part + b" " * (len(part) % 2) for part in parts]


def file_bytes(data: "Dataset", syntax: str) -> bytes:
    """The file, with a meta header that is the same every time."""
    from pydicom import FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

    from data_prep.files import quiet_pydicom

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "LUNGSEG_MONAI"
    data.file_meta = meta
    stream = BytesIO()
    with quiet_pydicom():
        data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
