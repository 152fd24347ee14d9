"""One CT slice's stored pixels -> HU. Whole numbers as long as they are whole."""

import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.decode import PIXEL_DATA, read_decoded, refuse_surplus, syntax_name
from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.slices import PixelFormat, SliceHeader

PADDING_HU = -1024  # what pixels outside the scanned circle become
AIR_HU = -1000  # a padding value above it could be tissue, so it is not believed
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"  # little endian, uncompressed
# Lossy JPEG of 8 or 12 bits: readers make wrong numbers of it without a word (pydicom and ITK among them).
LOSSY_JPEG = {f"1.2.840.10008.1.2.4.{number}" for number in range(50, 57)}
HU_TYPES = ("", "HU", "US", "HOUNSFIELD")  # RescaleType; US is "unspecified", which in CT Image Storage means HU
MAY_BE_LOSSY = {f"1.2.840.10008.1.2.4.{number}" for number in (81, 91, 203)}
Integers = NDArray[np.integer[Any]]


def hounsfield(stored: Integers, pixels: PixelFormat) -> tuple[NDArray, int]:
    """Stored values -> HU, (rows, columns): int32, or float32 where RescaleSlope or RescaleIntercept is not whole.

    Bits beyond BitsStored are dropped, padding becomes PADDING_HU (PS3.3 C.7.5.1.1.2) if `believes_padding`. A
    modality lookup table stands in for slope and intercept (PS3.3 C.11.1). MONOCHROME1 changes nothing: it says how to
    show values, not what they are (PS3.3 C.7.6.3.1.2). Returns the HU and the number of pixels that padding changed.
    Raises SeriesError for HU that no float32 holds.
    """
    values = _used_bits(stored, pixels)
    if pixels.lookup is not None:
        return _with_padding(pixels.lookup.apply(values), stored, values, pixels)
    slope, intercept = float(pixels.slope or 0), float(pixels.intercept or 0)
    whole = slope.is_integer() and intercept.is_integer()
    if whole and stored.itemsize <= 2 and abs(slope) < 2**14 and abs(intercept) < 2**29:  # can't overflow int32
        hu: NDArray = values if slope == 1 else values * np.int32(slope)
        hu = hu + np.int32(intercept)
    else:
        hu = _as_float32(values, slope, intercept)
    return _with_padding(hu, stored, values, pixels)


