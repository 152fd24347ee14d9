"""RTSTRUCT to ROIs: paired by number, every contour used or counted, damage named."""

import numpy as np
import pytest
from dicom_factory import Ct, contour_item, square, write_ct, write_rtstruct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from data_prep.errors import RtstructError
from data_prep.rtstruct import parse_decimals, read_rtstruct

CT = Ct()
LEFT = [square(CT, k, (2.5, 2.5), (6.5, 7.5)) for k in (1, 2)]
RIGHT = [square(CT, k, (10.5, 2.5), (14.5, 7.5)) for k in (3, 4, 5)]


def read(tmp_path, edit=None, rois=None, **options):
    return read_rtstruct(write_rtstruct(tmp_path / "rs", CT, rois or {"L": LEFT, "R": RIGHT}, edit=edit, **options))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_contours_belong_to_the_number_not_to_the_place_in_the_list(tmp_path, syntax):
    left, right = read(tmp_path, syntax=syntax)  # the factory writes the two lists in opposite orders
    assert (left.name, left.number, right.name, right.number) == ("L", 10, "R", 11)
    np.testing.assert_allclose(left.contours_mm, LEFT, atol=1e-6)
    np.testing.assert_allclose(right.contours_mm, RIGHT, atol=1e-6)


def test_long_contours_in_explicit_vr_are_read(tmp_path):
    """Longer than the 64 KiB that a DS holds in explicit VR: written as UN."""
    turn = np.linspace(0, 2 * np.pi, 6000, endpoint=False)
    points = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn]) * 50.123456
    roi, *_ = read(tmp_path, rois={"Long": [points]}, syntax=ExplicitVRLittleEndian)
    np.testing.assert_allclose(roi.contours_mm[0], points, atol=1e-6)


def test_names_in_unicode_survive(tmp_path):
    roi, *_ = read(tmp_path, rois={"Lungenflügel 左": LEFT})
    assert roi.name == "Lungenflügel 左"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda item: setattr(item, "ContourGeometricType", "POINT"), "contour type POINT"),
        (lambda item: setattr(item, "ContourGeometricType", "OPEN_PLANAR"), "contour type OPEN_PLANAR"),
        (lambda item: delattr(item, "ContourGeometricType"), "contour type missing or unreadable"),
        (lambda item: delattr(item, "ContourData"), "ContourData (3006,0050) is no list of x, y, z"),
        (lambda item: setattr(item, "ContourData", [1, 2, 3, 4]), "ContourData (3006,0050) is no list of x, y, z"),
        (lambda item: setattr(item, "ContourData", [1, 2, 3, 4, 5, 6]), "fewer than 3 points"),
    ],
)
def test_one_contour_that_cannot_be_used_is_counted_and_costs_no_other(tmp_path, spoil, why):
    left, right = read(tmp_path, lambda data: spoil(data.ROIContourSequence[0].ContourSequence[1]))
    assert len(left.contours_mm) == 2 and not left.unusable
    assert len(right.contours_mm) == 2 and right.unusable == {why: 1} and right.problem is None


@pytest.mark.parametrize("kind", ["CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR", "closed_planar"])
def test_closed_contours_by_another_name_are_used(tmp_path, kind):
    def edit(data):
        for item in data.ROIContourSequence[0].ContourSequence:
            item.ContourGeometricType = kind

    right = read(tmp_path, edit)[1]
    assert len(right.contours_mm) == 3 and right.problem is None and not right.unusable


