"""What a scan found becomes cases: copies in folders and archives side by side, and what one bad series costs."""

import os
import zipfile
from dataclasses import replace

import pytest
from dicom_factory import Ct, make_patient, tree, write_ct

import data_prep.plan
from data_prep.convert import ConvertOptions, convert
from data_prep.errors import SeriesError
from data_prep.pairing import pair
from data_prep.plan import make_plans
from data_prep.scan import scan

SALT = b"0" * 32
OPTIONS = ConvertOptions(salt=SALT)


def zipped(folder, to):
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())


def plans_of(folder):
    found = scan(folder)
    return found, make_plans(found, SALT, OPTIONS)


def test_a_folder_and_a_zip_of_the_same_patient_are_one_case(tmp_path):
    make_patient(tmp_path / "in" / "folder", Ct())
    plain = convert(tmp_path / "in", tmp_path / "plain", options=OPTIONS)
    zipped(tmp_path / "in" / "folder", tmp_path / "in" / "more.zip")
    both = convert(tmp_path / "in", tmp_path / "both", options=OPTIONS)
    assert plain.exit_code == both.exit_code == 0
    assert any("repeat the position and the pixels" in note for note in both.dataset["cases"][0]["repairs"])
    ours, theirs = tree(tmp_path / "both"), tree(tmp_path / "plain")
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if name.endswith((".gz", ".npz")))


@pytest.mark.parametrize("archives", [1, 2])
def test_other_pixels_out_of_an_archive_are_another_volume(tmp_path, archives):
    one = Ct(shape=(6, 5, 8), tags={"AcquisitionNumber": 1})
    write_ct(tmp_path / "a", one)
    write_ct(tmp_path / "b", replace(one, tags={"AcquisitionNumber": 2}), one.coded() + 50)
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "b", tmp_path / "in" / "b.zip")
    if archives == 2:
        zipped(tmp_path / "a", tmp_path / "in" / "a.zip")
    else:
        (tmp_path / "a").rename(tmp_path / "in" / "a")
    found, plans = plans_of(tmp_path / "in")
    assert not found.refused and [len(plan.slices) for plan in plans] == [8, 8]
    assert {plan.slices[0].acquisition for plan in plans} == {"1", "2"}


def test_copies_are_compared_without_leaving_anything_behind(tmp_path, monkeypatch):
    write_ct(tmp_path / "in" / "ct", Ct())
    for name in ("a.zip", "b.zip"):
        zipped(tmp_path / "in" / "ct", tmp_path / "in" / name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    most = 0
    same = data_prep.plan.same_pixels

    def watched(one, other):
        nonlocal most
        most = max(most, sum(len(files) for _, _, files in os.walk(scratch)))
        return same(one, other)

    monkeypatch.setattr(data_prep.plan, "same_pixels", watched)
    _, plans = plans_of(tmp_path / "in")
    assert [len(plan.slices) for plan in plans] == [21] and 1 <= most <= 2
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "Input/output error", "Doe^Jane.dcm"), "Input/output error"),
        (KeyError("Doe^Jane"), "KeyError"),
        (SeriesError("a reason"), None),
    ],
)
def test_a_series_that_cannot_be_compared_costs_no_other(tmp_path, monkeypatch, error, said):
    write_ct(tmp_path / "a", Ct(patient="P1"))
    write_ct(tmp_path / "again", Ct(patient="P1"))
    write_ct(tmp_path / "b", Ct(patient="P2"))

    def fails(one, other):
        raise error

    monkeypatch.setattr(data_prep.plan, "same_pixels", fails)
    found, plans = plans_of(tmp_path)
    assert any(plan.series_uid == Ct(patient="P2").series_uid for plan in plans)
    if said is None:  # counts as another slice, which arrange refuses by name
        assert len(plans) == 2 and not found.refused
        return
    assert len(plans) == 1
    (refusal,) = found.refused
    assert (refusal.what, refusal.uid) == ("series", Ct(patient="P1").series_uid)
    assert said in refusal.reason and "Doe" not in refusal.reason


def test_files_that_vanish_before_they_are_compared_cost_themselves(tmp_path):
    make_patient(tmp_path / "in", Ct())
    found = scan(tmp_path / "in")
    (struct,) = found.structs
    copy = replace(struct, path=tmp_path / "gone")
    result = pair([struct, copy], {uid: slices[0] for uid, slices in found.series.items()})
    assert len(result.by_series[Ct().series_uid]) == 1 and result.copies == 0
    ((_, reason),) = result.unpaired
    assert "same SOPInstanceUID" in reason and "FileNotFoundError" in reason
    assert str(tmp_path) not in reason


def test_a_drawing_that_vanishes_stops_no_fingerprint(tmp_path):
    make_patient(tmp_path / "in", Ct())
    found, (plan,) = plans_of(tmp_path / "in")
    before = data_prep.plan.fingerprint(plan, SALT, found, OPTIONS)
    found.structs[0].path.unlink()
    assert data_prep.plan.fingerprint(plan, SALT, found, OPTIONS) != before
