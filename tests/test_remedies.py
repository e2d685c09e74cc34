import shlex
from pathlib import Path

import pytest
import yaml

from ajuste.evaluation import remedies

ROOT = Path(__file__).parent.parent
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def fit(
    verdict, improving=False, best=10, scatter=0.0, kept=10, train=0.4, validation=0.3, linear=0.6
):
    explained = {"train": train, "validation": validation, "linear": linear, "expected": 0.4}
    return {
        "verdict": verdict,
        "reason": "a reason",
        "improving": improving,
        "best_epoch": best,
        "kept_epoch": kept,
        "scatter": scatter,
        "explained": explained,
    }


def propose(model: str, judged: dict, **changes):
    entry = {**PARAMS["models"][model], **changes}
    return remedies.propose(judged, {**PARAMS, "model": model, "models": {model: entry}})


def options(found) -> list[str]:
    return [key.split(".")[-1] for remedy in found for key in remedy.changes]


def names(found) -> list[str]:
    return [remedy.what for remedy in found]


def test_the_lectures_remedies_against_overfitting():
    found = propose("rnn", fit("overfitting"))
    assert options(found) == ["dropout", "units", "l2", "train_share"]
    assert found[0].command == "dvc exp run -S model=rnn -S models.rnn.dropout=0.3"
    assert found[1].changes == {"models.rnn.units": 16}
    assert names(found)[-1] == "more data"


def test_if_the_validation_loss_rises_early_stopping_comes_first():
    found = propose("rnn", fit("overfitting", best=3))
    assert options(found)[:2] == ["patience", "dropout"]
    assert found[0].changes == {"models.rnn.patience": 2}


def test_if_early_stopping_kept_the_first_epoch_the_steps_are_too_large():
    found = propose("rnn", fit("overfitting", best=1, kept=1), patience=2)
    assert found[0].changes == {"models.rnn.learning_rate": 0.0003}


def test_a_network_that_beats_the_linear_baseline_is_not_told_to_shrink():
    assert "a smaller network" in names(propose("bow", fit("overfitting")))
    best = fit("overfitting", validation=0.7, linear=0.6)
    assert "a smaller network" not in names(propose("bow", best))


def test_a_dense_network_pools_before_all_else():
    """It has a weight for each place in the review."""
    found = propose("nn", fit("overfitting", best=3))
    assert found[0].command == "dvc exp run -S model=nn -S +models.nn.pooling=average"
    assert "pooling" not in options(propose("nn", fit("overfitting"), pooling="average"))


def test_the_lectures_remedies_against_underfitting():
    found = propose("nn", fit("underfitting"))
    assert options(found) == ["max_length", "embedding", "units", "epochs", "source"]
    assert found[0].command == "dvc exp run -S model=nn -S models.nn.max_length=200"
    assert found[1].changes == {"models.nn.embedding": "trained"}
    assert found[2].changes == {"models.nn.units": [32]}
    assert found[3].changes == {"models.nn.epochs": 20}


def test_if_the_loss_still_falls_more_epochs_come_first():
    assert options(propose("gru", fit("underfitting", improving=True)))[0] == "epochs"
    held = propose("gru", fit("underfitting", improving=True), dropout=0.2, recurrent_dropout=0.2)
    assert options(held)[:3] == ["epochs", "dropout", "recurrent_dropout"]


def test_if_the_loss_hardly_moves_the_steps_are_too_small():
    found = propose("bow", fit("underfitting", train=0.02))
    assert found[0].changes == {"models.bow.learning_rate": 0.01}


def test_if_the_loss_jumps_the_steps_are_too_large_and_gradients_explode():
    found = propose("lstm", fit("underfitting", scatter=0.1))
    assert options(found)[:2] == ["learning_rate", "clip_norm"]
    assert found[0].changes == {"models.lstm.learning_rate": 0.0002}
    assert found[1].command == "dvc exp run -S model=lstm -S +models.lstm.clip_norm=1.0"


def test_an_overfitting_loss_that_scatters_gets_smaller_steps_first():
    assert options(propose("lstm", fit("overfitting", scatter=0.1)))[0] == "learning_rate"


def test_a_simple_rnn_that_underfits_becomes_a_gru():
    settings = {**PARAMS, "model": "rnn"}
    found = remedies.propose(fit("underfitting"), settings)
    assert (found[0].what, found[0].command) == ("a GRU", "dvc exp run -S model=gru")
    assert "a GRU" not in names(propose("rnn", fit("underfitting")))  # without such an entry
    assert "a GRU" not in names(propose("lstm", fit("underfitting")))


