"""The table of a study with seeds."""

import numpy as np
import pytest

from ajuste.evaluation.significance import Answers
from study import repeats
from study.collect import Result
from study.plan import Experiment, repeat

N = 200
TARGETS = np.tile([[0.0], [1.0]], (N // 2, 1))


def answers(right, seed):
    """Predictions of which a share is right."""
    wrong = np.random.default_rng(seed).random(N) > right
    predictions = np.where(wrong[:, None], 0.9 - 0.8 * TARGETS, 0.1 + 0.8 * TARGETS)
    return Answers(
        task="binary",
        loss="binary_crossentropy",
        labels=["bad", "good"],
        reviews=[str(number) for number in range(N)],
        targets=TARGETS,
        predictions=predictions[None],
        slices={},
    )


def trained(name, right, seeds=3, loss=0.5, verdict="optimal", test=None):
    return [
        Result(
            repeat(Experiment(name), seed),
            train={
                "validation": {"loss": loss},
                "parameters": {"total": 12345, "trainable": 678},
            },
            scores={"fit": {"verdict": verdict if seed > 1 else "undecided"}},
            answers={
                "validation": answers(right, seed),
                **({"test": answers(test, seed)} if test else {}),
            },
            seconds=10.0 * seed,
        )
        for seed in range(1, seeds + 1)
    ]


def table(results, compare_with="", test=False):
    return repeats.table(repeats.grouped(results), compare_with, "accuracy", 0.01, test)


def cells(made, place):
    return dict(zip(made.header, made.rows[place], strict=True))


def test_an_experiment_is_a_row_with_means_over_its_seeds():
    made = table([*trained("gru", 0.8), *trained("linear", 0.95, loss=0.2)])
    assert [row[0] for row in made.rows] == ["linear", "gru"]  # by the validation loss
    row = cells(made, 1)
    right = [one.answers["validation"].quality().mean() for one in trained("gru", 0.8)]
    assert row["accuracy"].startswith(f"{np.mean(right):.3f} ±")
    assert "±" in row["loss"]
    assert "±" in row["calibration error"]
    assert (row["parameters"], row["trained"], row["seconds"]) == ("12,345", "678", "20")
    assert row["verdict"] == "optimal (2), undecided (1)"
    assert not [name for name in made.header if "test" in name or "against" in name]


def test_the_difference_from_a_named_experiment_is_paired_and_has_an_interval():
    results = [*trained("gru", 0.7), *trained("linear", 0.95, loss=0.2)]
    made = table(results, compare_with="linear")
    base, other = (cells(made, place)["against linear"] for place in (0, 1))
    assert base == "—"
    assert other.startswith("\N{MINUS SIGN}0.2")
    assert other.endswith(", worse")
    assert " to " in other


@pytest.mark.parametrize("test", [False, True])
def test_the_test_part_is_shown_only_if_asked_for(test):
    results = [*trained("gru", 0.7, test=0.6), *trained("linear", 0.95, loss=0.2, test=0.9)]
    made = table(results, "linear", test)
    named = [name for name in made.header if name.startswith("test ")]
    shown = ["test accuracy", "test loss", "test calibration error", "test against linear"]
    assert named == (shown if test else [])


def test_a_seed_that_failed_is_counted_and_marked():
    failed = Result(repeat(Experiment("gru"), 4), failure="train: out of memory")
    lost = Result(repeat(Experiment("lost"), 1), failure="train: out of memory")
    made = table([*trained("gru", 0.8), failed, lost])
    assert [row[0] for row in made.rows] == ["gru (3 of 4 seeds)", "lost (0 of 1 seeds)"]
    assert cells(made, 1)["verdict"] == "failed"
    assert made.marked == {0, 1}


def test_predictions_that_the_cache_has_lost_are_a_dash():
    results = trained("gru", 0.8)
    results[0].answers.clear()
    row = cells(table([*results, *trained("linear", 0.95)], "linear"), 0)
    assert row["accuracy"] == row["against linear"] == "—"
    assert row["parameters"] == "12,345"
