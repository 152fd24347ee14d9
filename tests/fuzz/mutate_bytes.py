"""Damage to bytes, by somebody who does not know DICOM, and to lengths and VRs, by somebody who does."""

import io
from collections.abc import Iterator

from fuzz.mutators import Random, mutator
from fuzz.seeds import Seed, Tree
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement

LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
VRS = b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT ?? \0\0".split(b" ")


def changed(seed: Seed, path: str, content: bytes) -> Tree:
    return {**seed.files, path: content}


def pick(random: Random, seed: Seed) -> tuple[str, bytearray]:
    """Some file, RTSTRUCTs as often as slices."""
    path = random.choice(random.choice([seed.slices, seed.structs or seed.slices]))
    return path, bytearray(seed.files[path])  # type: ignore[arg-type]


@mutator(plain=False)
def flip_bits(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        content[random.randrange(132, len(content))] ^= 1 << random.randrange(8)
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def flip_bits_of_the_header(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    for _ in range(random.choice([1, 2, 4])):
        content[random.randrange(132, min(len(content), 1100))] ^= 1 << random.randrange(8)
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def overwrite(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    start, count = random.randrange(len(content)), random.choice([1, 4, 16, 200])
    filling = random.choice([b"\0", b"\xff", b"\\", b"9", random.randbytes(1)])
    content[start : start + count] = (filling * count)[: len(content) - start]
    return changed(seed, path, bytes(content))


@mutator(said=True, plain=False)
def truncate(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    return changed(seed, path, bytes(content[: random.randrange(1, len(content) - 1)]))


@mutator(plain=False)
def insert(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    at = random.randrange(len(content))
    content[at:at] = random.randbytes(random.choice([1, 2, 8, 500]))
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def cut_out(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    at = random.randrange(len(content) - 600)
    del content[at : at + random.choice([1, 2, 8, 500])]
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def append(random: Random, seed: Seed) -> Tree:
    path, content = pick(random, seed)
    return changed(seed, path, bytes(content) + random.choice([bytes(700), bytes(content), random.randbytes(333)]))


def elements(content: bytes) -> Iterator[tuple[int, int, bytes | None]]:
    """(where the value starts, its length, its VR or None if implicit) of all elements, sequences opened."""
    data = dcmread(io.BytesIO(content), force=True)
    if data.file_meta.TransferSyntaxUID.is_deflated:
        return
    waiting: list[Dataset] = [data]
    while waiting:
        one = waiting.pop()
        for tag in one.keys():  # noqa: SIM118  # a Dataset's values would be parsed
            element = one.get_item(tag)
            if isinstance(element, RawDataElement):
                vr = element.VR.encode() if element.VR and not element.is_implicit_VR else None
                yield element.value_tell, element.length, vr
            elif element is not None and element.VR == "SQ":
                waiting.extend(element.value)
            if isinstance(element, RawDataElement) and one[tag].VR == "SQ":
                waiting.extend(one[tag].value)


def _some_element(random: Random, seed: Seed) -> tuple[str, bytearray, tuple[int, int, bytes | None] | None]:
    path, content = pick(random, seed)
    places = [one for one in elements(bytes(content)) if 132 < one[0] < len(content)]
    return path, content, random.choice(places) if places else None


@mutator(plain=False)
def lie_about_a_length(random: Random, seed: Seed) -> Tree:
    path, content, place = _some_element(random, seed)
    if place is None:
        return flip_bits(random, seed)
    start, length, vr = place
    lie = random.choice([0, 1, length + 1, length - 1, length + 2, length * 2, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, 2**31])
    size = 2 if vr is not None and vr not in LONG_VRS else 4
    content[start - size : start] = (lie % 256**size).to_bytes(size, "little")
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def wrong_vr(random: Random, seed: Seed) -> Tree:
    path, content, place = _some_element(random, seed)
    if place is None or place[2] is None:
        return flip_bits(random, seed)
    start, _, vr = place
    at = start - (8 if vr in LONG_VRS else 4)
    content[at : at + 2] = (random.choice(VRS) + b"??")[:2]
    return changed(seed, path, bytes(content))


@mutator(plain=False)
def random_value(random: Random, seed: Seed) -> Tree:
    path, content, place = _some_element(random, seed)
    if place is None:
        return flip_bits(random, seed)
    start, length, _ = place
    length = min(length, 4000, len(content) - start)
    ways = [random.randbytes(length), b"\0" * length, (b"1.5\\" * length)[:length], b"A" * length, b"\xff" * length]
    content[start : start + length] = random.choice(ways)
    return changed(seed, path, bytes(content))
