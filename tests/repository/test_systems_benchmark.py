"""The comparison of systems: its plan fits the bundles, its scores are of known masks, its page says what was found."""

import json
import re
import runpy
import subprocess
import sys
from unittest.mock import patch

import nibabel as nib
import numpy as np
import pytest
import yaml
from prepared import make_prepared

from benchmarks.systems import __main__ as command
from benchmarks.systems import compare, page, work
from benchmarks.systems.plan import System, chosen, read_plan
from benchmarks.systems.score import score, summary
from benchmarks.systems.work import Place
from lungseg_monai import bundle_path
from lungseg_monai.bundle_parameters import count_parameters
from lungseg_monai.errors import ConfigError, UsageError
from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.training import Failed

GAO = System("gao", "ct_lung_unet2d", "lungs", numbers={"epochs": 1, "width": 2, "spatial_size": [32, 32]}, minutes=3)
NODULES = System("nodules", "ct_tumor_recurrent_denseunet", "nodules", shipped=True)


@pytest.fixture
def prepared(tmp_path):
    """P1 trains, P2 and P3 test; there is no nodule."""
    return make_prepared(tmp_path / "prepared", split_sections={"training": [0], "test": [1, 2]})


def finished_run(folder, cases):
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("best.pt", "last.pt"):
        (folder / "checkpoints" / name).touch()
    record = {"status": "done", "setting": "recommended", "numbers": dict(GAO.numbers), "best": {"epoch": 1}}
    (folder / "run.json").write_text(json.dumps({**record, "cases": cases}))
    (folder / "curves.csv").write_text(
        "epoch,split,loss,accuracy,dice,learning_rate,seconds\n"
        "1,training,0.2,0.9,0.8,0.1,90.0\n1,validation,0.2,0.9,0.8,0.1,\n2,training,0.1,0.9,0.9,0.1,60.0\n"
    )


def predicted(folder, files, labels):
    """A predictions folder: file of a mask by case."""
    (name,) = labels
    cases = []
    for case, mask in files.items():
        (folder / "predictions" / case).mkdir(parents=True)
        nib.save(mask, folder / "predictions" / case / f"{name}.nii.gz")
        entry = {"case_id": case, "section": None, "files": {name: f"{case}/{name}.nii.gz"}}
        cases.append({**entry, "slices": None, "seconds": 2.5})
    content = {"schema_version": "1.0", "labels": labels, "split": {}, "cases": cases, "refused": []}
    (folder / "predictions" / "predictions.json").write_text(json.dumps(content))


def lungs_of(prepared, case):
    left, right = (nib.load(prepared / case / "masks" / f"Lung-{side}.nii.gz") for side in ("Left", "Right"))
    return nib.Nifti1Image(np.asarray(left.dataobj) | np.asarray(right.dataobj), left.affine)


def test_the_plan_fits_the_bundles():
    systems = read_plan()
    assert len({one.name for one in systems}) == len(systems)
    for one in systems:
        configs = bundle_path(one.bundle) / "configs"
        if one.shipped:
            assert (configs.parent / "models" / "model.pt").is_file()
        else:
            settings = yaml.safe_load((configs / "train.yaml").read_text())["settings"]
            assert set(one.numbers) <= set(settings[one.setting])
        assert set(one.predict) <= set(yaml.safe_load((configs / "inference.yaml").read_text()))


def test_a_plan_that_is_none_is_refused(tmp_path):
    for text in ("- {name: a, bundle: b, finds: hearts, shipped: true}", "- {name: a, colour: red}", "- [a]", "{"):
        (tmp_path / "plan.yaml").write_text(text)
        with pytest.raises(ConfigError, match="plan"):
            read_plan(tmp_path / "plan.yaml")
    with pytest.raises(UsageError, match="no system 'geo'; there are: gao, nodules"):
        chosen([GAO, NODULES], ["geo"])
    assert chosen([GAO, NODULES], ["nodules"]) == [NODULES]


