"""Build the embedding matrix: a vector for each word of the vocabulary."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ajuste.config import reader, schema
from ajuste.config.schema import BundledVectors, StanfordVectors, VectorFile
from ajuste.data import learnt, vectors
from ajuste.data.download import default_folder
from ajuste.data.encoder import SPECIAL, VOCABULARY_FILE, read_rows, read_vocabulary
from ajuste.errors import PipelineError
from ajuste.files import replacing, write_json
from stages import check

TOKENS = Path("data/tokens")
VOCABULARY = TOKENS / VOCABULARY_FILE
TRAIN = TOKENS / "train.npz"
MATRIX = Path("data/embedding/matrix.npy")
METRICS = Path("metrics/embed.json")
MISSING_SHOWN = 10


def lookup(
    words: Collection[str], source: BundledVectors | StanfordVectors | VectorFile, downloads: Path
) -> vectors.Vectors:
    """The vectors of `words` in the source.

    Raises:
        PipelineError: the vectors are not available, or do not match `source`.
    """
    match source:
        case BundledVectors(sha256=digest):
            return vectors.bundled(words, digest)
        case StanfordVectors(url=url, sha256=digest, width=width):
            return vectors.stanford(words, url, digest, width, downloads)
        case VectorFile(path=path, width=width):
            return vectors.from_file(words, Path(path), width)


def parts_of(word: str) -> Iterator[tuple[str, str]]:
    """The ways to divide a word at its apostrophes.

    GloVe was trained on text in which `don't` is `do` and `n't`, and `film's` is `film` and `'s`;
    other languages divide after the apostrophe (`l'` and `homme`).

    >>> list(parts_of("don't"))
    [('do', "n't"), ('don', "'t"), ("don'", 't')]
    """
    for match in re.finditer("'", word):
        for cut in (match.start() - 1, match.start(), match.end()):
            if 0 < cut < len(word):
                yield word[:cut], word[cut:]


def embed(
    words: list[str], found: vectors.Vectors, standardize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The matrix of the vocabulary.

    A word without a vector gets the mean of the vectors of its two parts (see `parts_of`), if both
    have one; otherwise its row is zero. The rows of padding and of unknown words are zero too.

    Args:
        words: the vocabulary, in the order of its ids.
        found: the vectors of the words and of their parts.
        standardize: scale each dimension to mean 0 and standard deviation 1 over the rows with a
            vector. The dimensions of GloVe differ in both, which slows down the training.

    Returns:
        float32 (len(words) + 2, width), and bool (len(words),): the words that have a vector.
    """
    width = len(next(iter(found.values())))
    matrix = np.zeros((len(SPECIAL) + len(words), width), dtype=np.float32)
    covered = np.zeros(len(words), dtype=bool)
    for index, word in enumerate(words):
        pieces = [(word,)] if word in found else parts_of(word)
        for piece in pieces:
            if all(part in found for part in piece):
                matrix[len(SPECIAL) + index] = np.mean([found[part] for part in piece], axis=0)
                covered[index] = True
                break
    if standardize:
        rows = np.flatnonzero(covered) + len(SPECIAL)
        chosen = matrix[rows].astype(np.float64)
        spread = chosen.std(axis=0)
        matrix[rows] = (chosen - chosen.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return matrix, covered


def side_by_side(
    words: list[str], sources: dict[str, vectors.Vectors], standardize: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The matrices of several sources, one after the other in each row; see `embed`.

    Returns:
        float32 (len(words) + 2, sum of the widths), and for each source bool (len(words),): the
        words that have a vector.
    """
    parts = {name: embed(words, found, standardize) for name, found in sources.items()}
    matrix = np.hstack([matrix for matrix, _ in parts.values()])
    return matrix, {name: covered for name, (_, covered) in parts.items()}


def coverage(
    counts: dict[str, int], covered: dict[str, np.ndarray]
) -> dict[str, float | str | dict[str, float]]:
    """The share of the training text that has vectors.

    Args:
        counts: the count of each word of the vocabulary in the training text.
        covered: for each source bool (len(counts),), in the same order.

    Returns:
        `coverage`, the share of the occurrences of known words that have a vector in any source;
        `vocabulary_coverage`, the share of the words of the vocabulary; `missing`, the most
        frequent words without a vector; `sources`, the coverage of each source.
    """
    occurrences = np.array(list(counts.values()))
    anywhere = np.any(list(covered.values()), axis=0)
    missing = [word for word, has in zip(counts, anywhere, strict=True) if not has]

    def share(chosen: np.ndarray) -> float:
        return float(occurrences[chosen].sum() / occurrences.sum())

    return {
        "coverage": share(anywhere),
        "vocabulary_coverage": float(anywhere.mean()),
        "missing": " ".join(missing[:MISSING_SHOWN]),
        "sources": {name: share(of_one) for name, of_one in covered.items()},
    }


def learn(counts: dict[str, int], train: Path, options: schema.CorpusVectors) -> vectors.Vectors:
    """The vectors of the vocabulary that `ajuste.data.learnt` learns from the training part.

    Raises:
        PipelineError: the vocabulary has fewer words than the vectors have numbers, or the file is
            not readable.
    """
    if len(counts) < options.width:
        raise PipelineError(
            f"{VOCABULARY}: {len(counts):,} words are too few for vectors of width "
            f"{options.width}; lower `embed.corpus.width`"
        )
    rows, _ = read_rows(train)
    places = [row[row >= len(SPECIAL)] - len(SPECIAL) for row in rows]
    found, has = learnt.learn(places, len(counts), **options.model_dump())
    return {word: found[place] for place, word in enumerate(counts) if has[place]}


def main() -> None:
    """Get the vectors of the vocabulary from each source; write the matrix and its coverage."""
    counts = read_vocabulary(VOCABULARY)
    settings = reader.load("embed", schema.Embed)
    wanted = {*counts, *(part for word in counts for pair in parts_of(word) for part in pair)}
    found = {
        name: learn(counts, TRAIN, settings.corpus)
        if name == "corpus"
        else lookup(wanted, getattr(settings, name), default_folder())
        for name in settings.source
    }
    for name, of_one in found.items():
        if not of_one.keys() & counts.keys():
            raise PipelineError(
                f"{VOCABULARY}: none of its {len(counts):,} words has a vector in {name}; set "
                "`embed.source` to vectors in the language of the reviews"
            )
    matrix, covered = side_by_side(list(counts), found, settings.standardize)
    with replacing(MATRIX) as temporary, temporary.open("wb") as file:
        np.save(file, matrix)
    metrics = coverage(counts, covered)
    write_json(METRICS, {**metrics, "width": matrix.shape[1]})
    print(
        f"embed: {metrics['coverage']:.1%} of the occurrences of known words have a vector "
        f"({', '.join(found)}; width {matrix.shape[1]})"
    )


if __name__ == "__main__":
    check.run("embed", main)
