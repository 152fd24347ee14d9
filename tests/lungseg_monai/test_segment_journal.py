"""segment.json and case.json: whole or not there, and finished cases known again."""

import json

import pytest

from data_prep.errors import OutputError
from lungseg_monai.segment import journal
from lungseg_monai.segment.journal import Journal, fingerprint, is_foreign, put_in_place, read_case, tidy
from lungseg_monai.segment.models import weights_facts

RECORD = {"case": "a", "status": "done", "flags": [], "seconds": 1.0, "place": "x", "fingerprint": "f", "outputs": {}}


def make(out, name="a", record=RECORD):
    partial = out / f".partial-{name}"
    partial.mkdir(parents=True)
    (partial / "lungs.nii.gz").write_bytes(b"mask")
    return put_in_place(partial, out / name, record | {"case": name, "hashes": {"outputs": {}}})


def test_a_case_is_put_in_place_with_its_hashes_and_replaces_the_one_before(tmp_path):
    make(tmp_path)
    (tmp_path / "a" / "old").touch()
    record = make(tmp_path)
    assert set(record["hashes"]["outputs"]) == {"lungs.nii.gz"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert not (tmp_path / "a" / "old").exists()
    assert read_case(tmp_path / "a") == record


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"case": "b"}', '{"case": "a", "status": "done"}', "\xff"])
def test_a_damaged_record_counts_as_none(tmp_path, damage):
    make(tmp_path)
    (tmp_path / "a" / "case.json").write_bytes(damage.encode("latin-1"))
    assert read_case(tmp_path / "a") is None
    assert is_foreign(tmp_path / "a")


def test_tidy_removes_the_half_made_and_brings_back_what_was_moved_aside(tmp_path):
    make(tmp_path)
    (tmp_path / ".partial-b" / "x").mkdir(parents=True)
    (tmp_path / ".partial-file").touch()
    (tmp_path / "a").rename(tmp_path / ".partial-old-a")  # killed between two renames
    tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert read_case(tmp_path / "a") is not None


def test_the_fingerprint_goes_by_input_settings_and_weights(tmp_path):
    facts = {"weights_sha256": "1", "backend": "torch", "device": "cpu"}
    one = fingerprint("c", {"roi": "both"}, facts)
    assert one == fingerprint("c", {"roi": "both"}, facts | {"backend": "openvino", "device": "cuda"})
    others = [fingerprint("d", {"roi": "both"}, facts), fingerprint("c", {"roi": "left"}, facts)]
    others.append(fingerprint("c", {"roi": "both"}, facts | {"weights_sha256": "2"}))
    assert len({one, *others}) == 4


def test_the_fingerprint_is_the_same_whichever_file_of_the_weights_ran(tmp_path):
    (tmp_path / "models").mkdir()
    table = {"model.onnx": "AB" * 32, "model.pt": "cd" * 32}

    def printed(used):
        (tmp_path / "models" / "weights.json").write_text(json.dumps({"sha256": table}))
        facts = {"weights_sha256": used, "backend": "x"} | weights_facts(tmp_path, used)
        return fingerprint("c", {}, facts), facts

    one, onnx = printed("ab" * 32)
    two, torch = printed("cd" * 32)
    assert one == two
    assert (onnx["weights_file"], torch["weights_file"]) == ("model.onnx", "model.pt")
    assert printed("ef" * 32)[0] != one  # weights of nobody's table
    table["model.pt"] = "00" * 32
    assert printed("ab" * 32)[0] != one  # other weights, though this file is the same


def test_the_journal_keeps_earlier_cases_and_survives_a_full_disk(tmp_path, monkeypatch):
    make(tmp_path)
    first = Journal(tmp_path, {}, {"refused": [], "ignored": []})
    first.add("a", {"status": "done"})
    first.add("gone", {"status": "done"})
    first.add("bad", {"status": "failed"})
    second = Journal(tmp_path, {"roi": "left"}, {"refused": [1], "ignored": []})
    assert set(second.content["cases"]) == {"a", "bad"}
    real = journal.write_json

    def full(path, content):
        raise OutputError("no room")

    monkeypatch.setattr(journal, "write_json", full)
    second.add("b", {"status": "failed"})
    with pytest.raises(OutputError):
        second.finish()
    monkeypatch.setattr(journal, "write_json", real)
    second.finish()
    written = json.loads((tmp_path / "segment.json").read_text())
    assert list(written["cases"]) == ["a", "b", "bad"]
    assert written["refused"] == [1]
    (tmp_path / "segment.json").write_text("{")
    assert Journal(tmp_path, {}, {"refused": [], "ignored": []}).content["cases"] == {}
