from ajuste.text import Encoder, count_words
from stages.tokenize import summary


def test_summary():
    train = [["good", "film"], ["bad", "film", "bad", "film"], ["rare"]]
    encoder = Encoder(count_words(train, 2), 3, "last", "binary", ["negative", "positive"])
    assert summary(encoder, train, [["film", "new"], ["bad", "bad"]]) == {
        "vocabulary": 2,
        "median_length": 2,
        "truncated": 1 / 3,
        "unknown": 0.25,
    }
