"""The report on one run: how good the network is, how it fits, where it errs."""

import re
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
from ajuste.report.language import ENGLISH, Say, speaker
from ajuste.report.numbers import NONE, number
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
CURVES = (
    ("roc", "ROC curve; the dashed line is chance", True),
    ("precision_recall", "precision by recall", False),
    (
        "calibration",
        "calibration: of the reviews with a probability, the share that is positive; a larger dot "
        "is more reviews, dashed is perfect",
        True,
    ),
)
WRONG = "{count} answers of the test part are wrong, the surest first."
NUMERIC_ERRORS = "{count} answers differ from the number of the review, the largest error first."
MATTERED = (
    " The first {count} have the words that mattered most: plus speaks for the wrong answer, minus "
    "against it, by how much the answer changes without the word."
)
CLASS_SCORES = ("precision", "recall", "f1")
NOT_QUALITY = (
    "The verdict says how the network fits, not how good it is: the share above is of new reviews "
    "only."
)
LINE_BREAK = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)
EPOCH = (
    "An epoch is one pass over the training reviews. The loss also counts how sure the answers "
    "are; lower is better. A gap between the curves is what holds only for training reviews. The "
    "curves have as many training as validation reviews, the table has all."
)
SLICES = (
    "Short, medium and long are a third of the reviews each. Reviews with rare words have a larger "
    "share of words outside the vocabulary than two thirds of the reviews have. A negation is a "
    "word such as not."
)
HOLD = (
    "All expectations hold, within the limits of `validate` in params.yaml; the full report is in "
)
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
        sure: the probability of the verdict, such as `93 %`, or empty.
        remedies: what to try next: the command, what it changes, and why.
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
    sure: str
    remedies: list[tuple[str, str, str]]

    @property
    def say(self) -> Say:
        """What says a text in the language of the report."""
        return speaker(self.settings["report"]["language"])

    @property
    def score(self) -> str:
        """The main score."""
        task = TASKS[self.settings["task"]]
        return self.settings["evaluate"]["score"] or task.scores[0]


def blocks(run: Run) -> list[PageBlock]:
    """The report, the answer first."""
    sections = answer, try_it, learning_curves, scores, slices, errors, words, network, data, card
    title = Heading(
        1, run.say("{model}: how good it is, and how it fits", model=run.settings["model"])
    )
    return [title, *(block for section in sections for block in section(run))]


def answer(run: Run) -> Iterator[PageBlock]:
    """How good the network is beside the baselines, and how it fits."""
    fit, say = run.tested["fit"], run.say
    yield Text([Strong(_quality(run)), *_beside(run)])
    chance = say(" ({chance} sure)", chance=run.sure) if run.sure else ""
    verdict = say("The verdict: {verdict}{chance}.", verdict=say(fit["verdict"]), chance=chance)
    yield Text([f"{verdict} {say(MEANINGS[fit['verdict']])} {say(NOT_QUALITY)}"])
    if run.settings["report"]["language"] == ENGLISH:  # `evaluate` writes the reason in English
        yield Text([f"Why this verdict: {fit['reason']}."])
    header = [say("what changes"), say("why"), say("experiment")]
    rows = [[say(what), say(why), Code(command)] for command, what, why in run.remedies]
    yield Fold(say("What to try next"), [Table(header, rows)])


def _beside(run: Run) -> Iterator[str]:
    """Whether a difference to the linear baseline is shown; how often sure answers are right."""
    tested, score, say = run.tested, run.score, run.say
    low, high = (tested.get(f"{score}{end}") for end in ("_low", "_high"))
    linear = run.baseline["linear"]["test"].get(score)
    if None not in (low, high, linear) and low <= linear <= high:
        yield " " + say("The linear baseline is within this interval: no difference is shown.")
    if "sure" in tested and (answers := tested["sure"]["answers"]):
        right = 1 - tested["sure"]["wrong"] / answers
        yield " " + say(
            "The network is at least 95 % sure of {answers} reviews, and right about {right} of "
            "these.",
            answers=f"{answers:,}",
            right=f"{right:.1%}".replace("%", " %"),
        )


def _quality(run: Run) -> str:
    score, tested, say = run.score, run.tested, run.say
    beside = [run.baseline[name]["test"].get(score) for name in ("linear", "majority")]
    ends = [tested.get(f"{score}{end}") for end in ("_low", "_high")]
    form = ".1%" if score == "accuracy" else ".3f"
    value, linear, majority, low, high = (
        number(one, form).replace("%", " %") for one in (tested[score], *beside, *ends)
    )
    span = "" if None in ends else say(" (95 % interval {low} to {high})", low=low, high=high)
    fields = {"value": value, "reviews": f"{tested['reviews']:,}", "span": span}
    fields |= {"linear": linear, "majority": majority}
    if score == "accuracy":
        return say(
            "The network is right about {value} of {reviews} test reviews that it has never seen"
            "{span}, the linear baseline about {linear}, the label frequencies about {majority}.",
            **fields,
        )
    return say(
        "{score} {value}{span} on {reviews} test reviews that the network has never seen; the "
        "linear baseline gets {linear}, the label frequencies {majority}.",
        score=say(vega.title(score)).capitalize(),
        **fields,
    )


