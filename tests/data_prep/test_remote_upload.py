"""Results to a store: what arrives is what was written, and only what changed travels."""

import json

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.remote import results_at
from data_prep.remote.stores import connect
from data_prep.remote.trouble import Retries, is_transient
from data_prep.remote.upload import MANIFEST, read_manifest, upload

QUICK = Retries(tries=2, sleep=lambda seconds: None)
CONTENTS = st.dictionaries(
    st.sampled_from(["a", "b.png", "case/image.nii.gz", "case/masks/lung_left.png"]), st.binary(max_size=20)
)


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def write(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=CONTENTS, second=CONTENTS)
def test_after_sending_twice_the_second_is_there_and_only_the_difference_was_sent(
    memory, tmp_path_factory, first, second
):
    memory.store.clear()
    store = connect("memory://box/out")
    for contents, before in ((first, {}), (second, first)):
        folder = tmp_path_factory.mktemp("results")
        write(folder, contents)
        sent = upload(folder, store, QUICK)
        assert set(sent) == {name for name, content in contents.items() if before.get(name) != content}
        assert all(memory.cat_file(f"/box/out/{name}") == content for name, content in contents.items())
    manifest = json.loads(memory.cat_file(f"/box/out/{MANIFEST}"))
    assert manifest["complete"] and set(manifest["files"]) == {*first, *second}
    assert all(manifest["files"][name]["size"] == len(content) for name, content in {**first, **second}.items())


def test_what_was_removed_or_cut_over_there_is_sent_again(memory, tmp_path):
    write(tmp_path, {"a": b"one", "b": b"two", "c": b"three"})
    store = connect("memory://box/out")
    upload(tmp_path, store, QUICK)
    memory.rm("/box/out/a")
    memory.pipe_file("/box/out/b", b"t")
    assert set(upload(tmp_path, store, QUICK)) == {"a", "b"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"files": {"a": 1}}', b'{"files": null}', b"\xff"])
def test_a_damaged_manifest_counts_as_none(memory, tmp_path, content):
    memory.pipe_file(f"/box/out/{MANIFEST}", content)
    store = connect("memory://box/out")
    assert read_manifest(store, QUICK) == {}
    write(tmp_path, {"a": b"one"})
    assert upload(tmp_path, store, QUICK) == ["a"]


def test_work_that_fails_sends_nothing_and_keeps_what_it_made(memory, tmp_path):
    with pytest.raises(KeyError), results_at("memory://box/out", tmp_path) as folder:
        write(folder, {"a": b"half the work"})
        raise KeyError
    assert memory.find("/box") == [f"/box/out/{MANIFEST}"]
    assert not json.loads(memory.cat_file(f"/box/out/{MANIFEST}"))["complete"]
    with results_at("memory://box/out", tmp_path) as again:
        assert again == folder and (again / "a").read_bytes() == b"half the work"
    assert memory.cat_file("/box/out/a") == b"half the work" and not folder.exists()


def test_a_path_is_the_folder_itself(tmp_path):
    with results_at(tmp_path / "out", tmp_path / "cache") as folder:
        assert folder == tmp_path / "out"
    assert not (tmp_path / "cache").exists()


class Http(Exception):  # noqa: N818
    def __init__(self, status):
        self.status = status


@pytest.mark.parametrize(
    ("error", "again"),
    [
        *((Http(status), True) for status in (408, 429, 500, 502, 503, 504)),
        *((Http(status), False) for status in (400, 401, 403, 404, 409, 416, 501)),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (OSError(28, "No space left on device"), False),
        (ValueError(), False),
    ],
)
def test_what_is_tried_again(error, again):
    assert is_transient(error) is again


def test_waits_double_and_are_bounded():
    waits = []

    def fail():
        raise ConnectionResetError

    with pytest.raises(Exception, match="reading x failed: ConnectionResetError, 9 times"):
        Retries(9, 1.0, waits.append).call("reading x", fail)
    assert len(waits) == 8
    assert all(0.74 < wait / min(2**number, 30) < 1.26 for number, wait in enumerate(waits))
