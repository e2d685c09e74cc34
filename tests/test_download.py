import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ajuste.data.archive import check_member
from ajuste.data.download import download
from ajuste.errors import PipelineError

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; the path says how it fails."""

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
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_download_is_kept_and_not_fetched_again(server, tmp_path):
    for _ in range(2):
        path = download(f"{server.url}/a.bin", DIGEST, tmp_path / "downloads")
        assert path.read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["breaks", "breaks-norange"])
def test_a_download_goes_on_where_it_broke_off(server, tmp_path, kind):
    url = f"{server.url}/{kind}.bin"
    with pytest.raises(PipelineError, match="broke off"):
        download(url, DIGEST, tmp_path)
    part = (tmp_path / f"{kind}.bin.part").stat().st_size
    assert 0 < part < len(CONTENT)
    assert download(url, DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={part}-"]


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    (tmp_path / "norange.bin.part").write_bytes(CONTENT[:100])
    assert download(f"{server.url}/norange.bin", DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_more(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(f"{server.url}/a.bin", DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_wrong_digest_leaves_nothing(server, tmp_path):
    with pytest.raises(PipelineError, match=r"SHA-256 is .* expected 0000"):
        download(f"{server.url}/a.bin", "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_that_is_there_already_stays_for_its_owner(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(PipelineError, match="delete it"):
        download("http://127.0.0.1:9/a.bin", DIGEST, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_a_refusal_is_named(server, tmp_path):
    with pytest.raises(PipelineError, match="answered 404"):
        download(f"{server.url}/missing.bin", DIGEST, tmp_path)


def test_no_network(tmp_path):
    with pytest.raises(PipelineError, match=r"cannot be reached; check the network .* mirror"):
        download("http://127.0.0.1:9/a.bin", DIGEST, tmp_path)


@pytest.mark.parametrize("length", ["abc", f"{len(CONTENT)}, {len(CONTENT)}", "9" * 5000, "\xb2"])
def test_a_length_that_is_none_is_no_matter(server, tmp_path, length):
    server.length = length
    assert download(f"{server.url}/a.bin", DIGEST, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("location", ["http://[::1", "http://\xff\xfe:x", "file:///etc/passwd"])
def test_a_server_that_sends_to_no_address(server, tmp_path, location):
    server.location = location
    with pytest.raises(PipelineError, match="name a mirror"):
        download(f"{server.url}/sends-away.bin", DIGEST, tmp_path)


@pytest.mark.parametrize("rest", ["/a\0.bin", "/a\ud800.bin", "[/a.bin", "x/a.bin"])
def test_an_address_that_is_none(server, tmp_path, rest):
    with pytest.raises(PipelineError, match="name a mirror"):
        download(server.url + rest, DIGEST, tmp_path)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/x", "C:\\x", "..\\x", "C:/x"])
def test_a_member_outside_is_refused(name, tmp_path):
    with pytest.raises(PipelineError, match="refused"):
        check_member(name, tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a/b.txt", "./a..b/c", "aclImdb/train/pos/0_9.txt"])
def test_a_member_inside_is_taken(name, tmp_path):
    check_member(name, tmp_path / "a.zip")
