"""Each format gives back the labels that went in, where they were; the preview lies where the image lies."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from dicom_factory import Ct, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from segment_factory import FakeModel, chest_hu, chest_labels, use_fake, write_chest, write_chest_nifti

from data_prep.geometry import Grid
from data_prep.rasterize import rasterize
from data_prep.rtstruct import read_rtstruct
from data_prep.segments import read_segments
from data_prep.volume_voxels import read_masks
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.nrrd import write_seg_nrrd
from lungseg_monai.segment.outputs import OutputOptions, choose_roi, percent
from lungseg_monai.segment.preview import block_means, preview_factors, write_preview
from lungseg_monai.segment.result import Segmentation
from lungseg_monai.segment.run import segment
from lungseg_monai.segment.worker import Settings


def run(source, out, formats, **options):
    result = segment([source], out, Settings(outputs=OutputOptions(formats, **options)))
    folder = out / result.outcomes[0].name
    return result, folder, json.loads((folder / "case.json").read_text())


def test_rtstruct_and_seg_give_the_voxels_back_under_tg263_names(tmp_path, monkeypatch):
    use_fake(monkeypatch)
    ct = Ct(axes=rotation(9, -3, 4))
    write_chest(tmp_path / "in", ct)
    result, folder, case = run(tmp_path / "in", tmp_path / "out", ("rtstruct", "seg"))
    assert result.exit_code == 0
    assert case["outputs"] == {"rtstruct": "lungs_rtstruct.dcm", "seg": "lungs_seg.dcm"}
    grid = Grid(ct.shape, ct.affine_lps)
    drawn = {roi.name: rasterize(roi.contours_mm, grid)[0] for roi in read_rtstruct(folder / "lungs_rtstruct.dcm")}
    assert set(drawn) == {"Lung_R", "Lung_L"}
    assert np.array_equal(drawn["Lung_R"] != 0, chest_labels() == 1)
    assert np.array_equal(drawn["Lung_L"] != 0, chest_labels() == 2)
    segments = {one.name: one.fill(grid)[0] for one in read_segments(folder / "lungs_seg.dcm")}
    assert np.array_equal(segments["Lung_R"] != 0, chest_labels() == 1)
    assert np.array_equal(segments["Lung_L"] != 0, chest_labels() == 2)


def test_each_phase_of_a_series_refers_to_its_own_slices(tmp_path, monkeypatch):
    use_fake(monkeypatch)
    uids = {}
    for phase in (1, 2):

        def edit(data, k, phase=phase):
            data.SOPInstanceUID = f"{data.SOPInstanceUID}.{phase}"
            data.TemporalPositionIdentifier = phase
            uids.setdefault(phase, set()).add(str(data.SOPInstanceUID))
            return data

        write_chest(tmp_path / "in" / str(phase), edit=edit)  # one series UID, the same places
    result = segment([tmp_path / "in"], tmp_path / "out", Settings(outputs=OutputOptions(("rtstruct", "seg"))))
    assert result.exit_code == 0 and len(result.names("done")) == 2
    said = []
    for name in result.names("done"):
        drawn = dcmread(tmp_path / "out" / name / "lungs_rtstruct.dcm")
        frames = drawn.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
        images = {str(one.ReferencedSOPInstanceUID) for one in frames.ContourImageSequence}
        contours = [contour for roi in drawn.ROIContourSequence for contour in roi.ContourSequence]
        assert {str(one.ContourImageSequence[0].ReferencedSOPInstanceUID) for one in contours} < images
        series = dcmread(tmp_path / "out" / name / "lungs_seg.dcm").ReferencedSeriesSequence[0]
        assert {str(one.ReferencedSOPInstanceUID) for one in series.ReferencedInstanceSequence} <= images
        said.append(images)
    assert said == list(uids.values()) or said == list(uids.values())[::-1]


@pytest.mark.parametrize(("roi", "names"), [("right", ["lung_right"]), ("left", ["lung_left"]), ("union", ["lungs"])])
def test_one_lung_or_their_union(tmp_path, monkeypatch, roi, names):
    use_fake(monkeypatch)
    write_chest(tmp_path / "in")
    _, folder, case = run(tmp_path / "in", tmp_path / "out", ("nifti", "rtstruct"), roi=roi, probabilities=True)
    found = np.asarray(nib.load(folder / "lungs.nii.gz").dataobj)
    wanted = {"right": chest_labels() == 1, "left": chest_labels() == 2, "union": chest_labels() > 0}[roi]
    assert np.array_equal(found, wanted)
    assert list(case["labels"].values()) == list(case["volumes_ml"]) == names
    shares = np.asarray(nib.load(folder / "probability.nii.gz").dataobj)
    assert np.array_equal(shares, wanted * 75)
    tg263 = {"right": "Lung_R", "left": "Lung_L", "union": "Lungs"}[roi]
    assert [one.name for one in read_rtstruct(folder / "lungs_rtstruct.dcm")] == [tg263]


def test_probabilities_of_both(tmp_path, monkeypatch):
    use_fake(monkeypatch)
    _, folder, case = run(
        write_chest_nifti(tmp_path / "a.nii.gz"), tmp_path / "out", ("nifti",), probabilities=True, preview=False
    )
    assert set(case["outputs"]) == {"nifti", "probability", "probability_lung_right", "probability_lung_left"}
    right = np.asarray(nib.load(folder / "probability_lung_right.nii.gz").dataobj)
    assert np.array_equal(right, (chest_labels() == 1) * 75)
    assert not (folder / "preview").exists()


def test_exports_that_need_dicom_are_refused_by_name_and_the_mask_is_written_all_the_same(tmp_path, monkeypatch):
    use_fake(monkeypatch)
    result, folder, case = run(write_chest_nifti(tmp_path / "a.nii.gz"), tmp_path / "out", ("rtstruct", "seg"))
    assert result.exit_code == 1
    assert set(case["outputs_refused"]) == {"rtstruct", "seg"}
    assert "needs the DICOM series" in case["outputs_refused"]["seg"]
    assert "needs the DICOM series" in result.table()
    assert (folder / "lungs.nii.gz").is_file()


def test_no_lung_no_contours(tmp_path, monkeypatch):
    class Blind(FakeModel):
        def segment(self, image, *, probabilities=False):
            return Segmentation(np.zeros(image.array_ijk.shape, np.uint8), self.names)

    use_fake(monkeypatch, Blind())
    write_chest(tmp_path / "in")
    result, _, case = run(tmp_path / "in", tmp_path / "out", ("nifti", "rtstruct"))
    assert result.exit_code == 1
    assert "no lung" in case["outputs_refused"]["rtstruct"]
    assert case["volumes_ml"] == {"lung_right": 0, "lung_left": 0}
    assert case["hu"]["lung_left"]["mean"] is None


@settings(max_examples=15, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
)
def test_nrrd_is_read_as_it_was_written(tmp_path_factory, degrees, flips, shape):
    path = tmp_path_factory.mktemp("nrrd") / "lungs.seg.nrrd"
    affine = np.eye(4)
    affine[:3, :3] = rotation(*degrees) * np.array([0.7, 0.9, 2.5]) * flips
    affine[:3, 3] = 12.5, -80.25, 301.0
    labels = np.random.default_rng(1).integers(0, 3, shape).astype(np.uint8)
    write_seg_nrrd(path, labels, Grid(shape, affine), {1: "lung_right", 2: "lung_left"})
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), labels)
    corner = [size - 1 for size in shape]
    assert np.allclose(image.TransformIndexToPhysicalPoint(corner), (affine @ [*corner, 1])[:3], atol=1e-6)
    assert image.GetMetaData("Segment0_Name") == "Lung_R"
    assert image.GetMetaData("Segment1_LabelValue") == "2"
    assert image.GetMetaData("Segment1_Extent") == " ".join(f"0 {size - 1}" for size in shape)
    assert [one.name for one in read_masks(path)] == ["Lung_R", "Lung_L"]


def test_options_that_are_not_known():
    for options in ({"formats": ("png",)}, {"formats": ()}, {"roi": "middle"}):
        with pytest.raises(UsageError):
            OutputOptions(**options)
    with pytest.raises(UsageError, match="finds tumour"):
        choose_roi(Segmentation(np.zeros((1, 1, 1), np.uint8), {1: "tumour"}), "left", "lungs")


def test_percent_rounds_and_stays_within_0_and_100():
    values = np.array([0, 0.004, 0.006, 0.5, 1, 1.0009765625], np.float16).reshape(1, 2, 3)
    assert percent(values).ravel().tolist() == [0, 0, 1, 50, 100, 100]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 3, 1), (3, 2, 4), (7, 7, 2)])
def test_block_means_are_means_of_blocks(dtype, factors):
    hu = np.random.default_rng(3).integers(-1500, 900, (23, 17, 9)).astype(dtype)
    found = block_means(hu, factors)
    a, b, c = factors
    for index in np.ndindex(*found.shape):
        block = tuple(slice(n * f, (n + 1) * f) for n, f in zip(index, factors, strict=True))
        assert found[index] == pytest.approx(np.clip(hu[block], -1024, 600).mean(), abs=0.51)
    assert found.shape == (23 // a, 17 // b, 9 // c)


def test_factors_come_near_to_2_mm_and_below_256_voxels():
    assert preview_factors((512, 512, 200), (0.7, 0.7, 1.5)) == (3, 3, 1)
    assert preview_factors((512, 512, 2000), (0.98, 0.98, 0.3)) == (2, 2, 8)
    assert preview_factors((600, 40, 1), (5.0, 0.01, 0.5)) == (3, 40, 1)


def test_the_preview_lies_where_the_image_lies(tmp_path):
    affine = np.eye(4)
    affine[:3, :3] = rotation(10, 20, 30) * [0.5, 0.6, 1.0]
    affine[:3, 3] = 4, -5, 6
    hu = np.full((64, 48, 20), -1000, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    hu[20:36, 16:28, 6:12], labels[20:36, 16:28, 6:12] = 300, 2
    write_preview(tmp_path, Image(hu, affine), labels, "lungs")
    centre = nib.affines.apply_affine(affine, np.argwhere(labels).mean(axis=0))
    ct, mask = nib.load(tmp_path / "ct.nii.gz"), nib.load(tmp_path / "lungs.nii.gz")
    assert np.allclose(ct.affine, mask.affine)
    weights = np.asarray(ct.dataobj, float) + 1000
    index = np.array(
        [(weights.sum(axis=tuple({0, 1, 2} - {axis})) * np.arange(n)).sum() for axis, n in enumerate(weights.shape)]
    )
    assert np.linalg.norm(nib.affines.apply_affine(ct.affine, index / weights.sum()) - centre) < 0.05
    assert np.asarray(mask.dataobj).max() == 2
    assert np.array_equal(np.asarray(mask.dataobj) == 2, weights > 650)
    assert chest_hu().dtype == ct.get_data_dtype()
