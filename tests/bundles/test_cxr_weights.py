"""The shipped weights of the radiograph bundles: their table, their licence, and what they find."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from lungseg_monai import Segmenter, bundle_path
from lungseg_monai.io import read_json
from lungseg_monai.pictures.files import read_masks, read_picture
from lungseg_monai.segment.backends import open_backend
from lungseg_monai.synthesis.radiograph import RadiographOptions, make_radiograph

SHIPPED = ("cxr_lung_unet", "cxr_lung_fcnn", "cxr_lung_deeplabv3")
FILMS = RadiographOptions(shape=(192, 192), grid_mm=6.0, findings=("nodules",), difficulty=0.3, children=0.0, view="PA")
# Every seventh picture of the test split (seed 0); the weights never saw them.
TEST = (
    "CHNCXR_0018_0",
    "CHNCXR_0091_0",
    "CHNCXR_0160_0",
    "CHNCXR_0234_0",
    "CHNCXR_0317_0",
    "CHNCXR_0368_1",
    "CHNCXR_0451_1",
    "CHNCXR_0593_1",
    "CHNCXR_0662_1",
)
LEAST = {"cxr_lung_unet": 0.94, "cxr_lung_fcnn": 0.92, "cxr_lung_deeplabv3": 0.94}  # mean Dice over these


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_small_listed_and_licensed(name):
    bundle = bundle_path(name)
    table = read_json(bundle / "models" / "weights.json")
    for file, digest in table["sha256"].items():
        content = (bundle / "models" / file).read_bytes()
        assert sha256(content).hexdigest() == digest
        assert len(content) < 20e6
    numbers, told = table["run"]["numbers"], read_json(bundle / "configs" / "metadata.json")["segmenter"]
    assert {key: told[key] for key in ("steps", "spatial_size", "convention")} == {
        key: numbers[key] for key in ("steps", "spatial_size", "convention")
    }
    assert "CC BY-NC-SA 4.0" in (bundle / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_torch_and_onnx_agree(name):
    x = np.random.default_rng(0).uniform(0, 1, (2, 1, 96, 128)).astype(np.float32)
    onnx, torch = (open_backend(bundle_path(name), one, "cpu", 1, "float32")(x) for one in ("onnxruntime", "torch"))
    np.testing.assert_allclose(onnx, torch, atol=2e-2)


@pytest.mark.parametrize("name", SHIPPED)
def test_lungs_of_a_made_film_with_their_sides(name):
    film = make_radiograph(11, 1, FILMS)
    found = Segmenter(name)(film.image)
    assert dice(found > 0, film.visible > 0) > 0.8
    for label in (1, 2):
        assert dice(found == label, film.visible == label) > 0.75


@pytest.mark.parametrize("name", SHIPPED)
def test_pictures_of_the_test_split(name, real_data):
    segmenter = Segmenter(name)
    scores = []
    for case in TEST:
        picture = next(Path(real_data, "cxr-shenzhen", "images").glob(f"{case}*"))
        mask = next(Path(real_data, "cxr-shenzhen", "masks").glob(f"{case}*"))
        values = read_picture(picture)
        scores.append(dice(segmenter(values) > 0, read_masks([mask], values.shape[:2]) > 0))
    assert np.mean(scores) > LEAST[name]
