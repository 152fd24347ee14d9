"""Computed radiographs in DICOM -> a Radiograph: modality and VOI transformation, polarity, pixel spacing."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError
from data_prep.files import quiet_pydicom
from data_prep.radiographs.radiograph import Radiograph
from data_prep.slices import text

CR, SECONDARY = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
DX, DX_RAW = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"  # for presentation, for processing
CT = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
MODALITIES = ("CR", "DX", "RG")  # RG: films that were scanned
GREY = ("MONOCHROME1", "MONOCHROME2")
BASELINE_JPEG, EXTENDED_JPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
# In the order in which they are believed (PS3.3 10.7.1.3): a calibrated one first, then that at the detector.
SPACINGS = (
    ("PixelSpacing", "PixelSpacing (0028,0030)"),
    ("ImagerPixelSpacing", "ImagerPixelSpacing (0018,1164)"),
    ("NominalScannedPixelSpacing", "NominalScannedPixelSpacing (0018,2010)"),
)


def refuse_kind(sop_class: str, modality: str) -> str | None:
    """Why a DICOM object is no X-ray that can be used, or None."""
    from pydicom.uid import UID

    if sop_class in (CR, DX, DX_RAW) or (sop_class == SECONDARY and modality in MODALITIES):
        return None
    if sop_class in CT:
        return "is a CT slice (CT Image Storage), no X-ray: use lungseg-prep dicom2nifti"
    return f"is {UID(sop_class).name} of modality {modality or 'unknown'}; wanted CR or DX"


def read_dicom(path: Path) -> Radiograph:
    """An X-ray as it is to be seen, (rows, columns) uint8 or uint16 over their full range, dense is bright.

    Modality LUT (PS3.3 C.11.1), VOI LUT or the first window (C.11.2), then polarity (C.7.6.3.1.2, C.11.6).
    Raises UnreadableFileError for several frames, colour, 12-bit lossy JPEG, and pixels that can't be decoded.
    """
    from pydicom import dcmread

    try:
        with quiet_pydicom():
            data = dcmread(path, force=True)
            _refuse(data)
            stored = data.pixel_array
            if stored.ndim != 2:
                raise UnreadableFileError(f"decodes to an array of shape {stored.shape}; wanted rows and columns")
            image = Radiograph(np.zeros((1, 1), np.uint8), modality="DX" if _is_dx(data) else "CR")
            image.pixels = _presented(data, stored, image)
            _describe(data, image)
    except UnreadableFileError:
        raise
    except Exception as error:  # pydicom and its plugins raise whatever damaged bytes lead to; it costs one file
        raise UnreadableFileError(f"is damaged, cut short, or can't be decoded ({type(error).__name__})") from error
    return image


def _is_dx(data: Any) -> bool:
    return text(data, "Modality") == "DX" or text(data, "SOPClassUID") in (DX, DX_RAW)


def _refuse(data: Any) -> None:
    """Raise UnreadableFileError for pixels that are no single grey frame."""
    frames = int(data.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableFileError(f"holds {frames} frames (NumberOfFrames (0028,0008)); wanted one X-ray")
    photometric = text(data, "PhotometricInterpretation")
    if photometric not in GREY or int(data.get("SamplesPerPixel") or 1) != 1:
        raise UnreadableFileError(
            f"is a colour picture: PhotometricInterpretation (0028,0004) is {photometric or 'missing'}; "
            f"wanted {' or '.join(GREY)}"
        )
    syntax = str(data.file_meta.get("TransferSyntaxUID") or "") if hasattr(data, "file_meta") else ""
    if syntax in (BASELINE_JPEG, EXTENDED_JPEG) and int(data.get("BitsStored") or 0) > 8:
        raise UnreadableFileError(
            f"is lossy JPEG of {data.BitsStored} bits, which readers decode to wrong values: ask for it without loss"
        )
    if not hasattr(data, "file_meta") or not syntax:
        raise UnreadableFileError("has no TransferSyntaxUID (0002,0010): how its pixels are stored can't be told")


def _presented(data: Any, stored: NDArray, image: Radiograph) -> NDArray:
    """Stored -> what is shown, scaled to all of 8 or 16 bits."""
    from pydicom.pixels import apply_modality_lut

    values = apply_modality_lut(stored, data)
    if data.get("ModalityLUTSequence") or data.get("RescaleSlope") not in (None, 1):
        image.repairs.append("modality transformation applied")
    shown, (low, high) = _voi(data, values, image)
    bits = 8 if high - low <= 255 and float(low).is_integer() and float(high).is_integer() else 16
    top = 2**bits - 1
    scaled = np.clip(np.rint((shown.astype(np.float64) - low) * (top / (high - low))), 0, top)
    if (low, high) != (0, top):
        image.repairs.append(f"{low:g} to {high:g} scaled to 0 to {top}")
    if _is_inverse(data, image):
        scaled = top - scaled
    pixels = scaled.astype(np.uint8 if bits == 8 else np.uint16)
    _blacken_padding(data, stored, pixels, image)
    return pixels


def _voi(data: Any, values: NDArray, image: Radiograph) -> tuple[NDArray, tuple[float, float]]:
    """After VOI LUT or window, and the lowest and highest value that could have come out."""
    from pydicom.pixels import apply_windowing

    lookup = (list(data.get("VOILUTSequence") or []) or [None])[0]
    if lookup is not None and lookup.get("LUTData") is not None:
        image.repairs.append("VOI LUT applied")
        return _looked_up(lookup, values, bool(data.get("PixelRepresentation")))
    limits = _range(data)
    if data.get("WindowCenter") is None or data.get("WindowWidth") is None:
        return values, limits
    try:
        shown = apply_windowing(values, data)
    except (ValueError, TypeError, IndexError):
        image.flags.append("the window (0028,1050-1051) makes no sense: not applied")
        return values, limits
    if shown.min() == shown.max() and values.min() != values.max():
        image.flags.append("the window (0028,1050-1051) shows nothing of the picture: not applied")
        return values, limits
    count = data["WindowCenter"].VM
    image.repairs.append("window applied" + (f", the first of {count}" if count > 1 else ""))
    return shown, limits


def _range(data: Any) -> tuple[float, float]:
    """Lowest and highest value that the modality transformation can give; the window keeps to it."""
    if data.get("ModalityLUTSequence"):
        return 0, 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(data.BitsStored)
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if data.get("PixelRepresentation") else (0, 2**bits - 1)
    slope, intercept = data.get("RescaleSlope"), data.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        ends = float(slope) * ends[0] + float(intercept), float(slope) * ends[1] + float(intercept)
    low, high = sorted(ends)
    return float(low), float(high)


def _looked_up(item: Any, values: NDArray, signed: bool) -> tuple[NDArray, tuple[float, float]]:
    """`values` through an item of VOILUTSequence (0028,3010).

    pydicom's apply_voi wraps round where the table's entries are narrower than the values that it maps.
    """
    count, first, bits = (int(part) for part in item.LUTDescriptor)
    count = count % 2**16 or 2**16
    first = first - 2**16 if signed and first >= 2**15 else first
    raw = item.LUTData
    entries = np.frombuffer(raw, "<u2") if isinstance(raw, bytes) else np.asarray(raw, np.int64) % 2**16
    if entries.size < count or not 8 <= bits <= 16 or entries[:count].max() >= 2**bits:
        raise UnreadableFileError("has a VOI LUT (0028,3010) that contradicts its own descriptor")
    place = np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)
    return entries[place], (0, 2**bits - 1)


def _is_inverse(data: Any, image: Radiograph) -> bool:
    """Whether bright and dark must be swapped: MONOCHROME1, or PresentationLUTShape (2050,0020) INVERSE."""
    first = text(data, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(data, "PresentationLUTShape")
    if (first and shape == "IDENTITY") or (not first and shape == "INVERSE"):
        image.flags.append(
            f"PhotometricInterpretation (0028,0004) is MONOCHROME{1 if first else 2}, PresentationLUTShape (2050,0020) "
            f"{shape}: they contradict each other; shown inverted"
        )
    if first:
        image.repairs.append("MONOCHROME1 inverted")
    elif shape == "INVERSE":
        image.repairs.append("PresentationLUTShape INVERSE: inverted")
    return first or shape == "INVERSE"


def _blacken_padding(data: Any, stored: NDArray, pixels: NDArray, image: Radiograph) -> None:
    """PixelPaddingValue (0028,0120) is no tissue: black, whatever the polarity."""
    value = data.get("PixelPaddingValue")
    if value is None:
        return
    low, high = sorted((int(value), int(data.get("PixelPaddingRangeLimit", value))))
    padding = (stored >= low) & (stored <= high)
    if padding.any() and not padding.all():
        pixels[padding] = 0
        image.repairs.append(f"{int(padding.sum())} pixels of padding made black")


def _describe(data: Any, image: Radiograph) -> None:
    """Spacing, orientation and view, and what deserves a look."""
    _set_spacing(data, image)
    image.orientation = text(data, "PatientOrientation").replace("\\", "/")
    view = text(data, "ViewPosition") or None
    image.about = {"format": "DICOM", "view_position": view}
    if image.orientation.startswith("R"):
        image.flags.append(
            f"PatientOrientation (0020,0020) is {image.orientation}: mirrored, the patient's right is right"
        )
    if view in ("LL", "RL", "LATERAL", "LAT"):
        image.flags.append("a lateral view: the lungs lie on each other; masks and models mean PA and AP")
    if text(data, "BurnedInAnnotation").upper() == "YES":
        image.flags.append("BurnedInAnnotation (0028,0301) is YES: text in the picture may name somebody")
    if text(data, "SOPClassUID") == DX_RAW or text(data, "PresentationIntentType") == "FOR PROCESSING":
        image.flags.append("for processing, not for presentation: contrast as the detector gave it")
    body = text(data, "BodyPartExamined").upper()
    if body and not any(part in body for part in ("CHEST", "THORAX", "LUNG", "TORAX", "RIB")):
        image.flags.append(f"BodyPartExamined (0018,0015) is not the chest: {body[:16]}")


def _set_spacing(data: Any, image: Radiograph) -> None:
    for keyword, name in SPACINGS:
        value = data.get(keyword)
        try:
            rows_mm, columns_mm = (float(part) for part in value)
        except (TypeError, ValueError):
            continue
        if not (0.01 < rows_mm < 10 and 0.01 < columns_mm < 10):
            image.flags.append(f"{name} makes no sense: not believed")
            continue
        image.spacing_mm, image.spacing_from = (rows_mm, columns_mm), name
        if keyword == "ImagerPixelSpacing":
            image.flags.append("spacing at the detector: what lies in the patient is smaller (magnification)")
        return
