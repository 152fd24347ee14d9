"""RTSTRUCTs that are empty where they should not be, refer to themselves, or draw what can't be drawn."""

from collections.abc import Callable

from fuzz.mutate_headers import NUMBERS, parsed, put
from fuzz.mutators import Random, mutator
from fuzz.seeds import Seed, Tree, dumped
from pydicom import Dataset
from pydicom.sequence import Sequence

NAMES = ["../../evil", "/opt/evil", "..", "", "a\0b",
         "x" * 4000, "CON", "\u202eTVG", "Lung-Left", "lung-left", "a/b\\c",
         "\U0001f600", "image", "*?<>|", "-rf", "\n\n", "e\u0301", "\u00e9", "../image.nii.gz", "\x1b[2J"]  # fmt: skip


def edit(seed: Seed, change: Callable[[Dataset], None]) -> Tree:
    (path,) = seed.structs
    data = parsed(seed.files[path])
    change(data)
    return {**seed.files, path: dumped(data)}


def below(data: Dataset) -> list[Dataset]:
    """`data` and all items of all sequences in it."""
    found = [data]
    for one in found:
        found += [item for element in one if element.VR == "SQ" for item in element.value]
    return found


@mutator()
def remove_a_struct_tag(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        one = random.choice(below(data))
        if len(one):
            del one[random.choice(list(one.keys()))]

    return edit(seed, change)


@mutator()
def empty_a_sequence(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        full = [(one, element.tag) for one in below(data) for element in one if element.VR == "SQ" and element.value]
        one, tag = random.choice(full)
        one[tag].value = random.choice([Sequence([]), Sequence([Dataset()])])

    return edit(seed, change)


@mutator()
def shuffle_a_sequence(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        for one in below(data):
            for element in one:
                if element.VR == "SQ":
                    items = list(element.value)
                    random.shuffle(items)
                    element.value = Sequence(items)

    return edit(seed, change)


@mutator()
def repeat_an_item(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        full = [element for one in below(data) for element in one if element.VR == "SQ" and element.value]
        element = random.choice(full)
        element.value = Sequence([*element.value, random.choice(list(element.value))])

    return edit(seed, change)


@mutator()
def strange_roi_numbers(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        item, keyword = random.choice([(one, "ROINumber") for one in data.StructureSetROISequence]
                                      + [(one, "ReferencedROINumber") for one in data.ROIContourSequence])  # fmt: skip
        value = random.choice([b"11", b"10", b"-1", b"999999999999", b"x", b"", b"1.5", b"10\\11", b"\xd9\xa3"])
        put(item, keyword, value, "IS")

    return edit(seed, change)


@mutator()
def strange_names(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        for item in data.StructureSetROISequence:
            if random.random() < 0.6:
                put(item, "ROIName", random.choice(NAMES).encode(), "LO")

    return edit(seed, change)


@mutator(said=True)
def another_frame_of_reference(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        for item in data.StructureSetROISequence:
            item.ReferencedFrameOfReferenceUID = "1.2.3.4"
        if random.random() < 0.7:
            data.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3.4"

    return edit(seed, change)


@mutator(said=True)
def another_series(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        study.RTReferencedSeriesSequence[0].SeriesInstanceUID = random.choice(["1.2.3.4", str(data.SOPInstanceUID)])

    return edit(seed, change)


@mutator()
def refers_to_itself(random: Random, seed: Seed) -> Tree:
    """References in a circle: the file as its own study, series and image."""

    def change(data: Dataset) -> None:
        itself = Dataset()
        itself.ReferencedSOPClassUID, itself.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
        data.PredecessorStructureSetSequence = [itself]
        data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[
            0
        ].ReferencedSOPInstanceUID = data.SOPInstanceUID
        for item in data.ROIContourSequence:
            for contour in item.ContourSequence:
                contour.ContourImageSequence = [itself]
                contour.AttachedContours = "1"

    return edit(seed, change)


@mutator()
def deep_nesting(random: Random, seed: Seed) -> Tree:
    depth = random.choice([50, 400, 3000])
    empty = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (b"\x06\x30\x10\x00\xff\xff\xff\xff" + empty) * depth
    (path,) = seed.structs
    content = seed.files[path]
    assert isinstance(content, bytes)
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    return {**seed.files, path: content + nested + random.choice([b"", closing])}


def contours(data: Dataset) -> list[Dataset]:
    return [contour for item in data.ROIContourSequence for contour in item.ContourSequence]


@mutator()
def impossible_coordinates(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        contour = random.choice(contours(data))
        values = [str(one) for one in contour.ContourData]
        for _ in range(random.choice([1, 1, 3])):
            values[random.randrange(len(values))] = random.choice([*NUMBERS, "1e300", "1e7", "123456.5"])
        put(contour, "ContourData", "\\".join(values).encode(), "DS")

    return edit(seed, change)


@mutator()
def too_few_or_too_many_points(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        contour = random.choice(contours(data))
        values = [str(one) for one in contour.ContourData]
        count = random.choice([0, 1, 2, 3, 4, 6, 7, len(values) - 1, len(values) + 2])
        put(contour, "ContourData", "\\".join((values * 2)[:count]).encode(), "DS")
        if random.random() < 0.5:
            contour.NumberOfContourPoints = random.choice([0, 3, 99999])

    return edit(seed, change)


@mutator()
def other_contour_types(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        for contour in contours(data):
            if random.random() < 0.4:
                kind = random.choice(
                    [b"POINT", b"OPEN_PLANAR", b"OPEN_NONPLANAR", b"", b"closed_planar", b"\xff", b"X"]
                )
                put(contour, "ContourGeometricType", kind, "CS")

    return edit(seed, change)


def _move(random: Random, seed: Seed, shares: tuple[float, ...]) -> Tree:
    """Move contours by a share of the way from slice to slice."""
    first, second = sorted((parsed(seed.files[path]) for path in seed.slices), key=lambda one: str(one.SOPInstanceUID))[
        :2
    ]
    step = [float(b) - float(a) for a, b in zip(first.ImagePositionPatient, second.ImagePositionPatient, strict=True)]

    def change(data: Dataset) -> None:
        some = contours(data) if random.random() < 0.3 else [random.choice(contours(data))]
        share = random.choice(shares)
        for contour in some:
            values = [float(one) for one in contour.ContourData]
            contour.ContourData = [f"{value + share * step[n % 3]:.8f}" for n, value in enumerate(values)]

    return edit(seed, change)


@mutator(said=True)
def contours_between_slices(random: Random, seed: Seed) -> Tree:
    return _move(random, seed, (0.3, -0.25, 0.45))


@mutator(said=True)
def contours_beyond_the_image(random: Random, seed: Seed) -> Tree:
    return _move(random, seed, (9.0, -9.0, 1e5))


@mutator(said=True)
def tilted_contour(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        contour = random.choice(contours(data))
        values = [float(one) for one in contour.ContourData]
        values[random.randrange(3)] += 40.0  # one of its points leaves the plane, or the contour its shape
        values[3:6] = [value + off for value, off in zip(values[3:6], (37.0, -41.0, 43.0), strict=True)]
        contour.ContourData = [f"{value:.6f}" for value in values]

    return edit(seed, change)


@mutator(said=True)
def copies_of_contours(random: Random, seed: Seed) -> Tree:
    def change(data: Dataset) -> None:
        item = random.choice(list(data.ROIContourSequence))
        copy = Dataset()
        copy.update(random.choice(list(item.ContourSequence)))
        points = [str(one) for one in copy.ContourData]
        if random.random() < 0.5:
            points = points[3:] + points[:3]
        copy.ContourData = points
        item.ContourSequence.append(copy)

    return edit(seed, change)


@mutator(said=True)
def second_struct_of_the_same_uid(random: Random, seed: Seed) -> Tree:
    other = edit(seed, lambda data: data.StructureSetROISequence[0].__setattr__("ROIName", "Heart"))
    (path,) = seed.structs
    return {**seed.files, f"{path}-again": other[path]}


@mutator(said=True)
def struct_of_another_kind(random: Random, seed: Seed) -> Tree:
    uid = random.choice(["1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3", ""])
    return edit(seed, lambda data: data.__setattr__("SOPClassUID", uid))
