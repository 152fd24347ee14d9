"""One CT slice's stored pixels -> HU. Whole numbers as long as they are whole."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.files import quiet_pydicom
from data_prep.slices import PixelFormat, SliceHeader

PADDING_HU = -1024  # what pixels outside the scanned circle become
AIR_HU = -1000  # a padding value above it could be tissue, so it is not believed
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"  # little endian, uncompressed
# Lossy JPEG of 8 or 12 bits: readers make wrong numbers of it without a word (pydicom and ITK among them).
LOSSY_JPEG = {f"1.2.840.10008.1.2.4.{number}" for number in range(50, 57)}
HU_TYPES = ("", "HU", "US", "HOUNSFIELD")  # RescaleType; US is "unspecified", which in CT Image Storage means HU
PIXEL_DATA = b"\xe0\x7f\x10\x00"
Integers = NDArray[np.integer[Any]]
INSTALL = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls"


def hounsfield(stored: Integers, pixels: PixelFormat) -> tuple[NDArray, int]:
    """Stored values -> HU, (rows, columns): int32, or float32 where RescaleSlope or RescaleIntercept is not whole.

    Bits beyond BitsStored are dropped, padding becomes PADDING_HU (PS3.3 C.7.5.1.1.2) if `believes_padding`.
    Returns the HU and the number of pixels that padding changed.
    """
    values = _used_bits(stored, pixels)
    slope, intercept = float(pixels.slope or 0), float(pixels.intercept or 0)
    whole = slope.is_integer() and intercept.is_integer()
    if whole and stored.itemsize <= 2 and abs(slope) < 2**14 and abs(intercept) < 2**29:  # can't overflow int32
        hu: NDArray = values if slope == 1 else values * np.int32(slope)
        hu = hu + np.int32(intercept)
    else:
        hu = (values * slope + intercept).astype(np.float32)
    if pixels.padding is None or not believes_padding(pixels):
        return hu, 0
    is_padding = _padding_mask(stored, values, pixels)
    changed = int(np.count_nonzero(is_padding & (hu != PADDING_HU)))
    if changed:
        hu[is_padding] = PADDING_HU
    return hu, changed


def believes_padding(pixels: PixelFormat) -> bool:
    """True where the padding value can't be tissue: no lighter than air, or outside what BitsStored can hold.

    Some exporters state 0 while 0 is water.
    """
    if pixels.padding is None:
        return True
    bits = int(pixels.bits_stored or 16)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pixels.signed else (0, 2**bits - 1)
    ends = [pixels.padding if pixels.padding_limit is None else pixels.padding_limit, pixels.padding]
    wrapped = [_wrap(end, pixels) for end in ends]
    slope, intercept = float(pixels.slope or 0), float(pixels.intercept or 0)
    return max(slope * end + intercept for end in wrapped) <= AIR_HU or not any(low <= end <= high for end in wrapped)


def read_stored(header: SliceHeader) -> Integers:
    """The stored values, (rows, columns), an integer dtype as wide as BitsAllocated.

    Raises SeriesError for pixels that can't become HU (the message names the tag or the encoding), and
    UnreadableFileError for a file that is cut short or can't be decoded.
    """
    refuse_pixels(header)
    stored = _read_native(header) if header.pixels.transfer_syntax in (IMPLICIT, EXPLICIT) else None
    return _read_decoded(header) if stored is None else stored


def refuse_pixels(header: SliceHeader) -> None:
    """Raise SeriesError for pixels that can't become HU. Nothing is read."""
    pixels, name = header.pixels, header.path.name
    required: Mapping[str, Any] = {
        "RescaleIntercept (0028,1052)": pixels.intercept,
        "RescaleSlope (0028,1053)": pixels.slope or None,  # 0 would make everything one value
        "BitsAllocated (0028,0100)": pixels.bits_allocated,
        "BitsStored (0028,0101)": pixels.bits_stored,
        "PixelRepresentation (0028,0103)": pixels.signed,
    }
    for tag, value in required.items():
        if value is None:
            raise SeriesError(f"{tag} is missing or unusable in {name}: HU can't be computed")
    if pixels.transfer_syntax in LOSSY_JPEG:
        raise SeriesError(
            f"{name} is {_syntax_name(pixels)}: lossy JPEG of 8 or 12 bits does not hold CT values. "
            "Ask for the series uncompressed or without loss."
        )
    if pixels.frames != 1 or pixels.samples != 1:
        raise SeriesError(f"{name} holds {pixels.frames} frame(s) of {pixels.samples} sample(s) a pixel; wanted 1 of 1")
    if pixels.has_lookup_table:
        raise SeriesError(f"{name} holds a ModalityLUTSequence (0028,3000) in place of a slope; that is not read yet")
    if pixels.rescale_type not in HU_TYPES:
        raise SeriesError(f"RescaleType (0028,1054) is {pixels.rescale_type} in {name}; wanted HU")
    allocated, stored = pixels.bits_allocated, int(pixels.bits_stored or 0)
    if (
        allocated not in (8, 16, 32)
        or not 1 <= stored <= (stored if pixels.high_bit is None else pixels.high_bit + 1) <= allocated
    ):
        raise SeriesError(
            f"BitsAllocated, BitsStored, HighBit (0028,0100-0102) are {allocated}, {stored}, {pixels.high_bit} "
            f"in {name}: that makes no sense"
        )


