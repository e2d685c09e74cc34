"""Post a report as one comment on a pull request; later runs update that comment.

It needs the standard library alone, so that the job whose token may write installs nothing.
"""

import argparse
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.errors import PipelineError

MARKER = "<!-- ajuste: pull request report -->"  # the first line; GitHub does not show it
LIMIT = 65_536  # characters that GitHub takes in a comment
CUT = "\n\nThe report is longer than a comment may be; all of it is in the summary of the job.\n"
TIMEOUT = 20  # seconds until GitHub must have said something
PAUSES = (2, 10)  # seconds before the second and the third attempt
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
OPEN, CLOSE = re.compile(r"<details\b", re.IGNORECASE), re.compile(r"</details>", re.IGNORECASE)
NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')


class UnreachableError(PipelineError):
    """GitHub does not answer now; it may if it is asked again."""


@dataclass(frozen=True)
class Target:
    """The pull request that gets the comment."""

    repository: str  # address of the repository in GitHub's API
    number: int
    fork: bool  # it comes from another repository, so the token may not write
    token: str


def target(environment: Mapping[str, str]) -> Target:
    """Read the variables that GitHub sets for a job.

    Args:
        environment: GITHUB_TOKEN, GITHUB_REPOSITORY (owner/name), GITHUB_API_URL, and
            GITHUB_EVENT_PATH, a JSON file that says what started the job.

    Raises:
        PipelineError: a variable is missing, or no pull request started the job.
    """
    names = ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL", "GITHUB_EVENT_PATH")
    if missing := [name for name in names if not environment.get(name)]:
        raise PipelineError(
            f"{', '.join(missing)} not set; run this in a job of GitHub Actions, with the token "
            "in the environment of the step"
        )
    token, repository, api, event = (environment[name] for name in names)
    if not re.match(r"https?://", api):
        raise PipelineError(f"GITHUB_API_URL is {api!r}; it takes an address with https://")
    asked = _pull_request(Path(event))
    source = ((asked.get("head") or {}).get("repo") or {}).get("full_name")  # no repo: deleted
    return Target(
        repository=f"{api.rstrip('/')}/repos/{repository}",
        number=asked["number"],
        fork=source != repository,
        token=token,
    )


