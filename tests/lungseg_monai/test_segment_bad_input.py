"""Inputs that nobody designed for: each is named, told where it lies and what was wanted, and costs no other."""

import json
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import Ct
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage
from segment_factory import FakeModel, chest_hu, use_fake, write_chest, write_chest_nifti
from segmented import LABELS, flag, write_case, write_segment_json

from data_prep.errors import SeriesError
from lungseg_monai import Segmenter
from lungseg_monai.cli import main
from lungseg_monai.commands.segment import THREAD_LIMITS
from lungseg_monai.errors import ImageError, ModelError, NothingToDoError, UsageError
from lungseg_monai.report.segmentation.read import read_segmentation
from lungseg_monai.segment import worker
from lungseg_monai.segment.lungs import LungModel
from lungseg_monai.segment.outputs import OutputOptions
from lungseg_monai.segment.run import segment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
NO_TEXT = os.fsdecode(b"scan-\xff\xe9.nii.gz")  # bytes that are no text where names are UTF-8


@pytest.fixture
def model(monkeypatch):
    return use_fake(monkeypatch)


def journal(out: Path) -> dict:
    return json.loads((out / "segment.json").read_text(encoding="utf-8"))


def run(*arguments: object) -> int:
    return main(["segment", *map(str, arguments)])


def test_names_that_are_no_text_are_names_all_the_same(tmp_path, model, capsys):
    write_chest_nifti(tmp_path / "in" / "plain.nii.gz").rename(tmp_path / "in" / NO_TEXT)
    other = os.fsdecode(b"scan-\xfe\xe9.nii.gz")
    write_chest_nifti(tmp_path / "in" / "plain.nii.gz").rename(tmp_path / "in" / other)
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--report", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["cases"]) == 2
    for name, entry in told["cases"].items():
        name.encode("utf-8")
        entry["where"].encode("utf-8")
        assert (tmp_path / "out" / name / "lungs.nii.gz").is_file()
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["run"]["reused"]) == 2


def test_a_refused_case_says_in_which_folder_it_lies_though_its_name_is_a_pseudonym(tmp_path, model):
    def without_spacing(data, k):
        del data.PixelSpacing
        return data

    write_chest(tmp_path / "in" / "good one")
    hidden = Ct(patient="Secret77", identity_removed=False)
    write_chest(tmp_path / "in" / "week 3 Secret77" / "no spacing", hidden, without_spacing)
    result = segment([tmp_path / "in"], tmp_path / "out")
    assert result.exit_code == 1
    bad = next(one for one in result.outcomes if one.entry["status"] == "refused")
    assert bad.entry["where"] == "week 3 ***/no spacing"
    assert "PixelSpacing (0028,0030)" in bad.entry["error"]
    assert f"{bad.name} refused: " in result.table() and "(in week 3 ***/no spacing)" in result.table()
    assert journal(tmp_path / "out")["cases"]["P1"]["where"] == "good one"
    assert "Secret77" not in result.table(verbose=True) + json.dumps(result.as_dict())


def test_a_result_within_the_input_is_not_taken_for_images(tmp_path, model):
    write_chest_nifti(tmp_path / "cohort" / "a.nii.gz")
    first = segment([tmp_path / "cohort"], tmp_path / "cohort" / "lungs of May")
    assert first.names("done") == ["a"]
    again = segment([tmp_path / "cohort"], tmp_path / "elsewhere")
    assert again.exit_code == 0
    assert again.names("done") == ["a"]
    passed = [one for one in again.journal["ignored"] if one["reason"].startswith("result of lungseg segment")]
    assert {one["where"] for one in passed} == {"lungs of May/a", "lungs of May/a/preview"}
    assert sum(one["files"] for one in passed) == 3  # the mask, and the preview's image and mask
    with pytest.raises(NothingToDoError, match="result of lungseg segment"):
        segment([tmp_path / "elsewhere" / "a"], tmp_path / "third")


