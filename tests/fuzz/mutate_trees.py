"""Folders that hold more than DICOM: loops of links, pipes, bombs, names that lead elsewhere."""

import gzip
import zlib

from fuzz.mutators import Random, mutator
from fuzz.seeds import Link, Seed, Tree, zipped


@mutator()
def loops_of_links(random: Random, seed: Seed) -> Tree:
    loops = {"ct/loop": Link(".."), "a": Link("b"), "b": Link("a"), "ct/self": Link("self"), "up": Link("../.."),
             "gone": Link("nowhere"), "ct/device": Link("/dev/zero"), "root": Link("/proc/self/fd")}  # fmt: skip
    return {**seed.files, **{path: loops[path] for path in random.sample(sorted(loops), 3)}}


@mutator()
def links_to_slices(random: Random, seed: Seed) -> Tree:
    name = random.choice(seed.slices)
    return {**seed.files, "link": Link(name), "folder": Link("ct" if name.startswith("ct/") else ".")}


@mutator()
def pipe(random: Random, seed: Seed) -> Tree:
    return {**seed.files, random.choice(["pipe", "ct/pipe.dcm"]): Link("", fifo=True)}


@mutator()
def junk(random: Random, seed: Seed) -> Tree:
    (struct,) = seed.structs
    content = seed.files[struct]
    assert isinstance(content, bytes)
    kinds = [b"", b"\0", bytes(132), bytes(128) + b"DICM", b"DICM", b"\x08\0", b"\x08\0\x05\0CS", bytes(128) + b"DICMx",
             random.randbytes(3000), b"PK\x03\x04", b"PK\x05\x06" + bytes(18), gzip.compress(content), b"\xff\xd8\xff",
             b"\x02\0\0\0UL\4\0\xff\xff\xff\xff", b"\x93NUMPY", b"\\\n" * 999, content[128:]]  # fmt: skip
    folder = random.choice(["", "ct/"])
    return {**seed.files, **{f"{folder}{n}.dcm": kind for n, kind in enumerate(random.sample(kinds, 4))}}


@mutator()
def names_of_files(random: Random, seed: Seed) -> Tree:
    names = [
        "dataset.json",
        ".hidden",
        "-rf",
        "a b",
        "\u202e",
        "x" * 200,
        "e\u0301",
        "\udcff\udcfe",
        "*",
        "\n",
        "case.json",
    ]
    names = random.sample(names, 4)
    return {(f"ct/{names[n]}" if n < 4 and path not in seed.structs else path): content
            for n, (path, content) in enumerate(sorted(seed.files.items()))}  # fmt: skip


_LAYER = zipped({f"{n}": bytes(25_000_000) for n in range(4)})
NESTED_BOMB = zipped({f"{n}.zip": _LAYER for n in range(8)})


@mutator()
def zip_bomb(random: Random, seed: Seed) -> Tree:
    return {**seed.files, "bomb.zip": random.choice([_LAYER, NESTED_BOMB])}


@mutator()
def lying_zip(random: Random, seed: Seed) -> Tree:
    """An archive with flipped bits, cut short, or whose directory lies about sizes."""
    content = bytearray(zipped(seed.files))
    for _ in range(random.choice([0, 1, 4, 40])):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    if random.random() < 0.3:
        del content[random.randrange(len(content)) :]
    return {**seed.files, "more.zip": bytes(content)}


@mutator()
def zip_that_leads_elsewhere(random: Random, seed: Seed) -> Tree:
    (struct,) = seed.structs
    content = seed.files[struct]
    assert isinstance(content, bytes)
    names = ["../../evil", "/opt/evil-by-zip", "..\\..\\evil", "C:\\evil", "a/../../../evil", "x" * 240, "\u202e", "."]
    return {**seed.files, "elsewhere.zip": zipped(dict.fromkeys(random.sample(names, 3), content))}


@mutator()
def deflated_bomb(random: Random, seed: Seed) -> Tree:
    """A deflated DICOM file that grows a thousandfold, under the header of a slice."""
    if seed.name != "deflated":
        return zip_bomb(random, seed)
    path = random.choice(seed.slices)
    content = seed.files[path]
    assert isinstance(content, bytes)
    length = int.from_bytes(content[140:144], "little")
    start = 144 + length
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return {**seed.files, path: content[:start] + packer.compress(plain + bytes(400_000_000)) + packer.flush()}
