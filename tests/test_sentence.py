from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from test_remedies import fit

from ajuste.evaluation.sentence import quality, sentence

PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8"))
BESIDE = {"network": 0.844, "linear": 0.918, "majority": 0.5}


def test_a_sentence_says_how_it_fits_how_good_it_is_and_what_is_next():
    judged = {**fit("optimal"), "probability": {"optimal": 0.934}}
    known = quality("accuracy", BESIDE, judged["explained"], 0.36)
    assert sentence(judged, known, {**PARAMS, "model": "gru"}) == (
        "Optimal fit (93 % sure); 84 % right in validation, where the linear baseline gets 92 % "
        "and the label frequencies 50 %. Try pooling or a longer input."
    )


def test_nothing_is_surer_than_99_percent():
    judged = {**fit("overfitting"), "probability": {"overfitting": 0.99999}}
    assert sentence(judged, "good", PARAMS).startswith(
        "Overfitting (99 % sure); good. Try dropout or "
    )


def test_an_undecided_fit_has_no_certainty():
    judged = {**fit("undecided"), "cause": "noise", "probability": {"optimal": 0.4}}
    assert sentence(judged, "good", PARAMS) == "Undecided; good. Try a larger validation part."


def test_a_remedy_is_named_once(monkeypatch):
    whats = ["a lower learning rate", "a lower learning rate", "dropout", "more data"]
    proposed = [SimpleNamespace(what=what) for what in whats]
    monkeypatch.setattr("ajuste.evaluation.sentence.propose", lambda *_: proposed)
    said = sentence(fit("overfitting"), "good", PARAMS)
    assert said.endswith("Try a lower learning rate or dropout.")


def test_another_score_of_classes_is_compared_too():
    assert quality("macro_f1", BESIDE, {}, 0.36) == (
        "0.84 macro f1 in validation, where the linear baseline gets 0.92 and the label "
        "frequencies 0.50"
    )


@pytest.mark.parametrize(
    ("score", "beside"), [("loss", BESIDE), ("roc_auc", {**BESIDE, "network": None})]
)
def test_otherwise_the_share_of_the_loss_that_is_explained_is_given(score, beside):
    assert quality(score, beside, {"validation": 0.54, "linear": 0.61}, 2.0) == (
        "54 % of the validation loss explained, where the linear baseline explains 61 %"
    )
    assert quality(score, beside, {"validation": 0.54}, 2.0) == (
        "54 % of the validation loss explained"
    )
    assert quality(score, beside, {}, 2.0) == "the validation loss is 2"