def _as_float32(values: Integers, slope: float, intercept: float) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        hu = (values * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all():
        raise SeriesError(
            f"RescaleSlope (0028,1053) is {slope:g} and RescaleIntercept (0028,1052) {intercept:g}: some of the HU are "
            "infinite or beyond what float32 holds"
        )
    return hu


def _with_padding(hu: NDArray, stored: Integers, values: Integers, pixels: PixelFormat) -> tuple[NDArray, int]:
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
    return max(_hu_of(end, pixels) for end in wrapped) <= AIR_HU or not any(low <= end <= high for end in wrapped)


def _hu_of(value: int, pixels: PixelFormat) -> float:
    if pixels.lookup is not None:
        return float(pixels.lookup.apply(np.array([value]))[0])
    return float(pixels.slope or 0) * value + float(pixels.intercept or 0)


def read_stored(header: SliceHeader) -> Integers:
    """The stored values of the header's frame, (rows, columns), an integer dtype as wide as BitsAllocated.

    Raises SeriesError for pixels that can't become HU (the message names the tag or the encoding), and
    UnreadableFileError for a file that is cut short or can't be decoded.
    """
    refuse_pixels(header)
    stored = np.empty((int(header.rows or 0), int(header.columns or 0)), _dtype(header.pixels))
    return stored if _read_native_into(header, stored) else read_decoded(header)


def read_hu_into(header: SliceHeader, plane: NDArray[np.int16]) -> int | None:
    """Read the HU of the header's frame into `plane`, (rows, columns) int16 in C order.

    Returns the number of pixels that padding changed, or None where int16 can't hold the HU: `plane` is spoilt then,
    and read_stored with hounsfield gives them. Equal to those two, several times faster for plain 16-bit pixels.
    Raises as read_stored.
    """
    refuse_pixels(header)
    pixels = header.pixels
    stored: Integers = plane.view(np.int16 if pixels.signed else np.uint16)
    if pixels.bits_allocated != 16 or not _read_native_into(header, stored):
        stored = read_stored(header)
    else:
        changed = _rescale_in_place(plane, stored, pixels)
        if changed is not None:
            return changed
    hu, changed = hounsfield(stored, pixels)
    if hu.dtype.kind != "i" or hu.min() < -(2**15) or hu.max() >= 2**15:
        return None
    plane[...] = hu
    return changed


def _rescale_in_place(plane: NDArray[np.int16], stored: Integers, pixels: PixelFormat) -> int | None:
    """Stored -> HU where all is whole and no value, bit or result is out of range; else None, and nothing is changed.

    `stored` is the memory of `plane`. Sums and products wrap round, so only their results have to fit.
    """
    slope, intercept = float(pixels.slope or 0), float(pixels.intercept or 0)
    bits = int(pixels.bits_stored or 16)
    if pixels.lookup or not (slope.is_integer() and intercept.is_integer()) or pixels.high_bit not in (None, bits - 1):
        return None
    low, high = int(stored.min()), int(stored.max())
    ends = sorted((slope * low + intercept, slope * high + intercept))
    first = -(2 ** (bits - 1)) if pixels.signed else 0
    if low < first or high >= first + 2**bits or ends[0] < -(2**15) or ends[1] >= 2**15:
        return None
    is_padding = None
    if pixels.padding is not None and believes_padding(pixels):
        is_padding = _padding_mask(stored, stored, pixels)
    if slope != 1:
        plane *= np.array(int(slope)).astype(np.int16)
    plane += np.array(int(intercept)).astype(np.int16)
    if is_padding is None or not is_padding.any():
        return 0
    changed = int(np.count_nonzero(plane[is_padding] != PADDING_HU))
    plane[is_padding] = PADDING_HU
    return changed


def refuse_pixels(header: SliceHeader) -> None:
    """Raise SeriesError for pixels that can't become HU. Nothing is read."""
    pixels, name = header.pixels, header.path.name
    _refuse_units(header)
    required: Mapping[str, Any] = {
        "BitsAllocated (0028,0100)": pixels.bits_allocated,
        "BitsStored (0028,0101)": pixels.bits_stored,
        "PixelRepresentation (0028,0103)": pixels.signed,
    }
    for tag, value in required.items():
        if value is None:
            raise SeriesError(f"{tag} is missing or unusable in {name}: HU can't be computed")
    if pixels.transfer_syntax in LOSSY_JPEG:
        raise SeriesError(
            f"{name} is {syntax_name(pixels)}: lossy JPEG of 8 or 12 bits does not hold CT values. "
            "Ask for the series uncompressed or without loss."
        )
    if pixels.samples != 1 or (pixels.frames != 1 and not pixels.by_frame):
        raise SeriesError(f"{name} holds {pixels.frames} frame(s) of {pixels.samples} sample(s) a pixel; wanted 1 of 1")
    if pixels.photometric not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise SeriesError(
            f"PhotometricInterpretation (0028,0004) is {pixels.photometric} in {name}; wanted MONOCHROME2"
        )
    allocated, stored = pixels.bits_allocated, int(pixels.bits_stored or 0)
    if (
        allocated not in (8, 16, 32)
        or not 1 <= stored <= (stored if pixels.high_bit is None else pixels.high_bit + 1) <= allocated
    ):
        raise SeriesError(
            f"BitsAllocated, BitsStored, HighBit (0028,0100-0102) are {allocated}, {stored}, {pixels.high_bit} "
            f"in {name}: that makes no sense"
        )


def _refuse_units(header: SliceHeader) -> None:
    """Raise SeriesError unless slope and intercept, or a lookup table, lead to HU."""
    pixels, name = header.pixels, header.path.name
    if pixels.has_lookup_table:
        if pixels.lookup is None:
            raise SeriesError(f"the ModalityLUTSequence (0028,3000) in {name} contradicts itself: HU can't be computed")
        if pixels.slope is not None or pixels.intercept is not None:
            raise SeriesError(f"{name} holds both a ModalityLUTSequence (0028,3000) and a slope: only one can be right")
        if pixels.lookup.kind != "HU":
            raise SeriesError(f"ModalityLUTType (0028,3004) is {pixels.lookup.kind or 'missing'} in {name}; wanted HU")
        return
    # A slope of 0 would make everything one value.
    for tag, value in {"Intercept (0028,1052)": pixels.intercept, "Slope (0028,1053)": pixels.slope or None}.items():
        if value is None:
            raise SeriesError(f"Rescale{tag} is missing or unusable in {name}: HU can't be computed")
    if pixels.rescale_type not in HU_TYPES:
        raise SeriesError(f"RescaleType (0028,1054) is {pixels.rescale_type} in {name}; wanted HU")


def loss_notes(headers: Sequence[SliceHeader]) -> tuple[str, ...]:
    """What the report must say of slices whose HU went through lossy compression, once or now."""
    lossy = sum(one.pixels.lossy is True for one in headers)
    unsaid = sum(one.pixels.lossy is None and one.pixels.transfer_syntax in MAY_BE_LOSSY for one in headers)
    notes = []
    if lossy:
        notes.append(f"LossyImageCompression (0028,2110): {lossy} slice(s) were compressed with loss, HU are not exact")
    if unsaid:
        notes.append(f"{unsaid} slice(s) are encoded in a way that may lose something, and do not say whether it did")
    return tuple(notes)


def _dtype(pixels: PixelFormat) -> np.dtype:
    return np.dtype(f"<{'i' if pixels.signed else 'u'}{int(pixels.bits_allocated or 0) // 8}")


def _read_native_into(header: SliceHeader, stored: Integers) -> bool:
    """Read the header's frame of uncompressed little endian pixels; False where the element is not a plain one."""
    pixels, name, wanted = header.pixels, header.path.name, stored.nbytes
    if pixels.transfer_syntax not in (IMPLICIT, EXPLICIT):
        return False
    with header.path.open("rb", buffering=0) as stream:
        span = _native_span(stream, header)
        if span is None:
            return False
        at, length = span
        have = min(length, max(header.size - at, 0))
        if have < wanted * pixels.frames:
            raise UnreadableFileError(f"{name} is cut short: {have} of {wanted * pixels.frames} bytes of pixels")
        refuse_surplus(header, length)
        stream.seek(at + header.frame * wanted)
        read = _fill(stream, stored.data.cast("B"))
    if read < wanted:
        raise UnreadableFileError(f"{name} is cut short: {read} of {wanted} bytes of pixels")
    return True


def _fill(stream: IO[bytes], buffer: memoryview) -> int:
    done = 0
    while done < len(buffer) and (count := stream.readinto(buffer[done:])):  # type: ignore[attr-defined]
        done += count
    return done


def _native_span(stream: IO[bytes], header: SliceHeader) -> tuple[int, int] | None:
    """Where the value of PixelData starts and how long it says to be; None for an element that pydicom has to read."""
    offset = header.pixels.offset
    stream.seek(offset)
    start = stream.read(12)
    if start[:4] != PIXEL_DATA:
        raise UnreadableFileError(f"{header.path.name} is cut short or holds no PixelData (7FE0,0010)")
    if len(start) < 12:
        return offset + len(start), 0
    if header.pixels.transfer_syntax == IMPLICIT:
        at, length = offset + 8, struct.unpack("<I", start[4:8])[0]
    elif start[4:6] in (b"OW", b"OB"):
        at, length = offset + 12, struct.unpack("<I", start[8:12])[0]
    else:
        return None
    return None if length == 0xFFFFFFFF else (at, length)


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
