"""Zip archives: read like folders, never written outside the scratch folder, never blown up."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
from dicom_factory import Ct, boxes, make_patient, tree, write_ct, write_rtstruct

from data_prep.archives import Unpacked, extract, is_archive, members
from data_prep.convert import ConvertOptions, convert
from data_prep.errors import UnreadableFileError
from data_prep.scan import scan

OPTIONS = ConvertOptions(salt=b"0" * 32)


def zipped(folder: Path, to: Path, prefix: str = "") -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(folder).as_posix())
    return to


def packed(tmp_path: Path, **contents: bytes) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("jobs", [0, 2])
def test_an_archive_gives_the_same_voxels_as_the_folder(tmp_path, jobs):
    make_patient(tmp_path / "folder", Ct())
    zipped(tmp_path / "folder", tmp_path / "in" / "patient.download")  # the name does not matter
    plain = convert(tmp_path / "folder", tmp_path / "plain", options=OPTIONS)
    result = convert(tmp_path / "in", tmp_path / "out", options=ConvertOptions(salt=OPTIONS.salt, jobs=jobs))
    assert result.exit_code == plain.exit_code == 0
    ours, theirs = tree(tmp_path / "out"), tree(tmp_path / "plain")
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if name.endswith((".gz", ".npz")))
    again = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert again.reused and not again.converted


def test_an_archive_alone_is_a_source(tmp_path):
    make_patient(tmp_path / "folder", Ct())
    archive = zipped(tmp_path / "folder", tmp_path / "all.zip")
    result = convert(archive, tmp_path / "out", options=OPTIONS)
    assert result.exit_code == 0 and len(result.dataset["cases"][0]["rois"]) == 2


def test_members_that_point_elsewhere_are_read_but_never_written_there(tmp_path):
    ct = Ct()
    write_ct(tmp_path / "folder", ct)
    write_rtstruct(tmp_path / "folder" / "rs", ct, {"L": boxes(ct, 2)})
    zipped(tmp_path / "folder", tmp_path / "in" / "a.zip", prefix="../../../evil/")
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert result.exit_code == 0
    assert {path for path in tmp_path.rglob("*") if "out" not in path.relative_to(tmp_path).parts} == before


def test_two_members_of_one_name_are_both_there(tmp_path):
    write_ct(tmp_path / "folder", Ct())
    files = sorted(path for path in (tmp_path / "folder").iterdir())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for path in files:
            archive.writestr("slice", path.read_bytes())
    found = scan(tmp_path / "a.zip")
    assert [len(slices) for slices in found.series.values()] == [len(files)]
    assert len({one.path for slices in found.series.values() for one in slices}) == len(files)


def test_a_bomb_is_refused_unopened(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(8 * 2**20))
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, central + 24, 3 * 2**30)  # claims 3 GiB
    path.write_bytes(raw)
    with pytest.raises(UnreadableFileError, match=r"claims to hold 3\.0 GiB"):
        members(path)
    (refusal,) = scan(tmp_path).refused
    assert refusal.where == "bomb.zip" and "not unpacked" in refusal.reason


def test_a_member_larger_than_it_says_is_cut_off(tmp_path):
    path = packed(tmp_path, zeros=bytes(2**22))
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, central + 24, 100)
    path.write_bytes(raw)
    (member,) = members(path)
    with pytest.raises(UnreadableFileError, match="inside its zip archive"):
        extract(member, tmp_path / "to")
    assert (tmp_path / "to").stat().st_size <= 2**20


def test_damage_costs_its_own_member(tmp_path):
    make_patient(tmp_path / "folder", Ct())
    archive = zipped(tmp_path / "folder", tmp_path / "in" / "a.zip")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("extra", b"x" * 1000)
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"x" * 1000)
    raw[at] ^= 1  # its checksum is wrong now
    archive.write_bytes(raw)
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert [case["status"] for case in result.dataset["cases"]] == ["ok"]
    assert [one["where"] for one in result.refused] == ["a.zip/extra"]


def test_archives_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "cut.zip").write_bytes(packed(tmp_path, a=b"1").read_bytes()[:30])
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep", b"2")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    found = scan(tmp_path)
    assert [one.where for one in found.refused] == ["cut.zip"]
    assert found.passed_over["", "zip archive inside a zip archive"] == 1


def test_numpy_archives_are_none(tmp_path):
    packed(tmp_path, a=b"1").rename(tmp_path / "a.npz")
    assert not is_archive(tmp_path / "a.npz") and not is_archive(tmp_path / "nothing")


@pytest.mark.parametrize("lost", [40, 400])
def test_a_directory_that_points_before_the_file_is_damage(tmp_path, lost):
    path = packed(tmp_path, first=bytes(range(256)) * 8, second=b"2" * 999)
    (member, _) = members(path)
    path.write_bytes(path.read_bytes()[lost:])  # zipfile moves all places by what is lost: the first lies before 0
    with pytest.raises(UnreadableFileError, match="damaged inside its zip archive"):
        extract(member, tmp_path / "to")


def test_a_full_disk_is_no_damage(tmp_path, monkeypatch):
    (member,) = members(packed(tmp_path, a=b"1" * 100))

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(OSError, match="No space left"):
        extract(member, tmp_path / "to")


def test_unpacked_files_are_few_and_go_away(tmp_path):
    path = packed(tmp_path, a=b"1", b=b"2", c=b"3")
    archived = {member.place: member for member in members(path)}
    outside = tmp_path / "outside"
    with Unpacked(archived) as local:
        for place in [*archived, *archived, *reversed(archived)]:
            here = local(place)
            assert local(outside) == outside
            assert here == local(place) and here.read_bytes() == {"a": b"1", "b": b"2", "c": b"3"}[place.name]
            assert len(list(here.parent.iterdir())) <= Unpacked.KEPT
    assert not here.parent.exists()
