"""Post a report as one comment on a pull request; a later run updates that comment.

It runs `gh api`, which the runners of GitHub have (https://cli.github.com/manual/gh_api), and needs
the standard library only, so the job whose token may write installs nothing.
"""

import argparse
import json
import subprocess
from pathlib import Path

from ajuste import errors
from ajuste.errors import PipelineError

MARKER = "<!-- ajuste: pull request report -->"  # the first line; GitHub does not show it
LIMIT = 65_536 - len(MARKER) - 1  # characters of a report; GitHub allows 65,536 in a comment


class ForbiddenError(PipelineError):
    """The token may not write, as in a job for a pull request from a fork."""


def publish(number: int, report: str) -> str:
    """Write the comment, or update the one that an earlier run wrote.

    Args:
        number: of the pull request, in the repository of the working directory (or of `GH_REPO`).
        report: Markdown of at most `LIMIT` characters.

    Returns:
        The address of the comment.

    Raises:
        PipelineError: GitHub cannot be reached, or refuses.
    """
    issues = "repos/{owner}/{repo}/issues"  # gh fills in the names
    listed = f"{issues}/{number}/comments"
    lines = gh(f"{listed}?per_page=100", "--paginate", "--jq", ".[]").split("\n")
    own = [one["id"] for one in map(json.loads, filter(None, lines)) if _is_own(one)]
    if own:  # the oldest comes first
        to = ("--method", "PATCH", f"{issues}/comments/{own[0]}")
    else:
        to = ("--method", "POST", listed)
    said = gh(*to, "--field", "body=@-", "--jq", ".html_url", given=f"{MARKER}\n{report}")
    return said.strip()


def _is_own(comment: dict) -> bool:
    """Whether a job wrote it; a person may have quoted the marker."""
    by_job = (comment["user"] or {}).get("type") == "Bot"
    return by_job and (comment["body"] or "").startswith(MARKER)


def gh(*arguments: str, given: str | None = None) -> str:
    """The output of `gh api`.

    Args:
        arguments: of `gh api`.
        given: its input.

    Raises:
        ForbiddenError: GitHub answers 403.
        PipelineError: it fails for another reason.
    """
    command = ["gh", "api", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, encoding="utf-8")
    if done.returncode:
        said = " ".join(done.stderr.split())
        if "HTTP 403" in said:
            raise ForbiddenError(said)
        raise PipelineError(
            f"gh api failed ({said}); run the job again; the summary of the job has the report"
        )
    return done.stdout


def main() -> None:
    """Post the report, or say why there is no comment."""
    parser = argparse.ArgumentParser(prog="python -m pull_request.comment", description=__doc__)
    parser.add_argument("report", type=Path, help="the report, in Markdown")
    parser.add_argument("number", type=int, help="the number of the pull request")
    asked = parser.parse_args()
    report = asked.report.read_text(encoding="utf-8")
    try:
        print(f"comment: {publish(asked.number, report)}")
    except ForbiddenError as error:
        print(
            "No comment: the token of this job has no permission to write (normal for a pull "
            "request from a fork). The report is in the summary of the job. The answer of GitHub: "
            f"{error}"
        )


if __name__ == "__main__":
    errors.run("comment", main)
