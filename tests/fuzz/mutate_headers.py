"""Series whose headers say what they should not: tags gone or empty, impossible numbers, slices that don't belong."""

import io
from collections.abc import Callable

from fuzz.mutators import Random, mutator
from fuzz.seeds import Seed, Tree, dumped
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

NUMBERS = ["NaN", "nan", "inf", "-inf", "1e999", "1e308", "-1e308", "1e-320", "0", "-1", "", " ", "abc", "1_000", "1,5",
           "0x10", "1e", "--1", "1.5.2", "\u0663", "99999999999999999999"]  # fmt: skip
PLAIN = ["+{0}", " {0} ", "{0}e0", "{0}E+00", "0{0}"]  # other ways to write a positive number
DECIMALS = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
            "SliceThickness"]  # fmt: skip
WHOLES = ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"]
UIDS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"]
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
            "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
            "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.100", "1.2.3", "", "x"]  # fmt: skip


def parsed(content: object) -> Dataset:
    assert isinstance(content, bytes)
    return dcmread(io.BytesIO(content), force=True)


def put(data: Dataset, keyword: str, value: bytes, vr: str) -> None:
    """Set an element's bytes as they are, whatever they are worth."""
    tag = Tag(keyword)
    data[tag] = RawDataElement(tag, vr, len(value) + len(value) % 2, value + b" " * (len(value) % 2), 0, False, True)


def edit(random: Random, seed: Seed, change: Callable[[Dataset], None], share: float = 0.3) -> Tree:
    """`change` one slice, or with probability `share` all of them."""
    paths = seed.slices if random.random() < share else [random.choice(seed.slices)]
    files = dict(seed.files)
    for path in paths:
        data = parsed(files[path])
        change(data)
        files[path] = dumped(data)
    return files


@mutator()
def remove_a_tag(random: Random, seed: Seed) -> Tree:
    tag = random.choice([tag for tag in parsed(seed.files[seed.slices[0]]).keys() if tag.group != 0x7FE0])  # noqa: SIM118
    return edit(random, seed, lambda data: data.pop(tag))


@mutator(said=True)
def remove_a_tag_that_is_needed(random: Random, seed: Seed) -> Tree:
    needed = [*DECIMALS[:5], *WHOLES[:4], "PixelRepresentation", "SOPClassUID", "SeriesInstanceUID", "PixelData"]
    keyword = random.choice(needed)
    return edit(random, seed, lambda data: data.__delattr__(keyword))


@mutator()
def empty_a_tag(random: Random, seed: Seed) -> Tree:
    keyword = random.choice([*DECIMALS, *WHOLES, *UIDS, "PatientID", "ImageType", "Modality"])
    return edit(random, seed, lambda data: data.__setattr__(keyword, None))


@mutator()
def impossible_number(random: Random, seed: Seed) -> Tree:
    keyword, number = random.choice(DECIMALS), random.choice(NUMBERS)

    def change(data: Dataset) -> None:
        values = str(data[keyword].value).strip("[]").replace(",", "\\").replace(" ", "").replace("'", "").split("\\")
        values[random.randrange(len(values))] = number
        if random.random() < 0.2:
            values = values[: random.randrange(len(values) + 1)] + ["1"] * random.randrange(3)
        put(data, keyword, "\\".join(values).encode(), "DS")

    return edit(random, seed, change)


@mutator()
def other_spelling_of_a_number(random: Random, seed: Seed) -> Tree:
    style = random.choice(PLAIN)

    def change(data: Dataset) -> None:
        put(data, "PixelSpacing", "\\".join(style.format(one) for one in data.PixelSpacing).encode(), "DS")

    return edit(random, seed, change, share=1)


@mutator()
def impossible_whole_number(random: Random, seed: Seed) -> Tree:
    keyword, value = random.choice(WHOLES), random.choice([0, 1, 2, 7, 8, 12, 15, 17, 32, 64, 4096, 65535])
    return edit(random, seed, lambda data: data.__setattr__(keyword, value))


