"""How many processes a cohort takes where nobody said."""

from pathlib import Path

import pytest

from lungseg_monai.segment import shares

GB = 2**30


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(shares, "cores", lambda: 4)
    monkeypatch.setattr(shares, "memory", lambda: {"free_bytes": 16 * GB})
    monkeypatch.setattr(shares, "GPU", Path("no GPU"))


def cohort(folder, names, *, folders=True):
    folder.mkdir()
    for name in names:
        (folder / name).mkdir() if folders else (folder / name).touch()
    return folder


def test_a_cohort_leaves_a_core_free(tmp_path):
    folder = cohort(tmp_path / "in", "abc")
    assert shares.processes_for([folder], "ct_lungs", "auto") == 3
    assert shares.processes_for([str(one) for one in folder.iterdir()], "ct_lungs", "cpu") == 3
    images = cohort(tmp_path / "images", ("1.nii.gz", "2.NRRD", "3.zip"), folders=False)
    assert shares.processes_for([images], "ct_lungs", "auto") == 3


@pytest.mark.parametrize(("many", "wanted"), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_cores_bound_it(tmp_path, monkeypatch, many, wanted):
    monkeypatch.setattr(shares, "cores", lambda: many)
    assert shares.processes_for([cohort(tmp_path / "in", "abcdef")], "ct_lungs", "auto") == wanted


@pytest.mark.parametrize(("free", "wanted"), [(0, 1), (5 * GB, 2), (None, 1)])
def test_memory_bounds_it(tmp_path, monkeypatch, free, wanted):
    monkeypatch.setattr(shares, "memory", lambda: {"free_bytes": free})
    assert shares.processes_for([cohort(tmp_path / "in", "abcdef")], "ct_lungs", "auto") == wanted


def test_one_case_one_gpu_and_other_models_take_one(tmp_path, monkeypatch):
    folder = cohort(tmp_path / "in", "abc")
    slices = cohort(tmp_path / "dicom", map(str, range(200)), folders=False)
    assert shares.processes_for([slices], "ct_lungs", "auto") == 1
    assert shares.processes_for([cohort(tmp_path / "two", "ab")], "ct_lungs", "auto") == 1
    assert shares.processes_for([tmp_path / "nothing"], "ct_lungs", "auto") == 1
    assert shares.processes_for([folder], "ct_lungs", "cuda") == 1
    monkeypatch.setattr(shares, "GPU", tmp_path)
    assert shares.processes_for([folder], "ct_lungs", "auto") == 1
    assert shares.processes_for([folder], "ct_lungs", "cpu") == 3
    monkeypatch.setattr(shares, "GPU", tmp_path / "none")
    for model in ("cxr_lung_unet", "ct_tumor_recurrent_denseunet", "ct_lung_unet2d", "no_such_bundle"):
        assert shares.processes_for([folder], model, "auto") == 1