def try_it(run: Run) -> Iterator[PageBlock]:
    """A field that answers, if the network is small enough for the page."""
    if run.browser:
        yield Heading(2, run.say("Try it"))
        yield Model(run.browser)


def learning_curves(run: Run) -> Iterator[PageBlock]:
    """The curves of each network, each score with a scale of its own."""
    say = run.say
    yield Heading(2, say("Learning curves"))
    for name, of_network in run.curves.items():
        if max(len(values) for parts in of_network.values() for values in parts.values()) < 2:
            continue  # what is not trained epoch by epoch has no curve
        for score, parts in of_network.items():
            kept = None if name else run.trained.get("kept_epoch")
            named = name or run.settings["model"]
            about = say("{score} of {name} by epoch", score=say(score), name=named)
            if kept:
                about += say("; epoch {kept} is kept", kept=kept)
            yield Drawing(vega.learning_curve(parts, score, kept), about)
    shown = "loss", "accuracy"
    parts = ("train", "training"), ("validation", "validation"), ("generalization_gap", "gap")
    rows = [
        [say(name), *(number(run.trained[part].get(score), ".3f") for score in shown)]
        for part, name in parts
    ]
    yield Text([say(EPOCH)])
    yield Table([say("part"), *map(say, shown)], rows)


def scores(run: Run) -> Iterator[PageBlock]:
    """The scores of the test part, and the curves of its predictions."""
    task, tested, say = run.settings["task"], run.tested, run.say
    yield Heading(2, say("Test part"))
    sides = [tested, *(run.baseline[name]["test"] for name in ("linear", "majority"))]
    rows = []
    for score in (one for one in (*TASKS[task].scores, "calibration_error") if one in tested):
        ends = [tested.get(f"{score}{end}") for end in ("_low", "_high")]
        span = (
            NONE
            if None in ends
            else say("{low} to {high}", low=f"{ends[0]:.3f}", high=f"{ends[1]:.3f}")
        )
        values = (number(side.get(score), ".3f") for side in sides)
        rows.append([say(vega.title(score)), *values, span])
    baselines = say("linear baseline"), say("label frequencies")
    yield Table([say("score"), run.settings["model"], *baselines, say("95 % interval")], rows)
    if of_classes := tested["classes"]:
        rows = [
            [label, *(number(one[key], ".3f") for key in CLASS_SCORES), f"{one['support']:,}"]
            for label, one in of_classes.items()
        ]
        yield Table([say("class"), *map(say, CLASS_SCORES), say("reviews")], rows)
    tables = run.tables
    if 0 < tables["confusion"].nunique().max() <= MOST_LABELS:
        about = _confused(run) or say("confusion matrix: the label of a review and the answer")
        yield Drawing(vega.counts(tables["confusion"], "actual", "predicted"), about)
    if len(tables["regression"]):
        about = say("the predicted number by the actual number")
        yield Drawing(vega.scatter(tables["regression"], "actual", "predicted"), about)
    for name, about, diagonal in CURVES:
        if len(tables[name]):
            x, y = tables[name].columns[:2]
            yield Drawing(vega.curve(tables[name], x, y, diagonal), say(about))


def _confused(run: Run) -> str:
    """The errors of a network with two labels, in words; empty for another."""
    table, labels = run.tables["confusion"], [str(label) for label in run.labels]
    if run.settings["task"] != "binary":
        return ""
    counts = table.astype(str).value_counts(["actual", "predicted"])
    low, high = (int(counts.get(pair, 0)) for pair in (tuple(labels), tuple(labels[::-1])))
    return run.say(
        "{low_count} reviews with the label {low} were answered {high}, {high_count} the other way",
        **{"low": labels[0], "high": labels[1]},
        **{"low_count": f"{low:,}", "high_count": f"{high:,}"},
    )


def slices(run: Run) -> Iterator[PageBlock]:
    """The main score of each slice of the test part."""
    table, score, say = run.tables["slices"], run.score, run.say
    yield Heading(2, say("Slices of the test part"))
    ends = [end for end in (f"{score}_low", f"{score}_high") if end in table]
    about = say("{score} of each slice", score=say(vega.title(score)))
    about += say(", with its 95 % interval") if ends else ""
    yield Drawing(vega.intervals(table, "slice", score), about)
    shown = ["slice", "reviews", score, *ends]
    rows = [
        [say(name), f"{reviews:,.0f}", *(number(_defined(value), ".3f") for value in values)]
        for name, reviews, *values in table[shown].itertuples(index=False)
    ]
    names = [say(vega.title(name)) for name in ("slice", "reviews", score)]
    if set(table["slice"]) >= {"short", "with rare words"}:
        yield Text([say(SLICES)])
    yield Fold(say("The numbers"), [Table([*names, *(say("from"), say("to"))[: len(ends)]], rows)])


