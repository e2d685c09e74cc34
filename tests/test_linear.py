import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from ajuste.tasks import TASKS, review_losses
from ajuste.training import linear

TEXTS = [f"good film {n}" for n in range(6)] + [f"bad film {n}" for n in range(6)]
BINARY = np.array([[1.0]] * 6 + [[0.0]] * 6, dtype=np.float32)
UNSEEN = ["Good!", "bad", "nothing of this"]


@pytest.fixture(scope="module")
def model():
    """A function that fits a task to `TEXTS`; gives its predictions for `UNSEEN` and the model."""
    vectorizer, table = linear.vectorize(TEXTS)

    def fitted(task, targets, penalty=10.0):
        one = linear.fit(task, table, targets, penalty)
        return one.predict(linear.features(vectorizer, UNSEEN)), one

    return fitted


def random_data(rows=60, columns=20):
    rng = np.random.default_rng(1)
    table = sparse.csr_matrix(rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.4))
    return table, table @ rng.normal(size=(columns, 1)) + rng.normal(size=(rows, 1)) * 0.3 + 7


def test_ngrams_are_words_and_pairs_of_adjacent_words():
    vectorizer, table = linear.vectorize(["Not <br />good, no!"] * 2 + ["?"])
    assert vectorizer.names == ["good", "good no", "no", "not", "not good"]
    assert (table != 0).toarray().tolist() == [[True] * 5] * 2 + [[False] * 5]
    found = linear.features(vectorizer, ["good not no", "good other no"]) != 0
    assert found.toarray().tolist() == [
        [True, False, True, True, False],
        [True, False, True] + [False] * 2,
    ]


