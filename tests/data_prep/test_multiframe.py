"""Multi-frame CT: each frame where and what its functional groups say, or a refusal by name."""

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, decimals, rotation, save, write_ct
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.files import read_header
from data_prep.multiframe import FRAME_TAGS, expand_frames
from data_prep.pixels import hounsfield, read_hu_into, read_stored
from data_prep.series import arrange, read_series, read_volume
from data_prep.slices import SLICE_TAGS

CT = Ct(shape=(12, 9, 6), axes=rotation(15, -20, 35))
ORDER = (3, 0, 5, 1, 4, 2)  # frames lie in the file in no order


def item(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def rescale(k):
    return {"RescaleSlope": 1 + k % 2, "RescaleIntercept": -1024 + 10 * k, "RescaleType": "HU"}


def enhanced(ct=CT, sop_class=EnhancedCTImageStorage, shared=("orientation", "measures", "kernel")):
    """A multi-frame object; `shared` names the groups that stand once for all frames."""
    data = ct_slice(ct, 0, ct.coded())
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, keyword)
    for keyword in ("RescaleSlope", "RescaleIntercept", "ConvolutionKernel"):
        delattr(data, keyword)
    data.SOPClassUID, data.NumberOfFrames = sop_class, len(ORDER)
    once, each = Dataset(), []
    for k in ORDER:
        groups = {
            "orientation": ("PlaneOrientationSequence", item(ImageOrientationPatient=decimals(ct.axes[:, :2].T))),
            "measures": (
                "PixelMeasuresSequence",
                item(PixelSpacing=[ct.spacing_mm[1], ct.spacing_mm[0]], SliceThickness=ct.spacing_mm[2]),
            ),
            "kernel": ("CTReconstructionSequence", item(ConvolutionKernel="B70s")),
            "position": ("PlanePositionSequence", item(ImagePositionPatient=decimals(ct.points_mm([0, 0, k])))),
            "rescale": ("PixelValueTransformationSequence", item(**rescale(k))),
            "type": ("CTImageFrameTypeSequence", item(FrameType=["ORIGINAL", "PRIMARY", "AXIAL", "NONE"])),
            "content": ("FrameContentSequence", item(FrameAcquisitionNumber=7, TemporalPositionIndex=1 + k % 2)),
        }
        own = Dataset()
        for name, (keyword, macro) in groups.items():
            setattr(once if name in shared else own, keyword, [macro])
        each.append(own)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [once], each
    data.PixelData = b"".join(ct.coded()[:, :, k].T.astype("<u2").tobytes() for k in ORDER)
    return data


def frames_of(path):
    return expand_frames(path, read_header(path, [*SLICE_TAGS, *FRAME_TAGS]))


def wanted_hu():
    k = np.arange(len(ORDER))
    return CT.coded() * (1 + k % 2) - 1024 + 10 * k


