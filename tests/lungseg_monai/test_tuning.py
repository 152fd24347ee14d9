import json
from pathlib import Path

import numpy as np
import pytest
from prepared import write_datalist
from tumor_bundle import chest_with_tumors, tumor_model, use_bright, write_tumor_bundle

from data_prep.nifti import write_nifti
from lungseg_monai.commands import tune as tune_command
from lungseg_monai.errors import NothingToDoError, UsageError
from lungseg_monai.inplane import resize_linear
from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.tumor_grid import upright
from lungseg_monai.tuning import candidates, scores_of, text, tune

LPS = np.diag([-4.0, -5.0, 6.0, 1.0])
SEEN, TRUTH, SPECK = np.s_[5:9, 5:10, 2:6], np.s_[4:10, 4:11, 2:6], np.s_[14:16, 3:5, 9:11]


def write_case(folder: Path, name: str, hu: np.ndarray, truth: np.ndarray | None) -> dict:
    """As dataset.json has it; the image's axes point to L, P, S."""
    write_nifti(folder / name / "image.nii.gz", hu, LPS)
    rois = []
    if truth is not None:
        write_nifti(folder / name / "masks" / "GTV.nii.gz", truth.astype(np.uint8), LPS)
        planes = {"in": 4, "rasterised": 4, "clipped": 0, "moved": 0, "skipped": 0}
        rois.append({
            "name": "GTV", "number": 1, "label": "gtv", "status": "ok", "reason": None,
            "file": f"{name}/masks/GTV.nii.gz", "planes": planes, "volume_ml": {"polygon": 1.0, "voxel": 1.0},
        })  # fmt: skip
    return {
        "id": name, "patient_id": name, "status": "ok", "reason": None, "image": f"{name}/image.nii.gz",
        "modality": "CT", "shape": list(hu.shape), "spacing_mm": [4.0, 5.0, 6.0], "orientation": "LPS",
        "source": {}, "repairs": [], "rois": rois,
    }  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Two validation cases whose truth is wider than what is bright, with a speck that is none; one without tumour."""
    folder = tmp_path / "prepared"
    hu = chest_with_tumors(SEEN, SPECK)
    truth = np.zeros(hu.shape, bool)
    truth[TRUTH] = True
    cases = [write_case(folder, name, hu, truth) for name in ("one", "two", "test")]
    cases += [write_case(folder, "free", chest_with_tumors(SPECK), None)]
    (folder / "dataset.json").write_text(
        json.dumps({"schema_version": "1.0", "created_by": {}, "cases": cases, "refused": []})
    )

    def entry(case: dict) -> dict:
        rois = case["rois"]
        label = {"label": [roi["file"] for roi in rois], "label_names": [roi["label"] for roi in rois]}
        return {"case_id": case["id"], "image": case["image"], **label}

    entries = [entry(case) for case in cases]
    write_datalist(folder, {"training": [], "validation": [*entries[:2], entries[3]], "test": [entries[2]]})
    return folder


def test_scores_equal_the_dice_of_masks_made_one_by_one() -> None:
    random = np.random.default_rng(0)
    up = upright(Image(np.zeros((14, 12, 6)), LPS))
    probability = resize_linear(random.random((5, 4, 6), np.float32), (10, 8))
    truth = random.random((14, 12, 6)) < 0.4
    counted = np.zeros(truth.shape, bool)
    counted[:, :, 1:5] = True
    truth &= counted
    rules = candidates(TumorRules(), (0.4, 0.6, 0.8), (0, 1), (0.0, 1000.0))
    assert len({*rules}) == len(rules) == 12
    found = scores_of(probability, up, truth, counted, rules)
    for one, score in zip(rules, found, strict=True):
        mask = mask_on_image(probability, one, up.spacing_mm, (14, 12)) & counted
        assert score == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    assert len(np.unique(found)) > 6


def test_the_rules_with_the_highest_mean_dice_are_chosen_on_validation_cases(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_bright(monkeypatch)
    model = tumor_model(write_tumor_bundle(tmp_path / "bundles"))
    shown: list[str] = []
    (prepared / "test" / "image.nii.gz").unlink()  # nobody looks at it
    watched = model.probabilities
    monkeypatch.setattr(model, "probabilities", lambda image: shown.append("") or watched(image))
    found = tune(model, prepared, rules=candidates(model.rules, (0.5, 0.7), (0, 1, 2, 3), (0.0, 7000.0)))
    assert len(shown) == 3
    best = found.rules[found.best]
    assert found.dice.shape == (16, 2)
    assert found.dice.mean(axis=1).max() == found.dice[found.best].mean()
    assert best.kernel == "disk"  # the truth is wider than what is bright
    assert best.least_mm3 == 7000.0  # the speck goes, also where there is no tumour
    assert found.free == 1
    assert found.false_alarms[found.best] == 0
    assert found.false_alarms[0] == 1
    assert "chosen: threshold" in text(found)
    assert "of 1 case(s) without tumour, something is found in 0" in text(found)
    with pytest.raises(UsageError, match="never chosen on the section 'test'"):
        tune(model, prepared, "test")
    with pytest.raises(NothingToDoError, match="no case with tumour in the section training"):
        tune(model, prepared, "training")


def test_one_command_writes_the_rules_beside_a_runs_weights_and_segmenting_uses_them(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    import lungseg_monai.bundle
    from lungseg_monai.networks.tumor import tumor_network
    from lungseg_monai.segment.models import open_model
    from lungseg_monai.training.checkpoints import save_checkpoint

    write_tumor_bundle(tmp_path / "bundles", tune_command.BUNDLE)
    monkeypatch.setattr(lungseg_monai.bundle, "CHECKOUT", tmp_path / "bundles")
    torch.manual_seed(1)
    numbers = {"network_name": "unet3d", "width": 2, "slices": 8, "spatial_size": [16, 16], "intensity": "window"}
    state = tumor_network("unet3d", width=2).state_dict()
    best = tmp_path / "run" / "checkpoints" / "best.pt"
    save_checkpoint(best, {"model": state, "numbers": numbers})
    asked = [str(tmp_path / "run"), "--data", str(prepared), "--thresholds", "0.45,0.5,0.55", "--radii", "0,1"]
    assert run_tune([*asked, "--stride", "8"]) == 0
    assert "disk 3x3" in capsys.readouterr().out
    written = json.loads((best.parent / "postprocessing.json").read_text())
    assert written["section"] == "validation"
    assert written["cases"] == 2
    assert len(written["tried"]) == 3 * 2 * 4
    assert written["mean_dice"] == max(row["mean_dice"] for row in written["tried"])
    model = open_model(tune_command.BUNDLE, weights=tmp_path / "run")
    assert model.rules == TumorRules(**written["rules"])
    assert open_model(tune_command.BUNDLE, weights=best, rules_name="paper").rules == TumorRules()
    save_checkpoint(best, {"model": state, "numbers": numbers, "more": 1})
    with pytest.raises(UsageError, match=r"made for other weights than best\.pt"):
        open_model(tune_command.BUNDLE, weights=tmp_path / "run")


def run_tune(asked: list[str]) -> int:
    """As `lungseg tune`."""
    import argparse

    parser = argparse.ArgumentParser()
    tune_command.add(parser.add_subparsers())
    arguments = parser.parse_args(["tune", *asked])
    return arguments.run(arguments)
