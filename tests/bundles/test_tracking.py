"""`--tracking mlflow`: one local run of each training, whose training and validation can be told apart."""

from importlib.util import find_spec

import pytest
from prepared import make_prepared
from workflows import TINY, train, workflow

from lungseg_monai.bundle_command import causes
from lungseg_monai.errors import ConfigError
from lungseg_monai.training import tracking

NAME = "ct_lung_unet2d"
MISSING = [name for name in tracking.STORED_BY if find_spec(name) is None]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    sections = {"training": [0], "validation": [1], "test": []}
    return make_prepared(tmp_path_factory.mktemp("prepared"), split_sections=sections)


@pytest.mark.skipif(bool(MISSING), reason=f"pip install 'lungseg-monai[tracking]': {', '.join(MISSING)} not installed")
def test_a_run_is_tracked_in_its_own_folder(prepared, tmp_path):
    from mlflow import MlflowClient
    from mlflow.telemetry import get_telemetry_client
    from monai.utils import path_to_sqlite_uri

    run = train(NAME, prepared, tmp_path / "run", tracking="mlflow")
    client = MlflowClient(path_to_sqlite_uri(run / "mlruns.db"))
    experiment = client.get_experiment_by_name(NAME)
    tracked = client.search_runs(experiment.experiment_id)
    assert len(tracked) == 1 and tracked[0].info.status == "FINISHED"
    for name in ("train_dice", "train_loss", "val_dice", "val_loss", "val_dice_slices_all", "learning_rate"):
        steps = [point.step for point in client.get_metric_history(tracked[0].info.run_id, name)]
        assert set(steps) >= {1, 2}, name
    assert get_telemetry_client() is None


def test_without_the_extra_it_is_named_before_anything_is_loaded(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    options = {**TINY, "dataset_dir": str(prepared), "output_dir": str(tmp_path / "run")}
    with pytest.raises(RuntimeError) as error:
        workflow(NAME, "train.yaml", tracking="mlflow", **options)
    assert any(
        isinstance(cause, ConfigError) and "lungseg-monai[tracking]" in str(cause) for cause in causes(error.value)
    )
    assert not (tmp_path / "run").exists()
    workflow(NAME, "train.yaml", **options)  # none is asked for
