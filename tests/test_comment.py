"""The comment on a pull request, with a fake `gh` in front of the real one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ajuste.report.document import Fold, Heading, Text
from pull_request.__main__ import write
from pull_request.comment import LIMIT, MARKER

ROOT = Path(__file__).parent.parent
ADDRESS = "https://github.example/owner/name/pull/7#issuecomment-"
# The part of `gh api` that the comment needs: the file `comments` has those of pull request 7. It
# refuses a call that contains the first word of the file `refused`.
GH = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
refused = (folder / "refused").read_text()
if refused and refused.split()[0] in sys.argv:
    sys.exit("gh: " + refused)
comments = json.loads((folder / "comments").read_text())
issues = "repos/{{owner}}/{{repo}}/issues"
if f"{{issues}}/7/comments?per_page=100" in sys.argv and "--paginate" in sys.argv:
    for comment in comments:
        print(json.dumps(comment, ensure_ascii=False))
    sys.exit()
if sys.argv[3:5] == ["POST", f"{{issues}}/7/comments"]:
    comments.append({{"id": 100 + len(comments), "user": {{"type": "Bot"}}}})
    changed = comments[-1]
else:
    changed = next(c for c in comments if sys.argv[4] == f"{{issues}}/comments/{{c['id']}}")
assert "body=@-" in sys.argv
changed["body"] = sys.stdin.buffer.read().decode()
(folder / "comments").write_text(json.dumps(comments))
print("{ADDRESS}" + str(changed["id"]))
"""


@pytest.fixture
def publish(tmp_path):
    """A function that runs the command as the job does, without any package.

    It returns the process and the comments after it.
    """
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)

    def run(report, comments=(), refused=""):
        (tmp_path / "report.md").write_text(report, encoding="utf-8")
        (tmp_path / "comments").write_text(json.dumps(comments))
        (tmp_path / "refused").write_text(refused)
        done = subprocess.run(
            [sys.executable, "-S", "-m", "pull_request.comment", str(tmp_path / "report.md"), "7"],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        return done, json.loads((tmp_path / "comments").read_text())

    return run


def a_comment(number, body, user="Bot"):
    return {"id": number, "body": body, "user": user and {"type": user}}


def test_the_first_run_posts_and_the_second_updates(publish):
    comments = []
    for report in ("# One", "# Größer\n"):
        done, comments = publish(report, comments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"comment: {ADDRESS}100\n"
        assert comments == [a_comment(100, f"{MARKER}\n{report}")]


def test_the_oldest_comment_of_a_job_is_updated(publish):
    others = [
        a_comment(1, f"{MARKER}\nof a person", "User"),
        a_comment(2, f"of a bot that\u2028 quotes {MARKER}"),
        a_comment(3, f"{MARKER}\nof a deleted user", None),
        a_comment(4, None),
    ]
    last = a_comment(6, f"{MARKER}\nold")
    _, comments = publish("new", [*others, a_comment(5, f"{MARKER}\r\nold"), last])
    assert comments == [*others, a_comment(5, f"{MARKER}\nnew"), last]


def test_a_fork_without_permission_gets_a_line(publish):
    refused = "POST Resource not accessible by integration (HTTP 403)"
    done, comments = publish("report", refused=refused)
    assert (done.returncode, done.stderr, comments) == (0, "", [])
    assert done.stdout.startswith("No comment: the token of this job has no permission to write")
    assert "summary of the job" in done.stdout
    assert refused in done.stdout
    assert "again" not in done.stdout
    assert done.stdout.count("\n") == 1


def test_another_error_is_one_line_and_fails(publish):
    done, _ = publish("report", refused="--paginate error connecting\ncheck your connection")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("comment: gh api failed (gh: --paginate error connecting check")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("length", "end"), [(LIMIT - 100, "end\n"), (LIMIT, "has the rest.\n")])
def test_a_long_report_is_cut_at_a_block(tmp_path, length, end):
    start = [Heading(2, "Better"), Fold("more", [Text(["y"])])]
    write([*start, Text(["x" * length]), Text(["end"])], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert len(text) <= LIMIT
    assert text.startswith("## Better\n\n<details>\n<summary>more</summary>\n\ny\n\n</details>")
    assert text.endswith(end)
    assert "end" in (tmp_path / "report.html").read_text()
