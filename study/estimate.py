"""Estimate how good a network is over repeated splits of the reviews: `make estimate MODEL=NAME`.

Each split keeps groups, such as films, apart and has its own seed, and the training another one. So
the estimate covers the choice of the reviews and the seed, and a film never helps to judge itself.
The linear baseline of each split is beside it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.evaluation import scores
from ajuste.evaluation.scores import MAIN
from ajuste.repository import inputs
from ajuste.training.environment import cores
from study import collect, compare, plan, run
from study.collect import Base, Result
from study.means import mean
from study.plan import Experiment, Plan

SPLITS = 5
LINEAR = "linear"
NOTE = (
    "± is a 95 % interval over the splits (Student's t), corrected for training parts that overlap "
    "(Nadeau and Bengio, 2003)."
)


@dataclass(frozen=True)
class Scored:
    """The scores of one split; both sides have `loss` and the main score.

    Attributes:
        seed: of the split and of the training.
        network: the scores of the network.
        linear: those of the linear baseline.
        reviews: how many reviews were scored.
        trained: how many reviews it was trained on.
    """

    seed: int
    network: dict[str, scores.Score]
    linear: dict[str, scores.Score]
    reviews: int
    trained: int


def experiments(model: str, splits: int, params: dict[str, Any]) -> list[Experiment]:
    """One for each split, with the seeds from 1 on."""
    by = "group" if has_groups(params) else "review"
    return [
        Experiment(
            f"estimate-{model}-{seed}",
            {"model": model, "seed": seed, "split.by": by, "split.seed": seed},
        )
        for seed in range(1, splits + 1)
    ]


def has_groups(params: dict[str, Any]) -> bool:
    """Whether the reviews have groups: all have, except a CSV file without such a column."""
    data = params.get("data", {})
    return data.get("source") != "csv" or bool(data.get("csv", {}).get("group"))


def scored(start: Base, result: Result, part: str) -> Scored:
    """The scores of a split, with the default loss of the task.

    Args:
        start: the commit that the experiments start from.
        result: the training.
        part: `validation` or `test`.

    Raises:
        PipelineError: the predictions are not in the cache.
    """
    found = result.scores
    if part == "validation":
        answers = collect.answered(start, result, [part]).get(part)
        if answers is None:
            name = result.experiment.name
            raise PipelineError(
                f"the predictions of {name} are not in the DVC cache; run `dvc exp remove {name}`, "
                "then this command again"
            )
        ((predictions, threshold),) = answers.trainings
        given = answers.task, answers.loss, answers.targets, predictions, answers.labels
        found = scores.score(*given, threshold=threshold)
    linear = result.baseline[LINEAR][part]
    seed = result.experiment.overrides["seed"]
    return Scored(seed, found, linear, result.split[part], result.split["train"])


def report(model: str, score: str, part: str, found: list[Scored]) -> list[str]:
    """The lines of the estimate: each split, and the mean with its interval.

    Args:
        model: the name of the network.
        score: the main score.
        part: `validation` or `test`.
        found: the scores of each split.
    """
    names = list(dict.fromkeys((score, "loss")))
    overlap = sum(one.reviews / one.trained for one in found) / len(found)
    sides: list[Callable[[Scored, str], float]] = [
        lambda one, name: one.network[name],
        lambda one, name: one.linear[name],
        lambda one, name: one.network[name] - one.linear[name],
    ]
    header, means = ["split"], ["mean"]
    rows = [[str(one.seed)] for one in found]
    for name in names:
        shown = name.replace("_", " ")
        header += [f"{shown}: {model}", f"{LINEAR} baseline", "difference"]
        for place, side in enumerate(sides):
            values = [side(one, name) for one in found]
            sign = "+" if place == 2 else ""
            means.append(mean(values, overlap, sign))
            for row, value in zip(rows, values, strict=True):
                row.append(mean([value], sign=sign))
    counts = [[getattr(one, of) for one in found] for of in ("trained", "reviews")]
    trained, reviews = (f"{min(of):,} to {max(of):,}" if len(set(of)) > 1 else f"{of[0]:,}"
                        for of in counts)  # fmt: skip
    title = (
        f"The {part} parts of {len(found)} splits: {trained} reviews to train, {reviews} to score"
    )
    return [title, *compare.table([header, *rows, means]), *([NOTE] if len(found) > 1 else [])]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m study.estimate", description=__doc__)
    parser.add_argument("--model", help="an entry of `models` (default: that of params.yaml)")
    parser.add_argument("--splits", type=int, default=SPLITS, help="how many (%(default)s)")
    parser.add_argument("--test", action="store_true", help="the test parts too")
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="how many at a time (%(default)s)"
    )
    asked = parser.parse_args(argv)
    if asked.jobs < 1 or asked.splits < 2:
        parser.error("--jobs must be 1 or more, --splits 2 or more")
    return asked


def main() -> None:
    """Train on the splits that are not done yet, then report all of them.

    Raises:
        PipelineError: the network is unknown, or a training failed.
    """
    asked = arguments()
    start = collect.base(Path.cwd())
    model = asked.model or start.params.get("model", "")
    listed = experiments(model, asked.splits, start.params)
    study = Plan("params.yaml", "", follow=False, experiments=listed)
    plan.check(replace(study, experiments=listed[:1]), start.params)
    run.check_clean(start.root, [])
    for line in inputs.stale(start.root):
        print(line)
    if not has_groups(start.params):
        print("the reviews have no groups (`data.csv.group`): the splits keep copies together only")
    run.run(start, study, asked.jobs)
    results = [collect.collect(start, one) for one in listed]
    if failed := [one for one in results if one.failure]:
        said = "; ".join(f"{one.experiment.name}: {one.failure} ({one.log})" for one in failed)
        raise PipelineError(f"{len(failed)} of {len(results)} failed: {said}")
    score = start.params.get("evaluate", {}).get("score") or MAIN[start.params["task"]]
    for part in ("validation", *(["test"] if asked.test else [])):
        found = [scored(start, one, part) for one in results]
        print("", *report(model, score, part, found), sep="\n")


if __name__ == "__main__":
    errors.run("estimate", main)