@pytest.mark.parametrize("kind", ["mr", "capture", "zip of zips", "zip of nifti", "empty"])
def test_where_there_is_no_ct_it_is_said_what_there_is_and_what_was_wanted(tmp_path, model, kind, capsys):
    def other(data, k):
        data.Modality, data.SOPClassUID = (
            ("MR", MRImageStorage) if kind == "mr" else ("OT", SecondaryCaptureImageStorage)
        )
        return data

    source = tmp_path / "in"
    source.mkdir()
    if kind in ("mr", "capture"):
        write_chest(source, Ct(identity_removed=False), other)
    elif kind != "empty":
        write_chest_nifti(tmp_path / "a.nii.gz")
        with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
            archive.write(tmp_path / "a.nii.gz", "a.nii.gz")
        with zipfile.ZipFile(source / "x.zip", "w") as archive:
            archive.write(*((tmp_path / "inner.zip",) * 2 if kind == "zip of zips" else (tmp_path / "a.nii.gz",) * 2))
    assert run(source, "--out", tmp_path / "out") == 3
    told = capsys.readouterr().err
    found = {
        "mr": "7 MR Image Storage",
        "capture": "7 Secondary Capture Image Storage",
        "zip of zips": "zip archive inside a zip archive",
        "zip of nifti": "not DICOM, inside a zip archive",
        "empty": "holds no files",
    }
    assert found[kind] in told
    assert "wanted CT: a DICOM folder, a zip archive of DICOM files, or NIfTI, NRRD or MetaImage files" in told
    assert "Traceback" not in told and "Doe" not in told
    assert not (tmp_path / "out").exists()


