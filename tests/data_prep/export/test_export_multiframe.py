"""Enhanced multi-frame CT: contours and segments name their frame."""

import highdicom as hd
import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, decimals, rotation, save
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage

from data_prep.export import Region, read_reference, write_rtstruct, write_seg
from data_prep.geometry import Grid

CT = Ct(shape=(12, 9, 5), axes=rotation(15, -20, 35))
ORDER = (3, 0, 1, 4, 2)  # frames lie in the file in no order


@pytest.fixture
def series(tmp_path):
    data = ct_slice(CT, 0, CT.coded())
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, keyword)
    data.SOPClassUID, data.NumberOfFrames = EnhancedCTImageStorage, len(ORDER)
    data.SharedFunctionalGroupsSequence = [
        of(
            PlaneOrientationSequence=[of(ImageOrientationPatient=decimals(CT.axes[:, :2].T))],
            PixelMeasuresSequence=[of(PixelSpacing=[CT.spacing_mm[1], CT.spacing_mm[0]], SliceThickness="3.5")],
        )
    ]
    data.PerFrameFunctionalGroupsSequence = [
        of(
            PlanePositionSequence=[of(ImagePositionPatient=decimals(CT.points_mm([0, 0, k])))],
            PixelValueTransformationSequence=[of(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")],
        )
        for k in ORDER
    ]
    data.PixelData = b"".join(CT.coded()[:, :, k].T.astype("<u2").tobytes() for k in ORDER)
    save(data, tmp_path / "ct" / "enhanced")
    return read_reference(tmp_path / "ct")


def of(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def region():
    mask = (np.random.default_rng(0).random(CT.shape) < 0.4).astype(np.uint8)
    mask[:, :, 2] = 0
    return Region("lung_left", mask, Grid(CT.shape, CT.affine_lps))


def test_contours_name_their_frame(series, tmp_path):
    report = write_rtstruct([region()], series, tmp_path / "rs.dcm")
    assert report.written[0].differing == 0
    for item in dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence:
        (image,) = item.ContourImageSequence
        points = np.array(item.ContourData, float).reshape(-1, 3)
        k = Grid(CT.shape, CT.affine_lps).index_ijk(points)[:, 2]
        np.testing.assert_allclose(k, ORDER[image.ReferencedFrameNumber - 1], atol=1e-4)
        assert image.ReferencedSOPClassUID == EnhancedCTImageStorage


def test_segments_lie_where_the_voxels_were(series, tmp_path):
    write_seg([region()], series, tmp_path / "seg.dcm")
    volume = hd.seg.segread(tmp_path / "seg.dcm").get_volume()
    index = np.argwhere(volume.array[..., 0])
    found = {tuple(point) for point in np.round(volume.map_indices_to_reference(index), 2)}
    assert found == {tuple(point) for point in np.round(CT.points_mm(np.argwhere(region().mask_ijk)), 2)}
