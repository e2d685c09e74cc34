"""The report on one run: how good the network is, how it fits, where it errs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ajuste.report import vega
from ajuste.report.document import (
    Bullets,
    Code,
    Drawing,
    Entries,
    Entry,
    Fold,
    Heading,
    Model,
    PageBlock,
    Strong,
    Table,
    Text,
)
from ajuste.report.numbers import NONE, many, number
from ajuste.tasks import NUMERIC, TASKS

MEANINGS = {
    "overfitting": (
        "It knows its training reviews better than new ones: a part of what it learned holds only "
        "for them."
    ),
    "underfitting": (
        "It has not learned its training reviews as well as it could: a larger network, a longer "
        "training or better features can learn more."
    ),
    "optimal": (
        "It has learned its training reviews, and does about as well on new ones. More data or "
        "another network may still be better."
    ),
    "undecided": "The curves do not show how it fits.",
}
CLASS_SCORES = ("precision", "recall", "f1")
NOT_QUALITY = "The verdict says how the network fits, not how good it is."
MOST_LABELS = 20
"""A picture of the confusions of more labels, or of more sets of labels, cannot be read."""
MOST_ERRORS = 500
"""So many errors are listed; the file has all of them."""


@dataclass(frozen=True)
class Run:
    """What the stages of a run wrote.

    Attributes:
        settings: `params.yaml`.
        labels: of the data.
        tested: `metrics/evaluate.json`.
        baseline: `metrics/baseline.json`.
        trained: `metrics/train/metrics.json`.
        split: `metrics/split.json`.
        validated: `metrics/validate.json`.
        browser: the model for the page (see `ajuste.training.browser`), if it can have one.
        curves: for each trained network (an ensemble has several; its own name is empty), for each
            score and part, the value of each epoch.
        tables: the tables below `reports/`, by the names of their files.
    """

    settings: dict[str, Any]
    labels: list[Any]
    tested: dict[str, Any]
    baseline: dict[str, Any]
    trained: dict[str, Any]
    split: dict[str, Any]
    validated: dict[str, Any]
    browser: dict[str, Any]
    curves: dict[str, dict[str, dict[str, list[float]]]]
    tables: dict[str, pd.DataFrame]

    @property
    def score(self) -> str:
        """The main score."""
        task = TASKS[self.settings["task"]]
        return self.settings["evaluate"]["score"] or task.scores[0]


def blocks(run: Run) -> list[PageBlock]:
    """The report, the answer first."""
    sections = answer, try_it, learning_curves, scores, slices, errors, words, network, data, card
    title = Heading(1, f"How {run.settings['model']} fits")
    return [title, *(block for section in sections for block in section(run))]


def answer(run: Run) -> Iterator[PageBlock]:
    """How good the network is beside the baselines, and how it fits."""
    fit = run.tested["fit"]
    yield Text([Strong(f"{_quality(run)}.")])
    yield Text([fit["sentence"], " ", MEANINGS[fit["verdict"]], " ", NOT_QUALITY])
    yield Text([f"Why this verdict: {fit['reason']}."])


def _quality(run: Run) -> str:
    score, tested = run.score, run.tested
    reviews = f"{many(tested['reviews'], 'test review')} that it has never seen"
    beside = [run.baseline[name]["test"].get(score) for name in ("linear", "majority")]
    if score == "accuracy":
        value, low, high, *others = (
            f"{100 * share:.1f}" for share in (*_ends(tested, score), *beside)
        )
        return (
            f"The network is right about {value} % of {reviews} (95 % interval {low} to {high} %), "
            f"the linear baseline about {others[0]} %, the label frequencies about {others[1]} %"
        )
    shown, linear, majority = (number(value, ".3f") for value in (tested[score], *beside))
    span = " (95 % interval {} to {})".format(*(f"{end:.3f}" for end in _ends(tested, score)[1:]))
    return (
        f"{vega.title(score).capitalize()} {shown}{span if f'{score}_low' in tested else ''} on "
        f"{reviews}; the linear baseline gets {linear}, the label frequencies {majority}"
    )


def _ends(tested: dict[str, Any], score: str) -> tuple[float, float, float]:
    value = tested[score]
    return value, tested.get(f"{score}_low", value), tested.get(f"{score}_high", value)


def try_it(run: Run) -> Iterator[PageBlock]:
    """A field that answers, if the network is small enough for the page."""
    if run.browser:
        yield Heading(2, "Try it")
        yield Model(run.browser)


def learning_curves(run: Run) -> Iterator[PageBlock]:
    """The curves of each network, each score with a scale of its own."""
    yield Heading(2, "Learning curves")
    for name, of_network in run.curves.items():
        if max(len(values) for parts in of_network.values() for values in parts.values()) < 2:
            continue  # what is not trained epoch by epoch has no curve
        for score, parts in of_network.items():
            kept = None if name else run.trained.get("kept_epoch")
            about = f"{score} of {name or run.settings['model']} by epoch, training and validation"
            if kept:
                about += f"; epoch {kept} is kept"
            yield Drawing(vega.learning_curve(parts, score, kept), about)
    found = run.trained
    rows = [
        [part, *(number(found[part].get(score), ".3f") for score in ("loss", "accuracy"))]
        for part in ("train", "validation")
    ]
    gap = found["generalization_gap"]
    rows.append(["gap", *(number(gap.get(score), ".3f") for score in ("loss", "accuracy"))])
    yield Table(["part", "loss", "accuracy"], rows)


def scores(run: Run) -> Iterator[PageBlock]:
    """The scores of the test part, and the curves of its predictions."""
    task, tested = run.settings["task"], run.tested
    yield Heading(2, "Test part")
    sides = [tested, *(run.baseline[name]["test"] for name in ("linear", "majority"))]
    rows = []
    for score in (one for one in (*TASKS[task].scores, "calibration_error") if one in tested):
        ends = [tested.get(f"{score}{end}") for end in ("_low", "_high")]
        span = NONE if None in ends else " to ".join(f"{end:.3f}" for end in ends)
        values = (number(side.get(score), ".3f") for side in sides)
        rows.append([vega.title(score), *values, span])
    header = ["score", run.settings["model"], "linear baseline", "label frequencies"]
    yield Table([*header, "95 % interval"], rows)
    if of_classes := tested["classes"]:
        rows = [
            [label, *(number(one[key], ".3f") for key in CLASS_SCORES), f"{one['support']:,}"]
            for label, one in of_classes.items()
        ]
        yield Table(["class", "precision", "recall", "f1", "reviews"], rows)
    tables = run.tables
    if 0 < tables["confusion"].nunique().max() <= MOST_LABELS:
        about = "confusion matrix: the label of a review downwards, the answer across"
        yield Drawing(vega.counts(tables["confusion"], "actual", "predicted"), about)
    if len(tables["regression"]):
        about = "the predicted number by the actual number"
        yield Drawing(vega.scatter(tables["regression"], "actual", "predicted"), about)
    for name, about, diagonal in (
        ("roc", "ROC curve; the dashed line is chance", True),
        ("precision_recall", "precision by recall", False),
        ("calibration", "calibration: how often a probability is right; dashed is perfect", True),
    ):
        if len(tables[name]):
            x, y = tables[name].columns[:2]
            yield Drawing(vega.curve(tables[name], x, y, diagonal), about)


def slices(run: Run) -> Iterator[PageBlock]:
    """The main score of each slice of the test part."""
    table, score = run.tables["slices"], run.score
    yield Heading(2, "Slices of the test part")
    ends = [f"{score}_low", f"{score}_high"]
    about = f"{vega.title(score)} of each slice"
    about += ", with its 95 % interval" if ends[0] in table else ""
    yield Drawing(vega.intervals(table, "slice", score), about)
    shown = ["slice", "reviews", score, *(end for end in ends if end in table)]
    rows = [
        [name, f"{reviews:,.0f}", *(number(value, ".3f") for value in values)]
        for name, reviews, *values in table[shown].itertuples(index=False)
    ]
    yield Fold("The numbers", [Table([vega.title(name) for name in shown], rows)])


def errors(run: Run) -> Iterator[PageBlock]:
    """The wrong answers, the surest first, with the words that mattered."""
    table, task = run.tables["errors"], run.settings["task"]
    explained = {
        origin: list(zip(of_review["word"], of_review["effect"], strict=True))
        for origin, of_review in run.tables["words"].groupby("origin", sort=False)
    }
    numeric = task in NUMERIC
    yield Heading(2, "Largest errors" if numeric else "Errors")
    shown = table[:MOST_ERRORS]
    unit = "" if numeric else " in log-odds"
    yield Text(
        [
            f"{many(len(table), 'answer')} "
            f"{'differ from the number of the review' if numeric else 'of the test part are wrong'}"
            f", the {'largest' if numeric else 'surest'} first"
            f"{'' if len(shown) == len(table) else f'; the first {len(shown)} are listed'}. The "
            f"first {len(explained)} have the words that mattered most: how much each makes the "
            f"error larger (+) or smaller (\N{MINUS SIGN}){unit}, by the answer without the word. ",
            "All are in ",
            Code("reports/evaluate/errors.csv"),
            ".",
        ]
    )
    yield Entries(
        [
            Entry(
                title=f"{actual} → {predicted} ({error:.3f}): {review[:60]}…",
                kind="" if numeric else f"{actual} → {predicted}",
                text=review,
                words=explained.get(origin, []),
            )
            for origin, actual, predicted, error, review in shown.itertuples(index=False)
        ]
    )


def words(run: Run) -> Iterator[PageBlock]:
    """The picture of the word vectors, and the nearest words."""
    if not len(run.tables["map"]):
        return
    yield Heading(2, "Word vectors")
    about = "words of both sentiments in the plane of the two largest principal components"
    yield Drawing(vega.word_map(run.tables["map"]), about)
    if len(run.tables["neighbours"]):
        nearest = run.tables["neighbours"].groupby("word", sort=False)["neighbour"].agg(", ".join)
        yield Table(["word", "nearest words"], [[word, near] for word, near in nearest.items()])


def network(run: Run) -> Iterator[PageBlock]:
    """The layers of the network, and the options of its entry."""
    yield Heading(2, "The network")
    rows = [
        [layer, kind, shape, f"{parameters:,}", f"{trainable:,}"]
        for layer, kind, shape, parameters, trainable in run.tables["layers"].itertuples(
            index=False
        )
    ]
    total = run.trained["parameters"]
    rows.append(["all", "", "", f"{total['total']:,}", f"{total['trainable']:,}"])
    yield Table(["layer", "type", "output", "parameters", "trained"], rows)
    name = run.settings["model"]
    options = [[option, Code(value)] for option, value in run.settings["models"][name].items()]
    yield Fold(f"The options of models.{name}", [Table(["option", "value"], options)])


def data(run: Run) -> Iterator[PageBlock]:
    """The parts, and what the validation of the data found."""
    yield Heading(2, "Data")
    parts = [[part, f"{run.split[part]:,}"] for part in ("train", "validation", "test")]
    yield Table(["part", "reviews"], parts)
    found = [[name, f"{count:,}"] for name, count in run.validated["unexpected"].items()]
    full = Code("reports/validate/index.html")
    yield Text(["All expectations hold; the full report is in ", full, "."])
    yield Fold("What each expectation found", [Table(["expectation", "unexpected rows"], found)])


def card(run: Run) -> Iterator[PageBlock]:
    """A model card (Mitchell et al., 2019): what the model is for, its limits, how to get it."""
    settings, split = run.settings, run.split
    what = f"one of: {', '.join(map(str, run.labels))}"
    if settings["task"] == "multilabel":
        what = f"any {what}"
    if settings["task"] in NUMERIC:
        what = f"a number from {run.labels[0]} to {run.labels[-1]}"
    yield Heading(2, "Model card")
    yield Bullets(
        [
            f"What it does: it reads a review and answers {what} (task {settings['task']}).",
            f"Data: the source {settings['data']['source']}; {split['train']:,} reviews to train, "
            f"{split['validation']:,} for validation, {split['test']:,} for the test.",
            "Meant for: reviews like these, in the same language; teaching; a first version.",
            "Not meant for: texts of another kind, single short sentences, decisions about people.",
            "Limits: the slices and the errors above. Nothing is known of groups of writers, since "
            "the data do not name them.",
            ["The same result again: ", Code("dvc repro"), f" (seed {settings['seed']})."],
            ["An answer about a text: ", Code('python -m serving.predict "TEXT"'), "."],
        ]
    )
