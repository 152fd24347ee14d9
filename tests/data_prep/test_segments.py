"""DICOM SEG: each segment's voxels where they were drawn, whatever its frames' order, orientation and encoding."""

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, rotation, save, write_ct
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from data_prep.errors import PrepError, SeriesError, UnreadableFileError
from data_prep.files import read_header
from data_prep.geometry import Grid, UnevenGrid
from data_prep.pairing import pair
from data_prep.segments import SEG_TAGS, coded_label, read_segments, seg_header
from data_prep.series import read_series
from data_prep.slices import SLICE_TAGS, slice_header

OBLIQUE = rotation(12, -25, 40)


def blobs(shape, count=2, seed=0):
    """Masks [i, j, k] with empty slices at both ends and one in between."""
    masks = np.random.default_rng(seed).integers(0, 2, (count, *shape)).astype(bool)
    masks[..., [0, 3, -1]] = False
    for n in range(1, count):
        masks[n] &= ~masks[:n].any(axis=0)
    return masks


def write_seg(path, ct, masks, kind="BINARY", labels=None, edit=None, **more):
    """A SEG by highdicom on the slices of `ct`, in a shuffled order; masks: (n, i, j, k)."""
    import highdicom as hd

    order = np.random.default_rng(1).permutation(ct.shape[2])
    sources = [ct_slice(ct, k, ct.coded()) for k in order]
    for source in sources:
        source.file_meta = Dataset()
        source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for keyword in ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "PatientSex", "SeriesNumber"):
            setattr(source, keyword, "")
        source.InstanceNumber = 1
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=n + 1,
            segment_label=(labels or ["Lung, left", "Tumour", "Third"])[n],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Lung,
            algorithm_type="MANUAL",
        )
        for n in range(len(masks))
    ]
    pixels = np.stack([np.stack([mask[:, :, k].T for mask in masks], axis=-1) for k in order])  # frame, j, i, segment
    seg = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels if pixels.dtype != bool else pixels.astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid="1.2.3.4",
        series_number=7,
        sop_instance_uid="1.2.3.4.5",
        instance_number=1,
        manufacturer="Maker",
        manufacturer_model_name="Model",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    if edit is not None:
        edit(seg)
    seg.save_as(path)
    return path


def grid_of(ct):
    return Grid(ct.shape, ct.affine_lps)


def shuffle_frames(data):
    """The same SEG with its frames in another order."""
    rows, columns, count = data.Rows, data.Columns, int(data.NumberOfFrames)
    bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")[: rows * columns * count]
    order = np.random.default_rng(5).permutation(count)
    data.PixelData = np.packbits(bits.reshape(count, -1)[order].ravel(), bitorder="little").tobytes()
    groups = list(data.PerFrameFunctionalGroupsSequence)
    data.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE, rotation(90, 0, 0), OBLIQUE * [1, 1, -1]], ids=str)
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_voxels_are_where_they_were_drawn(tmp_path, axes, kind):
    ct = Ct(axes=axes)
    masks = blobs(ct.shape)
    path = write_seg(tmp_path / "seg", ct, masks, kind)
    drawn = read_segments(path)
    assert [(one.name, one.number, one.problem) for one in drawn] == [("Lung, left", 1, None), ("Tumour", 2, None)]
    _, grid = read_series(write_ct(tmp_path / "ct", ct))
    turned = masks[..., ::-1] if np.linalg.det(axes) < 0 else masks  # the series' slices ascend along the normal
    for one, mask in zip(drawn, turned, strict=True):
        out, report = one.fill(grid)
        assert np.array_equal(out, mask)
        assert report.voxels == mask.sum()
        assert report.planes_in == report.rasterised == mask.any(axis=(0, 1)).sum()
        assert report.polygon_mm3 == pytest.approx(mask.sum() * grid.voxel_volume_mm3, rel=1e-4)
        assert report.notes == [] or (kind == "FRACTIONAL" and "half" in report.notes[0])


