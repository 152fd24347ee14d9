"""Files of a web server: listings, single files, servers that are busy, know no ranges, or drop the line."""

import os
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from data_prep.errors import NothingToDoError, UsageError
from data_prep.remote import fetch, results_at
from data_prep.remote.source import fetch_source
from data_prep.remote.trouble import MissingError, RemoteError, Retries

pytest.importorskip("aiohttp", reason="the extra `http` is not installed")
QUICK = Retries(tries=3, first_wait_s=0.01)


@pytest.fixture
def serve():
    """Start servers of a handler; gives their address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def folder_handler(root):
    """Python's own server: a page of links, no ranges."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

        def log_message(self, *args):
            pass

    return Handler


class Ranged(BaseHTTPRequestHandler):
    """One file, with ranges; `answers` are statuses to give first, None to hang up half-way."""

    content = os.urandom(2500)
    answers: list
    asked: list

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._head(200, len(self.content))

    def do_GET(self):
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        piece = self.content[int(first) : int(last or len(self.content)) + 1]
        self.asked.append(int(first))
        status = self.answers.pop(0) if self.answers else 206
        if status is None:
            self._head(206, len(piece))
            self.wfile.write(piece[: len(piece) // 2])
            self.close_connection = True
        elif status != 206:
            self._head(status, 0)
        else:
            self._head(206, len(piece))
            self.wfile.write(piece)

    def _head(self, status, length):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"one"')
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()


def ranged(answers):
    return type("Ours", (Ranged,), {"answers": answers, "asked": []})


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_listing_is_followed_downwards_only(serve, tmp_path, monkeypatch):
    root = tmp_path / "web"
    for name, content in {"in/a.png": b"1" * 3000, "in/sub/é b.png": b"2", "in/empty": b"", "secret": b"s"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    url = serve(folder_handler(root))
    monkeypatch.setattr(fetch, "PIECE", 1000)  # more than one piece, which this server does not know
    folder = fetch_source(f"{url}/in/", tmp_path / "cache", 1, retries=QUICK)
    assert tree(folder) == {"a.png": b"1" * 3000, "sub/é b.png": b"2", "empty": b""}
    monkeypatch.setattr(fetch.Fetch, "_read", None)  # Last-Modified says that nothing changed
    assert fetch_source(f"{url}/in/", tmp_path / "cache", 1, retries=QUICK) == folder
    with pytest.raises(MissingError, match=r"/nosuch\.zip failed"):
        fetch_source(f"{url}/nosuch.zip", tmp_path / "cache", 1, retries=QUICK)


def test_links_that_lead_outside_stay_outside(serve, tmp_path):
    links = [
        "../../up",
        "/etc/passwd",
        "%2e%2e/%2e%2e/evil",
        "a.png?C=N",
        "https://example.org/x",
        "./",
        "in/",
        "b.png",
    ]

    class Page(Ranged):
        """Every folder on it has the same links: downwards it never ends."""

        answers: ClassVar[list] = []
        asked: ClassVar[list] = []

        def do_GET(self):
            if not self.path.endswith("/"):
                return super().do_GET()
            page = "".join(f'<a href="{link}">x</a>' for link in links).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            return self.wfile.write(page)

    folder = fetch_source(f"{serve(Page)}/data/", tmp_path, 1, retries=QUICK)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".lock", "index.json")]
    assert found and all(path.is_relative_to(folder) for path in found)
    assert (folder / "b.png").read_bytes() == Page.content


def test_a_busy_server_is_asked_again_after_the_time_it_names(serve, tmp_path):
    handler, waits = ranged([503, 429]), []
    path = fetch_source(f"{serve(handler)}/x.zip?sig=SECRET", tmp_path, 1, retries=Retries(sleep=waits.append))
    assert path.read_bytes() == Ranged.content and path.name == "x.zip"
    assert 0.3 < waits[0] < 0.7 and 5 < waits[1] < 9 and len(waits) == 2


def test_a_line_that_drops_is_taken_up_where_it_broke(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PIECE", 1000)
    handler = ranged([206, None, 206, None, None, None])
    url = f"{serve(handler)}/x.zip?sig=SECRET"
    with pytest.raises(RemoteError, match=r"reading .*/x\.zip failed: .*, 3 times") as caught:
        fetch_source(url, tmp_path, 1, retries=QUICK)
    assert "SECRET" not in str(caught.value) and handler.asked == [0, 1000, 1000, 2000, 2000, 2000]
    assert fetch_source(url, tmp_path, 1, retries=QUICK).read_bytes() == Ranged.content
    assert handler.asked[6:] == [2000]


@pytest.mark.parametrize(("status", "words"), [(403, "denied"), (401, "denied"), (410, "no such"), (418, "status 418")])
def test_a_refusal_is_told_at_once(serve, tmp_path, status, words):
    handler = ranged([status])
    with pytest.raises(RemoteError, match=words):
        fetch_source(f"{serve(handler)}/x.zip", tmp_path, 1, retries=QUICK)
    assert handler.asked == [0]


def test_a_page_without_files_and_sending_to_a_page_are_refused(serve, tmp_path):
    (tmp_path / "web").mkdir()
    url = serve(folder_handler(tmp_path / "web"))
    with pytest.raises(NothingToDoError, match="links to no files"):
        fetch_source(f"{url}/", tmp_path / "cache", 1, retries=QUICK)
    with pytest.raises(UsageError, match="can't be sent to a web page"), results_at(f"{url}/out", tmp_path):
        pytest.fail("the work began")
