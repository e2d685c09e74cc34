"""The comment on a pull request, with a fake `gh` in front of the real one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options

from ajuste.report.document import Fold, Heading, Text
from pull_request.__main__ import write
from pull_request.comment import LIMIT, MARKER

ROOT = Path(__file__).parent.parent
ADDRESS = "https://github.example/owner/name/pull/7#issuecomment-{}"
# The part of `gh api` that the comment needs: it keeps the comments of pull request 7 in a file.
GH = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
refused = (folder / "refused").read_text()
if refused and refused.split()[0] in sys.argv:
    sys.exit("gh: " + refused)
comments = json.loads((folder / "comments").read_text())
if "--paginate" in sys.argv:
    for comment in comments:
        print(json.dumps(comment, ensure_ascii=False))
    sys.exit()
if "POST" in sys.argv:
    assert "repos/{{owner}}/{{repo}}/issues/7/comments" in sys.argv
    comments.append({{"id": 100 + len(comments), "user": {{"type": "Bot"}}}})
    made = comments[-1]
else:
    number = int(sys.argv[sys.argv.index("PATCH") + 1].rpartition("issues/comments/")[2])
    made = next(one for one in comments if one["id"] == number)
assert "body=@-" in sys.argv
made["body"] = sys.stdin.buffer.read().decode()
(folder / "comments").write_text(json.dumps(comments))
print({ADDRESS!r}.format(made["id"]))
"""


class GitHub:
    def __init__(self, folder):
        self.folder = folder
        (folder / "gh").write_text(GH)
        (folder / "gh").chmod(0o755)
        self.keep([])
        self.refuse("")

    def keep(self, comments):
        (self.folder / "comments").write_text(json.dumps(comments))

    def refuse(self, answer):
        """Answer so to the calls that have the first word of it."""
        (self.folder / "refused").write_text(answer)

    @property
    def comments(self):
        return json.loads((self.folder / "comments").read_text())

    @property
    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def github(tmp_path):
    return GitHub(tmp_path)


@pytest.fixture
def publish(github, tmp_path):
    """A function that runs the command as the job does, without any package."""

    def run(report):
        (tmp_path / "report.md").write_text(report, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-S", "-m", "pull_request.comment", str(tmp_path / "report.md"), "7"],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )

    return run


def a_comment(number, body, user="Bot"):
    return {"id": number, "body": body, "user": user and {"type": user}}


def test_the_first_run_posts_and_the_second_updates(github, publish):
    for report in ("# One", "# Größer\n"):
        done = publish(report)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"comment: {ADDRESS.format(100)}\n"
        assert [one["body"] for one in github.comments] == [f"{MARKER}\n{report}"]


def test_the_oldest_comment_with_the_marker_is_updated(github, publish):
    talk = [a_comment(1, "I like\u2028 it", "User"), a_comment(2, f"{MARKER}\r\nold")]
    github.keep([*talk, a_comment(3, f"{MARKER}\nold")])
    publish("new")
    assert [one["body"] for one in github.comments] == [
        *("I like\u2028 it", f"{MARKER}\nnew", f"{MARKER}\nold")
    ]


@pytest.mark.parametrize(
    "other",
    [
        a_comment(1, f"{MARKER}\nmine", "User"),
        a_comment(1, f"Look: {MARKER}"),
        a_comment(1, f"{MARKER}\ngone", None),
        a_comment(1, None),
    ],
    ids=["of a person", "a bot quotes the marker", "of a deleted user", "empty"],
)
def test_other_comments_are_not_changed(github, publish, other):
    github.keep([other])
    publish("new")
    assert github.comments == [other, a_comment(101, f"{MARKER}\nnew")]


def test_a_fork_without_permission_gets_a_line(github, publish):
    github.refuse("POST Resource not accessible by integration (HTTP 403)")
    done = publish("report")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No comment: the token may not write, as for a pull request from")
    assert "summary of the job" in done.stdout
    assert done.stdout.count("\n") == 1


def test_another_error_is_one_line_and_fails(github, publish):
    github.refuse("--paginate error connecting to api.github.com\ncheck your connection")
    done = publish("report")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("comment: gh api failed (gh: --paginate error connecting to")
    assert done.stderr.count("\n") == 1
    assert len(github.calls) == 1


def test_a_report_that_fits_is_whole_and_a_longer_one_ends_at_a_block(tmp_path):
    start = [Heading(2, "Better"), Fold("more", [Text(["y"])])]
    for extra, whole in ((LIMIT - 100, True), (LIMIT, False)):
        write([*start, Text(["x" * extra]), Text(["end"])], tmp_path / "report.md")
        text = (tmp_path / "report.md").read_text()
        assert len(text) <= LIMIT
        assert text.startswith("## Better\n\n<details>\n<summary>more</summary>\n\ny\n\n</details>")
        assert text.endswith("end\n" if whole else "comment; report.html has the rest.\n")
        assert "end" in (tmp_path / "report.html").read_text()


def test_the_marker_is_not_shown_and_hides_nothing():
    page = cmarkgfm.github_flavored_markdown_to_html(
        f"{MARKER}\n# Report", Options.CMARK_OPT_UNSAFE
    )
    assert page == f"{MARKER}\n<h1>Report</h1>\n"
