"""Download a large file once: it shows its progress, resumes, and checks the digest."""

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from ajuste.errors import PipelineError
from ajuste.files import check_readable, sha256

CHUNK = 1 << 16  # an interrupted download loses at most this many bytes
TIMEOUT_SECONDS = 30


def check_digest(path: Path, expected: str, advice: str) -> None:
    """Check that a file has the expected SHA-256.

    Raises:
        PipelineError: it has another, or it is not readable; `advice` says what to do.
    """
    check_readable(path, advice)
    found = sha256(path)
    if found != expected:
        raise PipelineError(f"{path}: SHA-256 is {found}, expected {expected}; {advice}")


def default_folder() -> Path:
    """The folder of downloads: the environment variable `AJUSTE_DOWNLOADS`, or `data/downloads`.

    Workers in several clones share their downloads if they have the same value.
    """
    return Path(os.environ.get("AJUSTE_DOWNLOADS") or "data/downloads")


def download(url: str, digest: str, folder: Path) -> Path:
    """The file at `url`, kept in `folder`; it has the SHA-256 `digest`.

    A file that is already in the folder is checked and not downloaded again. An interrupted
    download is kept as `NAME.part`, and the next call resumes it. If several processes want the
    same file at once, one downloads it and the others wait.

    Returns:
        The path of the file.

    Raises:
        PipelineError: the server is not reachable or refuses; the download is interrupted; or the
            digest is another one (a new download is then deleted).
    """
    path = folder / PurePosixPath(url).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(path):
                if not path.exists():  # else another process has downloaded it
                    _download(url, digest, path)
        except (requests.RequestException, HTTPError, ValueError) as error:
            # ValueError: `url`, or the address that the server redirects to, is not valid
            raise PipelineError(
                f"{url}: {_reason(error)}; check the network and run again (the download resumes), "
                f"set the URL of a mirror in params.yaml, or put the file at {path}"
            ) from None
    check_digest(path, digest, f"delete it to download it again from {url}")
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed or the process ends
        yield


def _download(url: str, digest: str, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    _transfer(url, part)
    try:
        check_digest(
            part, digest, f"the download from {url} was deleted; run again, or set a mirror"
        )
    except PipelineError:
        part.unlink()
        raise
    part.replace(path)


def _transfer(url: str, part: Path) -> None:
    done = part.stat().st_size if part.exists() else 0
    # No content encoding: requests must not unpack an archive.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the part is complete; the digest says whether it is right
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        length = response.headers.get("Content-Length", "")
        known = re.fullmatch("[0-9]{1,18}", length)  # a server can send anything
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=part.stem,
                initial=done if resumed else 0,
                total=int(length) + (done if resumed else 0) if known else None,
                unit="B",
                unit_scale=True,
                disable=not sys.stderr.isatty(),
            ) as bar,
        ):
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                bar.update(file.write(chunk))


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer for {TIMEOUT_SECONDS} s"
    if isinstance(error, HTTPError):
        return "the download was interrupted"
    if isinstance(error, requests.ConnectionError):
        return "not reachable"
    return " ".join(str(error).split())
