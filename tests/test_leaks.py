import pandas as pd
import pytest

from ajuste.files import write_json

pytestmark = [
    pytest.mark.slow,  # the script imports TensorFlow
    pytest.mark.filterwarnings("ignore:Precision loss"),  # the values are alike on purpose
]


@pytest.fixture
def leaks(in_tmp, monkeypatch):
    """The script with 300 reviews, ten of each film: the first 20 have a copy, the next 20 a copy
    with another word; and with a network that is right if it has seen the twin, or the film.
    """
    from benchmarks import leaks

    texts = [" ".join(f"w{number}x{place}" for place in range(30)) for number in range(260)]
    texts += [*map(str.upper, texts[:20]), *(text.replace("x7 ", "x8 ") for text in texts[20:40])]
    reviews = pd.DataFrame(
        {
            "review": texts,
            "label": ["negative", "positive"] * 150,
            "origin": [f"line {number}" for number in range(300)],
            "group": [str(number // 10) for number in range(300)],
        }
    )
    leaks.split.REVIEWS.parent.mkdir(parents=True)
    reviews.to_parquet(leaks.split.REVIEWS)
    write_json(leaks.fetch.LABELS, ["negative", "positive"])
    leaks.corpus.cache_clear()

    def right(model, seed, learnt, asked):
        known = {"twin": leaks.corpus().alike, "film": reviews["group"]}[model]
        return known[asked].isin(known[learnt]).to_numpy()

    monkeypatch.setattr(leaks, "right", right)
    yield leaks
    leaks.corpus.cache_clear()


def test_copies_and_near_duplicates_are_worth_what_a_twin_in_training_is(leaks):
    rows = list(leaks.copies(["twin"], 2))
    assert [row[1:4] for row in rows] == [
        ["a copy", "20", "+100.0 (+100.0 to +100.0)"],
        ["a near-duplicate", "20", "+100.0 (+100.0 to +100.0)"],
    ]
    # 40 of 300 have a copy, and 40 a near-duplicate; four in five are in training
    for row in rows:
        assert 0.07 < float(row[4].rstrip("%")) / 100 < 0.14
        assert float(row[5].split()[0]) == pytest.approx(float(row[4].rstrip("%")), abs=0.01)


def test_a_film_in_training_is_worth_the_difference_of_the_two_splits(leaks):
    [row] = leaks.films(["film"], 3)
    assert row[:2] == ["`film`", "3"]
    by_review, by_group = (float(cell.split()[0]) for cell in row[2:4])
    assert by_review > 95
    assert by_group == 0
    assert float(row[4].split()[0]) == pytest.approx(by_review, abs=0.01)