def _pull_request(event: Path) -> dict[str, Any]:
    """The pull request of an event.

    Raises:
        PipelineError: the file is not JSON, or there is no pull request in it.
    """
    try:
        found = json.loads(event.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(f"{event} (GITHUB_EVENT_PATH) is not JSON: {error}") from None
    asked = found.get("pull_request") if isinstance(found, dict) else None
    if not isinstance(asked, dict) or not isinstance(asked.get("number"), int):
        raise PipelineError(
            f"no pull request in {event} (GITHUB_EVENT_PATH); run this on `pull_request`"
        )
    return asked


def body(report: str) -> str:
    """The text of the comment: the marker, then as much of the report as GitHub takes."""
    return f"{MARKER}\n{cut(report, LIMIT - len(MARKER) - 1)}"


def cut(report: str, limit: int) -> str:
    """End a long report early, with a sentence that says so.

    Args:
        report: Markdown.
        limit: how many characters it may have.

    Returns:
        The report, or the lines of it that fit: never a part of a fenced block, and with every
        `<details>` closed that is open there.
    """
    if len(report) <= limit:
        return report
    kept, end = 0, CUT
    read, fence, details = 0, "", 0
    for line in report.split("\n"):
        read += len(line) + 1
        before, fence = fence, _fence(fence, line)
        if not before and not fence:
            details += len(OPEN.findall(line)) - len(CLOSE.findall(line))
        closing = "\n</details>" * details + CUT
        if read + len(closing) > limit:
            break
        if not fence:
            kept, end = read, closing
    return report[:kept] + end


def _fence(fence: str, line: str) -> str:
    """The fence that is open after a line, given the one before it; empty where none is."""
    found = FENCE.match(line)
    if not found:
        return fence
    mark, rest = found.groups()
    if not fence:
        return "" if mark[0] == "`" and "`" in rest else mark
    closes = mark.startswith(fence) and not rest.strip()
    return "" if closes else fence


def publish(to: Target, text: str) -> str:
    """Write the comment, or write it anew where an earlier run has left one.

    Each attempt looks for the comment again: of one whose answer was lost it may be there.

    Returns:
        The address of the comment.

    Raises:
        PipelineError: GitHub cannot be reached, or refuses.
    """
    for pause in PAUSES:
        try:
            return _publish(to, text)
        except UnreachableError:
            time.sleep(pause)
    return _publish(to, text)


def _publish(to: Target, text: str) -> str:
    listed = f"{to.repository}/issues/{to.number}/comments"
    own = next(filter(_is_own, _comments(to, listed)), None)  # GitHub lists the oldest first
    if own is None:
        method, address = "POST", listed
    else:
        method, address = "PATCH", f"{to.repository}/issues/comments/{own['id']}"
    written, _ = _ask(to, method, address, {"body": text})
    return written["html_url"]


def _is_own(comment: dict[str, Any]) -> bool:
    """Whether a job wrote it; a person may have quoted the marker."""
    by_job = (comment["user"] or {}).get("type") == "Bot"
    return by_job and (comment["body"] or "").startswith(MARKER)


def _comments(to: Target, address: str) -> Iterator[dict[str, Any]]:
    """The comments of the pull request, page by page."""
    page = f"{address}?per_page=100"
    while page:
        comments, link = _ask(to, "GET", page)
        yield from comments
        following = NEXT.search(link)
        page = following[1] if following else ""


def _ask(to: Target, method: str, address: str, value: Any = None) -> tuple[Any, str]:
    """Send one request.

    Returns:
        The JSON that came back, and the `Link` header.

    Raises:
        UnreachableError: no answer, or a fault of the server.
        PipelineError: GitHub refuses.
    """
    request = urllib.request.Request(
        address,
        method=method,
        data=None if value is None else json.dumps(value).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {to.token}",
            "Content-Type": "application/json",
            "User-Agent": "ajuste",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer), answer.headers.get("Link", "")
    except urllib.error.HTTPError as error:
        raise _refusal(to, method, address, error) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise UnreachableError(
            f"{method} {address}: no answer ({reason}); check the network and run the job again"
        ) from None
    except ValueError:
        raise PipelineError(
            f"{method} {address}: the answer is not JSON; is GITHUB_API_URL that of GitHub?"
        ) from None


def _refusal(to: Target, method: str, address: str, error: urllib.error.HTTPError) -> PipelineError:
    """What to raise for an answer that is an error."""
    said = " ".join(error.read(300).decode("utf-8", "replace").split())
    answer = f"{method} {address}: GitHub answered {error.code} ({said})"
    if error.code >= 500:
        return UnreachableError(f"{answer}; run the job again later")
    if error.code in (401, 403, 404):
        return PipelineError(
            f"{answer}; GITHUB_TOKEN may not comment on pull request {to.number}: give the job "
            "`permissions: pull-requests: write`"
        )
    return PipelineError(f"{answer}; the report is in the summary of the job")


def main() -> None:
    """Post the report, or say why there is no comment."""
    parser = argparse.ArgumentParser(prog="python -m pull_request.comment", description=__doc__)
    parser.add_argument("report", type=Path, help="the report, Markdown")
    asked = parser.parse_args()
    to = target(os.environ)
    if to.fork:
        print(
            "No comment: the pull request comes from a fork, whose token may not write. "
            "The report is in the summary of the job."
        )
        return
    text = body(asked.report.read_text(encoding="utf-8"))
    print(f"comment: {publish(to, text)}")


if __name__ == "__main__":
    errors.run("comment", main)
