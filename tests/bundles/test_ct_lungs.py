"""The shipped lungs: another generator's chests, every backend alike, nothing where no lung is, and real cases."""

import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from made_chests import dice, made_chest

from lungseg_monai import bundle_path
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.models import open_model
from lungseg_monai.synthesis import SceneOptions, make_scene

BUNDLE = bundle_path("ct_lungs")
BACKENDS = ("openvino", "onnxruntime", "torch")
MM = (1.5, 1.9, 4.0)
DATA = os.environ.get("LUNGSEG_TEST_DATA")
real = pytest.mark.skipif(not DATA, reason="LUNGSEG_TEST_DATA is not set to a folder with the real test data")


@pytest.fixture(scope="module")
def model():
    return open_model("ct_lungs", threads=2)


def test_the_weights_are_small_and_those_that_the_table_names():
    table = json.loads((BUNDLE / "models" / "weights.json").read_text())
    for name, digest in table["sha256"].items():
        file = BUNDLE / "models" / name
        assert file.stat().st_size < 20e6
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert (BUNDLE / "models" / "curves.csv").is_file()


@pytest.mark.parametrize("seed", [1, 2])
def test_lungs_of_another_generator_are_found_on_their_own_grid(model, seed):
    chest = made_chest(seed, MM)
    found = model.segment(Image(chest.hu, chest.affine_ras))
    assert found.labels_ijk.shape == chest.hu.shape
    for side in (1, 2):
        assert dice(found.labels_ijk == side, chest.truth == side) > 0.97
    assert not [flag for flag in found.flags if flag.severity == "alarm"]


def test_every_backend_draws_the_same_masks():
    chest = made_chest(3, MM)
    there = [one for one in BACKENDS if find_spec(one)]
    assert len(there) > 1
    masks = [open_model("ct_lungs", backend=one, threads=2).segment(Image(chest.hu, chest.affine_ras)) for one in there]
    for other in masks[1:]:
        for side in (1, 2):
            assert dice(masks[0].labels_ijk == side, other.labels_ijk == side) > 0.999


@pytest.mark.parametrize("index", range(4))
def test_no_lung_is_found_where_there_is_no_chest(model, index):
    scene = make_scene(31, index, SceneOptions(elsewhere=1.0))
    found = model.segment(Image(scene.hu, np.diag([-3.0, -3.0, 3.0, 1.0])))
    assert (found.labels_ijk > 0).sum() * 27 / 1000 < 20


@real
def test_a_real_chest_is_found():
    """What was reached, less a margin: docs/reference/lung-accuracy.md has the figures."""
    import SimpleITK

    from lungseg_monai import Segmenter

    folder = Path(str(DATA)) / "cip-ct64"
    image = SimpleITK.ReadImage(str(folder / "ct-64.nrrd"))
    regions = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "lm-64.nrrd"))) & 255
    labels = SimpleITK.GetArrayFromImage(Segmenter("ct_lungs", threads=2)(image))
    assert dice(labels == 1, (regions >= 12) & (regions <= 14)) > 0.97
    assert dice(labels == 2, (regions >= 9) & (regions <= 11)) > 0.97


@real
def test_a_real_patient_with_a_tumour_is_found(model, tmp_path):
    import nibabel as nib

    from data_prep import convert

    convert(Path(str(DATA)) / "nsclc-radiomics", tmp_path / "prepared")
    (case,) = (tmp_path / "prepared").glob("LUNG1-001")
    image = nib.load(case / "image.nii.gz")
    found = model.segment(Image(np.asarray(image.dataobj), image.affine)).labels_ijk
    for label, name in ((1, "Lung-Right"), (2, "Lung-Left")):
        truth = np.asarray(nib.load(case / "masks" / f"{name}.nii.gz").dataobj) > 0
        assert dice(found == label, truth) > 0.95
