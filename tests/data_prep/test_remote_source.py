"""A URL as a local folder: fetched once, within bounds, again only where it changed, tried again when it fails."""

import errno
import os

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.errors import NothingToDoError, UsageError
from data_prep.remote import fetch, open_source
from data_prep.remote.cache import GB, _held
from data_prep.remote.source import fetch_source
from data_prep.remote.trouble import MissingError, RemoteError, Retries

QUICK = Retries(tries=3, sleep=lambda seconds: None)


@pytest.fixture
def memory():
    """An empty memory:// that counts what is read, and fails as asked."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read, piece by piece."""
    seen = []
    plain = fetch.Fetch._read

    def counted(self, item, start, stop):
        seen.append((item.name, start))
        return plain(self, item, start, stop)

    monkeypatch.setattr(fetch.Fetch, "_read", counted)
    return seen


@pytest.fixture(autouse=True)
def let_go():
    """As when the process ends."""
    yield
    release()


def release():
    while _held:
        _held.popitem()[1].close()


def put(files, **contents):
    for name, content in contents.items():
        files.pipe_file(f"/box/{name.replace('__', '/')}", content)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_whole_and_only_once(memory, reads, tmp_path):
    put(memory, a=b"1" * 1000, sub__b=b"2" * 777, empty=b"")
    folder = open_source("memory://box", tmp_path)
    assert tree(folder) == {"a": b"1" * 1000, "sub/b": b"2" * 777, "empty": b""} and folder.name == "box"
    del reads[:]
    assert open_source("memory://box/", tmp_path) == folder and not reads


def test_what_changed_is_fetched_again_and_what_went_is_removed(memory, reads, tmp_path):
    put(memory, a=b"one", sub__b=b"two", sub__c=b"three")
    folder = open_source("memory://box", tmp_path)
    del reads[:]
    put(memory, a=b"ONE")  # of the same size
    memory.rm("/box/sub/b")
    (folder / "stray").write_bytes(b"not from there")
    assert tree(open_source("memory://box", tmp_path)) == {"a": b"ONE", "sub/c": b"three"}
    assert reads == [("a", 0)]


def test_a_copy_that_was_tampered_with_in_size_comes_again(memory, tmp_path):
    put(memory, a=b"one", b=b"two")
    folder = open_source("memory://box", tmp_path)
    (folder / "a").write_bytes(b"on")
    (folder / "b").unlink()
    assert tree(open_source("memory://box", tmp_path)) == {"a": b"one", "b": b"two"}


def test_a_single_object_is_a_file(memory, tmp_path):
    put(memory, scan=b"zip")
    path = open_source("memory://box/scan", tmp_path)
    assert path.name == "scan" and path.read_bytes() == b"zip"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1, max_size=5))
def test_whatever_the_names_each_object_has_its_file_inside(memory, tmp_path_factory, names):
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    from fsspec.implementations.memory import MemoryFile

    contents = {f"/box/{name}": str(number).encode() for number, name in enumerate(dict.fromkeys(names))}
    for path, content in contents.items():
        memory.store[path] = MemoryFile(memory, path, content)
    listed = memory.find("/box")
    cache = tmp_path_factory.mktemp("cache")
    try:
        folder = open_source("memory://box", cache)
    except (NothingToDoError, MissingError):
        assert not listed
        return
    found = [path for path in cache.rglob("*") if path.is_file() and "files" in path.relative_to(cache).parts]
    assert len(found) == len(listed) and all(path.is_relative_to(folder) for path in found)
    assert sorted(path.read_bytes() for path in found) == sorted(memory.cat_file(name) for name in listed)


def test_the_cache_never_holds_more_than_its_bound(memory, tmp_path):
    bound_gb = 1000 / GB
    for number in range(6):
        memory.pipe_file(f"/box/{number}/a", bytes(300))
        memory.pipe_file(f"/box/{number}/b", bytes(100))
    folders = []
    for number in range(6):
        folders.append(open_source(f"memory://box/{number}", tmp_path, bound_gb))
        release()
        assert sum(len(one) for one in tree(tmp_path / "sources").values() if set(one) <= {0}) <= 1000
    assert tree(folders[5]) and tree(folders[4]) and not tree(folders[0]) and not tree(folders[1])
    assert len(tree(folders[3])) == 1  # one of its files was enough
    assert len(tree(open_source("memory://box/3", tmp_path, bound_gb))) == 2


def test_what_is_in_use_does_not_leave(memory, tmp_path):
    memory.pipe_file("/box/1/a", bytes(600))
    memory.pipe_file("/box/2/a", bytes(600))
    kept = open_source("memory://box/1", tmp_path, 1000 / GB)
    with pytest.raises(RemoteError, match="--cache-gb"):
        open_source("memory://box/2", tmp_path, 1000 / GB)
    assert tree(kept) == {"a": bytes(600)}
    release()
    assert tree(open_source("memory://box/2", tmp_path, 1000 / GB)) == {"a": bytes(600)} and not tree(kept)


