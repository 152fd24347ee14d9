"""Decimal strings in bulk: the numbers of many DS values at once, each the double nearest to what is written."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array

Words = NDArray[np.uint64]
CHUNK = 32768  # numbers at a time: what is worked on stays in the processor's cache
LONGEST = 16  # characters of a number that the fast way takes; a DS has no more (PS3.5 6.2)
LARGEST = 2**53  # whole numbers up to here are doubles
BACKSLASH, MINUS, PLUS = b"\\-+"


def _every(byte: int) -> np.uint64:
    """A word of eight equal bytes."""
    return np.uint64(int.from_bytes(bytes([byte] * 8), "little"))


# By number of characters: which bytes of the last word, and of the one before it, they take.
LAST = np.array([(1 << 64) - (1 << 64 - 8 * min(n, 8)) for n in range(LONGEST + 1)], np.uint64)
BEFORE = np.array([(1 << 64) - (1 << 64 - 8 * max(n - 8, 0)) for n in range(LONGEST + 1)], np.uint64)
POWERS = 10 ** np.arange(LONGEST + 1, dtype=np.uint64)
ZEROS, HIGH, LOW, TEN = _every(0x30), _every(0x80), _every(0x7F), _every(0x76)
DOT = _every(ord(".") ^ 0x30)


def parse_many(values: Sequence[bytes]) -> list[Array | None]:
    r"""The numbers of each value, `1.5\-2\3e1 `, as float64; None for one that is no decimal string (PS3.5 6.2).

    The same doubles as Python's float gives, bit by bit. Plain numbers of up to 16 characters are computed
    all together, others (exponents, blanks, NaN) one at a time.
    """
    stripped = [value.rstrip(b" \0") for value in values]
    if not stripped:
        return []
    counts = [value.count(b"\\") + 1 for value in stripped]
    content = b"\\" * LONGEST + b"\\".join(stripped) + b"\\"  # room before the first number, for whole words
    numbers, odd = _plain_numbers(content)
    stops = np.cumsum(counts)
    broken = set()
    for token, start, end in odd:
        number = _one(content[start:end])
        if number is None:
            broken.add(int(np.searchsorted(stops, token, side="right")))
        else:
            numbers[token] = number
    parts = np.split(numbers, stops[:-1])
    return [None if n in broken else part for n, part in enumerate(parts)]


def _one(token: bytes) -> float | None:
    if b"_" in token:  # Python's float would read 1_000
        return None
    try:
        return float(token)
    except ValueError:
        return None


def _plain_numbers(content: bytes) -> tuple[Array, list[tuple[int, int, int]]]:
    """All numbers between the backslashes behind the first LONGEST of them; which are left to do, with their place."""
    text = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(text[LONGEST:] == BACKSLASH) + LONGEST
    starts = np.empty_like(ends)
    starts[0], starts[1:] = LONGEST, ends[:-1] + 1
    # The word that starts at each byte, wherever that lies.
    words = np.ndarray(len(content) - 7, "<u8", content, strides=(1,))
    numbers, odd = np.empty(len(ends)), []
    for first in range(0, len(ends), CHUNK):
        part = slice(first, first + CHUNK)
        numbers[part], plain = _chunk(text, words, starts[part], ends[part])
        odd += [(n, int(starts[n]), int(ends[n])) for n in (np.flatnonzero(~plain) + first).tolist()]
    return numbers, odd


def _chunk(
    text: NDArray[np.uint8], words: Words, starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> tuple[Array, NDArray[np.bool_]]:
    """The numbers at `starts`, and which of them are right: sign, digits, and at most one dot among them."""
    sign = text[starts]
    negative = sign == MINUS
    length = ends - starts - (negative | (sign == PLUS))
    plain = (length > 0) & (length <= LONGEST)
    length = np.where(plain, length, 1)
    last, last_dot = _digits(words[ends - 8], LAST[length])
    before, before_dot = _digits(words[ends - 16], BEFORE[length])
    plain &= _all_digits(last) & _all_digits(before) & ((last_dot == 0) | (before_dot == 0))
    plain &= ((last_dot & (last_dot - np.uint64(1))) == 0) & ((before_dot & (before_dot - np.uint64(1))) == 0)
    dotted = (last_dot | before_dot) != 0
    plain &= (length > 1) | ~dotted
    digits = _value(before) * POWERS[8] + _value(last)  # with a zero for the dot
    behind = np.where(before_dot != 0, 15 - _byte(before_dot), 7 - _byte(last_dot)) * dotted
    behind = np.where(plain, behind, 0)
    scale = POWERS[behind]
    whole = np.where(dotted, digits // (scale * np.uint64(10)), np.uint64(0))
    digits -= np.uint64(9) * whole * scale  # closes the gap that the dot leaves
    plain &= digits <= LARGEST
    numbers = digits.astype(float) / scale.astype(float)  # of two exact doubles, so correctly rounded
    return np.where(negative, -numbers, numbers), plain


def _digits(word: Words, mask: Words) -> tuple[Words, Words]:
    """The value of each digit in its byte, 0 for a dot; and the highest bit of the dot's byte."""
    digits = (word ^ ZEROS) & mask
    apart = digits ^ DOT
    dot = ~(((apart & LOW) + LOW) | apart | LOW)
    return digits & ~((dot >> np.uint64(7)) * np.uint64(0xFF)), dot


def _all_digits(digits: Words) -> NDArray[np.bool_]:
    return ((digits + TEN) | digits) & HIGH == 0


def _byte(dot: Words) -> NDArray[np.int64]:
    """Which byte the single highest bit lies in: read from the exponent of its double."""
    return ((dot.astype(float).view(np.int64) >> 52) - 1023) >> 3


def _value(digits: Words) -> Words:
    """The number of eight digits, the first in the lowest byte: two, then four, then eight digits are put together."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    low = np.uint64(0x000000FF000000FF)
    first = (pairs & low) * np.uint64(100 + (1000000 << 32))
    second = ((pairs >> np.uint64(16)) & low) * np.uint64(1 + (10000 << 32))
    return (first + second) >> np.uint64(32)