def test_order_of_frames_does_not_matter(tmp_path):
    ct = Ct(shape=(11, 7, 9), axes=OBLIQUE)
    masks = blobs(ct.shape)
    drawn = read_segments(write_seg(tmp_path / "seg", ct, masks, edit=shuffle_frames))
    for one, mask in zip(drawn, masks, strict=True):
        assert np.array_equal(one.fill(grid_of(ct))[0], mask)


def test_run_length_encoded(tmp_path):
    ct = Ct()
    masks = blobs(ct.shape)
    path = write_seg(tmp_path / "seg", ct, masks, "FRACTIONAL", transfer_syntax_uid=RLELossless)
    for one, mask in zip(read_segments(path), masks, strict=True):
        assert np.array_equal(one.fill(grid_of(ct))[0], mask)


def test_fractions_of_at_least_half_are_inside(tmp_path):
    ct = Ct()
    share = np.random.default_rng(0).integers(0, 11, ct.shape) / 10
    path = write_seg(tmp_path / "seg", ct, [share], "FRACTIONAL", max_fractional_value=10)
    (one,) = read_segments(path)
    assert np.array_equal(one.fill(grid_of(ct))[0], share >= 0.5)


@pytest.mark.parametrize("turn", [rotation(0, 0, 180), rotation(0, 90, 0), rotation(90, 0, 90)], ids=str)
def test_frames_across_the_images_slices_keep_their_voxels(tmp_path, turn):
    """The image was cut the other way round: the same voxels, as sagittal slices say."""
    step = 1.75
    ct = Ct(shape=(8, 6, 7), axes=OBLIQUE, spacing_mm=(step,) * 3)
    mask = blobs(ct.shape, 1)
    (one,) = read_segments(write_seg(tmp_path / "seg", ct, mask))
    order = np.abs(turn).argmax(axis=0)
    sign = turn.sum(axis=0).round().astype(int)
    shape = np.array(ct.shape)[order]
    first = np.zeros(3)
    first[order] = np.where(sign < 0, shape - 1, 0)
    affine = np.eye(4)
    affine[:3, :3] = ct.axes @ turn * step
    affine[:3, 3] = ct.points_mm(first)
    out, report = one.fill(Grid(tuple(shape.tolist()), affine))
    truth = mask[0].transpose(order)[tuple(slice(None, None, s) for s in sign)]
    assert np.array_equal(out, truth) and not report.notes


def test_a_finer_image_gets_no_stripes(tmp_path):
    ct = Ct(shape=(8, 6, 7), spacing_mm=(1, 1, 3), origin_mm=(0, 0, 0))
    mask = np.zeros((1, *ct.shape), bool)
    mask[:, 2:6, 1:4, 2:5] = True
    (one,) = read_segments(write_seg(tmp_path / "seg", ct, mask))
    fine = Ct(shape=(8, 6, 21), spacing_mm=(1, 1, 1), origin_mm=(0, 0, -1))
    out, report = one.fill(grid_of(fine))
    assert np.array_equal(out, np.repeat(mask[0], 3, axis=2))
    assert "resampled" in report.notes[0]


def test_frames_that_lie_unevenly_go_to_the_nearest_slice(tmp_path):
    ct = Ct(shape=(8, 6, 7), spacing_mm=(1, 1, 3), origin_mm=(0, 0, 0))
    mask = np.zeros((1, *ct.shape), bool)
    mask[:, 2:6, 1:4, 1:6] = True
    shifts = iter([0.4, -0.7, 1.2, 0.0, 0.9])

    def uneven(data):
        del data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
        for group in data.PerFrameFunctionalGroupsSequence:
            group.PlanePositionSequence[0].ImagePositionPatient[2] += next(shifts)

    (one,) = read_segments(write_seg(tmp_path / "seg", ct, mask, edit=uneven))
    out, report = one.fill(grid_of(ct))
    assert np.array_equal(out, mask[0])
    assert report.moved == 4 and "nearest slice" in report.notes[0]


