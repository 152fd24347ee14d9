"""The images that contours name, against where they lie: unknown ones and wrong ones are said, right ones are not."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation, square, write_rtstruct
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from data_prep.geometry import Grid, UnevenGrid
from data_prep.references import cross_check
from data_prep.rtstruct import Roi, read_rtstruct

CT = Ct(axes=rotation(10, -25, 40))
GRID = Grid(CT.shape, CT.affine_lps)
UIDS = [[f"1.2.{k}"] for k in range(CT.shape[2])]


def roi(planes, uids):
    contours = [square(CT, k, (2.5, 2.5), (8.5, 7.5)) for k in planes]
    return Roi(1, "Lung", "", contours_mm=contours, image_uids=uids)


def test_contours_on_the_image_they_name_are_no_news():
    assert cross_check(roi([1, 2.2, 3], ["1.2.1", "1.2.2", "1.2.3"]), GRID, UIDS) == []
    assert cross_check(roi([1, 2, 3], ["", "", ""]), GRID, UIDS) == []
    assert cross_check(roi([2.5], ["1.2.2"]), GRID, UIDS) == cross_check(roi([2.5], ["1.2.3"]), GRID, UIDS) == []
    assert cross_check(Roi(1, "empty", ""), GRID, UIDS) == []


def test_unknown_images_are_counted():
    flags = cross_check(roi([1, 2, 3], ["9.9.1", "1.2.2", "9.9.3"]), GRID, UIDS)
    assert flags == ["2 contours name an image that is not in the series: placed by position"]
    assert cross_check(roi([1], ["9.9.1"]), GRID, UIDS)[0].startswith("1 contour names an image that is not")


def test_wrong_images_are_counted_with_their_distance():
    flags = cross_check(roi([1, 2, 5], ["1.2.1", "1.2.3", "1.2.3"]), GRID, UIDS)
    assert flags == ["2 contours name an image at another position (up to 7.0 mm off): placed by position"]


def test_distances_on_uneven_grids_are_those_of_the_slices():
    grid = UnevenGrid((20, 14, 3), CT.affine_lps, np.array([0.0, 3.5, 13.5]))
    (flag,) = cross_check(roi([1], ["1.2.2"]), grid, UIDS[:3])
    assert "up to 10.0 mm off" in flag


def test_a_slice_may_come_of_several_images_or_of_none():
    assert cross_check(roi([1, 2], ["a", "b"]), GRID, [["z"], ["b", "a"], ["b2"], *[[]] * 4])[0].endswith("position")
    assert cross_check(roi([1, 1], ["a", "b"]), GRID, [["z"], ["b", "a"], *[[]] * 5]) == []


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined_length", [False, True])
@pytest.mark.parametrize("extra", [False, True])
def test_names_of_images_are_read_however_they_are_written(tmp_path, syntax, undefined_length, extra):
    """The quick way for the usual two elements and pydicom's for all others give the same."""

    def edit(data):
        for drawn in data.ROIContourSequence:
            for n, item in enumerate(drawn.ContourSequence[:-1]):
                image = Dataset()
                image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
                image.ReferencedSOPInstanceUID = f"1.2.{10**n}"  # of odd and even length
                if extra:
                    image.ReferencedFrameNumber = 1
                image.is_undefined_length_sequence_item = undefined_length
                item.ContourImageSequence = [image]
                item["ContourImageSequence"].is_undefined_length = undefined_length

    contours = [square(CT, k, (2.5, 2.5), (8.5, 7.5)) for k in (1, 2, 3, 4)]
    (read,) = read_rtstruct(write_rtstruct(tmp_path / "rs", CT, {"L": contours}, edit=edit, syntax=syntax))
    assert read.image_uids == ["1.2.1", "1.2.10", "1.2.100", ""]


def test_several_images_for_one_contour_are_not_guessed_from(tmp_path):
    def edit(data):
        images = [Dataset(), Dataset()]
        for n, image in enumerate(images):
            image.ReferencedSOPInstanceUID = f"1.2.{n}"
        data.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = images

    contours = [square(CT, k, (2.5, 2.5), (8.5, 7.5)) for k in (1, 2)]
    (read,) = read_rtstruct(write_rtstruct(tmp_path / "rs", CT, {"L": contours}, edit=edit))
    assert read.image_uids == ["", ""]


def test_skipped_contours_take_their_image_with_them(tmp_path):
    def edit(data):
        for n, item in enumerate(data.ROIContourSequence[0].ContourSequence):
            image = Dataset()
            image.ReferencedSOPInstanceUID = f"1.2.{n}"
            item.ContourImageSequence = [image]
        data.ROIContourSequence[0].ContourSequence[1].ContourGeometricType = "POINT"

    contours = [square(CT, k, (2.5, 2.5), (8.5, 7.5)) for k in (0, 1, 2)]
    (read,) = read_rtstruct(write_rtstruct(tmp_path / "rs", CT, {"L": contours}, edit=edit))
    assert read.image_uids == ["1.2.0", "1.2.2"] and len(read.contours_mm) == 2
    assert cross_check(read, GRID, UIDS) == []
