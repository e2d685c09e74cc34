"""Write `ajuste/data/films.csv`, the films of the bundled reviews, from the official archive.

    python -m benchmarks.films aclImdb_v1.tar.gz

The package of the bundled reviews does not name films. Its reviews are the training half of the
corpus, where the reviews of a film have consecutive numbers.
"""

import argparse
import re
from itertools import groupby
from pathlib import Path

import pandas as pd

from ajuste.config import reader
from ajuste.data import reviews
from ajuste.data.download import sha256
from ajuste.errors import PipelineError, run
from ajuste.files import write_text

RUN = 128
"""The package has the files of a label in runs of this length, each in reverse order."""


def in_order_of_package(official: pd.DataFrame) -> pd.DataFrame:
    """The training reviews of the corpus, in the order of the package.

    Args:
        official: the table of `ajuste.data.reviews.stanford`.
    """
    table = official[official["official_split"] == "train"]
    number = table["origin"].map(lambda origin: int(re.search(r"(\d+)_", origin)[1]))
    table = table.assign(run=number // RUN, number=-number)
    return table.sort_values(["label", "run", "number"], ignore_index=True)


def main() -> None:
    """Read the archive, check that the texts are those of the package, write the films."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive
    official = reviews.stanford(archive.name, sha256(archive), archive.parent, "sentiment")
    ordered = in_order_of_package(official)
    bundled = reviews.bundled(reader.load("data.bundled.sha256", reader.Sha256))
    if not ordered[["review", "label"]].equals(bundled[["review", "label"]]):
        raise PipelineError(
            f"{archive}: the reviews or their order differ from the package; check the archive"
        )
    runs = [(film, len(list(run))) for film, run in groupby(ordered["group"])]
    write_text(reviews.FILMS, "film,reviews\n" + "".join(f"{film},{n}\n" for film, n in runs))
    print(f"{reviews.FILMS.name}: {ordered['group'].nunique():,} films in {len(runs):,} runs")


if __name__ == "__main__":
    run("films", main)