def test_regularization_is_removed_first():
    found = propose("bow", fit("underfitting"), dropout=0.5, l2=0.1)
    assert options(found)[:2] == ["dropout", "l2"]
    assert found[0].changes == {"models.bow.dropout": 0.0}


def test_an_option_that_is_in_use_is_not_proposed():
    assert "dropout" not in options(propose("gru", fit("overfitting"), dropout=0.2))
    assert "l2" not in options(propose("bow", fit("overfitting"), l2=0.1))
    assert "patience" not in options(propose("rnn", fit("overfitting", best=3), patience=3))
    assert "embedding" not in options(propose("lstm", fit("underfitting"), embedding="trained"))
    assert "clip_norm" not in options(
        propose("lstm", fit("underfitting", scatter=0.1), clip_norm=2.0)
    )


def test_an_option_that_a_network_does_not_have_is_not_proposed():
    assert "units" not in options(propose("nn", fit("overfitting")))  # no hidden layer to shrink
    assert "units" not in options(propose("gru", fit("overfitting"), units=1))
    assert "units" not in options(propose("bow", fit("overfitting"), units=[1, 1]))
    assert {"embedding", "source", "pooling"}.isdisjoint(
        options(propose("bow", fit("underfitting")))
    )


def test_an_option_that_the_entry_leaves_out_is_added():
    settings = {**PARAMS, "model": "mine", "models": {"mine": {"network": "bag_of_words"}}}
    found = remedies.propose(fit("overfitting", best=1), settings)
    assert [remedy.command for remedy in found][:3] == [
        "dvc exp run -S model=mine -S +models.mine.patience=2",
        "dvc exp run -S model=mine -S +models.mine.dropout=0.3",
        "dvc exp run -S model=mine -S +models.mine.l2=0.001",
    ]


def test_an_optimal_fit_below_the_linear_baseline_is_told_to_grow():
    assert options(propose("gru", fit("optimal")))[:3] == ["pooling", "max_length", "embedding"]
    good = propose("gru", fit("optimal", validation=0.7))
    assert names(good) == ["more data"]
    assert good[0].command == "dvc exp run -S model=gru -S split.train_share=0.5"


def test_labels_that_even_the_linear_baseline_cannot_learn_are_to_be_looked_at():
    found = propose("gru", fit("underfitting", linear=0.1))[-1]
    assert (found.what, found.command) == ("a look at the labels", "reports/evaluate/errors.csv")


@pytest.mark.parametrize("model", PARAMS["models"])
@pytest.mark.parametrize("verdict", ["optimal", "overfitting", "underfitting"])
def test_there_is_always_something_to_try(model, verdict):
    found = propose(model, fit(verdict))
    assert found
    for remedy in found:
        assert (
            remedy.instead
            or f"-S model={model if remedy.what != 'a GRU' else 'gru'}" in remedy.command
        )


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("epochs", {"models.gru.epochs": 10}),
        ("loss", {"models.gru.learning_rate": 0.0003}),
        ("scatter", {"models.gru.learning_rate": 0.0003}),
        ("split", {"split.seed": 2}),
        ("noise", {"split.validation": 0.2}),
        ("constant", {"seed": 2}),
    ],
)
def test_curves_that_cannot_be_read_get_what_makes_them_readable(cause, changes):
    [remedy] = propose("gru", {"verdict": "undecided", "cause": cause})
    assert remedy.changes == changes


def test_a_list_is_one_word_of_the_command():
    shrink = propose("bow", fit("overfitting"))[1]
    assert shlex.split(shrink.command)[-1] == "models.bow.units=[8,8]"


def test_the_advice_has_the_sentence_the_reason_and_a_line_for_each_remedy():
    judged = {**fit("overfitting", best=3), "sentence": "Overfitting; 81 % right."}
    lines = remedies.advise(judged, {**PARAMS, "model": "rnn"}).splitlines()
    assert lines[:3] == ["Overfitting; 81 % right.", "The fit: a reason.", "Try:"]
    assert len(lines) == 3 + 5
    assert lines[3].startswith("  dvc exp run -S model=rnn -S models.rnn.patience=2 ")
    assert lines[-1].endswith("trains on half: if that is clearly worse, more data helps")
