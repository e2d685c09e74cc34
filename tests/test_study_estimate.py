"""The estimate over repeated splits, from scores that are made by hand."""

import numpy as np
import pytest

from ajuste.errors import PipelineError
from ajuste.evaluation.significance import Answers
from study import collect, estimate
from study.collect import Base, Result
from study.estimate import Scored

MINUS = "\N{MINUS SIGN}"
SPLITS = [
    Scored(1, {"accuracy": 0.80, "loss": 0.40}, {"accuracy": 0.90, "loss": 0.20}, 100, 800),
    Scored(2, {"accuracy": 0.82, "loss": 0.44}, {"accuracy": 0.92, "loss": 0.24}, 100, 800),
    Scored(3, {"accuracy": 0.84, "loss": 0.42}, {"accuracy": 0.94, "loss": 0.22}, 100, 800),
]


def test_each_split_has_another_seed_and_keeps_groups_apart():
    found = estimate.experiments("gru", 3, {"data": {"source": "bundled"}})
    assert [one.name for one in found] == [f"estimate-gru-{seed}" for seed in (1, 2, 3)]
    assert [one.overrides for one in found] == [
        {"model": "gru", "seed": seed, "split.by": "group", "split.seed": seed}
        for seed in (1, 2, 3)
    ]


@pytest.mark.parametrize(("group", "by"), [(None, "review"), ("film", "group")])
def test_a_csv_file_without_groups_is_split_by_review(group, by):
    params = {"data": {"source": "csv", "csv": {"group": group}}}
    (one,) = estimate.experiments("gru", 1, params)
    assert one.overrides["split.by"] == by


def test_the_report_has_each_split_and_means_with_corrected_intervals():
    title, header, *rows, note = estimate.report("gru", "accuracy", "validation", SPLITS)
    assert title == "The validation parts of 3 splits: 800 reviews to train, 100 to score"
    assert header.split() == ["split", "accuracy:", "gru", "linear", "baseline", "difference",
                              "loss:", "gru", "linear", "baseline", "difference"]  # fmt: skip
    assert rows[0].split() == ["1", "0.800", "0.900", f"{MINUS}0.100", "0.400", "0.200", "+0.200"]
    # Student's t of 2 degrees is 4.303; the standard deviation is 0.02: 4.303 * 0.02 *
    # sqrt(1 / 3 + 1 / 8) = 0.058. The differences are equal, so they are known exactly.
    cells = rows[-1].split("  ")
    assert [cell for cell in map(str.strip, cells) if cell] == [
        *("mean", "0.820 ±0.058", "0.920 ±0.058", f"{MINUS}0.100 ±0.000"),
        *("0.420 ±0.058", "0.220 ±0.058", "+0.200 ±0.000"),
    ]
    assert "Nadeau and Bengio" in note


@pytest.fixture
def result(monkeypatch):
    """A training, its answers in the cache, and the baseline of its split."""
    (one,) = estimate.experiments("gru", 1, {})
    answers = Answers(
        task="binary",
        loss="binary_crossentropy",
        labels=["bad", "good"],
        reviews=list("abcd"),
        targets=np.array([[0.0], [0.0], [1.0], [1.0]]),
        predictions=np.array([[[0.1], [0.6], [0.7], [0.9]]]),
        slices={},
        thresholds=np.array([[0.65]]),
    )
    monkeypatch.setattr(collect, "answered", lambda *_: {"validation": answers})
    linear = {"validation": {"accuracy": 0.5, "loss": 0.7}, "test": {"accuracy": 0.4, "loss": 0.8}}
    return Result(
        one,
        scores={"accuracy": 0.3, "loss": 0.9},
        split={"train": 8, "validation": 4, "test": 3},
        baseline={"linear": linear},
    )


def test_validation_scores_come_from_the_predictions_with_their_threshold(result):
    found = estimate.scored(Base(None, "", {}), result, "validation")
    assert found.network["accuracy"] == 1.0
    assert found.linear["accuracy"] == 0.5
    assert (found.seed, found.reviews, found.trained) == (1, 4, 8)


def test_test_scores_come_from_the_metrics(result):
    found = estimate.scored(Base(None, "", {}), result, "test")
    assert (found.network["accuracy"], found.linear["loss"], found.reviews) == (0.3, 0.8, 3)


def test_without_predictions_the_message_says_what_to_do(result, monkeypatch):
    monkeypatch.setattr(collect, "answered", lambda *_: {})
    with pytest.raises(PipelineError, match="run `dvc exp remove estimate-gru-1`, then"):
        estimate.scored(Base(None, "", {}), result, "validation")