def test_an_output_without_a_name_is_not_the_current_folder(tmp_path, model, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    with pytest.raises(SystemExit) as stopped:
        run(path, "--out", "")
    assert stopped.value.code == 2
    assert "name the folder for the results" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


def test_a_list_of_no_formats_is_told_so():
    with pytest.raises(UsageError, match="no format was given; choose of nifti, rtstruct, seg, nrrd"):
        OutputOptions(())


@pytest.mark.parametrize(
    ("options", "wanted"),
    [(("--jobs", "4"), str(max(1, (os.cpu_count() or 1) // 4))), (("--jobs", "2", "--threads", "3"), "3"), ((), None)],
)
def test_each_process_has_its_share_of_the_cores(tmp_path, monkeypatch, options, wanted):
    seen = []
    use_fake(monkeypatch, FakeModel(before=lambda: seen.append([os.environ.get(name) for name in THREAD_LIMITS])))
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "x")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    path = write_chest_nifti(tmp_path / "a.nii.gz")
    monkeypatch.setattr("lungseg_monai.segment.run._steps", lambda cases, *rest: _here(cases, rest[1], rest[2]))
    assert run(path, "--out", tmp_path / "out", *options) == 0
    assert seen == [[wanted] * 3]


def _here(cases, settings, out):
    return worker.prefetching(worker.Worker(settings, out), cases)


def test_what_the_user_set_for_threads_stays(tmp_path, model, monkeypatch):
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "7")
    run(write_chest_nifti(tmp_path / "a.nii.gz"), "--out", tmp_path / "out", "--threads", 2)
    assert {os.environ[name] for name in THREAD_LIMITS} == {"7"}


def test_breaking_off_leaves_nothing_half_made_with_processes_either(tmp_path, monkeypatch):
    def wait():
        try:
            (tmp_path / "first").touch(exist_ok=False)
        except FileExistsError:  # all but the first case take long
            time.sleep(60)

    use_fake(monkeypatch, FakeModel(before=wait))
    paths = [write_chest_nifti(tmp_path / f"{name}.nii.gz") for name in "abc"]

    def broken_off(steps, what):
        for outcome in steps:
            yield outcome
            deadline = time.monotonic() + 20
            while not list((tmp_path / "out").glob(".partial-*")) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert list((tmp_path / "out").glob(".partial-*"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(paths, tmp_path / "out", jobs=2, progress=broken_off)
    left = {one.name for one in (tmp_path / "out").iterdir()}
    assert left in ({"a", "segment.json"}, {"b", "segment.json"})


@pytest.mark.parametrize(
    "error",
    [
        ModelError("OpenVINO failed on 8x8x8 voxels: Failed to allocate 100663296 bytes of memory"),
        SeriesError("a.nii.gz is damaged or not what its ending says (MemoryError)"),
    ],
    ids=["backend", "reading"],
)
def test_too_little_memory_is_named_so_wherever_it_shows(tmp_path, monkeypatch, error):
    def no_room():
        raise error

    use_fake(monkeypatch, FakeModel(before=no_room))
    result = segment([write_chest_nifti(tmp_path / "a.nii.gz")], tmp_path / "out")
    assert result.exit_code == 3
    assert result.outcomes[0].entry["error"] == worker.TOO_LITTLE


def test_a_package_that_is_missing_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("lungseg_monai.segment.lungs.find_spec", lambda name: None if name == "cc3d" else object())
    with pytest.raises(ModelError, match=r"cc3d not installed: pip install 'lungseg-monai\[segment\]'"):
        LungModel(tmp_path)


def test_an_affine_whose_last_row_moves_is_refused(monkeypatch):
    from lungseg_monai.segment.checks import check_image
    from lungseg_monai.segment.image import Image

    affine = np.diag([-1.5, -2.25, 3.5, 1.0])
    affine[:3, 3] = 11.0, -7.0, 3.0
    check_image(Image(chest_hu(), affine))
    with pytest.raises(ImageError, match=r"last row .* wanted 0, 0, 0, 1: is it transposed"):
        check_image(Image(chest_hu(), affine.T))


def test_a_metatensor_of_bfloat16_is_segmented(monkeypatch):
    torch = pytest.importorskip("torch")
    data = pytest.importorskip("monai.data")
    model = FakeModel()
    monkeypatch.setattr("lungseg_monai.segmenter.open_model", lambda name, **options: model)
    affine = torch.diag(torch.tensor([-1.5, -2.25, 3.5, 1.0]))
    held = data.MetaTensor(torch.tensor(chest_hu()).bfloat16(), affine=affine)
    found = Segmenter()(held)
    assert found.shape == held.shape and int((found == 1).sum()) == 6 * 7 * 5


def test_a_path_with_nothing_in_it_is_told_so_from_python(tmp_path, monkeypatch):
    monkeypatch.setattr("lungseg_monai.segmenter.open_model", lambda name, **options: FakeModel())
    with pytest.raises(NothingToDoError, match="wanted CT: a DICOM folder"):
        Segmenter()(tmp_path)


def test_the_report_is_written_with_the_cases_and_says_what_else_there_was(tmp_path, model, capsys):
    write_chest_nifti(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"no image")
    (tmp_path / "in" / "b.npz").write_bytes(b"no image")
    out = tmp_path / "out"
    assert run(tmp_path / "in", "--out", out, "--report") == 1
    assert f"report: {out / 'report.html'}" in capsys.readouterr().out
    found = read_segmentation(out)
    assert {one.name for one in found.cases} | {name for name in found.refused if "bad.nii.gz" in name} >= {"a"}
    assert any("NPZ: no image" in one for one in found.ignored)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "NPZ: no image" in page
    assert 'id="beside"' in page


def test_a_report_that_can_not_be_written_costs_nothing_of_the_cases(tmp_path, model, capsys):
    path, out = write_chest_nifti(tmp_path / "a.nii.gz"), tmp_path / "out"
    (out / "report.html").mkdir(parents=True)
    assert run(path, "--out", out, "--report") == 1
    assert "no report: " in capsys.readouterr().out
    assert (out / "a" / "lungs.nii.gz").is_file()


def test_a_preview_that_is_gone_is_said_and_the_page_written(tmp_path, model):
    out = tmp_path / "out"
    segment([write_chest_nifti(tmp_path / "a.nii.gz")], out)
    (out / "a" / "preview" / "ct.nii.gz").unlink()
    assert main(["report", str(out)]) == 0
    assert "no preview was written" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("by", ["hashes", "outputs"])
def test_the_preview_is_found_by_what_the_model_calls_its_masks(tmp_path, by):
    entry = write_case(tmp_path, "x", 0, flags=(flag("a", "b"),))
    folder = tmp_path / entry["folder"]
    (folder / "preview" / "lungs.nii.gz").rename(folder / "preview" / "tumour.nii.gz")
    facts = json.loads((folder / "case.json").read_text())
    if by == "hashes":
        facts["hashes"]["outputs"] = {"preview/ct.nii.gz": "1", "preview/tumour.nii.gz": "2", "t.seg.nrrd": "3"}
        facts["outputs"] = {"nrrd": "t.seg.nrrd"}
    else:
        facts["outputs"] = {"nifti": "../../tumour.nii.gz"}  # whatever stands there, no other folder is read
    (folder / "case.json").write_text(json.dumps(facts))
    case = read_segmentation(write_segment_json(tmp_path, {"x": entry})).cases[0]
    assert case.preview == (folder / "preview" / "ct.nii.gz", folder / "preview" / "tumour.nii.gz")
    assert all(one.is_file() for one in case.preview)
    assert case.facts["labels"] == LABELS


@pytest.mark.parametrize("value", [None, 3, "text", {"a": 1}, [None, 3, {"what": "<b>", "where": None}, []]])
def test_what_else_there_was_may_be_anything(tmp_path, value):
    out = write_segment_json(tmp_path, {})
    content = journal(out) | {"refused": value, "ignored": value}
    (out / "segment.json").write_text(json.dumps(content))
    found = read_segmentation(out)
    assert len(found.refused) == len(found.ignored) == (4 if isinstance(value, list) else 0)
    assert main(["report", str(out)]) == 0
