"""Many cases into one folder: each costs only itself, is put in place whole, and is not made twice."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Ct, rotation
from segment_factory import AIR, FakeModel, chest_hu, chest_labels, use_fake, write_chest, write_chest_nifti

from data_prep.errors import OutputError
from data_prep.options import StackOptions
from lungseg_monai.errors import ModelError, NothingToDoError, UsageError
from lungseg_monai.segment.cases import InputOptions
from lungseg_monai.segment.outputs import OutputOptions
from lungseg_monai.segment.result import Flag
from lungseg_monai.segment.run import segment
from lungseg_monai.segment.worker import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.fixture
def model(monkeypatch):
    return use_fake(monkeypatch)


def record(out, case):
    return json.loads((out / case / "case.json").read_text())


def journal(out):
    return json.loads((out / "segment.json").read_text())


def labels_of(out, case):
    image = nib.load(out / case / "lungs.nii.gz")
    return np.asarray(image.dataobj), image.affine


@pytest.mark.parametrize(
    "axes", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), rotation(9, -3, 4)], ids=["up", "prone", "oblique"]
)
def test_each_lung_is_where_it_was_scanned_and_on_its_own_side(tmp_path, model, axes):
    ct = Ct(axes=axes)
    write_chest(tmp_path / "in put", ct)
    result = segment([tmp_path / "in put"], tmp_path / "out")
    assert result.exit_code == 0
    found, affine = labels_of(tmp_path / "out", "P1")
    truth = chest_labels()
    if axes[0, 0] < 0:  # prone: the row runs the other way, and so do left and right
        truth = np.choose(truth, [0, 2, 1])
    for label in (1, 2):
        wanted = ct.points_mm(np.argwhere(truth == label)) * [-1, -1, 1]
        got = nib.affines.apply_affine(affine, np.argwhere(found == label))
        assert len(wanted) == len(got)
        assert np.abs(np.sort(wanted, axis=0) - np.sort(got, axis=0)).max() < 0.01


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1), (-1, 1, -1)])
def test_a_file_gets_its_mask_on_its_own_voxels_whatever_its_axes(tmp_path, model, flip):
    affine = np.diag([*(np.array([-1.5, -2.25, 3.5]) * flip), 1.0])
    affine[:3, 3] = 11.0, -7.0, 3.0
    path = write_chest_nifti(tmp_path / "scan.nii.gz", affine)
    segment([path], tmp_path / "out")
    found, got = labels_of(tmp_path / "out", "scan")
    assert np.allclose(got, affine)
    mirrored = flip[0] < 0
    assert np.array_equal(found, np.choose(chest_labels(), [0, 2, 1] if mirrored else [0, 1, 2]))


def test_case_json_says_what_was_found_and_made(tmp_path, model):
    write_chest(tmp_path / "in")
    segment([tmp_path / "in"], tmp_path / "out")
    case = record(tmp_path / "out", "P1")
    voxel_ml = 1.5 * 2.25 * 3.5 / 1000
    assert case["volumes_ml"]["lung_right"] == pytest.approx(6 * 7 * 5 * voxel_ml, abs=0.001)
    assert case["volumes_ml"]["lung_left"] == pytest.approx(5 * 5 * 4 * voxel_ml, abs=0.001)
    assert case["hu"]["lung_right"]["mean"] == -800
    assert case["image"]["kind"] == "dicom"
    assert case["image"]["shape_ijk"] == [20, 14, 7]
    assert case["labels"] == {"1": "lung_right", "2": "lung_left"}
    assert case["hashes"]["weights"] == "ab" * 32
    assert set(case["hashes"]["outputs"]) == {"lungs.nii.gz", "preview/ct.nii.gz", "preview/lungs.nii.gz"}
    assert len(case["hashes"]["input"]) == 64
    entry = journal(tmp_path / "out")["cases"]["P1"]
    assert entry["status"] == "done"
    assert entry["folder"] == "P1"
    assert entry["error"] is None
    assert entry["seconds"] > 0


def test_no_identity_is_written(tmp_path, model):
    write_chest(tmp_path / "Doe Jane", Ct(patient="Secret77", identity_removed=False))
    (tmp_path / "Doe Jane" / "broken-Doe").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\xff\xff")
    result = segment([tmp_path / "Doe Jane"], tmp_path / "out", settings("nifti,nrrd"))
    written = "".join(
        path.read_text("latin-1") + path.name for path in (tmp_path / "out").rglob("*") if path.suffix == ".json"
    )
    written += result.table(verbose=True) + json.dumps(result.as_dict()["cases"])
    for secret in ("Doe", "Jane", "Secret77", "Elsewhere", "Westphall", "19530217"):
        assert secret not in written
    assert result.outcomes[0].name.startswith("case-")


def test_the_same_again_keeps_what_is_there_and_other_settings_do_not(tmp_path, model):
    write_chest(tmp_path / "in")
    out = tmp_path / "out"
    segment([tmp_path / "in"], out)
    stamp = (out / "P1" / "lungs.nii.gz").stat().st_mtime_ns
    again = segment([tmp_path / "in"], out)
    assert again.names("reused") == ["P1"]
    assert "there already" in again.table()
    assert (out / "P1" / "lungs.nii.gz").stat().st_mtime_ns == stamp
    assert len(model.seen) == 1
    assert segment([tmp_path / "in"], out, settings(roi="right")).names("done") == ["P1"]
    assert segment([tmp_path / "in"], out, settings(roi="right", overwrite=True)).names("done") == ["P1"]
    model.facts = {**model.facts, "weights_sha256": "cd" * 32}
    assert segment([tmp_path / "in"], out, settings(roi="right")).names("done") == ["P1"]
    model.facts = {**model.facts, "backend": "another", "device": "cuda"}
    assert segment([tmp_path / "in"], out, settings(roi="right")).names("reused") == ["P1"]


def test_a_case_whose_file_is_gone_is_made_again(tmp_path, model):
    write_chest(tmp_path / "in")
    segment([tmp_path / "in"], tmp_path / "out")
    (tmp_path / "out" / "P1" / "lungs.nii.gz").unlink()
    assert segment([tmp_path / "in"], tmp_path / "out").names("done") == ["P1"]


def test_another_file_of_the_same_name_replaces_nothing_unasked(tmp_path, model):
    out = tmp_path / "out"
    first = write_chest_nifti(tmp_path / "a" / "scan.nii.gz")
    other = write_chest_nifti(tmp_path / "b" / "scan.nii.gz", hu=np.roll(chest_hu(), 1, axis=1))
    segment([first], out)
    before = (out / "scan" / "lungs.nii.gz").read_bytes()
    result = segment([other], out)
    assert result.exit_code == 3
    assert "another input" in result.outcomes[0].entry["error"]
    assert (out / "scan" / "lungs.nii.gz").read_bytes() == before
    write_chest_nifti(first, hu=np.roll(chest_hu(), 1, axis=1))  # the same place, made anew
    assert segment([first], out).names("done") == ["scan"]
    assert segment([other], out).names("reused") == ["scan"]  # the same bytes
    assert segment([other], out, settings(overwrite=True)).names("done") == ["scan"]


def test_a_foreign_folder_is_left_alone(tmp_path, model):
    path = write_chest_nifti(tmp_path / "scan.nii.gz")
    (tmp_path / "out" / "scan").mkdir(parents=True)
    (tmp_path / "out" / "scan" / "thesis.txt").write_text("years of work")
    result = segment([path], tmp_path / "out", settings(overwrite=True))
    assert "not made by lungseg segment" in result.outcomes[0].entry["error"]
    assert (tmp_path / "out" / "scan" / "thesis.txt").read_text() == "years of work"


def settings(formats="nifti", roi="both", overwrite=False, **more):
    return Settings(outputs=OutputOptions(tuple(formats.split(",")), roi, **more), overwrite=overwrite)


def test_one_bad_case_costs_no_other(tmp_path, model):
    write_chest_nifti(tmp_path / "in" / "good.nii.gz")
    write_chest_nifti(tmp_path / "in" / "leg.nii.gz", hu=np.where(chest_hu() < -100, AIR, 40).astype(np.int16))
    (tmp_path / "in" / "cut.nii.gz").write_bytes((tmp_path / "in" / "good.nii.gz").read_bytes()[:99])
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert result.exit_code == 1
    assert result.names("done") == ["good"]
    assert result.names("refused") == ["leg"]
    assert "no chest" in journal(tmp_path / "out")["cases"]["leg"]["error"]
    assert [one["where"] for one in result.journal["refused"]] == ["cut.nii.gz"]
    assert not (tmp_path / "out" / "leg").exists()
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError(), "failed", "memory"),
        (RuntimeError("std::bad_alloc"), "failed", "memory"),
        (ModelError("the backend broke"), "failed", "the backend broke"),
        (ValueError("oops"), "failed", "unexpected ValueError: oops"),
    ],
)
def test_what_breaks_in_the_model_is_named(tmp_path, model, error, status, words):
    def fail():
        if len(model.seen) == 1:
            raise error

    model.before = fail
    write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    write_chest_nifti(tmp_path / "in" / "b.nii.gz")
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert result.exit_code == 1
    assert result.outcomes[0].entry["status"] == status
    assert words in result.outcomes[0].entry["error"]
    assert result.names("done") == ["b"]


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path, model, monkeypatch):
    from lungseg_monai.segment import outputs

    real, calls = outputs.write_nifti, []

    def full(path, *rest, **more):
        calls.append(path)
        if len(calls) == 1:
            path.write_bytes(b"half")
            raise OutputError(f"can't write {path}: No space left on device.") from OSError(errno.ENOSPC, "no space")
        real(path, *rest, **more)

    monkeypatch.setattr(outputs, "write_nifti", full)
    write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    write_chest_nifti(tmp_path / "in" / "b.nii.gz")
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert "No space left" in result.outcomes[0].entry["error"]
    assert result.names("failed") == ["a"]
    assert result.names("done") == ["b"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b", "segment.json"]


def test_alarms_are_told_and_are_no_failure(tmp_path, monkeypatch):
    use_fake(monkeypatch, FakeModel(flags=(Flag("swapped", "left may be right", "alarm"), Flag("thin", "x", "note"))))
    write_chest(tmp_path / "in")
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert result.exit_code == 0
    assert "alarm: left may be right" in result.table()
    assert "thin" not in result.table()
    assert "thin" in result.table(verbose=True)


def test_the_last_line_counts_what_was_refused_too(tmp_path, model):
    write_chest(tmp_path / "in")
    whole = segment([tmp_path / "in"], tmp_path / "out").table().splitlines()[-1]
    assert whole.startswith("1 case(s) segmented: ")
    (tmp_path / "in" / "broken").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\xff\xff")
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert len(result.journal["refused"]) == 1 and result.exit_code == 1
    assert ", 1 of the inputs' files or series refused: " in result.table().splitlines()[-1]


def test_zip_archive_single_slice_and_a_read_only_input(tmp_path, model):
    files = write_chest(tmp_path / "in")
    archive = tmp_path / "in.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for n, path in enumerate(files):
            packed.write(path, f"a/{n}")
    (tmp_path / "in").chmod(0o500)
    try:
        for source in ([tmp_path / "in"], [archive], files):  # files of one series, named singly
            out = tmp_path / f"out {len(source)} {source[0].suffix}"
            assert segment(source, out, settings("nifti,rtstruct")).exit_code == 0
            assert np.array_equal(labels_of(out, "P1")[0], chest_labels())
            assert not list(out.glob(".partial*"))
    finally:
        (tmp_path / "in").chmod(0o700)
    middle = sorted(files, key=lambda path: path.name)[3]
    assert segment([middle], tmp_path / "one").exit_code == 0
    assert labels_of(tmp_path / "one", "P1")[0].shape == (20, 14, 1)


def test_uneven_slices_are_refused_unless_asked_for_and_then_flagged(tmp_path, model):
    write_chest(tmp_path / "in", edit=lambda data, k: None if k == 3 else data)
    refused = segment([tmp_path / "in"], tmp_path / "out")
    assert refused.exit_code == 3
    assert "mm" in refused.outcomes[0].entry["error"]
    choice = InputOptions(stack=StackOptions(gaps="resample"))
    result = segment([tmp_path / "in"], tmp_path / "out", settings("nifti,rtstruct,seg"), choice=choice)
    assert result.exit_code == 0
    assert [flag["code"] for flag in result.outcomes[0].entry["flags"] if flag["code"] == "image_resampled"]


def test_processes_do_the_same(tmp_path, model):
    for name in "abcd":
        write_chest_nifti(tmp_path / "in" / f"{name}.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"")
    write_chest_nifti(tmp_path / "in" / "leg.nii.gz", hu=np.where(chest_hu() < -100, AIR, 40).astype(np.int16))
    one = segment([tmp_path / "in"], tmp_path / "one")
    two = segment([tmp_path / "in"], tmp_path / "two", jobs=2)
    assert two.exit_code == one.exit_code == 1
    assert [(each.name, each.entry["error"]) for each in two.outcomes] == [
        (each.name, each.entry["error"]) for each in one.outcomes
    ]
    for name in "abcd":
        assert record(tmp_path / "one", name)["hashes"] == record(tmp_path / "two", name)["hashes"]
    assert segment([tmp_path / "in"], tmp_path / "two", jobs=3).names("reused") == list("abcd")


def test_a_process_that_dies_costs_the_case_it_was_at(tmp_path, monkeypatch):
    model = FakeModel()
    model.before = lambda: os._exit(9) if (tmp_path / "die").exists() and not (tmp_path / "die").unlink() else None
    use_fake(monkeypatch, model)
    for name in "abc":
        write_chest_nifti(tmp_path / "in" / f"{name}.nii.gz")
    (tmp_path / "die").touch()
    result = segment([tmp_path / "in"], tmp_path / "out", memory_gb=64)  # a process of its own, for the bound
    assert sorted(result.names("done") + result.names("failed")) == list("abc")
    assert len(result.names("failed")) == 1
    assert "exit code 9" in next(one.entry["error"] for one in result.outcomes if one.entry["error"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_that_can_not_be_opened_stops_all_before_anything_is_written(tmp_path, monkeypatch, jobs):
    def broken(name, **options):
        raise ModelError("no weights: install the package again")

    monkeypatch.setattr("lungseg_monai.segment.models.open_model", broken)
    write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    write_chest_nifti(tmp_path / "in" / "b.nii.gz")
    with pytest.raises(ModelError, match="no weights"):
        segment([tmp_path / "in"], tmp_path / "out", jobs=jobs)
    assert not (tmp_path / "out").exists()


def test_requests_that_make_no_sense(tmp_path, model):
    path = write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    with pytest.raises(UsageError, match="does not exist"):
        segment([tmp_path / "nowhere"], tmp_path / "out")
    with pytest.raises(UsageError, match="the same"):
        segment([tmp_path / "in"], tmp_path / "in")
    with pytest.raises(OutputError, match="is a file"):
        segment([tmp_path / "in"], path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError):
        segment([tmp_path / "empty"], tmp_path / "out")
    model.names = {1: "tumour"}
    with pytest.raises(UsageError, match="finds tumour"):
        segment([path], tmp_path / "out", settings(roi="left"))
    assert not (tmp_path / "out").exists()


KILLED = """
    import os, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from segment_factory import FakeModel
    from lungseg_monai.segment import models, run
    model = FakeModel()
    model.before = lambda: os.kill(os.getpid(), 9) if len(model.seen) == 3 else None
    models.open_model = lambda name, **options: model
    run.segment([Path({source!r})], Path({out!r}))
