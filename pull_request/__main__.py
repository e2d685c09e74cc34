"""Report the effect of a change on the results, and whether it is significant.

The report is Markdown, for a comment on the pull request, and an HTML page. The exit code is 1 if a
bound of `gate` in `params.yaml` is broken.
"""

import argparse
import shlex
import sys
from pathlib import Path

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.evaluation import significance
from ajuste.evaluation.significance import Comparison
from ajuste.files import write_text
from ajuste.report import document
from pull_request import gate, report, revision, trainings
from pull_request.comment import LIMIT
from pull_request.report import Findings
from pull_request.trainings import Side


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m pull_request", description=__doc__)
    parser.add_argument("--base", required=True, help="the revision or experiment to compare with")
    parser.add_argument(
        "--head",
        default=revision.WORKSPACE,
        help="the revision to judge; by default the files of the working tree that Git tracks",
    )
    parser.add_argument(
        "--seeds", type=int, default=1, help="trainings on each side, with different seeds (1)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the report, such as report.md")
    asked = parser.parse_args(argv)
    if asked.seeds < 1:
        parser.error("--seeds must be 1 or more")
    if asked.output.suffix != ".md":
        parser.error("--output must end in .md")
    return asked


def compared(base: Side, head: Side) -> tuple[Comparison | None, str]:
    """The comparison of two sides, or why two sides with results cannot be compared."""
    if not (base.results and head.results):
        return None, ""
    old, new = (revision.together(side.results) for side in (base, head))
    for name in ("task", "labels"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            return None, f"the {name} changed from {before} to {after}"
    return significance.compare(old, new), ""


def findings(root: Path, asked: argparse.Namespace) -> Findings:
    """The content of the report; missing results are trained.

    Raises:
        PipelineError: a revision is missing or faulty.
    """
    revisions = [revision.find(root, name) for name in (asked.base, asked.head)]
    if asked.head == revision.WORKSPACE and (unseen := revision.untracked(root)):
        print(f"not included, because Git does not track them: {', '.join(unseen)}")
    bounds = gate.load(revisions[1].params)
    base, head = (trainings.results(one, asked.seeds) for one in revisions)
    comparison, incomparable = compared(base, head)
    words = ["--base", revisions[0].short, "--head", revisions[1].short]
    words += ["--seeds", str(asked.seeds)] if asked.seeds > 1 else []
    command = f"python -m pull_request {shlex.join(words)} --output report.md"
    outcome = gate.hold(bounds, base, head, comparison)
    return Findings(base, head, comparison, incomparable, outcome, command)


def main() -> None:
    """Write the report, and end with 1 if the gate is broken."""
    asked = arguments()
    try:
        found = findings(Path.cwd(), asked)
        blocks, broken = report.content(found), found.outcome.broken
    except PipelineError as error:
        blocks = [
            document.Heading(2, "No results; the check fails"),
            document.Text([document.Code(str(error))]),
        ]
        write(blocks, asked.output)
        raise
    write(blocks, asked.output)
    print(blocks[0].text, *broken, sep="\n")
    print(f"report: {asked.output}, {asked.output.with_suffix('.html')}")
    sys.exit(int(bool(broken)))


def write(blocks: list[document.Block], output: Path) -> None:
    """Write the report as a page and as Markdown, which is cut to the length of a comment."""
    page = output.with_suffix(".html")
    write_text(page, document.page(blocks))
    cut = document.Text([f"This report is too long for a comment; {page.name} has the rest."])
    kept = blocks
    while len(text := document.markdown(kept)) > LIMIT:
        blocks = blocks[:-1]
        kept = [*blocks, cut]
    write_text(output, text)


if __name__ == "__main__":
    errors.run("pull_request", main)
