import shlex
from pathlib import Path

import pytest
import yaml

from ajuste.evaluation import remedies

ROOT = Path(__file__).parent.parent
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def propose(model: str, verdict: str, improving: bool = False, best: int = 10, **changes):
    settings = {
        **PARAMS,
        "model": model,
        "models": {model: {**PARAMS["models"][model], **changes}},
    }
    fit = {"verdict": verdict, "improving": improving, "best_epoch": best, "kept_epoch": 10}
    return remedies.propose(fit, settings)


def options(found) -> list[str]:
    return [key.split(".")[-1] for remedy in found for key in remedy.changes]


def test_the_lectures_remedies_against_overfitting():
    found = propose("rnn", "overfitting")
    assert options(found) == ["dropout", "units", "l2"]
    assert found[0].command == "dvc exp run -S model=rnn -S models.rnn.dropout=0.3"
    assert found[1].changes == {"models.rnn.units": 16}


def test_if_the_validation_loss_rises_early_stopping_comes_first():
    found = propose("rnn", "overfitting", best=3)
    assert options(found) == ["patience", "dropout", "units", "l2"]
    assert found[0].changes == {"models.rnn.patience": 2}


def test_the_lectures_remedies_against_underfitting():
    found = propose("nn", "underfitting")
    assert options(found) == ["embedding", "units", "epochs", "max_length"]
    assert found[0].changes == {"models.nn.embedding": "trained"}
    assert found[1].changes == {"models.nn.units": [32]}
    assert found[2].changes == {"models.nn.epochs": 20}
    assert found[3].command == "dvc exp run -S model=nn -S tokenize.max_length=200"


def test_if_the_loss_still_falls_more_epochs_come_first():
    assert options(propose("gru", "underfitting", improving=True))[0] == "epochs"
    regular = propose("gru", "underfitting", improving=True, dropout=0.2, recurrent_dropout=0.2)
    assert options(regular)[:3] == ["epochs", "dropout", "recurrent_dropout"]


def test_regularization_is_removed_first():
    found = propose("bow", "underfitting", dropout=0.5, l2=0.1)
    assert options(found)[:2] == ["dropout", "l2"]
    assert found[0].changes == {"models.bow.dropout": 0.0}


def test_an_option_that_is_in_use_is_not_proposed():
    assert "dropout" not in options(propose("gru", "overfitting", dropout=0.2))
    assert "l2" not in options(propose("bow", "overfitting", l2=0.1))
    assert "patience" not in options(propose("rnn", "overfitting", best=3, patience=3))
    assert "embedding" not in options(propose("lstm", "underfitting", embedding="trained"))


def test_an_option_that_a_network_does_not_have_is_not_proposed():
    assert "units" not in options(propose("nn", "overfitting"))  # no hidden layer to shrink
    assert "units" not in options(propose("gru", "overfitting", units=1))
    assert "units" not in options(propose("bow", "overfitting", units=[1, 1]))
    assert "embedding" not in options(propose("bow", "underfitting"))


def test_an_option_that_the_entry_leaves_out_is_added():
    settings = {**PARAMS, "model": "mine", "models": {"mine": {"network": "dense", "units": []}}}
    fit = {"verdict": "overfitting", "best_epoch": 1, "kept_epoch": 9}
    assert [remedy.command for remedy in remedies.propose(fit, settings)] == [
        "dvc exp run -S model=mine -S +models.mine.patience=2",
        "dvc exp run -S model=mine -S +models.mine.l2=0.001",
    ]


@pytest.mark.parametrize("verdict", ["optimal", "undecided"])
def test_other_verdicts_have_no_remedy(verdict):
    assert propose("gru", verdict) == []


def test_a_list_is_one_word_of_the_command():
    shrink = propose("bow", "overfitting")[1]
    assert shlex.split(shrink.command)[-1] == "models.bow.units=[8,8]"


def test_the_advice_has_the_verdict_and_a_line_for_each_remedy():
    fit = {"verdict": "overfitting", "reason": "a gap", "best_epoch": 3, "kept_epoch": 10}
    lines = remedies.advise(fit, {**PARAMS, "model": "rnn"}).splitlines()
    assert lines[0] == "fit: overfitting: a gap"
    assert lines[1] == "Try:"
    assert len(lines) == 2 + 4
    assert lines[2].startswith("  dvc exp run -S model=rnn -S models.rnn.patience=2 ")
    assert remedies.advise({"verdict": "optimal", "reason": "close"}, PARAMS) == (
        "fit: optimal: close"
    )
