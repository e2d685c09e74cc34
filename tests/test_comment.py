import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options

from ajuste.errors import PipelineError
from pull_request import comment
from pull_request.comment import CUT, LIMIT, MARKER

ROOT = Path(__file__).parent.parent
COMMENTS = "/repos/owner/name/issues/7/comments"


class Handler(BaseHTTPRequestHandler):
    """The part of GitHub that holds the comments of pull request 7, a few to a page."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if not self.refused():
            page = int(dict(part.split("=") for part in query.split("&")).get("page", 1))
            size = self.server.page
            more = len(self.server.comments) > page * size
            following = f"{self.server.url}{path}?per_page=100&page={page + 1}"
            link = f'<{following}>; rel="next", <{following}>; rel="last"' if more else ""
            self.answer(200, self.server.comments[(page - 1) * size : page * size], Link=link)

    def do_POST(self):
        if not self.refused():
            made = a_comment(100 + len(self.server.comments), self.sent["body"])
            self.server.comments.append(made)
            self.answer(201, made)

    def do_PATCH(self):
        if not self.refused():
            number = int(self.path.rsplit("/", 1)[1])
            found = next(one for one in self.server.comments if one["id"] == number)
            found["body"] = self.sent["body"]
            self.answer(200, found)

    def refused(self):
        """Note the request; answer it as the test has planned, if it has."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.sent = json.loads(sent) if sent else None
        self.server.requests.append((self.command, self.path, self.sent))
        self.server.headers.append(self.headers)
        planned = self.server.planned.pop(0) if self.server.planned else None
        if planned == "lost":  # the work is done, the answer never comes
            self.server.comments.append(a_comment(100, self.sent["body"]))
            self.close_connection = True
        elif planned == "HTML":
            self.answer(200, None)
        elif planned:
            self.answer(planned, {"message": "Not\nnow"})
        return planned

    def answer(self, code, value, **headers):
        text = b"<html>" if value is None else json.dumps(value).encode()
        self.send_response(code)
        for name, content in {**headers, "Content-Length": len(text)}.items():
            self.send_header(name, str(content))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def a_comment(number, body, kind="Bot"):
    address = f"https://github.example/owner/name/pull/7#issuecomment-{number}"
    return {"id": number, "body": body, "user": {"type": kind}, "html_url": address}


@pytest.fixture
def github(monkeypatch):
    monkeypatch.setattr(comment, "PAUSES", (0, 0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.page = 2
        server.comments, server.requests, server.headers, server.planned = [], [], [], []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


EVENT = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "owner/name"}}}}


@pytest.fixture
def environment(tmp_path):
    """A function that gives the variables of a job."""

    def make(api, event=EVENT):
        path = tmp_path / "event.json"
        path.write_text(event if isinstance(event, str) else json.dumps(event))
        return {
            "GITHUB_TOKEN": "secret",
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_API_URL": api,
            "GITHUB_EVENT_PATH": str(path),
        }

    return make


@pytest.fixture
def publish(github, environment):
    """A function that posts a report to the fake GitHub."""
    return lambda report: comment.publish(
        comment.target(environment(github.url)), comment.body(report)
    )


def test_the_first_run_posts_and_the_second_updates(github, publish):
    address = "https://github.example/owner/name/pull/7#issuecomment-100"
    assert publish("# One") == address
    assert publish("# Two\n") == address
    assert [one["body"] for one in github.comments] == [f"{MARKER}\n# Two\n"]
    assert github.requests == [
        ("GET", f"{COMMENTS}?per_page=100", None),
        ("POST", COMMENTS, {"body": f"{MARKER}\n# One"}),
        ("GET", f"{COMMENTS}?per_page=100", None),
        ("PATCH", "/repos/owner/name/issues/comments/100", {"body": f"{MARKER}\n# Two\n"}),
    ]
    assert {headers["Authorization"] for headers in github.headers} == {"Bearer secret"}
    assert {headers["Accept"] for headers in github.headers} == {"application/vnd.github+json"}


