"""VGG-SegNet on nodules: patients with and without any are trained on, validated and predicted."""

import json

import nibabel as nib
import numpy as np
from tumor_prepared import make_tumor_prepared
from workflows import predict, train

NAME = "ct_nodule_vgg_segnet"


def test_training_and_prediction_with_patients_of_whom_some_have_no_nodule(tmp_path):
    prepared = make_tumor_prepared(tmp_path / "prepared", free=("training2", "test3"))
    run = train(NAME, prepared, tmp_path / "run", empty_slices=0.5)
    record = json.loads((run / "run.json").read_text())
    assert record["epochs_done"] == 2 and (run / "checkpoints" / "best.pt").is_file()
    folder = predict(NAME, run, dataset_dir=str(prepared))
    cases = json.loads((folder / "predictions.json").read_text())["cases"]
    assert len(cases) == 7
    for case in cases:
        mask, image = (nib.load(path) for path in (
            folder / case["files"]["nodule"], prepared / case["case_id"] / "image.nii.gz"
        ))  # fmt: skip
        assert mask.shape == image.shape and set(np.unique(np.asarray(mask.dataobj))) <= {0, 1}
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)
