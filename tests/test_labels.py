"""What the names of labels mean."""

import pytest

from ajuste.data.labels import negative_first

PAIRS = [
    ("negative", "positive"),
    ("Neg", "POS"),
    ("bad", "good"),
    ("0", "1"),
    ("-1", "1"),
    ("no", "s\u00ed"),
    ("NO", "SI"),
    ("falso", "verdadero"),
    ("mala", "buena"),
    ("P\u00e9simo", "excelente"),
    ("dislike", "like"),
    ("not recommended", "recommended"),
    ("no recomendado", "recomendado"),
    ("insatisfecho", "satisfecho"),
    ("bad", "not bad"),
    ("thumbs_down", "Thumbs up"),
    ("negative", "other"),
    ("other", "positive"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_negative_label_of_two_is_found(one, other):
    assert negative_first(one, other) is True
    assert negative_first(other, one) is False


@pytest.mark.parametrize(("one", "other"), [("ham", "spam"), ("a", "b"), ("refund", "delivery")])
def test_labels_that_do_not_say_it_are_left_alone(one, other):
    assert negative_first(one, other) is None