"""


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, model):
    for name in "abcd":
        write_chest_nifti(tmp_path / "in" / f"{name}.nii.gz")
    out = tmp_path / "out"
    code = textwrap.dedent(KILLED).format(
        tests=str(Path(__file__).parents[1]), source=str(tmp_path / "in"), out=str(out)
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert (out / ".partial-c").is_dir()
    assert sorted(journal(out)["cases"]) == ["a", "b"]
    result = segment([tmp_path / "in"], out)
    assert result.names("reused") == ["a", "b"]
    assert result.names("done") == ["c", "d"]
    assert result.exit_code == 0
    assert not list(out.glob(".partial*"))


def test_one_run_at_a_time(tmp_path, model, monkeypatch):
    from data_prep import lock

    monkeypatch.setattr(lock, "PATIENCE_S", 0.1)
    path = write_chest_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "out").mkdir()
    with lock.alone_in(tmp_path / "out"), pytest.raises(OutputError, match="another"):
        segment([path], tmp_path / "out")


def test_ctrl_c_leaves_nothing_half_written_and_can_be_gone_on_with(tmp_path, model):
    def interrupt():
        if len(model.seen) == 2:
            raise KeyboardInterrupt

    model.before = interrupt
    for name in "abc":
        write_chest_nifti(tmp_path / "in" / f"{name}.nii.gz")
    with pytest.raises(KeyboardInterrupt):
        segment([tmp_path / "in"], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "segment.json"]
    assert segment([tmp_path / "in"], tmp_path / "out").names("done") == ["b", "c"]


def test_the_next_case_is_read_while_one_is_segmented(tmp_path, model, monkeypatch):
    from lungseg_monai.segment import worker

    real, loaded = worker.load, []

    def noted(case, scratch):
        loaded.append(case.name)
        return real(case, scratch)

    def wait_for_the_next():
        until = time.monotonic() + 10
        while len(loaded) < min(3, len(model.seen) + 1) and time.monotonic() < until:
            time.sleep(0.01)
        ahead.append(len(loaded) - len(model.seen))

    ahead: list[int] = []
    monkeypatch.setattr(worker, "load", noted)
    model.before = wait_for_the_next
    for name in "abc":
        write_chest_nifti(tmp_path / "in" / f"{name}.nii.gz")
    segment([tmp_path / "in"], tmp_path / "out")
    assert ahead == [1, 1, 0]
    monkeypatch.setattr(worker, "free_bytes", lambda: 1)  # no room
    model.before = None
    loaded.clear()
    assert segment([tmp_path / "in"], tmp_path / "out 2").names("done") == ["a", "b", "c"]


def test_a_volume_that_memory_can_not_hold_is_refused_before_it_is_read(tmp_path, model, monkeypatch):
    monkeypatch.setattr("lungseg_monai.segment.reading.free_bytes", lambda: 1000)
    write_chest(tmp_path / "in")
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert "GiB of memory" in result.outcomes[0].entry["error"]
    assert model.seen == []
