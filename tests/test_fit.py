"""The verdict on the fit, checked against learning curves with the verdicts of careful teachers.

A label was given by hand, from the shape of the curve and before a rule was applied. The verdict is
about the network that was kept: if early stopping restored the best weights, later epochs do not
count. Both losses are measured at the end of an epoch, without dropout. `fit_drawn.json` has curves
from formulas, without those about which two teachers might disagree. `fit_runs.json` has runs of
this project, labelled by a person who saw the curves, but not the names or the rule.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ajuste.config import schema
from ajuste.evaluation import fit

ROOT = Path(__file__).parent.parent
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
DRAWN, RUNS = (
    [SimpleNamespace(**case) for case in json.loads((ROOT / "tests" / name).read_text("utf-8"))]
    for name in ("fit_drawn.json", "fit_runs.json")
)
CASES = DRAWN + RUNS
BOUNDS = schema.FitBounds(**PARAMS["evaluate"]["fit"])


def judge(case: SimpleNamespace, bounds=BOUNDS) -> fit.Fit:
    curves = fit.Curves(
        train_loss=np.array(case.train_loss),
        validation_loss=np.array(case.validation_loss),
        kept_epoch=case.kept_epoch,
        baseline_loss=case.baseline_loss,
        standard_error=case.standard_error,
    )
    return fit.judge(curves, bounds)


def test_there_are_enough_cases_of_each_verdict():
    verdicts = [case.verdict for case in CASES]
    assert len(DRAWN) == 84
    assert len(RUNS) >= 30
    for verdict in (fit.UNDERFITTING, fit.OVERFITTING, fit.OPTIMAL):
        assert verdicts.count(verdict) >= 10


def test_the_rule_agrees_with_those_who_looked_at_the_curves():
    wrong = [
        f"{case.name}: {case.verdict} ({case.reason}), judged {found.verdict}: {found.reason}"
        for case in CASES
        if (found := judge(case)).verdict != case.verdict
    ]
    assert len(wrong) <= 0.05 * len(CASES), "\n".join(wrong)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.verdict == fit.OVERFITTING], ids=lambda case: case.name
)
def test_nothing_that_overfits_is_called_optimal(case):
    assert judge(case).verdict != fit.OPTIMAL


def curves(train=0.3, validation=0.33, epochs=12, **changes) -> fit.Curves:
    """Losses that fall from ln 2 to a floor."""
    fall = np.exp(-np.arange(epochs))
    return fit.Curves(
        **{
            "train_loss": train + (0.69 - train) * fall,
            "validation_loss": validation + (0.69 - validation) * fall,
            "kept_epoch": epochs,
            "baseline_loss": np.log(2),
            **changes,
        }
    )


@given(st.integers(0, 11), st.floats(-0.3, 3), st.sampled_from(["train_loss", "validation_loss"]))
def test_one_bumpy_epoch_changes_no_verdict(epoch, height, part):
    smooth = curves()
    bumpy = getattr(smooth, part).copy()
    bumpy[epoch] += height
    assert fit.judge(curves(**{part: bumpy}), BOUNDS).verdict == fit.OPTIMAL


@given(st.sampled_from([case for case in CASES if np.isfinite(case.train_loss).all()]))
def test_the_unit_of_the_loss_does_not_matter(case):
    scaled = SimpleNamespace(
        **{
            **vars(case),
            "train_loss": tuple(10 * np.array(case.train_loss)),
            "validation_loss": tuple(10 * np.array(case.validation_loss)),
            "baseline_loss": 10 * case.baseline_loss,
            "standard_error": 10 * case.standard_error,
        }
    )
    assert judge(scaled).verdict == judge(case).verdict


def test_what_lies_within_the_noise_of_a_bound_is_undecided():
    chance = np.random.default_rng(3).normal(size=12)
    kept = curves()
    for bound in ("max_gap", "min_explained"):
        noisy = curves(
            train_loss=kept.train_loss + 0.02 * chance,
            validation_loss=kept.validation_loss + 0.02 * chance,
            standard_error=0.05,
        )
        numbers = fit.judge(noisy, BOUNDS).numbers
        near = {"max_gap": numbers["gap"], "min_explained": numbers["explained"]["train"]}
        found = fit.judge(noisy, BOUNDS.model_copy(update={bound: near[bound]}))
        assert found.verdict == fit.UNDECIDED, bound
        assert "too close to tell" in found.reason


def test_few_epochs_are_no_curve():
    found = fit.judge(curves(epochs=3), BOUNDS)
    assert (found.verdict, found.numbers) == (fit.UNDECIDED, {})
    assert fit.judge(curves(epochs=4), BOUNDS).numbers


def test_the_numbers_behind_a_verdict():
    found = fit.judge(
        fit.Curves(
            train_loss=np.array([0.6, 0.4, 0.2, 0.1, 0.05, 0.05]),
            validation_loss=np.array([0.6, 0.5, 0.45, 0.5, 0.55, 0.6]),
            kept_epoch=6,
            baseline_loss=0.5,
            standard_error=0.01,
            train_accuracy=np.array([0.6, 0.8, 0.9, 0.95, 0.97, 0.99]),
            validation_accuracy=np.array([0.6, 0.75, 0.8, 0.8, 0.8, 0.79]),
        ),
        BOUNDS,
    )
    assert found.verdict == fit.OVERFITTING
    # the dip of a single epoch is smoothed away: what is left is 0.5, 0.5, 0.5, 0.5, 0.55, 0.6
    assert found.numbers["best_epoch"] == 1
    assert found.numbers["rise_after_best"] == pytest.approx(0.1)
    assert found.numbers["rise"] == pytest.approx(0.2)
    assert found.numbers["generalization_gap"]["loss"] == pytest.approx(0.6 - 0.05)
    assert found.numbers["generalization_gap"]["accuracy"] == pytest.approx(0.99 - 0.8)
    assert found.numbers["explained"] == pytest.approx({"train": 0.9, "validation": -0.2})
    assert found.numbers["gap"] == pytest.approx(1.1)
    assert found.numbers["margin"] == pytest.approx(0.04)
    assert not found.numbers["improving"]
    assert "1.10 of the baseline loss" in found.reason


def test_a_verdict_is_one_line_and_strict_json():
    for case in CASES:
        found = judge(case)
        assert "\n" not in found.reason
        json.dumps(found.as_json(), allow_nan=False)


def test_smoothing_keeps_what_rises_or_falls_and_drops_a_bump():
    assert fit.smooth(np.array([5, 3, 2, 1])).tolist() == [5, 3, 2, 1]
    assert fit.smooth(np.array([5, 3, 9, 1, 0])).tolist() == [5, 5, 3, 1, 0]
    # an end that leaves the line of its neighbours is brought back to it
    assert fit.smooth(np.array([4, 3, 2, 9])).tolist() == [3, 3, 3, 3]
    assert fit.smooth(np.array([1, 2, 3])).tolist() == [2, 2, 2]


def test_noise_is_the_scatter_and_not_a_single_bump():
    chance = np.random.default_rng(0)
    falling = np.linspace(1, 0, 200)
    assert fit.noise(falling) == 0
    assert fit.noise(falling + (np.arange(200) == 50)) == 0
    scatter = fit.noise(chance.normal(scale=0.1, size=100_000))
    assert scatter == pytest.approx(0.1, rel=0.02)


def test_curves_are_read_as_the_stage_wrote_them(tmp_path):
    folder = tmp_path / "plots/metrics"
    for part, values in (("train", [0.6, 0.5, 0.4]), ("validation", [0.6, 0.55, 0.5])):
        (folder / part).mkdir(parents=True)
        lines = [f"{step}\t{value}" for step, value in enumerate(values, start=1)]
        (folder / part / "loss.tsv").write_text("\n".join(["step\tloss", *lines, ""]))
    metrics = {"kept_epoch": 2, "baseline_loss": 0.69, "standard_error": 0.01}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    found = fit.read_curves(tmp_path)
    assert found.train_loss.tolist() == [0.6, 0.5, 0.4]
    assert found.validation_loss.tolist() == [0.6, 0.55, 0.5]
    assert found.train_accuracy is None
    assert (found.kept_epoch, found.baseline_loss, found.standard_error) == (2, 0.69, 0.01)
