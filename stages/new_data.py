"""Look at a CSV file and propose the parameters for it. `make new-data CSV=reviews.csv`."""

import argparse
import shlex
from pathlib import Path

from ajuste import errors
from ajuste.config import check, reader, schema
from ajuste.config.edit import with_values
from ajuste.data import proposal
from ajuste.data.csv_reader import guessed_separator
from ajuste.errors import PipelineError, excerpt, printable
from ajuste.files import write_text
from ajuste.repository.git import git
from ajuste.tasks import TASKS
from ajuste.training import entry_schema

IN_GIT = 5_000_000
"""The bytes of a file that is proposed for Git; a larger one is for DVC."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.new_data", description=__doc__)
    parser.add_argument("csv", help="the CSV file")
    for name in ("separator", "text", "label", "group"):
        parser.add_argument(f"--{name}", help=f"data.csv.{name}, instead of a guess")
    parser.add_argument("--task", help=f"task, instead of a guess: {', '.join(TASKS)}")
    parser.add_argument("--write", action="store_true", help=f"write it into {reader.FILE}")
    return parser.parse_args(argv)


def untracked(path: Path) -> list[str]:
    """The commands after which experiments and clones have a file; none if they have it."""
    if path.is_absolute() or ".." in path.parts:
        return [f"cp {shlex.quote(str(path))} . # experiments need a file in the repository"]
    name = shlex.quote(str(path))
    if Path(f"{path}.dvc").exists():
        return []
    try:
        if git(Path.cwd(), "ls-files", "--", str(path)):
            return []
    except PipelineError:  # no repository
        return []
    if path.stat().st_size > IN_GIT:
        return [f"dvc add {name} && git add {name}.dvc {shlex.quote(str(path.parent))}/.gitignore"]
    return [f"git add {name}  # or, if it must not be in Git: dvc add {name}"]


def main(argv: list[str] | None = None) -> None:
    """Print the proposal; with `--write`, write it into `params.yaml`."""
    asked = arguments(argv)
    if not asked.csv:
        raise PipelineError("no file; name it: make new-data CSV=reviews.csv")
    if asked.task and asked.task not in TASKS:
        advice = reader.not_one_of(asked.task, TASKS)
        raise PipelineError(f"TASK is {reader.shown(asked.task)}; {advice}")
    params = reader.read()
    reader.load("validate", schema.Validate)  # the proposal compares the rows with its bounds
    path = Path(asked.csv)
    separator = reader.separator(asked.separator) or guessed_separator(path)
    table = proposal.read_table(path, separator)
    found = proposal.propose(
        table, params, text=asked.text, label=asked.label, group=asked.group, task=asked.task
    )
    print(f"{path}: {len(table.lines):,} rows. The first, as they are understood:")
    for line, label, text in found.examples:
        said = "left out" if label is None else repr(label)
        print(printable(f"  line {line}: {said}: {excerpt(' '.join(text.split()))}"))
    print(f"\nThe proposal for {reader.FILE}:\n")
    print(proposal.shown(found.settings))
    if found.remarks:
        print("\nYou decide:")
    for remark in found.remarks:
        print(printable(f"- {remark}."))
    if asked.write:
        values = {one.key: one.value for one in found.settings}
        text = with_values(reader.FILE.read_text(encoding="utf-8"), values)
        if faults := check.faults(reader.parse(text, reader.FILE), entry_schema.options):
            raise reader.FaultsError(f"{reader.FILE} is unchanged, the proposal has faults", faults)
        write_text(reader.FILE, text)
        print(f"\n{reader.FILE}: written. Next:")
    else:
        print("\nNothing is written yet: WRITE=1 writes it. Then:")
    for command in [*untracked(path), "make repro"]:
        print(f"  {command}")


if __name__ == "__main__":
    errors.run("new-data", main)
