"""Report the effect of a change on the results, and whether it is significant.

The report is Markdown, for a comment on the pull request, and an HTML page. The exit code is 1 if a
bound of `gate` in `params.yaml` is broken, or cannot be decided.
"""

import argparse
import shlex
import sys
from pathlib import Path

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.files import write_text
from ajuste.report import document
from ajuste.report.page import html_page
from ajuste.repository import inputs
from pull_request import compared, gate, report, revision, trainings
from pull_request.comment import LIMIT
from pull_request.compared import BASE, REFERENCE
from pull_request.report import Findings
from pull_request.revision import Revision
from pull_request.trainings import SEEDS


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
        "--seeds",
        type=int,
        default=SEEDS,
        help=f"trainings on each side, with different seeds ({SEEDS})",
    )
    parser.add_argument("--output", type=Path, required=True, help="the report, such as report.md")
    asked = parser.parse_args(argv)
    if asked.seeds < 1:
        parser.error("--seeds must be 1 or more")
    if asked.output.suffix != ".md":
        parser.error("--output must end in .md")
    return asked


def findings(root: Path, asked: argparse.Namespace) -> Findings:
    """The content of the report; missing results are trained.

    Raises:
        PipelineError: a revision is missing or faulty.
    """
    old, new = (revision.find(root, name) for name in (asked.base, asked.head))
    if new.has_pipeline:
        inputs.demand(root, new.commit, new.name, [new.params])
    stale = []
    if asked.head == revision.WORKSPACE:
        if unseen := revision.untracked(root):
            print(f"not included, because Git does not track them: {', '.join(unseen)}")
        stale = inputs.stale(root)
        print(*stale, sep="\n", end="\n" * bool(stale))
    bounds = gate.load(new.params)
    others = {BASE: old}
    if bounds.reference and (fixed := reference(root, bounds.reference)).commit != old.commit:
        others[REFERENCE] = fixed
    unchanged = all(revision.is_same(one, new) for one in others.values())
    seeds = 1 if unchanged else asked.seeds  # the same pipeline gives the same results
    sides = {called: trainings.results(one, seeds) for called, one in others.items()}
    head = trainings.results(new, seeds)
    against = [
        compared.compare(called, side, head, bounds.margin) for called, side in sides.items()
    ]
    words = ["--base", old.short, "--head", new.short, "--output", "report.md"]
    command = f"python -m pull_request {shlex.join(words)} --seeds"
    outcome = gate.hold(bounds, head, against)
    return Findings(head, against, outcome, command, asked.seeds, stale)


def reference(root: Path, name: str) -> Revision:
    """The revision that `gate.reference` names.

    Raises:
        PipelineError: there is no such revision.
    """
    try:
        return revision.find(root, name)
    except PipelineError as error:
        raise PipelineError(f"params.yaml: `gate.reference`: {error}, or set null") from None


def main() -> None:
    """Write the report, and end with 1 if the check fails."""
    asked = arguments()
    try:
        found = findings(Path.cwd(), asked)
        blocks, outcome = report.content(found), found.outcome
    except PipelineError as error:
        blocks = [
            document.Heading(2, "No results; the check fails"),
            document.Text([document.Code(str(error))]),
        ]
        write(blocks, asked.output)
        raise
    write(blocks, asked.output)
    print(blocks[0].text, *outcome.failures, *outcome.notes, sep="\n")
    print(f"report: {asked.output}, {asked.output.with_suffix('.html')}")
    sys.exit(int(bool(outcome.failures)))


def write(blocks: list[document.Block], output: Path) -> None:
    """Write the report as a page and as Markdown, which is cut to the length of a comment."""
    page = output.with_suffix(".html")
    write_text(page, html_page(blocks))
    cut = document.Text([f"This report is too long for a comment; {page.name} has the rest."])
    kept = blocks
    while len(text := document.markdown(kept)) > LIMIT:
        blocks = blocks[:-1]
        kept = [*blocks, cut]
    write_text(output, text)


if __name__ == "__main__":
    errors.run("pull_request", main)
