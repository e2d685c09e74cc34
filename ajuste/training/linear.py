"""A linear model of words and pairs of words: what a network has to beat.

A review is its n-grams, the words and the pairs of adjacent words that it contains, weighted by
tf-idf. Classes are predicted by logistic regression on naive Bayes features (Wang and Manning, 2012,
"Baselines and Bigrams", who use it with a support vector machine): each n-gram is multiplied by the
logarithm of how much more frequent it is in reviews of the class than in others. Of several classes
each is predicted against the rest; for `multiclass` the probabilities are then divided by their sum.
Numbers are predicted by ridge regression on the n-grams; for `unit_regression` they are cut to 0..1.

The penalty is the one of `PENALTIES` with the lowest validation loss; the test part is not used. On
the bundled reviews the validation loss is 0.192 with the weakest, 0.223 with the second, and no lower
with one that is weaker still. If a tenth of the labels are wrong, the second is best.

The same reviews give the same numbers on every processor, except for the last digits of the
logarithms in the loss: features and ratios are rounded (`DECIMALS`) before a sum depends on them;
liblinear's coordinate descent in the dual (Yu, Huang and Lin, 2011) is one loop without threads and
without BLAS, with an order that a seed fixes; and scikit-learn compiles it for one set of
instructions.
"""  # noqa: E501

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVR

from ajuste.data.text import tokens
from ajuste.tasks import NUMERIC, SMALLEST, TASKS, review_losses

MIN_REVIEWS = 2
"""An n-gram that occurs in a single training review says nothing about others."""

PENALTIES = {False: (100.0, 10.0, 1.0), True: (10.0, 1.0, 0.1)}
"""The inverse strengths of the penalty that are tried, for classes and for numbers.

The loss is a sum over the reviews, so the penalty matters less the more reviews there are.
"""

DECIMALS = 6  # of features and ratios; the later digits of a logarithm depend on the processor
OPTIMUM = {"dual": True, "tol": 1e-4, "max_iter": 10_000, "random_state": 1}
"""How far liblinear goes: the loss is then within 1e-7 of its minimum on the bundled reviews."""


class NoNGramsError(ValueError):
    """No n-gram occurs in `MIN_REVIEWS` training reviews."""


@dataclass(frozen=True)
class Vectorizer:
    """The words and the pairs of adjacent words of the training part.

    Attributes:
        places: the number of each word, from 1.
        keys: int64 (n-grams,), sorted: the number of a word; for a pair, its two numbers as the
            digits of a number whose base is `len(places) + 1`.
        columns: int64 (n-grams,), the column of each key.
        names: the n-grams, in the order of the columns, which is alphabetical.
        idf: float64 (n-grams,), the inverse document frequency of each column (Spärck Jones, 1972).
    """

    places: dict[str, int]
    keys: np.ndarray
    columns: np.ndarray
    names: list[str]
    idf: np.ndarray


def _keys(words: np.ndarray, base: int) -> np.ndarray:
    """The keys of the n-grams of a text, each once, from the numbers of its words; 0 is unknown."""
    words = words.astype(np.int64)
    first, second = words[:-1], words[1:]
    pairs = (first * base + second)[(first > 0) & (second > 0)]
    return np.unique(np.concatenate([words[words > 0], pairs]))


def vectorize(train: Sequence[str]) -> tuple[Vectorizer, sparse.csr_matrix]:
    """The n-grams of the training part, and its features.

    Returns:
        The vectorizer, for `features` and `words`, and what `features` gives for `train`.

    Raises:
        NoNGramsError: there are none.
    """
    places: dict[str, int] = {}
    numbered = [
        np.array([places.setdefault(word, len(places) + 1) for word in tokens(text)], np.int32)
        for text in train
    ]
    base = len(places) + 1
    rows = [_keys(words, base) for words in numbered]
    keys, counts = np.unique(np.concatenate(rows), return_counts=True)
    keys, counts = keys[counts >= MIN_REVIEWS], counts[counts >= MIN_REVIEWS]
    if not len(keys):
        raise NoNGramsError
    spelled = ["", *places]
    names = [
        f"{spelled[first]} {spelled[second]}" if first else spelled[second]
        for first, second in zip(*(part.tolist() for part in divmod(keys, base)), strict=True)
    ]
    order = sorted(range(len(names)), key=names.__getitem__)
    columns = np.empty(len(order), dtype=np.int64)
    columns[order] = np.arange(len(order))
    idf = np.log((1 + len(train)) / (1 + counts[order])) + 1
    made = Vectorizer(places, keys, columns, [names[place] for place in order], idf)
    return made, _table(made, rows)


def features(vectorizer: Vectorizer, texts: Sequence[str]) -> sparse.csr_matrix:
    """Which n-grams occur in n texts, float64 (n, n-grams), the columns in alphabetical order.

    A value is the inverse document frequency of the n-gram, and a row has length 1, so that a long
    review has no more weight than a short one. A text without a known n-gram has a row of zeros.
    """
    places = vectorizer.places
    rows = []
    for text in texts:
        words = np.array([places.get(word, 0) for word in tokens(text)], np.int32)
        rows.append(_keys(words, len(places) + 1))
    return _table(vectorizer, rows)