@pytest.mark.parametrize("sop_class", [EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("shared", [("orientation", "measures", "kernel"), (), ("measures", "type", "content")])
def test_frames_are_the_slices_they_were_made_of(tmp_path, sop_class, syntax, shared):
    path = save(enhanced(sop_class=sop_class, shared=shared), tmp_path / "x", syntax)
    frames = frames_of(path)
    assert [one.frame for one in frames] == list(range(6))
    assert {one.kernel for one in frames} == {"B70s"} and {one.acquisition for one in frames} == {"7"}
    volume = read_volume(arrange(frames))
    single, grid = read_series(write_ct(tmp_path / "single", CT))
    np.testing.assert_allclose(volume.grid.affine_lps, grid.affine_lps, atol=1e-9)
    assert np.array_equal(volume.array_ijk, wanted_hu()) and single.shape == volume.array_ijk.shape


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("table", ["basic", "none", "extended"])
def test_compressed_frames(tmp_path, syntax, table):
    from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

    ct = Ct(shape=(40, 33, 6), axes=CT.axes)
    data = enhanced(ct)
    save(data, tmp_path / "plain")
    data.compress(syntax, **({"encoding_plugin": "pydicom"} if syntax == RLELossless else {}))
    encoded = list(generate_frames(data.PixelData, number_of_frames=6))
    if table == "extended":
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(encoded)
    else:
        several = 3 if table == "basic" and syntax != RLELossless else 1
        data.PixelData = encapsulate(encoded, has_bot=table == "basic", fragments_per_frame=several)
    data["PixelData"].is_undefined_length = True
    path = save(data, tmp_path / "x", syntax)
    plain = [read_stored(one) for one in frames_of(tmp_path / "plain")]
    assert all(np.array_equal(read_stored(one), plain[one.frame]) for one in reversed(frames_of(path)))


def test_big_endian_frames(tmp_path):
    data = enhanced()
    data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
    path = save(data, tmp_path / "x", ExplicitVRBigEndian)
    assert np.array_equal(read_volume(arrange(frames_of(path))).array_ijk, wanted_hu())


def test_a_frame_beats_the_shared_groups_and_these_the_top_level(tmp_path):
    data = enhanced(shared=("orientation", "measures", "kernel", "rescale", "type"))
    data.ConvolutionKernel, data.ImageType = "TOP", ["DERIVED", "SECONDARY", "MIXED"]
    data.RescaleSlope, data.RescaleIntercept, data.ImagePositionPatient = 5, 5, [0, 0, 0]
    data.PerFrameFunctionalGroupsSequence[2].CTReconstructionSequence = [item(ConvolutionKernel="OWN")]
    data.PerFrameFunctionalGroupsSequence[4].CTImageFrameTypeSequence = [
        item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ]
    frames = frames_of(save(data, tmp_path / "x"))
    assert [one.kernel for one in frames] == ["B70s", "B70s", "OWN", "B70s", "B70s", "B70s"]
    assert [one.frame for one in frames if "LOCALIZER" in one.image_type] == [4]
    assert all(one.position_mm != (0, 0, 0) and one.pixels.slope in (1, 2) for one in frames)


@pytest.mark.parametrize(
    ("group", "keyword", "tag"),
    [
        ("PlanePositionSequence", "ImagePositionPatient", "0020,0032"),
        ("PlaneOrientationSequence", "ImageOrientationPatient", "0020,0037"),
        ("PixelMeasuresSequence", "PixelSpacing", "0028,0030"),
        ("PixelValueTransformationSequence", "RescaleSlope", "0028,1053"),
        ("PixelValueTransformationSequence", "RescaleIntercept", "0028,1052"),
    ],
)
@pytest.mark.parametrize("whole_group", [True, False])
def test_what_a_frame_lacks_is_named_though_the_top_level_has_it(tmp_path, group, keyword, tag, whole_group):
    data = enhanced(shared=())
    own = data.PerFrameFunctionalGroupsSequence[3]
    setattr(data, keyword, getattr(getattr(own, group)[0], keyword))
    if whole_group:
        delattr(own, group)
    else:
        delattr(getattr(own, group)[0], keyword)
    with pytest.raises(SeriesError, match=rf"{group if whole_group else tag}.*frame 4 of x"):
        frames_of(save(data, tmp_path / "x"))


@pytest.mark.parametrize("stated", [5, 7, 1])
def test_a_wrong_number_of_frames_is_refused(tmp_path, stated):
    data = enhanced()
    data.NumberOfFrames = stated
    with pytest.raises(SeriesError, match=r"NumberOfFrames \(0028,0008\) is .*6 frame"):
        frames_of(save(data, tmp_path / "x"))


@pytest.mark.parametrize(("change", "error"), [(-1, UnreadableFileError), (1, SeriesError)])
@pytest.mark.parametrize("compressed", [False, True])
def test_more_or_fewer_frames_of_pixels_than_groups_are_refused(tmp_path, change, error, compressed):
    data = enhanced()
    if compressed:
        from pydicom.encaps import encapsulate, generate_frames

        save(data, tmp_path / "plain")
        data.compress(RLELossless, encoding_plugin="pydicom")
        encoded = list(generate_frames(data.PixelData, number_of_frames=6))
        data.PixelData = encapsulate(encoded[:change] if change < 0 else [*encoded, encoded[0]])
        error = SeriesError
    else:
        size = len(data.PixelData) // 6
        data.PixelData = data.PixelData[:-size] if change < 0 else data.PixelData + bytes(size)
    frames = frames_of(save(data, tmp_path / "x", RLELossless if compressed else ExplicitVRLittleEndian))
    with pytest.raises(error, match=r"NumberOfFrames|cut short"):
        read_stored(frames[0])


def test_without_functional_groups_several_frames_are_refused(tmp_path):
    data = enhanced()
    del data.PerFrameFunctionalGroupsSequence
    with pytest.raises(SeriesError, match="5200,9230"):
        frames_of(save(data, tmp_path / "x"))


def test_each_frame_is_read_into_a_plane(tmp_path):
    frames = frames_of(save(enhanced(), tmp_path / "x"))
    plane = np.empty((9, 12), np.int16)
    for one in frames:
        assert read_hu_into(one, plane) == 0
        assert np.array_equal(plane, hounsfield(read_stored(one), one.pixels)[0])
        assert np.array_equal(plane.T, wanted_hu()[:, :, ORDER[one.frame]])


def test_multi_frame_files_count_as_their_frames_but_for_localizers(tmp_path):
    array, grid = read_series([save(enhanced(), tmp_path / "x")])
    assert np.array_equal(array, wanted_hu())
    np.testing.assert_allclose(grid.affine_lps, CT.affine_lps, atol=1e-9)
    data = enhanced(shared=("orientation", "measures", "kernel"))
    data.PerFrameFunctionalGroupsSequence[ORDER.index(0)].CTImageFrameTypeSequence[0].FrameType = [
        "ORIGINAL",
        "PRIMARY",
        "LOCALIZER",
        "NONE",
    ]
    array, _ = read_series([save(data, tmp_path / "y")])
    assert np.array_equal(array, wanted_hu()[:, :, 1:])
    del data.PerFrameFunctionalGroupsSequence
    with pytest.raises(SeriesError, match=r"\(5200,9230\)"):
        read_series([save(data, tmp_path / "z")])
