from pathlib import Path

import yaml
from test_remedies import fit

from ajuste.evaluation.sentence import quality, sentence

PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8"))
BETTER, USUAL = {"loss": 0.22, "accuracy": 0.918}, {"loss": 0.69, "accuracy": 0.5}


def test_a_sentence_says_how_it_fits_how_good_it_is_and_what_is_next():
    judged = {**fit("optimal"), "probability": {"optimal": 0.934}}
    known = quality({"loss": 0.36, "accuracy": 0.844}, BETTER, USUAL, judged["explained"])
    assert sentence(judged, known, PARAMS) == (
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


def test_numbers_are_good_by_the_share_of_the_loss_that_is_explained():
    assert quality({"loss": 2.0}, {}, {}, {"validation": 0.54, "linear": 0.61}) == (
        "54 % of the validation loss explained, where the linear baseline explains 61 %"
    )
    assert quality({"loss": 2.0}, {}, {}, {"validation": 0.54}) == (
        "54 % of the validation loss explained"
    )
    assert quality({"loss": 2.0}, {}, {}, {}) == "the validation loss is 2"