@mutator()
def many_frames(random: Random, seed: Seed) -> Tree:
    value = random.choice([b"0", b"2", b"100000", b"2147483647", b"-1", b"9" * 12, b"x"])
    return edit(random, seed, lambda data: put(data, "NumberOfFrames", value, "IS"))


@mutator()
def wrong_kind_of_value(random: Random, seed: Seed) -> Tree:
    keyword, vr = random.choice([*DECIMALS, *WHOLES, *UIDS]), random.choice(["SQ", "UN", "OB", "AT", "FD", "PN", "IS"])
    value = random.choice([b"", b"\xfe\xff\0\xe0\0\0\0\0", b"\0" * 8, b"1\\2\\3", random.randbytes(16)])
    return edit(random, seed, lambda data: put(data, keyword, value, vr))


@mutator()
def character_set(random: Random, seed: Seed) -> Tree:
    value = random.choice(
        ["ISO_IR 192", "ISO 2022 IR 87", "nonsense", "ISO_IR 100\\ISO 2022 IR 149", "\\", "ISO_IR 6" * 9]
    )

    def change(data: Dataset) -> None:
        put(data, "SpecificCharacterSet", value.encode(), "CS")
        put(data, "PatientName", random.choice([b"\x1b$B;3ED^\x1b(B", b"\xff\xfe\xfd", b"A^\x00B", b"\x1b" * 40]), "PN")

    return edit(random, seed, change, share=1)


@mutator()
def transfer_syntax(random: Random, seed: Seed) -> Tree:
    """The meta header names another encoding than that of the file."""
    syntax, path = random.choice(SYNTAXES), random.choice(seed.slices)
    content = seed.files[path]
    assert isinstance(content, bytes)
    old = str(parsed(content).file_meta.TransferSyntaxUID).encode()
    at = content.index(old)
    padded = (syntax.encode() + b"\0" * 64)[: len(old) + len(old) % 2]
    return {**seed.files, path: content[:at] + padded + content[at + len(padded) :]}


@mutator(said=True)
def lossy_pixels(random: Random, seed: Seed) -> Tree:
    syntax = random.choice(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])

    def change(data: Dataset) -> None:
        data.PixelData = b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0\x04\0\0\0" + b"\xff\xd8\xff\xd9"
        data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OB"
        data.file_meta.TransferSyntaxUID = syntax

    if seed.name in ("rle", "deflated", "oblique"):
        return remove_a_tag_that_is_needed(random, seed)
    return edit(random, seed, change)


@mutator()
def other_rescale(random: Random, seed: Seed) -> Tree:
    slope, intercept = random.choice([1, 2, 0.5, 1.25, -1, 1e6, 1e-6]), random.choice([0, -1024, 0.25, -8192, 1e9])

    def change(data: Dataset) -> None:
        data.RescaleSlope, data.RescaleIntercept = slope, intercept

    return edit(random, seed, change)


