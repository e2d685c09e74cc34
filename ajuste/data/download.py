"""Fetch a large file once: with a progress bar, resumed after a break, its digest checked."""

import re
import sys
from pathlib import Path, PurePosixPath

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from ajuste.errors import PipelineError
from ajuste.files import check_readable, sha256

CHUNK = 1 << 16  # what a transfer that breaks off may lose
TIMEOUT_SECONDS = 30


def check_digest(path: Path, expected: str, advice: str) -> None:
    """Compare a file with its pinned SHA-256.

    Raises:
        PipelineError: they differ, or it cannot be read; `advice` says what to do.
    """
    check_readable(path, advice)
    found = sha256(path)
    if found != expected:
        raise PipelineError(f"{path}: SHA-256 is {found}, expected {expected}; {advice}")


def download(url: str, digest: str, folder: Path) -> Path:
    """The file behind `url`, kept in `folder`, whole and with the SHA-256 `digest`.

    A file that is already there is checked and not fetched again. One that broke off lies beside
    it as `NAME.part`, and the next call goes on where it ended.

    Returns:
        The path of the file.

    Raises:
        PipelineError: the server cannot be reached or refuses; the transfer breaks off (what came
            is kept); the digest does not fit (what came is deleted).
    """
    path = folder / PurePosixPath(url).name
    if path.exists():
        check_digest(path, digest, f"delete it, to have it fetched again from {url}")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _transfer(url, part)
    except (requests.RequestException, HTTPError, ValueError) as error:
        # ValueError: an address that is none, of `url` or of where the server sends to
        raise PipelineError(
            f"{url}: {_reason(error)}; check the network and run again (it goes on where it "
            f"stopped), name a mirror in params.yaml, or put the file at {path}"
        ) from None
    try:
        check_digest(part, digest, f"what came from {url} was deleted; run again or name a mirror")
    except PipelineError:
        part.unlink()
        raise
    part.replace(path)
    return path


def _transfer(url: str, part: Path) -> None:
    done = part.stat().st_size if part.exists() else 0
    # The bytes as they lie there: an archive must not be unpacked on the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the digest tells whether it is the right file
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        length = response.headers.get("Content-Length", "")
        known = re.fullmatch("[0-9]{1,18}", length)  # a server may say anything
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
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, HTTPError):
        return "the transfer broke off"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return " ".join(str(error).split())