def test_its_comment_is_found_on_a_later_page(github, publish):
    talk = [a_comment(number, "I like it", "User") for number in range(5)]
    github.comments = [*talk, a_comment(5, f"{MARKER}\r\nold")]
    publish("new")
    assert github.comments == [*talk, a_comment(5, f"{MARKER}\nnew")]
    assert [method for method, _, _ in github.requests] == ["GET", "GET", "GET", "PATCH"]


def test_of_two_the_oldest_is_updated(github, publish):
    github.comments = [a_comment(1, f"{MARKER}\nold"), a_comment(2, f"{MARKER}\nold")]
    publish("new")
    assert [one["body"] for one in github.comments] == [f"{MARKER}\nnew", f"{MARKER}\nold"]


@pytest.mark.parametrize(
    "other",
    [
        a_comment(1, f"{MARKER}\nmine", "User"),
        a_comment(1, f"Look: {MARKER}"),
        {**a_comment(1, f"{MARKER}\ngone"), "user": None},
        a_comment(1, None),
    ],
    ids=["a person's", "a bot's that quotes it", "a deleted user's", "an empty one"],
)
def test_comments_of_others_are_left_alone(github, publish, other):
    github.comments = [dict(other)]
    publish("new")
    assert github.comments == [other, a_comment(101, f"{MARKER}\nnew")]


def test_a_fault_of_the_server_is_tried_again(github, publish):
    github.planned = [500, None, 502]
    publish("report")
    assert [method for method, _, _ in github.requests] == ["GET", "GET", "POST", "GET", "POST"]
    assert [one["body"] for one in github.comments] == [f"{MARKER}\nreport"]


def test_a_comment_whose_answer_was_lost_is_not_written_twice(github, publish):
    github.planned = [None, "lost"]
    publish("report")
    assert [one["body"] for one in github.comments] == [f"{MARKER}\nreport"]


def test_a_server_that_stays_down_is_asked_three_times(github, publish):
    github.planned = [503] * 9
    with pytest.raises(PipelineError, match=r"answered 503 .*run the job again"):
        publish("report")
    assert len(github.requests) == 3


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_token_without_the_right_is_named_once(github, publish, code):
    github.planned = [None, code]
    with pytest.raises(PipelineError, match=rf"{code} .*Not.*pull-requests: write") as raised:
        publish("report")
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(github.requests) == 2


@pytest.mark.parametrize(
    ("planned", "says"), [(422, r"answered 422 .*summary of the job"), ("HTML", "not JSON")]
)
def test_other_answers_are_one_line(github, publish, planned, says):
    github.planned = [planned]
    with pytest.raises(PipelineError, match=says):
        publish("report")
    assert len(github.requests) == 1


def test_no_network(environment, monkeypatch):
    monkeypatch.setattr(comment, "PAUSES", (0, 0))
    with pytest.raises(PipelineError, match=r"no answer \(.*refused\); check the network"):
        comment.publish(comment.target(environment("http://127.0.0.1:9")), "report")


def test_a_server_that_says_nothing_is_not_waited_for(github, publish, monkeypatch):
    asked, silent = [], threading.Event()
    monkeypatch.setattr(comment, "TIMEOUT", 0.05)
    monkeypatch.setattr(Handler, "do_GET", lambda self: (asked.append(1), silent.wait(10)))
    with pytest.raises(PipelineError, match=r"no answer \(timed out\)"):
        publish("report")
    silent.set()
    assert len(asked) == 3


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL"])
def test_a_missing_variable_is_named(environment, name):
    with pytest.raises(PipelineError, match=rf"^{name} not set; run this in a job"):
        comment.target({**environment("https://api.example"), name: ""})


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ('{"pull_request": ', "is not JSON"),
        ("[]", "no pull request in"),
        ({"push": {}}, "no pull request in"),
        ({"pull_request": {}}, "no pull request in"),
    ],
)
def test_an_event_without_a_pull_request_is_one_line(environment, event, says):
    with pytest.raises(PipelineError, match=says) as raised:
        comment.target(environment("https://api.example", event))
    assert "\n" not in str(raised.value)