def test_too_large_a_file_and_too_large_a_folder_are_refused_before_anything_comes(memory, reads, tmp_path):
    put(memory, small=bytes(10), sub__large=bytes(2000))
    with pytest.raises(RemoteError, match="memory://box/sub/large has"):
        open_source("memory://box", tmp_path, 1000 / GB)
    put(memory, sub__large=bytes(995))
    with pytest.raises(RemoteError, match="2 files"):
        open_source("memory://box", tmp_path, 1000 / GB)
    assert not reads


@pytest.mark.parametrize("gigabytes", [0, -1, float("nan")])
def test_a_cache_of_no_size_is_refused(memory, tmp_path, gigabytes):
    with pytest.raises(UsageError, match="more than 0"):
        open_source("memory://box", tmp_path, gigabytes)


def test_nothing_there(memory, tmp_path):
    with pytest.raises((NothingToDoError, MissingError), match="memory://nothing"):
        open_source("memory://nothing", tmp_path)


def failing(monkeypatch, memory, errors):
    """Let the next reads raise `errors`; returns the offsets asked for."""
    plain, asked = type(memory).cat_file, []

    def cat_file(self, path, start=None, end=None, **kwargs):
        asked.append(start)
        if errors:
            error = errors.pop(0)
            if error is not None:
                raise error
        return plain(self, path, start=start, end=end, **kwargs)

    monkeypatch.setattr(type(memory), "cat_file", cat_file)
    return asked


def test_dropped_connections_are_tried_again_from_where_they_broke(memory, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "PIECE", 100)
    content = os.urandom(1050)
    put(memory, a=content)
    asked = failing(monkeypatch, memory, [None, None, ConnectionResetError(), TimeoutError()])
    assert tree(fetch_source("memory://box", tmp_path, 1, retries=QUICK)) == {"a": content}
    assert asked[:6] == [0, 100, 200, 200, 200, 300]


def test_giving_up_names_the_object_and_the_next_try_goes_on(memory, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "PIECE", 100)
    content = os.urandom(1050)
    put(memory, a=content)
    asked = failing(monkeypatch, memory, [None, None, None, *[ConnectionResetError("SECRET")] * 3])
    with pytest.raises(RemoteError, match=r"memory://box/a.*ConnectionResetError, 3 times") as caught:
        fetch_source("memory://box", tmp_path, 1, retries=QUICK)
    assert "SECRET" not in str(caught.value)
    assert not list(tmp_path.rglob("files/**/a"))  # nothing half-read is published
    del asked[:]
    assert tree(fetch_source("memory://box", tmp_path, 1, retries=QUICK)) == {"a": content}
    assert asked[0] == 300
    assert not list(tmp_path.rglob("partial/*"))


def test_pieces_of_another_version_are_not_mixed_in(memory, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "PIECE", 100)
    put(memory, a=b"o" * 1050)
    failing(monkeypatch, memory, [None, None, *[ConnectionResetError()] * 3])
    with pytest.raises(RemoteError):
        fetch_source("memory://box", tmp_path, 1, retries=QUICK)
    put(memory, a=b"n" * 1050)
    assert tree(fetch_source("memory://box", tmp_path, 1, retries=QUICK)) == {"a": b"n" * 1050}


def test_an_object_that_changes_while_it_is_read_is_refused(memory, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "PIECE", 100)
    put(memory, a=b"o" * 300)
    plain, changes = fetch.Fetch._read, [b"n" * 300]

    def read(self, item, start, stop):
        if start == 200 and changes:
            put(memory, a=changes.pop())
        return plain(self, item, start, stop)

    monkeypatch.setattr(fetch.Fetch, "_read", read)
    with pytest.raises(RemoteError, match="changed while it was read"):
        fetch_source("memory://box", tmp_path, 1, retries=QUICK)
    assert tree(fetch_source("memory://box", tmp_path, 1, retries=QUICK)) == {"a": b"n" * 300}


def test_a_full_disk_is_told_as_such_and_not_tried_again(memory, monkeypatch, tmp_path):
    from data_prep.errors import OutputError

    put(memory, a=b"1")

    def full(self, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        fetch_source("memory://box", tmp_path, 1, retries=QUICK)


def test_the_meter_is_told_every_byte(memory, tmp_path):
    from contextlib import contextmanager

    told = []

    @contextmanager
    def meter(total, label):
        told.append(-total)
        yield told.append

    put(memory, a=bytes(700), b=bytes(41), empty=b"")
    open_source("memory://box", tmp_path, meter=meter)
    assert told[0] == -741 and sum(told) == 0