def _defined(value: float) -> float | None:
    return None if pd.isna(value) else value


def errors(run: Run) -> Iterator[PageBlock]:
    """The wrong answers, the surest first, with the words that mattered."""
    table, numeric, say = run.tables["errors"], run.settings["task"] in NUMERIC, run.say
    explained = {
        origin: list(zip(of_review["word"], of_review["effect"], strict=True))
        for origin, of_review in run.tables["words"].groupby("origin", sort=False)
    }
    shown = table[:MOST_ERRORS]
    yield Heading(2, say("Largest errors") if numeric else say("Errors"))
    said = say(NUMERIC_ERRORS if numeric else WRONG, count=f"{len(table):,}")
    if len(shown) < len(table):
        said += say(" The first {count} are listed.", count=len(shown))
    said += say(MATTERED, count=len(explained))
    yield Text([said, " ", say("All are in "), Code("reports/evaluate/errors.csv"), "."])
    entries = []
    for origin, actual, predicted, error, review in shown.itertuples(index=False):
        what = say("label {actual}, answer {predicted}", actual=actual, predicted=predicted)
        size = f"{error:.3f}" if numeric else f"{error:.0%}".replace("%", " %")
        plain = LINE_BREAK.sub("\n", review)
        title = f"{what} ({size}): {plain[:60]}…"
        kind = "" if numeric else f"{actual} → {predicted}"
        entries.append(Entry(title, kind, plain, words=explained.get(origin, [])))
    yield Entries(entries)


def words(run: Run) -> Iterator[PageBlock]:
    """The picture of the word vectors, and the nearest words."""
    say = run.say
    if not len(run.tables["map"]):
        return
    yield Heading(2, say("Word vectors"))
    about = say("words of both sentiments in the plane of the two largest principal components")
    yield Drawing(vega.word_map(run.tables["map"]), about)
    if len(run.tables["neighbours"]):
        nearest = run.tables["neighbours"].groupby("word", sort=False)["neighbour"].agg(", ".join)
        rows = [[word, near] for word, near in nearest.items()]
        yield Table([say("word"), say("nearest words")], rows)


def network(run: Run) -> Iterator[PageBlock]:
    """The layers of the network, and the options of its entry."""
    say, total = run.say, run.trained["parameters"]
    yield Heading(2, say("The network"))
    rows = [
        [layer, kind, shape, f"{parameters:,}", f"{trainable:,}"]
        for layer, kind, shape, parameters, trainable in run.tables["layers"].itertuples(
            index=False
        )
    ]
    rows.append([say("total"), "", "", f"{total['total']:,}", f"{total['trainable']:,}"])
    names = say("layer"), say("type"), say("output"), say("parameters"), say("trained")
    yield Table([*names], rows)
    name = run.settings["model"]
    options = [[option, Code(value)] for option, value in run.settings["models"][name].items()]
    table = Table([say("option"), say("value")], options)
    yield Fold(say("The options of {entry}", entry=f"models.{name}"), [table])


def data(run: Run) -> Iterator[PageBlock]:
    """The parts, and what the validation of the data found."""
    say = run.say
    yield Heading(2, say("Data"))
    parts = ("train", "training"), ("validation", "validation"), ("test", "test")
    rows = [[say(name), f"{run.split[part]:,}"] for part, name in parts]
    yield Table([say("part"), say("reviews")], rows)
    full = Code("reports/validate/index.html")
    yield Text([say(HOLD), full, "."])
    found = [[name, f"{count:,}"] for name, count in run.validated["unexpected"].items()]
    table = Table([say("expectation"), say("unexpected rows")], found)
    yield Fold(say("What each expectation found"), [table])


def card(run: Run) -> Iterator[PageBlock]:
    """A model card (Mitchell et al., 2019): what the model is for, its limits, how to get it."""
    settings, split, say = run.settings, run.split, run.say
    task, labels = settings["task"], ", ".join(map(str, run.labels))
    if task in NUMERIC:
        what = say("a number from {low} to {high}", low=run.labels[0], high=run.labels[-1])
    elif task == "multilabel":
        what = say("any of: {labels}", labels=labels)
    else:
        what = say("one of: {labels}", labels=labels)
    yield Heading(2, say("Model card"))
    yield Bullets(
        [
            say("What it does: it reads a review and answers {what}.", what=what),
            say(
                "Data: the source {source}; {train} reviews to train, {validation} for validation, "
                "{test} for the test.",
                source=settings["data"]["source"],
                **{part: f"{split[part]:,}" for part in ("train", "validation", "test")},
            ),
            say("Meant for: reviews like these, in the same language; teaching; a first version."),
            say(
                "Not meant for: texts of another kind, single short sentences, decisions about "
                "people."
            ),
            say(
                "Limits: the slices and the errors above. Nothing is known of groups of writers, "
                "since the data do not name them."
            ),
            [say("The same result again: "), Code("dvc repro"), "."],
            [say("An answer about a text: "), Code('python -m serving.predict "TEXT"'), "."],
        ]
    )