def test_the_features_are_those_of_scikit_learn():
    """tf-idf with binary counts, in the same order of columns."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = ["good", "bad", "film", "x1", "o'clock", "é", "7/10"]
    chance = np.random.default_rng(1)
    texts = [" ".join(chance.choice(words, chance.integers(0, 12))) for _ in range(200)]
    split = {"token_pattern": r"\S+", "ngram_range": (1, 2), "binary": True, "min_df": 2}
    peer = TfidfVectorizer(**split)
    expected = peer.fit_transform(texts)
    vectorizer, found = linear.vectorize(texts)
    assert vectorizer.names == peer.get_feature_names_out().tolist()
    assert np.abs(found - expected).max() < 1e-6
    assert np.abs(linear.features(vectorizer, texts) - expected).max() < 1e-6


def test_only_ngrams_in_two_reviews_are_features():
    vectorizer, table = linear.vectorize(["a b b", "a c", "a b"])
    assert vectorizer.names == ["a", "a b", "b"]
    assert table.shape == (3, 3)
    assert table.has_sorted_indices


def test_a_row_of_features_has_length_one_and_rare_ngrams_count_more():
    vectorizer, _ = linear.vectorize(TEXTS)
    table = linear.features(vectorizer, ["good film film", "unknown"]).toarray()
    assert np.linalg.norm(table, axis=1) == pytest.approx([1, 0], abs=1e-5)
    names = vectorizer.names
    assert table[0, names.index("good")] > table[0, names.index("film")]


def test_without_ngrams_the_error_says_so():
    for texts in (["a", "b"], ["!", "?"]):
        with pytest.raises(linear.NoNGramsError):
            linear.vectorize(texts)


def test_the_ratio_is_that_of_the_shares():
    table = sparse.csr_matrix(np.array([[0.5, 0.0], [0.5, 0.2], [0.0, 0.2]]))
    found = linear.log_count_ratios(table, np.array([1.0, 1.0, 0.0]))
    # counts with 1 added: the class 3 and 2, the others 1 and 2
    assert found == pytest.approx(np.log([(3 / 5) / (1 / 3), (2 / 5) / (2 / 3)]), abs=1e-6)


def test_binary_learns_the_words(model):
    predictions, _ = model("binary", BINARY)
    assert predictions.dtype == np.float32
    assert predictions.shape == (3, 1)
    assert predictions[0, 0] > 0.7 > 0.3 > predictions[1, 0]
    assert predictions[2, 0] == pytest.approx(0.5, abs=0.05)


def test_a_strong_penalty_moves_probabilities_to_the_middle(model):
    strong, weak = (model("binary", BINARY, penalty)[0] for penalty in (0.1, 100.0))
    assert 0.5 < strong[0, 0] < weak[0, 0]


def test_multiclass_probabilities_add_up_to_one(model):
    targets = np.eye(3, dtype=np.float32)[[0] * 6 + [1] * 5 + [2]]  # one class has one review
    predictions, _ = model("multiclass", targets)
    assert predictions.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert predictions.argmax(axis=1)[:2].tolist() == [0, 1]


def test_labels_of_multilabel_are_independent_and_one_may_be_constant(model):
    targets = np.hstack([BINARY, np.zeros_like(BINARY), np.ones_like(BINARY)])
    predictions, _ = model("multilabel", targets)
    assert predictions[:, :1] == pytest.approx(model("binary", BINARY)[0])
    assert predictions[:, 1] == pytest.approx(np.zeros(3), abs=1e-6)
    assert predictions[:, 2] == pytest.approx(np.ones(3), abs=1e-6)
    assert np.isfinite(review_losses("binary_crossentropy", 1 - targets[:3], predictions)).all()


def test_numbers_are_predicted_by_ridge_regression():
    table, targets = random_data()
    found = linear.fit("regression", table, targets, 10.0).predict(table)
    mean, spread = targets.mean(), targets.std()
    # liblinear minimizes |w|^2 / 2 + C * squares, with the intercept as one more weight
    ones = np.hstack([table.toarray(), np.ones((len(targets), 1))])
    ridge = Ridge(alpha=1 / 20, fit_intercept=False).fit(ones, (targets[:, 0] - mean) / spread)
    assert found[:, 0] == pytest.approx(ridge.predict(ones) * spread + mean, abs=1e-3)


def test_numbers_keep_their_unit():
    table, targets = random_data()
    one = linear.fit("regression", table, targets, 1.0).predict(table)
    other = linear.fit("regression", table, targets * 1000 - 5, 1.0).predict(table)
    assert other == pytest.approx(one * 1000 - 5, rel=1e-4)


def test_numbers_in_a_range_stay_in_it_and_equal_ones_are_predicted(model):
    table, targets = random_data()
    wide = (targets - targets.mean()) * 3
    found = linear.fit("unit_regression", table, wide.clip(0, 1), 100.0).predict(table)
    assert (found.min(), found.max()) == (0, 1)
    assert model("regression", np.full((12, 1), 4.0))[0].tolist() == [[4.0]] * 3


def test_the_penalty_is_chosen_by_validation_loss():
    rng = np.random.default_rng(3)
    table = sparse.csr_matrix(rng.random((200, 100)) * (rng.random((200, 100)) < 0.3))
    noise = (rng.random((200, 1)) < 0.5).astype(np.float32)  # nothing to learn
    parts = (table[:100], noise[:100]), (table[100:], noise[100:])
    assert linear.choose("binary", *parts).penalty == min(linear.PENALTIES[False])
    told = (table.toarray()[:, :1] > 0).astype(np.float32)  # one feature tells all
    parts = (table[:100], told[:100]), (table[100:], told[100:])
    assert linear.choose("binary", *parts).penalty == max(linear.PENALTIES[False])


@pytest.mark.parametrize("task", TASKS)
def test_the_same_data_give_the_same_bytes(task):
    table, numbers = random_data()
    targets = numbers if task == "regression" else (numbers > 7).astype(np.float32)
    targets = np.hstack([targets, 1 - targets]) if task.startswith("multi") else targets
    one, other = (linear.fit(task, table, targets, 1.0).predict(table) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_the_last_digit_of_a_logarithm_changes_nothing(monkeypatch):
    """As on a processor whose logarithm rounds otherwise."""

    def made() -> list[bytes]:
        table = linear.vectorize(TEXTS)[1]
        return [table.data.tobytes(), linear.log_count_ratios(table, BINARY[:, 0]).tobytes()]

    before, log = made(), np.log
    monkeypatch.setattr(np, "log", lambda *a, **k: np.nextafter(log(*a, **k), np.inf))
    assert made() == before


def test_the_strongest_words_of_each_class(model):
    names = linear.vectorize(TEXTS)[0].names
    table = linear.words(model("binary", BINARY)[1], names, ["bad", "good"], 2)
    assert table["label"].tolist() == ["bad", "bad", "good", "good"]
    assert set(table["ngram"][:2]) == {"bad", "bad film"}
    assert set(table["ngram"][2:]) == {"good", "good film"}
    assert (table["weight"] > 0).all()