@pytest.mark.parametrize("spacing", [None, 3.0, 5.0])
def test_frames_on_an_images_uneven_slices_keep_their_voxels(tmp_path, spacing):
    along = np.array([0, 3, 6, 12, 18, 21, 24.0])
    ct = Ct(shape=(8, 6, 7), axes=OBLIQUE, spacing_mm=(1.5, 2, 3))
    mask = np.random.default_rng(0).integers(0, 2, (1, *ct.shape)).astype(bool)

    def uneven(data):
        measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        del measures.SpacingBetweenSlices
        if spacing:
            measures.SpacingBetweenSlices = spacing
        for group in data.PerFrameFunctionalGroupsSequence:
            position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            k = round(float(np.linalg.norm(position - ct.points_mm([0, 0, 0]))) / 3)
            group.PlanePositionSequence[0].ImagePositionPatient = list(
                np.round(ct.points_mm([0, 0, 0]) + OBLIQUE[:, 2] * along[k], 8)
            )

    (one,) = read_segments(write_seg(tmp_path / "seg", ct, mask, edit=uneven))
    grid = UnevenGrid(ct.shape, ct.affine_lps, along_mm=along)
    out, report = one.fill(grid)
    assert np.array_equal(out, mask[0])
    assert report.notes == [] and report.moved == 0
    assert report.polygon_mm3 == pytest.approx(report.voxel_mm3)


def test_codes_that_segs_are_written_with_are_known():
    from data_prep.export.structures import structures

    tissue = "85756007"  # what has no code of its own
    expected = {tissue: None}
    for label, one in structures().items():
        expected.setdefault(one.type_code[0], label)
    assert set(expected.values()) >= {None, "lung_left", "lung_right", "lungs", "gtv", "heart", "esophagus"}
    for code, label in expected.items():
        item, kind = Dataset(), Dataset()
        kind.CodeValue, item.SegmentedPropertyTypeCodeSequence = code, [kind]
        assert coded_label(item) == label


def test_what_lies_beyond_the_image_is_counted(tmp_path):
    ct = Ct(shape=(8, 6, 7))
    mask = np.ones((1, *ct.shape), bool)
    (one,) = read_segments(write_seg(tmp_path / "seg", ct, mask))
    part = Ct(shape=(5, 6, 4), origin_mm=tuple(ct.points_mm([2, 0, 1])))
    out, report = one.fill(grid_of(part))
    assert out.all()
    assert (report.planes_in, report.rasterised, report.clipped) == (7, 4, 4)
    assert report.skipped_why == {"outside the image": 3}
    assert f"{8 * 6 * 7 - 5 * 6 * 4} voxel(s)" in report.notes[0]


def test_it_is_paired_by_the_series_it_names(tmp_path):
    ct, other = Ct(), Ct(series="2")
    path = write_seg(tmp_path / "seg", ct, blobs(ct.shape))
    found = seg_header(path, read_header(path, SEG_TAGS))
    (reference,) = found.references
    assert reference.series_uids == (ct.series_uid,)
    assert [(one.number, one.name, one.label) for one in found.segments] == [
        (1, "Lung, left", "lungs"),
        (2, "Tumour", "lungs"),
    ]
    slices = [write_ct(tmp_path / one.series, one)[0] for one in (ct, other)]
    series = [slice_header(one, read_header(one, SLICE_TAGS)) for one in slices]
    pairing = pair([found], {one.series_uid: one for one in series})
    assert list(pairing.by_series) == [ct.series_uid] and not pairing.unpaired


def test_a_frame_without_a_place_is_left_out_and_counted(tmp_path):
    ct = Ct()
    masks = blobs(ct.shape, 1)

    def edit(data):
        del data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence

    (one,) = read_segments(write_seg(tmp_path / "seg", ct, masks, edit=edit))
    _, report = one.fill(grid_of(ct))
    assert report.planes_in == report.rasterised + 1
    assert "(0020,0032)" in next(iter(report.skipped_why))


def test_segments_that_can_not_be_told_apart_are_refused(tmp_path):
    def edit(data):
        data.SegmentSequence[1].SegmentNumber = 1

    ct = Ct()
    drawn = read_segments(write_seg(tmp_path / "seg", ct, blobs(ct.shape), edit=edit))
    assert all("2 segments carry the number 1" in one.problem for one in drawn if one.number == 1)
    assert any(one.number == 2 and one.problem for one in drawn)


