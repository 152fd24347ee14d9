"""inference.yaml: how many windows go in at once is a matter of time and memory, not of the result."""

import nibabel as nib
import numpy as np
import pytest
from prepared import make_prepared
from workflows import predict, train, workflow

from lungseg_monai.bundle_command import causes
from lungseg_monai.errors import ConfigError

NAME = "ct_tumor_recurrent_denseunet"
ONE = {"labels": {"tumor": ["lung_left"]}, "epochs": 1, "patches_per_epoch": 2, "spatial_size": [32, 24]}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"), split_sections={"training": [0], "test": [1]})


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    return train(NAME, prepared, tmp_path_factory.mktemp("run"), **ONE)


def test_the_number_of_windows_at_once_changes_no_probability(prepared, run, tmp_path):
    """19 slices at stride 2: eight windows at once leave a rest; by default they are as many as memory has room for."""
    best, found = str(run / "checkpoints" / "best.pt"), []
    for number, more in enumerate(({}, {"batch_size": 1}, {"batch_size": 5})):
        options = {"checkpoint": best, "sections": ["test"], "stride": 2, "save_probabilities": True, **more}
        folder = predict(NAME, tmp_path / str(number), dataset_dir=str(prepared), threshold=0.5, **options)
        found.append(nib.load(folder / "P2" / "probability.nii.gz").get_fdata())
    assert found[0].std() > 1e-3
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, atol=2e-6)


def test_how_many_that_are(run):
    def at_once(**more):
        made = workflow(NAME, "inference.yaml", kind="infer", output_dir=str(run), device="cpu", **more)
        return made.parser.get_parsed_content("inferer").inferer.options.batch_size

    assert at_once() == 8  # small windows of a narrow network
    assert at_once(batch_size=3) == 3
    assert at_once(width=32, spatial_size=[256, 256]) == 1  # the paper's


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number from 1, got 0"),
        ({"batch_size": "many"}, "batch_size must be a whole number from 1, got 'many'"),
        ({"spatial_size": [0, 32]}, "spatial_size must be two whole numbers"),
        ({"width": 0}, "width must be a whole number from 1, got 0"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_predicted(wrong, told, run):
    with pytest.raises(RuntimeError) as error:
        workflow(NAME, "inference.yaml", kind="infer", output_dir=str(run), device="cpu", **wrong)
    assert any(isinstance(cause, ConfigError) and told in str(cause) for cause in causes(error.value))
