"""Word vectors that are learnt from the training part.

They factorize the positive pointwise mutual information of words that occur near each other
(Bullinaria and Levy, 2012). word2vec's skip-gram factorizes a shifted form of the same matrix
implicitly (Levy and Goldberg, 2014), takes longer and is no better here (docs/networks.md).

The same reviews give the same bytes on every x86-64 processor with AVX2 (Linux), with any number of
cores:

- counts are whole numbers, whose sums are exact;
- logarithms are rounded (`DECIMALS`), because their last digits depend on the processor;
- a product of a sparse matrix is a loop of SciPy without threads and without BLAS;
- the dense products and decompositions are OpenBLAS's. It chooses code by the processor and divides
  sums by the number of cores, unless two variables fix both when it is loaded. So they run in a
  process that starts with `BLAS`.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import sparse

BLAS = {"OPENBLAS_NUM_THREADS": "1"}
AVX2_BLAS = {"OPENBLAS_CORETYPE": "Haswell"}
"""The code for AVX2, whose blocks do not depend on the caches; other processors cannot run it."""
PROCESSOR = Path("/proc/cpuinfo")

DECIMALS = 6
SMOOTHING = 0.75
"""The power of the frequency of a context word, against a bias to rare ones (Levy et al., 2015)."""
ITERATIONS = 7
"""Of the decomposition. With 3, the last numbers of a vector are inexact, and a GRU is worse."""
SEED = 1  # of the random start of the decomposition, and of the places that are left out
NOTHING = 1e-6  # a singular value that is smaller, compared with the largest, is rounding


def learn(
    texts: Sequence[np.ndarray], vocabulary: int, width: int, window: int, sample: float
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of words by the words around them.

    A pair of words counts more the nearer they are: `window` for neighbours, 1 at the distance
    `window`. The vectors are the first left singular vectors of the matrix of positive pointwise
    mutual information, times the roots of their singular values (Levy, Goldberg and Dagan, 2015).

    Args:
        texts: for each review the places of its known words in the vocabulary, of whole numbers.
        vocabulary: the number of words.
        width: of the vectors, at most `vocabulary`.
        window: the maximum distance of two words.
        sample: see `thinned`.

    Returns:
        float32 (vocabulary, width), and bool (vocabulary,): the words that have a vector, those
        that occur near a word more often than by chance. A review that has only one known word
        says nothing.

    Raises:
        MemoryError: the system ended the process for lack of memory, or could not start it.
    """
    kept = thinned(texts, vocabulary, sample)
    table = mutual_information(cooccurrences(kept, vocabulary, window))
    with _fixed_blas(), ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            vectors = process.submit(_factorize, table, width).result()
        except BrokenProcessPool:
            raise MemoryError from None
    return vectors, np.diff(table.indptr) > 0


def thinned(texts: Sequence[np.ndarray], vocabulary: int, sample: float) -> list[np.ndarray]:
    """The texts without some occurrences of frequent words, so that a window reaches further.

    Args:
        texts: as for `learn`, int64.
        vocabulary: the number of words.
        sample: a word of the frequency f is kept with the probability sqrt(sample / f) + sample / f
            (the code of word2vec; Mikolov et al., 2013). 0: all words are kept.
    """
    if not sample:
        return texts
    counts = np.bincount(np.concatenate(texts), minlength=vocabulary)
    ratio = sample * counts.sum() / np.maximum(counts, 1)
    probability = np.sqrt(ratio) + ratio
    random = np.random.default_rng(SEED)
    return [text[random.random(len(text)) < probability[text]] for text in texts]


def cooccurrences(texts: list[np.ndarray], vocabulary: int, window: int) -> sparse.csr_array:
    """How often each pair of words is near each other; see `learn`.

    Returns:
        int64 (vocabulary, vocabulary), symmetric.
    """
    apart = np.full(window, -1)  # after each review, so that no pair is of two reviews
    places = np.concatenate([part for text in texts for part in (text, apart)])
    total = sparse.csr_array((vocabulary, vocabulary), dtype=np.int64)
    for distance in range(1, window + 1):
        left, right = places[:-distance], places[distance:]
        both = (left >= 0) & (right >= 0)
        weights = np.full(both.sum(), window + 1 - distance)
        pairs = (weights, (left[both], right[both]))
        total += sparse.coo_array(pairs, shape=total.shape).tocsr()
    return (total + total.T).tocsr()


def mutual_information(counts: sparse.csr_array) -> sparse.csr_array:
    """Positive pointwise mutual information (Church and Hanks, 1990), with `SMOOTHING`.

    The logarithm of how much more often a pair occurs than by chance; 0 if it is less often.

    Args:
        counts: int64 (words, words), symmetric.

    Returns:
        float32 (words, words).
    """
    table = counts.tocoo()
    alone = counts.sum(axis=1)
    logs = _log(np.maximum(alone, 1))
    all_contexts = _log(np.sum(alone.astype(np.float64) ** SMOOTHING).clip(1))
    row, column = table.coords
    values = _log(table.data) - logs[row] - (SMOOTHING * logs[column] - all_contexts)
    more = values > 0
    kept = (values[more].astype(np.float32), (row[more], column[more]))
    return sparse.coo_array(kept, shape=counts.shape).tocsr()


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(values).round(DECIMALS)


@contextmanager
def _fixed_blas() -> Iterator[None]:
    """Let the processes that start in the block load BLAS with fixed settings."""
    fixed = dict(BLAS)
    if PROCESSOR.exists() and "avx2" in PROCESSOR.read_text().split():
        fixed |= AVX2_BLAS
    before = {name: os.environ.get(name) for name in fixed}
    os.environ |= fixed
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _factorize(table: sparse.csr_array, width: int) -> np.ndarray:
    from sklearn.utils.extmath import randomized_svd  # Halko, Martinsson and Tropp, 2011

    left, sizes, _ = randomized_svd(table, width, n_iter=ITERATIONS, random_state=SEED)
    sizes = np.where(sizes > NOTHING * sizes[0], sizes, 0)
    return left * np.sqrt(sizes)
