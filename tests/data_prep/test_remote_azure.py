"""Azure Blob storage by its own protocol, against Azurite: read, send, drop, deny, resume."""

import base64
import os
import random
import socket
import threading
from contextlib import suppress

import azurite
import pytest

from data_prep import cli
from data_prep.errors import PrepError
from data_prep.remote import fetch, open_source
from data_prep.remote.cache import _held
from data_prep.remote.source import fetch_source
from data_prep.remote.trouble import MissingError, RemoteError, Retries
from data_prep.remote.upload import MANIFEST, results_folder

QUICK = Retries(tries=3, first_wait_s=0.01)
FILES = {"a.png": b"1" * 5000, "sub/b.png": os.urandom(300_000), "sp ace/é.png": b"2" * 900, "empty": b""}


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    pytest.importorskip("adlfs", reason="the extra `azure` is not installed")
    if azurite.missing():
        pytest.skip(azurite.missing())
    with azurite.azurite(tmp_path_factory.mktemp("azurite")) as port:
        container(port, "xrays", FILES)
        yield port


@pytest.fixture(autouse=True)
def account(port, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string(port))
    yield
    while _held:
        _held.popitem()[1].close()


def container(port, name, files):
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient.from_connection_string(azurite.connection_string(port)).create_container(name)
    for path, content in files.items():
        client.upload_blob(path, content)
    return client


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Cutter:
    """A TCP proxy that breaks connections after so many bytes from the server, a few times."""

    def __init__(self, port: int, cuts: int, after: int) -> None:
        self.target, self.cuts, self.after = port, cuts, after
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source, sink, is_answer: bool) -> None:
        seen = 0
        with suppress(OSError):
            while data := source.recv(16384):
                seen += len(data)
                if is_answer and self.cuts and seen > self.after:
                    self.cuts -= 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_a_container_a_folder_and_a_blob_are_listed_and_read(port, tmp_path, monkeypatch):
    folder = open_source("abfs://xrays", tmp_path)
    assert tree(folder) == FILES
    assert tree(open_source("abfs://xrays/sub/", tmp_path)) == {"b.png": FILES["sub/b.png"]}
    assert tree(open_source("abfs://xrays@devstoreaccount1.dfs.core.windows.net/sub", tmp_path))
    assert open_source("abfs://xrays/a.png", tmp_path).read_bytes() == FILES["a.png"]
    monkeypatch.setattr(fetch.Fetch, "_read", None)  # nothing is read again
    assert tree(open_source("abfs://xrays", tmp_path)) == FILES


def test_dropped_connections_cost_nothing_but_time(port, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PIECE", 100_000)
    proxy = Cutter(port, cuts=2, after=60_000)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string(proxy.port))
    assert tree(fetch_source("abfs://xrays/sub", tmp_path, 1, retries=QUICK)) == {"b.png": FILES["sub/b.png"]}
    assert proxy.cuts == 0
    proxy.close()


def test_a_line_that_stays_dead_is_given_up_and_taken_up_again(port, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PIECE", 100_000)
    proxy = Cutter(port, cuts=10**9, after=150_000)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string(proxy.port))
    plain, asked = fetch.Fetch._read, []

    def read(self, item, start, stop):
        asked.append(start)
        if start >= 200_000 and proxy.cuts:
            proxy.after = 0
        return plain(self, item, start, stop)

    monkeypatch.setattr(fetch.Fetch, "_read", read)
    with pytest.raises(RemoteError, match=r"abfs://xrays/sub.*, 3 times"):
        fetch_source("abfs://xrays/sub", tmp_path, 1, retries=QUICK)
    assert not list((tmp_path / "sources").glob("*/files/**/*.png"))
    last = asked[-1]
    del asked[:]
    proxy.cuts = 0
    assert tree(fetch_source("abfs://xrays/sub", tmp_path, 1, retries=QUICK)) == {"b.png": FILES["sub/b.png"]}
    assert asked[0] == last > 0
    proxy.close()


def test_nobody_listening_is_given_up(tmp_path, monkeypatch):
    text = azurite.connection_string(azurite.free_port())
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    with pytest.raises(RemoteError, match=r"opening abfs://xrays failed: .*, 3 times"):
        fetch_source("abfs://xrays", tmp_path, 1, retries=QUICK)


@pytest.mark.parametrize("url", ["abfs://xrays", "abfs://xrays/sub", "abfs://xrays/a.png"])
def test_wrong_credentials_are_told_at_once_and_never_shown(port, tmp_path, monkeypatch, caplog, capfd, url):
    key = base64.b64encode(b"SECRET" * 10).decode()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string(port, key))
    caplog.set_level("DEBUG")
    waits = []
    with pytest.raises(RemoteError, match=r"denied.*Check the credentials") as caught:
        fetch_source(url, tmp_path, 1, retries=Retries(sleep=waits.append))
    with pytest.raises(PrepError), results_folder("abfs://xrays/out", tmp_path):
        pytest.fail("the work began without permission to write")
    said = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert not waits and key not in said and "AccountKey" not in said


