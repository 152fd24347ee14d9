"""Many cases at once: the same bytes however they are worked on, and nothing that happens to one reaches another."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import Ct, boxes, make_patient, tree, write_ct

import data_prep.case
from data_prep.convert import ConvertOptions, convert
from data_prep.options import MaskOptions, NnunetOptions, StackOptions

OPTIONS = ConvertOptions(salt=b"0" * 32)
forking = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


@pytest.fixture
def source(tmp_path):
    for number in range(4):
        make_patient(tmp_path / "in" / str(number), Ct(patient=f"P{number}"))
    write_ct(tmp_path / "in" / "bad", Ct(patient="P9"), edit=lambda data, k: None if k == 3 else data)
    return tmp_path / "in"


@pytest.fixture
def plain(source, tmp_path):
    convert(source, tmp_path / "plain", options=OPTIONS)
    return tree(tmp_path / "plain")


def test_processes_give_the_same_bytes(source, tmp_path, plain):
    result = convert(source, tmp_path / "out", options=replace(OPTIONS, jobs=3))
    assert result.exit_code == 1 and len(result.converted) == 4
    assert tree(tmp_path / "out") == plain


def test_dask_gives_the_same_bytes(source, tmp_path, plain):
    distributed = pytest.importorskip("distributed", reason="dask is not installed: the extra `dask`")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        convert(source, tmp_path / "out", options=replace(OPTIONS, dask=cluster.scheduler_address))
    assert tree(tmp_path / "out") == plain


@forking
@pytest.mark.parametrize(
    ("accident", "reason"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "memory ran out"),
        (lambda: os._exit(7), "exit code 7"),
        (lambda: time.sleep(600), "longer than 2 s"),
        (lambda: bytearray(2**40), "memory"),
    ],
)
def test_an_accident_costs_its_own_case(source, tmp_path, monkeypatch, accident, reason):
    read_volume = data_prep.case.read_volume

    def unlucky(series):
        if series.places[0][0].patient_id == "P2":
            accident()
        return read_volume(series)

    monkeypatch.setattr(data_prep.case, "read_volume", unlucky)
    result = convert(source, tmp_path / "out", options=replace(OPTIONS, jobs=2, time_limit_s=2))
    assert result.converted == ["P0", "P1", "P3"]
    (refusal,) = [one for one in result.refused if one["where"] == "2/P2 1"]
    assert reason in refusal["reason"] and refusal["uid_hash"]
    assert not list((tmp_path / "out").glob(".partial*"))


def test_killed_at_any_moment_and_run_again(source, tmp_path, plain):
    (tmp_path / "salt").write_bytes(OPTIONS.salt)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "data_prep.cli", "dicom2nifti", str(source), str(out), "--json", "--jobs", "2"]
    command += ["--salt-file", str(tmp_path / "salt")]
    for delay in (0.35, 0.5, 0.65, 0.8, 0.95):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        running.kill()
        running.wait()
        whole = {path.parent.name for path in out.glob("*/case.json") if not path.parent.name.startswith(".")}
        assert all((out / name / "masks" / "Lung-Left.nii.gz").exists() for name in whole)
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 1 and len(json.loads(done.stdout)["cases"]) == 4
    assert tree(out) == plain


def test_what_was_asked_belongs_to_the_case(source, tmp_path):
    out = tmp_path / "out"
    convert(source, out, options=OPTIONS)
    asked = replace(OPTIONS, stack=StackOptions(gaps="resample"))
    assert len(convert(source, out, options=asked).converted) == 5
    assert len(convert(source, out, options=asked).reused) == 5
    table = tmp_path / "map.json"
    table.write_text('[{"pattern": "lungleft", "label": "mine"}]')
    result = convert(source, out, options=replace(asked, masks=MaskOptions(roi_map=table)))
    assert len(result.converted) == 5
    assert {roi["label"] for case in result.dataset["cases"] for roi in case["rois"]} == {"mine", "lung_right"}


def test_coverage_and_interpolation_are_written_on_request(tmp_path):
    import nibabel as nib

    ct = Ct()
    rois = {
        "Lung-Left": boxes(ct, 2, slices=(1, 5)),
        "Heart": [ct.points_mm([[2.25, 3, 2], [6, 3, 2], [6, 7, 2], [2.25, 7, 2]])],
    }
    make_patient(tmp_path / "in", ct, rois=rois)
    plain = convert(tmp_path / "in", tmp_path / "plain", options=OPTIONS).dataset["cases"][0]
    assert [roi["planes"]["interpolated"] for roi in plain["rois"]] == [0, 0]
    masks = MaskOptions(coverage=True, interpolate=True)
    result = convert(tmp_path / "in", tmp_path / "out", options=replace(OPTIONS, masks=masks))
    lung, heart = result.dataset["cases"][0]["rois"]
    assert lung["planes"]["interpolated"] == 3 and heart["planes"]["interpolated"] == 0
    filled = np.asarray(nib.load(tmp_path / "out" / lung["file"]).dataobj)
    assert filled.any(axis=(0, 1)).tolist() == [False, True, True, True, True, True, False]
    share = nib.load(tmp_path / "out" / heart["coverage_file"])
    values = np.asarray(share.dataobj)
    assert values.dtype == np.float32 and values[2, 4, 2] == pytest.approx(0.25)  # from 2.25 to the pixel's end, 2.5
    assert values.sum() == pytest.approx(3.75 * 4, rel=1e-5)
    assert "P1/coverage/Heart.nii.gz" in {f"P1/{name}" for name in result.dataset["cases"][0]["files"]}


def test_timings_tell_where_the_time_went(source, tmp_path):
    stages = convert(source, tmp_path / "out", options=replace(OPTIONS, jobs=2)).stages
    assert {"scan", "plan", "geometry", "pixels", "write image", "contours", "write masks"} <= stages.seconds.keys()
    assert "pixels" in stages.table() and min(stages.seconds.values()) >= 0


def test_the_record_says_what_it_was_made_of(source, tmp_path):
    case = convert(source, tmp_path / "out", options=OPTIONS).dataset["cases"][0]
    assert case["source"]["kind"] == "dicom" and case["source"]["slices"] == 7
    np.testing.assert_allclose(case["source"]["affine_lps"], Ct().affine_lps, atol=1e-6)
    below = {path.relative_to(tmp_path / "out" / "P0").as_posix() for path in Path(tmp_path, "out", "P0").rglob("*.*z")}
    assert set(case["files"]) == below and "contours.npz" in below
    assert {"lungseg-monai", "pydicom", "numpy"} <= case["created_by"].keys()


def test_the_layout_of_nnunet_besides(source, tmp_path):
    layout = NnunetOptions(501, "Lungs", ("lung_right", "lung_left"))
    result = convert(source, tmp_path / "out", options=replace(OPTIONS, nnunet=layout))
    assert (tmp_path / "out" / "nnUNet_raw" / "Dataset501_Lungs" / "dataset.json").exists()
    bad = convert(source, tmp_path / "other", options=replace(OPTIONS, nnunet=replace(layout, labels=("foo",))))
    assert len(bad.converted) == len(result.converted) == 4 and bad.exit_code == 1
    assert "no nnU-Net data set" in bad.table() and "foo" in bad.table()