def test_an_address_that_is_none_is_named(environment):
    with pytest.raises(PipelineError, match=r"GITHUB_API_URL is 'api.example'"):
        comment.target(environment("api.example"))


def as_a_job(environment, *arguments):
    """Run the command as a job does, on nothing but the standard library."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "pull_request.comment", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_posts_and_needs_no_package(github, environment, tmp_path):
    (tmp_path / "report.md").write_text("# Größer\n", encoding="utf-8")
    done = as_a_job(environment(github.url), str(tmp_path / "report.md"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "comment: https://github.example/owner/name/pull/7#issuecomment-100\n"
    assert [one["body"] for one in github.comments] == [f"{MARKER}\n# Größer\n"]


@pytest.mark.parametrize("repo", [{"full_name": "other/name"}, None], ids=["fork", "deleted fork"])
def test_a_fork_gets_a_sentence_and_no_request(github, environment, tmp_path, repo):
    event = {"pull_request": {"number": 7, "head": {"repo": repo}}}
    done = as_a_job(environment(github.url, event), str(tmp_path / "report.md"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "from a fork" in done.stdout
    assert "summary of the job" in done.stdout
    assert done.stdout.count("\n") == 1
    assert github.requests == []


def test_a_report_that_is_not_there_is_one_line(github, environment, tmp_path):
    done = as_a_job(environment(github.url), str(tmp_path / "report.md"))
    assert done.returncode == 1
    assert re.fullmatch(r"comment: No such file or directory: .*report\.md\n", done.stderr)
    assert github.requests == []


def test_a_report_that_fits_is_left_as_it_is():
    report = "x" * (LIMIT - len(MARKER) - 1)
    assert comment.body(report) == f"{MARKER}\n{report}"


def test_a_longer_one_ends_at_a_line_within_the_limit():
    report = "".join(f"| {number} | ä |\n" for number in range(9000))
    text = comment.body(report)
    kept = text.removeprefix(f"{MARKER}\n").removesuffix(CUT)
    assert report.startswith(kept)
    assert kept.endswith(" |\n")
    assert text.endswith(CUT)
    assert LIMIT - 20 < len(text) <= LIMIT


def test_one_endless_line_leaves_the_sentence():
    assert comment.cut("x" * 1000, 500) == CUT


@pytest.mark.parametrize(
    ("opening", "inside"),
    [
        ("```mermaid\n", "~~~\n"),
        ("~~~~ text\n", "~~~\n"),
        ("   ```\n", "``` more\n"),
        ("```\n", "<details>\n"),
    ],
)
def test_a_fenced_block_is_kept_whole_or_not_at_all(opening, inside):
    block = opening + inside * 200 + re.search("[`~]+", opening)[0] + "\n"
    before = "# Report\n"
    assert comment.cut(before + block, 500) == before + CUT
    whole = before + block + "end\n" * 1000
    shown = comment.cut(whole, len(before + block) + 200)
    assert shown.startswith(before + block + "end\n")
    assert shown.endswith("end\n" + CUT)


def test_backticks_within_a_line_open_no_block():
    report = "```in `one` line```\n" + "x\n" * 1000
    assert comment.cut(report, 500).startswith("```in `one` line```\nx\n")


@pytest.mark.parametrize("limit", range(150, 400, 7))
def test_details_are_closed_where_the_report_ends(limit):
    inner = "<details open><summary>b</summary>\n\n" + "y\n" * 30 + "</details>\n"
    report = f"a\n<details><summary>a</summary>\n\n{inner}" + "z\n" * 400 + "</details>\n"
    text = comment.cut(report, limit)
    assert len(text) <= limit
    assert text.count("<details") == text.count("</details>")
    assert text.endswith(CUT)


def test_the_marker_is_not_shown_and_hides_nothing():
    report = comment.body("# Report")
    page = cmarkgfm.github_flavored_markdown_to_html(report, Options.CMARK_OPT_UNSAFE)
    assert page == f"{MARKER}\n<h1>Report</h1>\n"