@pytest.mark.parametrize("url", ["abfs://nosuch", "abfs://nosuch/a", "abfs://xrays/nosuch"])
def test_what_is_not_there_is_named(tmp_path, url):
    with pytest.raises(MissingError, match=f"opening {url} failed: there is no such"):
        open_source(url, tmp_path)


def test_results_are_sent_with_a_manifest_and_only_what_changed_again(port, tmp_path):
    client = container(port, "out", {})
    etags = set()
    for second in (b"two", b"TWO"):
        with results_folder("abfs://out/run 1", tmp_path) as folder:
            (folder / "case").mkdir()
            (folder / "case" / "image.nii.gz").write_bytes(b"one" * 1000)
            (folder / "dataset.json").write_bytes(second)
            (folder / ".partial-x").write_bytes(b"half")
        stamps = {blob.name: blob.last_modified for blob in client.list_blobs()}
        assert set(stamps) == {"run 1/case/image.nii.gz", "run 1/dataset.json", f"run 1/{MANIFEST}"}
        assert client.download_blob("run 1/dataset.json").readall() == second
        etags.add(client.get_blob_client("run 1/case/image.nii.gz").get_blob_properties().etag)
    assert len(etags) == 1  # the image was sent once
    assert not list((tmp_path / "results").iterdir())
    assert b'"complete": true' in client.download_blob(f"run 1/{MANIFEST}").readall()


def test_a_missing_container_is_told_before_the_work(port, tmp_path):
    with pytest.raises(RemoteError, match="Make it first"), results_folder("abfs://nosuch/out", tmp_path):
        pytest.fail("the work began")


def test_sending_that_breaks_keeps_the_results_and_goes_on(port, tmp_path, monkeypatch):
    client = container(port, "broken", {})
    contents = {f"{number}.bin": random.Random(number).randbytes(4000) for number in range(12)}

    def work():
        with results_folder("abfs://broken/out", tmp_path, retries=QUICK) as folder:
            for name, content in contents.items():
                (folder / name).write_bytes(content)
            seen.append(set(tree(folder)))

    import adlfs

    seen, sent = [], []
    plain = adlfs.AzureBlobFileSystem.put_file

    def put_file(self, path, target, **kwargs):
        if len(sent) >= 5 and len(seen) == 1:
            raise ConnectionResetError("SECRET")
        sent.append(target)
        return plain(self, path, target, **kwargs)

    monkeypatch.setattr(adlfs.AzureBlobFileSystem, "put_file", put_file)
    with pytest.raises(RemoteError, match=r"writing abfs://broken/out/\d+\.bin failed.*The results are in") as caught:
        work()
    assert "SECRET" not in str(caught.value)
    arrived = {blob.name for blob in client.list_blobs()} - {f"out/{MANIFEST}"}
    assert 0 < len(arrived) < 12 and b'"complete": false' in client.download_blob(f"out/{MANIFEST}").readall()
    del sent[:]
    work()
    assert len(sent) == 12 - len(arrived)
    assert {name: client.download_blob(f"out/{name}").readall() for name in contents} == contents


def test_a_cohort_goes_from_a_container_to_a_container(port, tmp_path, capsys):
    from dicom_factory import Ct, make_patient
    from dicom_factory import tree as local_tree

    make_patient(tmp_path / "dicom", Ct())
    container(port, "dicom", {f"p/{name}": content for name, content in tree(tmp_path / "dicom").items()})
    client = container(port, "prepared", {})
    options = ["--cache-dir", str(tmp_path / "cache"), "--jobs", "0", "--keep-ids", "--quiet"]
    assert cli.main(["dicom2nifti", "abfs://dicom/p", "abfs://prepared/nifti", *options]) == 0
    assert cli.main(["dicom2nifti", str(tmp_path / "dicom"), str(tmp_path / "out"), *options]) == 0
    sent = {blob.name.removeprefix("nifti/"): blob.size for blob in client.list_blobs()}
    assert set(sent) - {MANIFEST} == set(local_tree(tmp_path / "out"))
    assert cli.main(["rois", "abfs://dicom/p", *options[:2]]) == 0
    assert "lung" in capsys.readouterr().out
    assert cli.main(["scan", "abfs://nosuch/p", *options[:2]]) == 3
    assert "abfs://nosuch/p" in capsys.readouterr().err
