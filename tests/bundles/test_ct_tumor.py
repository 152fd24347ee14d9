"""The shipped tumour weights, which have seen phantoms alone: phantoms they never saw, every backend, no patient."""

import hashlib
import json
from importlib.util import find_spec

import numpy as np
import pytest
from made_chests import dice

from data_prep.phantom.options import PhantomOptions
from data_prep.phantom.patient import make_patient
from lungseg_monai import bundle_path
from lungseg_monai.errors import ImageError
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.models import open_model

NAME = "ct_tumor_recurrent_denseunet"
MODELS = bundle_path(NAME) / "models"
SEED = 99  # the weights were trained on patients of seed 0
SCAN = PhantomOptions(spacing_mm=(3.2, 3.2, 3.0))


@pytest.fixture(scope="module", params=[1, 3])
def case(request):
    """An image and its truth, of a patient with a tumour."""
    number = next(n for n in range(request.param, request.param + 8) if make_patient(SEED, n, SCAN).tumours)
    patient = make_patient(SEED, number, SCAN)
    truth = np.any([patient.truth_mask(label) for label in patient.labels if label.startswith("GTV")], axis=0)
    image = Image(patient.volume_hu(), patient.grid.affine_ras, phantom=True)
    return image, truth


def test_the_weights_are_small_and_those_that_the_table_names():
    table = json.loads((MODELS / "weights.json").read_text())
    for name, digest in table["sha256"].items():
        file = MODELS / name
        assert file.stat().st_size < 20e6
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert json.loads((MODELS.parent / "configs" / "metadata.json").read_text())["phantom_only"] is True


def test_tumours_of_phantoms_never_seen_are_found_by_every_backend_alike(case):
    image, truth = case
    there = [one for one in ("openvino", "onnxruntime", "torch") if find_spec(one)]
    masks = [open_model(NAME, backend=one, threads=2, stride=8).segment(image).labels_ijk == 1 for one in there]
    assert dice(masks[0], truth) > 0.6
    for other in masks[1:]:
        assert dice(masks[0], other) > 0.999


def test_a_patient_is_refused_unless_insisted_on(case):
    image = Image(case[0].array_ijk, case[0].affine_ras)
    with pytest.raises(ImageError, match="trained on phantoms alone"):
        open_model(NAME, threads=2).segment(image)
    found = open_model(NAME, threads=2, stride=8, allow_phantom_weights=True).segment(image)
    assert [flag for flag in found.flags if flag.code == "phantom_weights" and flag.severity == "alarm"]