def _table(vectorizer: Vectorizer, rows: list[np.ndarray]) -> sparse.csr_matrix:
    lengths = np.array([len(row) for row in rows])
    every, reviews = np.concatenate(rows), np.repeat(np.arange(len(rows)), lengths)
    at = np.searchsorted(vectorizer.keys, every).clip(max=len(vectorizer.keys) - 1)
    is_known = vectorizer.keys[at] == every
    columns, reviews = vectorizer.columns[at[is_known]], reviews[is_known]
    shape = len(rows), len(vectorizer.keys)
    table = sparse.csr_matrix((vectorizer.idf[columns], (reviews, columns)), shape)
    table.sort_indices()
    norms = np.sqrt(table.multiply(table).sum(axis=1)).A1
    table.data /= np.repeat(norms, np.diff(table.indptr))
    table.data = table.data.round(DECIMALS)
    return table


@dataclass(frozen=True)
class Linear:
    """A fitted model.

    Attributes:
        task: a key of `ajuste.tasks.TASKS`.
        weights: float64 (n-grams, outputs).
        intercepts: float64 (outputs,).
        penalty: the inverse strength of the penalty.
    """

    task: str
    weights: np.ndarray
    intercepts: np.ndarray
    penalty: float

    def predict(self, table: sparse.csr_matrix) -> np.ndarray:
        """Predictions, float32 (n, outputs), for features (n, n-grams)."""
        scores = table @ self.weights + self.intercepts
        if self.task not in NUMERIC:
            scores = expit(scores)
        if self.task == "multiclass":
            scores /= scores.sum(axis=1, keepdims=True)
        if self.task == "unit_regression":
            scores = scores.clip(0, 1)
        return scores.astype(np.float32)


def fit(task: str, table: sparse.csr_matrix, targets: np.ndarray, penalty: float) -> Linear:
    """Fit a model to the training part.

    An output whose targets are all equal is predicted by that constant.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        table: features (n, n-grams).
        targets: (n, outputs).
        penalty: the inverse strength of the penalty, as in scikit-learn.
    """
    one_output = _ridge if task in NUMERIC else _logistic
    fitted = [one_output(table, column, penalty) for column in targets.T.astype(np.float64)]
    weights, intercepts = zip(*fitted, strict=True)
    return Linear(task, np.stack(weights, axis=1), np.array(intercepts), penalty)


def _ridge(
    table: sparse.csr_matrix, column: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    # Standard scores, so that the penalty does not depend on the unit. liblinear's support vector
    # regression without a margin and with a squared loss is ridge regression.
    mean, spread = column.mean(), column.std()
    if not spread:
        return np.zeros(table.shape[1]), mean
    model = LinearSVR(loss="squared_epsilon_insensitive", epsilon=0, C=penalty, **OPTIMUM)
    model.fit(table, (column - mean) / spread)
    return model.coef_ * spread, mean + float(model.intercept_[0]) * spread


def _logistic(
    table: sparse.csr_matrix, column: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    if column.min() == column.max():
        p = np.clip(column[0], SMALLEST, 1 - SMALLEST)
        return np.zeros(table.shape[1]), float(np.log(p) - np.log1p(-p))
    ratio = log_count_ratios(table, column)
    model = LogisticRegression(solver="liblinear", C=penalty, **OPTIMUM)
    model.fit(table.multiply(ratio).tocsr(), column)
    return model.coef_[0] * ratio, float(model.intercept_[0])


def log_count_ratios(table: sparse.csr_matrix, column: np.ndarray) -> np.ndarray:
    """How typical each n-gram is of a class: `r` of Wang and Manning (2012), binary counts.

    Args:
        table: features (n, n-grams).
        column: float64 (n,), 1 for the reviews of the class, 0 for the others.

    Returns:
        float64 (n-grams,): the logarithm of the share that the n-gram has of all occurrences in
        the class, divided by its share in the other reviews, with 1 added to each count.
    """
    occurs = (table != 0).astype(np.float64)
    inside, outside = (1 + occurs.T @ each for each in (column, 1 - column))
    return np.log((inside / inside.sum()) / (outside / outside.sum())).round(DECIMALS)


def choose(
    task: str,
    train: tuple[sparse.csr_matrix, np.ndarray],
    validation: tuple[sparse.csr_matrix, np.ndarray],
) -> Linear:
    """The model whose penalty has the lowest validation loss; of equals, the strongest penalty.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        train: the features (n, n-grams) and targets (n, outputs) to fit.
        validation: those to choose by.
    """
    table, targets = validation

    def loss(model: Linear) -> float:
        return review_losses(TASKS[task].losses[0], targets, model.predict(table)).mean()

    return min((fit(task, *train, c) for c in sorted(PENALTIES[task in NUMERIC])), key=loss)


def words(model: Linear, names: Sequence[str], labels: Sequence[str], count: int) -> pd.DataFrame:
    """The n-grams that speak most for each class.

    Args:
        model: a fitted model.
        names: the n-grams, in the order of the columns of the features.
        labels: those of the data; for numbers the ends of the range, towards which n-grams pull.
        count: the maximum number of n-grams for a label.

    Returns:
        `label`, `ngram` and `weight`, which is positive; the strongest first.
    """
    weights = model.weights
    if weights.shape[1] == 1 and len(labels) == 2:
        weights = np.hstack([-weights, weights])
    rows = [
        (label, names[place], column[place])
        for label, column in zip(labels, weights.T, strict=True)
        for place in np.argsort(-column, kind="stable")[:count]
        if column[place] > 0
    ]
    return pd.DataFrame(rows, columns=["label", "ngram", "weight"])
