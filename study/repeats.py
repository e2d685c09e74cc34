"""The table of a study with seeds: a row for each experiment, over its seeds."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ajuste.evaluation import scores
from ajuste.evaluation.scores import MAIN
from ajuste.evaluation.significance import Answers, compare
from ajuste.report.document import Table
from ajuste.report.numbers import NONE, number
from study.answers import together
from study.collect import Result
from study.means import interval, mean

CALIBRATION = "calibration_error"
VALIDATION, TEST = "validation", "test"
LEGEND = (
    "A row is an experiment with {seeds} seeds. ±: the 95 % interval of the mean over the seeds "
    "(Student's t), on one split of the reviews. Without the word test, a score is of the "
    "validation part. Calibration error: the mean distance between a predicted probability and how "
    "often it comes true. Trained: the parameters that are trained. Seconds: the mean time of a "
    "training, if it ran here."
)
AGAINST = (
    " Against {name}: the difference of the {score} on the same reviews; its 95 % interval covers "
    "the seeds of both and the choice of the reviews."
)


@dataclass(frozen=True)
class Repeated:
    """An experiment and its trainings with several seeds.

    Attributes:
        name: of the experiment, without a seed.
        seeds: how many were asked for.
        results: those that are there.
    """

    name: str
    seeds: int
    results: list[Result]

    @property
    def loss(self) -> float:
        """The mean validation loss; infinite if there is no result."""
        scored = [one.train.get(VALIDATION, {}) for one in self.results]
        losses = [found["loss"] for found in scored if "loss" in found]
        return interval(losses)[0] if losses else math.inf

    def answers(self, part: str) -> Answers | None:
        """Those of all seeds; None if a training lacks them."""
        known = [one.answers[part] for one in self.results if part in one.answers]
        return together(known) if known and len(known) == len(self.results) else None

    def scores(self, part: str) -> list[dict[str, scores.Score]]:
        """The scores of each seed."""
        if not (found := self.answers(part)):
            return []
        shared = found.task, found.loss, found.targets
        return [
            scores.score(*shared, predictions, found.labels, threshold=threshold)
            for predictions, threshold in found.trainings
        ]


def grouped(results: Sequence[Result]) -> list[Repeated]:
    """The experiments of a study with seeds, the lowest validation loss first."""
    named: dict[str, list[Result]] = {}
    for one in results:
        named.setdefault(one.experiment.repeats or one.experiment.name, []).append(one)
    found = [
        Repeated(name, len(all_of), [one for one in all_of if not one.failure])
        for name, all_of in named.items()
    ]
    return sorted(found, key=lambda one: one.loss)


def legend(repeated: list[Repeated], compare_with: str, score: str) -> str:
    """What the columns mean."""
    text = LEGEND.format(seeds=repeated[0].seeds)
    named = AGAINST.format(name=compare_with, score=score.replace("_", " "))
    return text + (named if compare_with else "")


def table(
    repeated: list[Repeated], compare_with: str, score: str, margin: float, test: bool
) -> Table:
    """A row for each experiment.

    Args:
        repeated: the experiments.
        compare_with: the name of the one that the others are compared with, or empty.
        score: the main score.
        margin: within which two scores count as equivalent.
        test: whether the scores of the test part are shown.
    """
    parts = {VALIDATION: "", **({TEST: "test "} if test else {})}
    base = next((one for one in repeated if one.name == compare_with), None)
    names = [score, *(name for name in ("loss", CALIBRATION) if name != score)]
    header = ["experiment"]
    for word in parts.values():
        header += [f"{word}{name.replace('_', ' ')}" for name in names]
        header += [f"{word}against {base.name}"] if base else []
    header += ["parameters", "trained", "seconds", "verdict"]
    rows, marked = [], set()
    for place, one in enumerate(repeated):
        missing = one.seeds - len(one.results)
        row = [one.name + (f" ({len(one.results)} of {one.seeds} seeds)" if missing else "")]
        for part in parts:
            found = one.scores(part)
            row += [mean([each[name] for each in found if each.get(name) is not None])
                    for name in names]  # fmt: skip
            row += [against(base, one, part, score, margin)] if base else []
        rows.append([*row, *_training(one)])
        if missing:
            marked.add(place)
    return Table(header, rows, marked)


def against(base: Repeated, one: Repeated, part: str, score: str, margin: float) -> str:
    """The difference of the main score from the base, its interval, and what it shows."""
    before, after = base.answers(part), one.answers(part)
    if one.name == base.name or before is None or after is None:
        return NONE
    found = compare(before, after, margin, score)
    known = found.differences[found.score]
    if known.value is None:
        return NONE
    text = number(known.value, "+.3f")
    if known.low is not None:
        text += f" ({number(known.low, '+.3f')} to {number(known.high, '+.3f')})"
    return f"{text}, {found.verdict}"


def main_score(results: Sequence[Result], asked: str | None) -> str:
    """The main score that is asked for, or that of the task."""
    tasks = [answers.task for one in results for answers in one.answers.values()]
    return asked or MAIN[tasks[0] if tasks else "binary"]


def verdicts(results: Sequence[Result]) -> str:
    """Those of all seeds: `optimal`, or `optimal (4), overfitting (1)`."""
    counts = Counter(one.verdict or NONE for one in results)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{verdict} ({count})" for verdict, count in counts.most_common())


def _training(one: Repeated) -> list[str]:
    if not one.results:
        return [NONE] * 3 + ["failed"]
    counts = one.results[0].train.get("parameters", {})
    seconds = [each.seconds for each in one.results if each.seconds is not None]
    return [
        *(number(counts.get(kind), ",") for kind in ("total", "trainable")),
        number(interval(seconds)[0] if seconds else None, ".0f"),
        verdicts(one.results),
    ]
