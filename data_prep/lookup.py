"""The modality lookup table: stored values -> HU by a list, where no slope says it (PS3.3 C.11.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LookupTable:
    """first: the stored value that the first entry is for. entries: unsigned 16 bits, little endian. kind: the unit."""

    first: int
    entries: bytes
    kind: str

    def apply(self, values: NDArray) -> NDArray[np.int32]:
        """Stored values -> entries, int32; below the first and above the last one, those (PS3.3 C.11.1.1)."""
        entries = np.frombuffer(self.entries, "<u2").astype(np.int32)
        return entries[np.clip(values.astype(np.int64) - self.first, 0, len(entries) - 1)]


def lookup_table(data: Any, signed: bool) -> LookupTable | None:
    """The one item of `data`'s ModalityLUTSequence (0028,3000); None where there is none or it contradicts itself.

    signed: PixelRepresentation, which decides the sign of the first value mapped. Entries are always unsigned.
    """
    try:
        (item,) = list(data.get("ModalityLUTSequence") or [])
        count, first, bits = (int(part) for part in item.LUTDescriptor)
        raw: Any = item.LUTData
        little = item.original_encoding[1] is not False
        kind = str(item.get("ModalityLUTType") or "").strip().upper()
    except (ValueError, TypeError, AttributeError, LookupError, OSError, NotImplementedError):
        return None
    count = count % 2**16 or 2**16  # 0 stands for 65536
    first %= 2**16
    if isinstance(raw, bytes):
        wide = len(raw) >= 2 * count
        entries = np.frombuffer(raw, ("<u2" if little else ">u2") if wide else "u1")
    else:
        entries = np.atleast_1d(np.asarray(raw, np.int64) % 2**16)
    if not 8 <= bits <= 16 or not count <= len(entries) <= count + 1 or entries[:count].max() >= 2**bits:
        return None
    return LookupTable(first - 2**16 if signed and first >= 2**15 else first, _packed(entries[:count]), kind)


def _packed(entries: NDArray) -> bytes:
    return entries.astype("<u2").tobytes()