def test_scores_are_those_of_the_volumes(tmp_path, prepared):
    half = lungs_of(prepared, "P3")
    voxels = np.asarray(half.dataobj).copy()
    where = np.argwhere(voxels)
    voxels[tuple(where[: len(where) // 2].T)] = 0
    masks = {"P2": lungs_of(prepared, "P2"), "P3": nib.Nifti1Image(voxels, half.affine)}
    predicted(tmp_path / "made", masks, {"lungs": ["lung_left", "lung_right"]})
    rows = score(GAO, tmp_path / "made", prepared, ["P2", "P3", "P4"])
    assert rows[0] == {"case": "P2", "drawn": True, "dice": 1.0, "iou": 1.0, "hd95_mm": 0.0}
    assert rows[1]["dice"] == pytest.approx(2 / 3, abs=0.001)
    assert rows[1]["iou"] == pytest.approx(1 / 2, abs=0.001)
    assert rows[2] == {"case": "P4", "drawn": False, "failed": "no prediction"}
    found = summary(rows)
    assert (found["n"], found["failed"], found["missed"], found["lowest"]) == (2, 1, 0, rows[1]["dice"])
    assert found["dice"] == pytest.approx((1 + rows[1]["dice"]) / 2)


def test_patients_without_a_nodule_are_false_alarms_or_none(tmp_path, prepared):
    masks = {case: lungs_of(prepared, case) for case in ("P2", "P3")}
    masks["P3"] = nib.Nifti1Image(np.zeros(masks["P3"].shape, np.uint8), masks["P3"].affine)
    predicted(tmp_path / "made", masks, {"nodule": ["gtv"]})
    found = summary(score(NODULES, tmp_path / "made", prepared, ["P2", "P3"]))
    assert (found["n"], found["empty"], found["false_alarms"], found["dice"]) == (0, 2, 1, None)


def test_a_finished_run_is_taken_and_one_that_saw_a_test_patient_is_not(tmp_path, prepared, monkeypatch):
    monkeypatch.setattr(work, "train", lambda *_: pytest.fail("trained again"))
    place = Place(prepared, prepared, tmp_path)
    finished_run(tmp_path / "gao", {"training": ["P1"], "validation": []})
    work.make(GAO, place, ["P2", "P3"], lambda rows: None)
    told = work.facts(GAO, place)
    assert (told["minutes"], told["epochs"], told["trained_on"]["training"]) == (2.5, 2, 1)
    with pytest.raises(Failed, match="trained with P1, a test patient"):
        work.make(GAO, place, ["P1"], lambda rows: None)


def test_one_system_that_fails_costs_no_other_and_the_rest_is_kept(tmp_path, prepared, monkeypatch):
    place = Place(prepared, prepared, tmp_path / "out")
    finished_run(place.run(GAO), {"training": ["P1"], "validation": []})

    def predict(system, images, _):
        if system is not GAO:
            raise Failed("no weights | no masks")
        masks = {case: lungs_of(prepared, case) for case in ("P2", "P3")}
        predicted(images.to, masks, {"lungs": ["lung_left", "lung_right"]})

    monkeypatch.setattr(compare, "predict", predict)
    said = []
    found = compare.compare([NODULES, GAO], place, None, 2, said.append)
    assert found["systems"]["nodules"]["failed"] == "no weights | no masks"
    assert found["systems"]["gao"]["seconds"] == {"P2": 2.5, "P3": 2.5}
    assert any("nodules" in line and "failed" in line for line in said)
    late = System("late", "ct_lung_unet2d", "lungs", numbers=GAO.numbers)
    text = page.page(found, [GAO, NODULES, late], "python -m benchmarks.systems")
    assert "Not measured: `late`." in text
    parameters = count_parameters(GAO.bundle, GAO.numbers)
    assert f"| `gao` | {parameters:,} | 2 | 1.000 | 1.000 | 1.000 | 0.0 | 0 | 2 (3) | 2.5 |" in text
    assert "failed: no weights / no masks" in text
    assert re.search("{[A-Z]+}", text) is None  # a part of page.md that nothing filled

    again = compare.compare([NODULES], place, None, 1, said.append)  # Gao's is kept
    assert again["systems"]["gao"] == found["systems"]["gao"]
    (prepared / "datalist.json").write_text((prepared / "datalist.json").read_text() + "\n")
    assert list(compare.compare([NODULES], place, None, 1, said.append)["systems"]) == ["nodules"]


def test_masks_of_before_do_not_pass_for_those_of_a_prediction_that_failed(tmp_path, prepared, monkeypatch):
    images = work.Images([prepared / "P2" / "image.nii.gz"], tmp_path / "made")
    predicted(images.to, {"P2": lungs_of(prepared, "P2")}, {"lungs": ["lung_left", "lung_right"]})
    monkeypatch.setattr(work.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 3))
    with pytest.raises(Failed, match="code 3: it said nothing"):
        work.predict(GAO, images, Place(prepared, prepared, tmp_path))


def bundle_command(arguments):
    """`python -m monai.bundle` in this process, which has imported MONAI."""
    with patch.object(sys, "argv", ["monai.bundle", *arguments]):
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


def test_from_training_to_the_page_by_one_command(tmp_path, prepared, capsys, monkeypatch):
    def ran(words, **_):
        bundle_command(words[3:])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(work, "train", lambda arguments, *_: bundle_command(arguments))
    monkeypatch.setattr(work.subprocess, "run", ran)
    numbers = {"epochs": 1, "width": 2, "spatial_size": [32, 32]}
    plan = [{"name": "small", "bundle": "ct_lung_unet2d", "finds": "lungs", "numbers": numbers, "minutes": 1}]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    given = ["--data", prepared, "--out", tmp_path / "out", "--plan", tmp_path / "plan.yaml"]
    given = [str(one) for one in [*given, "--page", tmp_path / "systems.md"]]
    assert command.main(given) == 0
    text = (tmp_path / "systems.md").read_text()
    assert "1 patients to train, 0 to validate" in text
    assert "lungseg train ct_lung_unet2d --data PREPARED --out OUT/small --epochs 1" in text
    assert str(tmp_path) not in text
    assert command.main([*given, "--system", "geo"]) == 2
    assert "no system 'geo'" in capsys.readouterr().err


def test_time_left_is_told_each_epoch(tmp_path):
    said = []
    clock = Clock([(compare._model(GAO), 3, 0)])
    told = compare._teller(compare.Comparison(Place(tmp_path, tmp_path, tmp_path), [], None, clock, said.append), GAO)
    rows = [{"split": split, "seconds": "300", "dice": "0.9"} for split in ("training", "validation")]
    told(rows)
    told(rows * 2)
    assert said[0] == "[gao] epoch 1 of 1, Dice 0.9, about 10 min left in all"
    assert [line.rpartition("Dice")[0] for line in said] == ["[gao] epoch 1 of 1, ", "[gao] epoch 2 of 1, "]