@mutator()
def units_and_tables(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        put(data, "RescaleType", random.choice([b"US", b"HU", b"OD", b"hu", b"\xff\xff"]), "LO")
        if random.random() < 0.5:
            data.ModalityLUTSequence = [Dataset()]
        data.PhotometricInterpretation = random.choice(["MONOCHROME2", "MONOCHROME1", "RGB", "x"])

    return edit(random, seed, change)


@mutator()
def padding_value(random: Random, seed: Seed) -> Tree:
    value, limit = random.choice([0, 1, 500, 4095, 65535, 63536]), random.choice([None, 3, 65535])

    def change(data: Dataset) -> None:
        put(data, "PixelPaddingValue", value.to_bytes(2, "little"), "US")
        if limit is not None:
            put(data, "PixelPaddingRangeLimit", limit.to_bytes(2, "little"), "US")

    return edit(random, seed, change)


def _shift(random: Random, seed: Seed, move: Callable[[int, list[float]], list[float]]) -> Tree:
    files = dict(seed.files)
    for n, path in enumerate(seed.slices):
        data = parsed(files[path])
        data.ImagePositionPatient = [f"{one:.6f}" for one in move(n, [float(v) for v in data.ImagePositionPatient])]
        files[path] = dumped(data)
    return files


@mutator(said=True)
def one_slice_elsewhere(random: Random, seed: Seed) -> Tree:
    one, axis, off = random.randrange(len(seed.slices)), random.randrange(3), random.choice([-1.7, 0.4, 1.0, 1e5, -1e7])
    return _shift(random, seed, lambda n, p: [v + off * (n == one and a == axis) for a, v in enumerate(p)])


@mutator()
def jitter(random: Random, seed: Seed) -> Tree:
    size = random.choice([0.001, 0.009, 0.05, 0.3])
    return _shift(random, seed, lambda n, p: [v + random.uniform(-size, size) for v in p])


@mutator()
def far_away(random: Random, seed: Seed) -> Tree:
    off = random.choice([1e4, 1e6, 1e9])
    return _shift(random, seed, lambda n, p: [v + off for v in p])


@mutator(said=True)
def turned_slice(random: Random, seed: Seed) -> Tree:
    path = random.choice(seed.slices)
    data = parsed(seed.files[path])
    cosines = [float(one) for one in data.ImageOrientationPatient]
    ways = [cosines[3:] + cosines[:3], [-v for v in cosines], [v * 1.1 for v in cosines], [0] * 6, cosines[:3] * 2]
    data.ImageOrientationPatient = [f"{one:.9g}" for one in random.choice(ways)]
    return {**seed.files, path: dumped(data)}


@mutator(said=True)
def one_slice_of_another_size(random: Random, seed: Seed) -> Tree:
    path = random.choice(seed.slices)
    data = parsed(seed.files[path])
    if random.random() < 0.5:
        data.PixelSpacing = [data.PixelSpacing[0] * 2, data.PixelSpacing[1]]
    else:
        data.Rows = data.Rows - 1
    return {**seed.files, path: dumped(data)}


@mutator(said=True)
def missing_slice(random: Random, seed: Seed) -> Tree:
    """One from within: that the first or last one is gone can't be seen."""
    places = sorted(seed.slices, key=lambda path: str(parsed(seed.files[path]).SOPInstanceUID))
    gone = random.choice(places[1:-1])
    return {path: content for path, content in seed.files.items() if path != gone}


@mutator(said=True)
def duplicate_slice(random: Random, seed: Seed) -> Tree:
    path = random.choice(seed.slices)
    data = parsed(seed.files[path])
    if random.random() < 0.7:
        data.SOPInstanceUID = "1.2.3.4"
    if random.random() < 0.5 and seed.name != "rle":
        data.PixelData = bytes(len(data.PixelData))
    return {**seed.files, f"{path}-again": dumped(data)}


@mutator(said=True)
def slices_of_another_frame(random: Random, seed: Seed) -> Tree:
    return edit(random, seed, lambda data: data.__setattr__("FrameOfReferenceUID", "1.2.3.4"))


@mutator()
def split_identity(random: Random, seed: Seed) -> Tree:
    """Some slices claim another series, study, patient or kind."""
    keyword, value = random.choice([("SeriesInstanceUID", "1.2.3"), ("StudyInstanceUID", "1.2.3"), ("PatientID", "P9"),
                                    ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"), ("SOPClassUID", "1.2.3"),
                                    ("ImageType", "ORIGINAL\\PRIMARY\\LOCALIZER"), ("AcquisitionNumber", "2"),
                                    ("PatientIdentityRemoved", "NO"), ("Modality", "MR")])  # fmt: skip
    return edit(random, seed, lambda data: data.__setattr__(keyword, value))


@mutator()
def patient_id(random: Random, seed: Seed) -> Tree:
    value = random.choice(["../../evil", "..", "/opt/evil", "CON", "dataset.json", "a\\b", ".partial-x", "x" * 300,
                           "\u202eevil", "a/b", "~", "*", "-rf", " ", "nul\0l", "\U0001f600", "case.json"])  # fmt: skip

    def change(data: Dataset) -> None:
        data.SpecificCharacterSet = "ISO_IR 192"
        put(data, "PatientID", value.encode(), "LO")

    return edit(random, seed, change, share=1)