def test_bad_contours_do_not_shift_the_numbers_of_those_behind_them(tmp_path):
    """All numbers of a file are parsed together: each contour must get its own."""

    def edit(data):
        first, *_ = data.ROIContourSequence[0].ContourSequence
        first.ContourData = ["1e400", *first.ContourData[1:]]
        data.ROIContourSequence[1].ContourSequence[0].ContourGeometricType = "POINT"

    left, right = read(tmp_path, edit)
    np.testing.assert_allclose(left.contours_mm, LEFT[1:], atol=1e-6)
    np.testing.assert_allclose(right.contours_mm, RIGHT[1:], atol=1e-6)
    assert right.unusable == {"coordinates that are no finite numbers": 1}
    assert left.unusable == {"contour type POINT": 1}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_in_the_images_that_a_contour_names_costs_no_contour(tmp_path, data):
    def edit(whole):
        image = Dataset()
        image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        image.ReferencedSOPInstanceUID = "1.2.34567.89"
        whole.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = [image]

    path = write_rtstruct(tmp_path / "rs", CT, {"L": LEFT}, edit=edit)
    content = bytearray(path.read_bytes())
    start = content.index(b"\x06\x30\x16\x00") + 8  # behind the sequence's own length
    end = content.index(b"1.2.34567.89", start) + 12
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(start, end - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    (roi,) = read_rtstruct(path)
    np.testing.assert_allclose(roi.contours_mm, LEFT, atol=1e-6)
    assert len(roi.image_uids) == 2


@pytest.mark.parametrize("bad", [b"nan", b"inf", b"x.y1", b"1_00"])
def test_numbers_that_are_none_cost_their_contour(tmp_path, bad):
    path = write_rtstruct(tmp_path / "rs", CT, {"L": [LEFT[0] * 0 + [1234.5, 0, 0], LEFT[1]]})
    path.write_bytes(path.read_bytes().replace(b"1234.5", bad.ljust(6), 1))
    (roi,) = read_rtstruct(path)
    assert len(roi.contours_mm) == 1 and roi.unusable.total() == 1


def test_a_roi_without_contours_is_named(tmp_path):
    def edit(data):
        data.ROIContourSequence[0].ContourSequence = []
        extra = Dataset()
        extra.ROINumber, extra.ROIName = 99, "Empty"
        data.StructureSetROISequence.append(extra)

    left, right, empty = read(tmp_path, edit)
    assert left.problem is None
    assert (right.problem, empty.problem) == ("no contours", "no contours")


def test_only_points_make_a_roi_without_contours(tmp_path):
    def edit(data):
        data.ROIContourSequence[0].ContourSequence = [contour_item(LEFT[0][:1], "POINT")]

    assert read(tmp_path, edit)[1].problem == "no contours that can be filled (1 skipped: contour type POINT)"


def test_ambiguous_numbers_are_refused_not_guessed(tmp_path):
    def same_number(data):
        data.StructureSetROISequence[1].ROINumber = 10

    def drawn_twice(data):
        data.ROIContourSequence[0].ReferencedROINumber = 10

    assert all("number 10" in roi.problem for roi in read(tmp_path, same_number) if roi.name)
    left, right = read(tmp_path, drawn_twice)
    assert "2 items" in left.problem and right.problem == "no contours"


def test_contours_of_an_unknown_number_are_not_lost_without_a_word(tmp_path):
    def edit(data):
        data.ROIContourSequence[0].ReferencedROINumber = 77

    problems = {roi.number: roi.problem for roi in read(tmp_path, edit)}
    assert problems[10] is None and problems[11] == "no contours" and "does not have" in problems[77]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path, syntax, undefined_length):
    def edit(data):
        for sequence in (data["ROIContourSequence"], *(item["ContourSequence"] for item in data.ROIContourSequence)):
            sequence.is_undefined_length = undefined_length
            for item in sequence.value:
                item.is_undefined_length_sequence_item = undefined_length

    path = write_rtstruct(tmp_path / "rs", CT, {"L": LEFT, "R": RIGHT}, edit=edit, syntax=syntax)
    content = path.read_bytes()
    assert len(read_rtstruct(path)) == 2
    whole = content.index(b"\x06\x30\x39\x00")  # before ROIContourSequence there are no contours to lose
    for length in range(whole + 1, len(content)):
        path.write_bytes(content[:length])
        try:
            rois = read_rtstruct(path)
        except RtstructError:
            continue
        assert all(roi.problem or roi.unusable for roi in rois), length


def test_other_dicom_is_refused(tmp_path):
    (path, *_) = write_ct(tmp_path, CT)
    with pytest.raises(RtstructError, match="no RTSTRUCT"):
        read_rtstruct(path)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from([b"", b" ", b"\0"]))
def test_decimal_strings_round_trip(values, padding):
    parsed = parse_decimals(b"\\".join(repr(value).encode() for value in values) + padding)
    assert parsed is not None and parsed.tolist() == values


@given(st.binary(max_size=40))
def test_decimal_strings_never_raise(raw):
    parsed = parse_decimals(raw)
    assert parsed is None or len(parsed) == raw.count(b"\\") + 1
