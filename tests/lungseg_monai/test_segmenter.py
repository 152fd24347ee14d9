"""`Segmenter` from Python: any kind of image, the same labels on its own grid; importing it loads next to nothing."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import lungseg_monai
from data_prep.geometry import LPS_TO_RAS
from lungseg_monai import segmenter
from lungseg_monai.errors import UsageError
from lungseg_monai.segment.result import Flag, Segmentation

SHAPE, SPACING_MM = (19, 14, 11), (0.9, 1.4, 3.3)


class Stub:
    """A model that calls air right lung on the patient's right and left lung on the left, by the affine."""

    stem, modality = "lungs", "CT"

    def __init__(self):
        self.facts, self.names = {}, {1: "lung_right", 2: "lung_left"}

    def segment(self, image, *, probabilities=False):
        index = np.moveaxis(np.indices(image.array_ijk.shape), 0, -1)
        right = (index @ image.affine_ras[:3, :3].T + image.affine_ras[:3, 3])[..., 0] > 3.0  # RAS: x to the right
        labels = (np.where(right, 1, 2) * (image.array_ijk < -500)).astype(np.uint8)
        given = np.stack([labels == 1, labels == 2]).astype(np.float16) if probabilities else None
        return Segmentation(labels, self.names, probability=given)


@pytest.fixture
def asked(monkeypatch):
    """What `open_model` was asked for."""
    calls = []

    def open_model(name, **options):
        calls.append((name, options))
        return Stub()

    monkeypatch.setattr(segmenter, "open_model", open_model)
    return calls


@pytest.fixture
def hu():
    return np.random.default_rng(4).integers(-1000, 300, SHAPE).astype(np.int16)


@pytest.fixture(params=["oblique", "left-handed"])
def affine_ras(request):
    turned = Rotation.from_euler("xyz", [11, -5, 17], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag(SPACING_MM) @ np.diag([1, 1, 1 if request.param == "oblique" else -1])
    affine[:3, 3] = (4.0, -80.0, -300.0)
    return affine


def test_all_kinds_get_the_same_labels(tmp_path, asked, hu, affine_ras):
    import nibabel
    import SimpleITK

    affine_lps = LPS_TO_RAS @ affine_ras
    itk = SimpleITK.GetImageFromArray(np.ascontiguousarray(hu.transpose(2, 1, 0)))
    itk.SetSpacing(SPACING_MM)
    itk.SetDirection((affine_lps[:3, :3] / SPACING_MM).ravel().tolist())
    itk.SetOrigin(affine_lps[:3, 3].tolist())
    nifti = nibabel.Nifti1Image(hu, affine_ras)
    nibabel.save(nifti, tmp_path / "chest.nii.gz")
    SimpleITK.WriteImage(itk, str(tmp_path / "chest.nrrd"))

    segment = lungseg_monai.Segmenter("ct_lungs")
    wanted = segment(hu, affine_ras)
    assert set(np.unique(wanted)) == {0, 1, 2} and wanted.dtype == np.uint8
    found = {
        "pair": segment((hu, affine_ras))[0],
        "SimpleITK": SimpleITK.GetArrayFromImage(segment(itk)).transpose(2, 1, 0),
        "nibabel": np.asarray(segment(nifti).dataobj),
        "NIfTI": np.asarray(segment(tmp_path / "chest.nii.gz").dataobj),
        "NRRD": np.asarray(segment(str(tmp_path / "chest.nrrd")).dataobj),
        "result": segment.segment(itk).labels_ijk,
    }
    for kind, labels in found.items():
        np.testing.assert_array_equal(labels, wanted, err_msg=kind)


def test_a_metatensor_gets_the_same_labels(asked, hu, affine_ras):
    torch = pytest.importorskip("torch")
    from monai.data import MetaTensor

    segment = lungseg_monai.Segmenter()
    given = MetaTensor(torch.from_numpy(hu)[None], affine=torch.from_numpy(affine_ras))
    answer = segment(given)
    assert isinstance(answer, MetaTensor) and answer.shape == (1, *SHAPE)
    np.testing.assert_array_equal(answer[0].numpy(), segment(hu, affine_ras))
    np.testing.assert_allclose(answer.affine.numpy(), affine_ras)


@pytest.mark.parametrize(("roi", "kept"), [("right", [1]), ("left", [2]), ("union", [1, 2])])
def test_one_lung_or_the_union_is_one_label(asked, hu, affine_ras, roi, kept):
    both = lungseg_monai.Segmenter()(hu, affine_ras)
    found = lungseg_monai.Segmenter(roi=roi).segment(hu, affine_ras, probabilities=True)
    np.testing.assert_array_equal(found.labels_ijk, np.isin(both, kept))
    assert len(found.names) == 1 and found.probability.shape == (1, *SHAPE)


def test_the_model_is_opened_once_with_what_was_asked_for(asked, hu, affine_ras):
    segment = lungseg_monai.Segmenter("ct_lungs", device="cpu", backend="torch", threads=2, vessels="out")
    segment(hu, affine_ras)
    segment(hu, affine_ras)
    assert asked == [("ct_lungs", {"device": "cpu", "backend": "torch", "threads": 2, "vessels": "out"})]


def test_what_does_not_exist_is_refused(asked):
    with pytest.raises(UsageError, match="middle"):
        lungseg_monai.Segmenter(roi="middle")
    assert not asked
    with pytest.raises(AttributeError, match="Segmentor"):
        _ = lungseg_monai.Segmentor


def test_importing_it_loads_neither_torch_nor_monai():
    code = (
        "import sys, lungseg_monai\n"
        "light = [name for name in ('numpy', 'torch', 'monai') if name in sys.modules]\n"
        "from lungseg_monai import Segmenter\n"
        "heavy = ('torch', 'monai', 'SimpleITK', 'nibabel', 'scipy', 'openvino', 'onnxruntime', 'skimage')\n"
        "print(light, [name for name in heavy if name in sys.modules], 'Segmenter' in dir(lungseg_monai))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] [] True"


def test_an_alarm_warns_where_only_labels_are_returned(monkeypatch):
    class Silent:
        stem, names, modality, facts = "lungs", {1: "lung_right", 2: "lung_left"}, "CT", {}

        def segment(self, image, *, probabilities=False):
            empty = np.zeros(image.array_ijk.shape, np.uint8)
            return Segmentation(empty, self.names, (Flag("no_lung", "no lung was found", "alarm"),))

    monkeypatch.setattr("lungseg_monai.segmenter.open_model", lambda *args, **options: Silent())
    with pytest.warns(segmenter.SegmentationWarning, match="no_lung"):
        segmenter.Segmenter("ct_lungs")((np.zeros((4, 5, 6), np.float32), np.eye(4)))