@pytest.mark.parametrize(
    ("keyword", "value", "named"),
    [
        ("SegmentSequence", None, "0062,0002"),
        ("SegmentationType", None, "0062,0001"),
        ("PixelData", None, "7FE0,0010"),
        ("Rows", 0, "0028,0010"),
        ("Columns", 65535, "0028,0011|cut short"),
        ("NumberOfFrames", 3, "5200,9230"),
        ("PerFrameFunctionalGroupsSequence", None, "5200,9230"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2", "no DICOM SEG"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, keyword, value, named):
    def edit(data):
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)

    ct = Ct()
    data = dcmread(write_seg(tmp_path / "seg", ct, blobs(ct.shape)))
    edit(data)
    with pytest.raises((SeriesError, UnreadableFileError), match=named):
        read_segments(save(data, tmp_path / "broken"))


def every_element(data):
    """Each place in the data set and in the first item of every sequence, as a way to it: (keyword, keyword, ...)."""
    for element in data:
        if element.tag.group > 2 and element.keyword:
            yield (element.keyword,)
            if element.VR == "SQ" and element.value:
                yield from ((element.keyword, *rest) for rest in every_element(element.value[0]))


def parent_of(data, way):
    for keyword in way[:-1]:
        data = data[keyword].value[0]
    return data


WEIRD = {"DS": ["1e30", ""], "FD": [1e30, float("nan")], "US": [0, 65535], "IS": ["-1"], "CS": ["X"]}


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.filterwarnings("ignore")
def test_without_any_element_or_with_odd_values_it_is_refused_flagged_or_right(tmp_path, kind):
    ct = Ct(shape=(8, 6, 5))
    masks = blobs(ct.shape)
    path = write_seg(tmp_path / "seg", ct, masks, kind)
    tried = 0
    for way in every_element(dcmread(path)):
        element = parent_of(dcmread(path), way)[way[-1]]
        for value in [None, *WEIRD.get(element.VR, [])]:
            data = dcmread(path)
            parent = parent_of(data, way)
            if value is None:
                del parent[way[-1]]
            else:
                parent[way[-1]].value = [value] * element.VM if element.VM > 1 else value
            data.save_as(tmp_path / "odd")
            tried += 1
            try:
                drawn = read_segments(tmp_path / "odd")
            except PrepError:
                continue
            for one in drawn:
                if one.problem is None:
                    out, report = one.fill(grid_of(ct))
                    assert report.skipped or report.notes or np.array_equal(out, masks[one.number - 1]), (way, value)
    assert tried > 100


def test_cut_or_mutated_files_are_refused_or_right(tmp_path):
    ct = Ct(shape=(8, 6, 7))
    masks = blobs(ct.shape)
    content = write_seg(tmp_path / "seg", ct, masks).read_bytes()
    path, random = tmp_path / "bad", np.random.default_rng(0)
    refused = 0
    for n in range(60):
        damaged = bytearray(content[: random.integers(200, len(content))] if n % 2 else content)
        for at in random.integers(132, len(damaged), 3):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            for one in read_segments(path):
                if one.problem is None:
                    one.fill(grid_of(ct))
        except PrepError:
            refused += 1
    assert refused >= 30  # every file that was cut


@pytest.mark.parametrize(
    ("code", "side", "label"),
    [
        ("3341006", None, "lung_right"),
        ("44029006", None, "lung_left"),
        ("39607008", None, "lungs"),
        ("39607008", "7771000", "lung_left"),
        ("T-28000", "G-A100", "lung_right"),
        ("108369006", None, "gtv"),
        ("80891009", "7771000", "heart"),
        ("1", None, None),
    ],
)
def test_codes_say_what_names_do_not(code, side, label):
    item, kind, modifier = Dataset(), Dataset(), Dataset()
    kind.CodeValue = code
    if side:
        modifier.CodeValue = side
        kind.SegmentedPropertyTypeModifierCodeSequence = [modifier]
    item.SegmentedPropertyTypeCodeSequence = [kind]
    assert coded_label(item) == label
    assert coded_label(Dataset()) is None