def _read_native(header: SliceHeader) -> Integers | None:
    """Uncompressed little endian pixels straight from the file; None where the element is not a plain one."""
    pixels = header.pixels
    rows, columns = int(header.rows or 0), int(header.columns or 0)
    dtype = np.dtype(f"<{'i' if pixels.signed else 'u'}{int(pixels.bits_allocated or 0) // 8}")
    wanted = rows * columns * dtype.itemsize
    with header.path.open("rb") as stream:
        stream.seek(pixels.offset)
        start = stream.read(12)
        if start[:4] != PIXEL_DATA:
            raise UnreadableFileError(f"{header.path.name} is cut short or holds no PixelData (7FE0,0010)")
        if pixels.transfer_syntax == IMPLICIT:
            (length,) = struct.unpack("<I", start[4:8])
            stream.seek(pixels.offset + 8)
        elif start[4:6] in (b"OW", b"OB"):
            length = struct.unpack("<I", start[8:12])[0] if len(start) == 12 else 0
        else:
            return None
        if length == 0xFFFFFFFF:
            return None
        data = stream.read(wanted)
    if length < wanted or len(data) < wanted:
        raise UnreadableFileError(
            f"{header.path.name} is cut short: {min(length, len(data))} of {wanted} bytes of pixels"
        )
    return np.frombuffer(data, dtype).reshape(rows, columns)


def _read_decoded(header: SliceHeader) -> Integers:
    """Pixels by way of pydicom and its plugins: big endian, deflated, compressed."""
    from pydicom import dcmread
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID, ExplicitVRBigEndian

    pixels, name = header.pixels, header.path.name
    if pixels.transfer_syntax not in (IMPLICIT, EXPLICIT, ExplicitVRBigEndian, "1.2.840.10008.1.2.1.99"):
        try:
            available = get_decoder(pixels.transfer_syntax).is_available
        except NotImplementedError:
            raise SeriesError(
                f"{name} is {_syntax_name(pixels)}, which is no encoding of CT that can be read"
            ) from None
        if not available:
            raise SeriesError(f"{name} is {_syntax_name(pixels)} and nothing installed decodes it: {INSTALL}")
    try:
        with quiet_pydicom():
            data = dcmread(header.path, force=True)
            if "TransferSyntaxUID" not in data.file_meta:
                data.file_meta.TransferSyntaxUID = UID(pixels.transfer_syntax)
            stored = data.pixel_array
    except Exception as error:  # pydicom and its plugins raise whatever damaged bytes lead to; it costs this series
        raise UnreadableFileError(f"the pixels of {name} can't be decoded ({type(error).__name__})") from error
    if stored.shape != (header.rows, header.columns) or stored.dtype.kind not in "iu":
        raise UnreadableFileError(
            f"the pixels of {name} decode to {stored.dtype} {stored.shape}; "
            f"wanted integers {(header.rows, header.columns)}"
        )
    return stored


def _used_bits(stored: Integers, pixels: PixelFormat) -> Integers:
    """Values without the bits that are not theirs (old overlays lie there), int32 (int64 for 32 bits)."""
    allocated, bits = int(pixels.bits_allocated or 0), int(pixels.bits_stored or 0)
    values: Integers = stored.astype(np.int32 if stored.itemsize <= 2 else np.int64)
    if bits == allocated:
        return values
    high = bits - 1 if pixels.high_bit is None else pixels.high_bit
    values = (values >> (high + 1 - bits)) & (2**bits - 1)
    if pixels.signed:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values


def _padding_mask(stored: Integers, values: Integers, pixels: PixelFormat) -> NDArray[np.bool_]:
    """Where pixels are padding. A lone padding value may use bits beyond BitsStored, so the raw pixels count too."""
    padding = _wrap(int(pixels.padding or 0), pixels)
    if pixels.padding_limit is None:
        return (values == padding) | (stored == padding)
    low, high = sorted((padding, _wrap(pixels.padding_limit, pixels)))
    return (values >= low) & (values <= high)


def _wrap(value: int, pixels: PixelFormat) -> int:
    """`value` as the pixels' sign reads it: 63536 in signed 16 bits is -2000. Writers often get this tag's VR wrong."""
    bits = int(pixels.bits_allocated or 16)
    value %= 2**bits
    return value - 2**bits if pixels.signed and value >= 2 ** (bits - 1) else value


def _syntax_name(pixels: PixelFormat) -> str:
    from pydicom.uid import UID

    return f"{UID(pixels.transfer_syntax).name} ({pixels.transfer_syntax})"
