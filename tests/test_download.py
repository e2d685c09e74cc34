import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ajuste.data.download import default_folder, download
from ajuste.errors import PipelineError

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; the path decides how it fails."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        start = 0
        if self.headers.get("Range") and not self.path.startswith("/norange"):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        if self.path.startswith("/sends-away"):
            self.send_response(302)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", self.server.length or str(len(CONTENT) - start))
        self.end_headers()
        breaks = self.path.startswith("/breaks") and len(self.server.ranges) == 1
        self.wfile.write(CONTENT[start : len(CONTENT) // 2 if breaks else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ranges, server.length, server.location = [], "", ""
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def kept(folder: Path) -> list[str]:
    """The files in a folder of downloads, without the locks."""
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_file_is_downloaded_once_by_all_that_need_it_at_the_same_time(server, tmp_path):
    together = threading.Barrier(4)

    def need(_: int) -> bytes:
        together.wait()
        return download(f"{server.url}/a.bin", DIGEST, tmp_path / "downloads").read_bytes()

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(need, range(4))) == [CONTENT] * 4
    assert len(server.ranges) == 1
    assert kept(tmp_path / "downloads") == ["a.bin"]


@pytest.mark.parametrize(
    ("value", "folder"), [("/shared", "/shared"), ("", "data/downloads"), (None, "data/downloads")]
)
def test_a_variable_names_the_folder_that_workers_share(monkeypatch, value, folder):
    monkeypatch.delenv("AJUSTE_DOWNLOADS", raising=False)
    if value is not None:
        monkeypatch.setenv("AJUSTE_DOWNLOADS", value)
    assert default_folder() == Path(folder)


@pytest.mark.parametrize("kind", ["breaks", "breaks-norange"])
def test_an_interrupted_download_is_resumed(server, tmp_path, kind):
    url = f"{server.url}/{kind}.bin"
    with pytest.raises(PipelineError, match="was interrupted"):
        download(url, DIGEST, tmp_path)
    part = (tmp_path / f"{kind}.bin.part").stat().st_size
    assert 0 < part < len(CONTENT)
    assert download(url, DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={part}-"]


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    (tmp_path / "norange.bin.part").write_bytes(CONTENT[:100])
    assert download(f"{server.url}/norange.bin", DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(f"{server.url}/a.bin", DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_download_with_a_wrong_digest_is_deleted(server, tmp_path):
    with pytest.raises(PipelineError, match=r"SHA-256 is .* expected 0000"):
        download(f"{server.url}/a.bin", "0" * 64, tmp_path)
    assert kept(tmp_path) == []


def test_a_wrong_file_that_the_user_put_there_is_not_deleted(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(PipelineError, match="delete it"):
        download("http://127.0.0.1:9/a.bin", DIGEST, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_the_answer_of_a_server_that_refuses_is_named(server, tmp_path):
    with pytest.raises(PipelineError, match="answered 404"):
        download(f"{server.url}/missing.bin", DIGEST, tmp_path)


def test_a_missing_network_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"not reachable; check the network .* mirror"):
        download("http://127.0.0.1:9/a.bin", DIGEST, tmp_path)


@pytest.mark.parametrize("length", ["abc", f"{len(CONTENT)}, {len(CONTENT)}", "9" * 5000, "\xb2"])
def test_an_invalid_content_length_is_ignored(server, tmp_path, length):
    server.length = length
    assert download(f"{server.url}/a.bin", DIGEST, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("location", ["http://[::1", "http://\xff\xfe:x", "file:///etc/passwd"])
def test_an_invalid_redirect_is_refused(server, tmp_path, location):
    server.location = location
    with pytest.raises(PipelineError, match="URL of a mirror"):
        download(f"{server.url}/sends-away.bin", DIGEST, tmp_path)


@pytest.mark.parametrize("rest", ["/a\0.bin", "/a\ud800.bin", "[/a.bin", "x/a.bin"])
def test_an_invalid_url_is_refused(server, tmp_path, rest):
    with pytest.raises(PipelineError, match="URL of a mirror"):
        download(server.url + rest, DIGEST, tmp_path)
