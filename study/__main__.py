"""Run a list of experiments in parallel and write a report."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.files import write_text
from ajuste.report import document
from ajuste.report.page import html_page
from ajuste.repository import inputs
from ajuste.training.environment import cores
from study import collect, plan, report, run

REPORTS = Path("reports")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    parser.add_argument("list", type=Path, help="the list, such as studies/lecture.yaml")
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="how many at a time (%(default)s)"
    )
    parser.add_argument(
        "--report-only", action="store_true", help="run nothing, only write the report"
    )
    parser.add_argument("--test", action="store_true", help="show the test part in the report")
    asked = parser.parse_args(argv)
    if asked.jobs < 1:
        parser.error("--jobs must be 1 or more")
    return asked


def write_report(
    asked: Path, study: plan.Plan, results: list[collect.Result], start: collect.Base
) -> Path:
    """Write the report: Markdown with pictures beside it, and an HTML page that has them inside.

    Args:
        asked: the path of the list; the report gets its name.
        study: the list.
        results: its results.
        start: the commit that the experiments start from.

    Returns:
        The path of the page.
    """
    shown = asked.name if asked.is_absolute() else asked.as_posix()  # no path of this machine
    command = f"python -m study {shown}" + (" --test" if study.test else "")
    blocks = report.content(study, results, command, start)
    folder = REPORTS / asked.stem
    for old in folder.glob("*.svg"):
        old.unlink()
    for block in blocks:
        if isinstance(block, document.Picture):
            write_text(folder / f"{block.name}.svg", block.svg)
    write_text(folder.with_suffix(".md"), document.markdown(blocks, asked.stem))
    page = folder.with_suffix(".html")
    write_text(page, html_page(blocks))
    return page


def main() -> None:
    """Run the experiments that are not done yet, then report all of them."""
    asked = arguments()
    began = time.monotonic()
    start, study = collect.base(Path.cwd()), plan.load(asked.list)
    study = replace(study, test=study.test or asked.test)
    plan.check(study, start.params)
    if not asked.report_only:
        own = [f"{REPORTS / asked.list.stem}{end}" for end in (".md", ".html", "/")]
        run.check_clean(start.root, [*own, asked.list.as_posix()])
        for line in inputs.stale(start.root):
            print(line)
        run.run(start, study, asked.jobs)
    results = collect.collect_all(start, study, study.test)
    page = write_report(asked.list, study, results, start)
    print(report.summary(results))
    print(f"report: {page}, {page.with_suffix('.md')}; {time.monotonic() - began:.0f} s in total")
    if failed := [result for result in results if result.log]:
        shown = "; ".join(f"{r.experiment.name}: {r.failure} ({r.log})" for r in failed)
        raise PipelineError(f"{len(failed)} of {len(results)} failed: {shown}")


if __name__ == "__main__":
    errors.run("study", main)
