"""Divide the reviews into training, validation and test.

No text, no copy and no near-duplicate of it (see `ajuste.data.duplicates`) is in two of
them; nor, where that is asked for, does a film.
"""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd

from ajuste.config import reader, schema
from ajuste.config.schema import Split
from ajuste.data.duplicates import near_duplicates, united
from ajuste.data.text import text_key
from ajuste.errors import SHOWN, PipelineError
from ajuste.files import reading, replacing, write_json
from ajuste.tasks import NUMERIC, split_labels
from stages import check

REVIEWS = Path("data/raw/reviews.parquet")
FOLDER = Path("data/split")
METRICS = Path("metrics/split.json")

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def grouped(text: pd.Series) -> pd.Series:
    """What each review is grouped by; those of one group go to one part together.

    Copies are one group, and so are near-duplicates and what those are near-duplicates of.

    Args:
        text: the `text_key` of each review.

    Returns:
        A series of str with the index of `text`: the first of the group's, in alphabetical order.
    """
    texts = sorted(set(text))
    return _named(text, texts, near_duplicates([words.split() for words in texts]))


def joined(group: pd.Series, about: pd.Series) -> pd.Series:
    """The groups, with those made one that hold reviews about the same thing.

    Args:
        group: what each review is grouped by.
        about: what it is about; null says nothing.

    Returns:
        A series like `group`.
    """
    names = sorted(set(group))
    place = group.map(dict(zip(names, range(len(names)), strict=True)))
    first = place.groupby(about).transform("first")
    return _named(group, names, np.stack([first, place], axis=1)[first.notna()].astype(int))


def _named(group: pd.Series, names: list[str], pairs: np.ndarray) -> pd.Series:
    """Each group by the first name, in alphabetical order, of those that the pairs unite."""
    first = pd.Series(names, dtype=object)
    first = first.groupby(united(len(names), pairs)).transform("first")
    return group.map(dict(zip(names, first, strict=True)))


def assign(reviews: pd.DataFrame, group: pd.Series, task: str, split: Split) -> pd.Series:
    """The part of each review: `train`, `validation` or `test`, or null where it is left out.

    Reviews of one group always go together. Where a review has one of several labels, the parts
    have the same balance of them. The groups go in the order of a keyed hash: which part a review
    goes to depends on the seed and on the texts, not on the order of the rows.

    Where the source comes split (`official_split`), its test half is the test part as it is, its
    training half is divided into the other two, and a training review of a group that reaches into
    the test half is left out.

    Args:
        reviews: with the columns `review`, `label` and maybe `official_split`.
        group: what they are grouped by (see `grouped`).
        task: what the labels are for.
        split: the shares held out and the key of the hash. With an official split, `validation`
            is a share of the training half and `test` is not used.

    Returns:
        A series with the index of `reviews`.
    """
    part = pd.Series(TRAIN, index=reviews.index, dtype="object")
    free = pd.Series(True, index=reviews.index)
    shares = {VALIDATION: split.validation, TEST: split.test}
    if "official_split" in reviews:
        official_test = reviews["official_split"] == TEST
        reaching = group.isin(group[official_test]) & ~official_test
        part[official_test] = TEST
        part[reaching] = None
        free = ~official_test & ~reaching
        shares = {VALIDATION: split.validation}
    label = reviews["label"]
    if task not in ("binary", "multiclass"):
        label = pd.Series("", index=reviews.index)
    order = group.map(lambda text: _order(text, split.seed))
    sizes = pd.crosstab(order[free], label[free])  # a row a group, in order
    room = {name: (share * sizes.sum()).round().to_numpy() for name, share in shares.items()}
    parts = []
    for size in sizes.to_numpy():
        # The first part that still has room for the whole group; training takes the rest.
        name = next((name for name, left in room.items() if (size <= left).all()), TRAIN)
        if name != TRAIN:
            room[name] = room[name] - size
        parts.append(name)
    part[free] = order[free].map(dict(zip(sizes.index, parts, strict=True)))
    return part


def divide(
    reviews: pd.DataFrame, group: pd.Series, task: str, split: Split
) -> dict[str, pd.DataFrame]:
    """The reviews of each part (see `assign`), in an order that the seed and the texts decide.

    Raises:
        PipelineError: a part is empty or lacks one of the classes, since there are too few reviews.
    """
    part = assign(reviews, group, task, split)
    order = reviews["review"].map(lambda text: _order(text, split.seed))
    shuffled = reviews.assign(order=order).sort_values(["order", "label"]).index
    parts = {}
    for name in (TRAIN, VALIDATION, TEST):
        chosen = shuffled[part[shuffled] == name]
        parts[name] = reviews.loc[chosen, ["review", "label", "origin"]]
        missing = _classes(task, reviews["label"]) - _classes(task, parts[name]["label"])
        if missing or parts[name].empty:
            which = f" that is {min(missing)!r}" if missing else ""
            raise PipelineError(
                f"{REVIEWS}: too few reviews, none{which} falls to "
                f"{name}; add reviews, or raise `split.{VALIDATION}` and `split.{TEST}`"
            )
    return parts


def alike(text: pd.Series, group: pd.Series) -> dict[str, int]:
    """How many reviews are kept together.

    Args:
        text: the `text_key` of each review.
        group: what it is grouped by (see `grouped`).

    Returns:
        `copies`, the reviews whose text is another's too; `near_duplicates`, those whose group
        holds more than one text.
    """
    return {
        "copies": int(text.duplicated(keep=False).sum()),
        "near_duplicates": int((text.groupby(group).transform("nunique") > 1).sum()),
    }


def _classes(task: str, labels: pd.Series) -> set[str]:
    if task in NUMERIC:
        return set()
    return {name for label in labels for name in split_labels(task, label)}


def _order(text: str, seed: int) -> str:
    return blake2b(text.encode(), digest_size=16, key=seed.to_bytes(8)).hexdigest()


def main() -> None:
    """Divide what `fetch` got; write a table for each part."""
    task, split = reader.load("task", schema.Task), reader.load("split", Split)
    with reading(REVIEWS):
        reviews = pd.read_parquet(REVIEWS)
    text = reviews["review"].map(text_key)
    group = grouped(text)
    together = alike(text, group)
    if split.by == "group":
        if "group" not in reviews:
            raise PipelineError(
                "`split.by` is group, and these reviews do not say what they are about; name the "
                "column that does in `data.csv.group`, or set `split.by` to review"
            )
        group = joined(group, reviews["group"])
    parts = divide(reviews, group, task, split)
    for name, table in parts.items():
        with replacing(FOLDER / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)
    sizes = {name: len(table) for name, table in parts.items()}
    kept = pd.concat([table["origin"] for table in parts.values()])
    left_out = reviews["origin"][~reviews["origin"].isin(kept)]
    counts = {**sizes, "left_out": len(left_out), **together, "groups": group.nunique()}
    write_json(METRICS, counts)
    print("split: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()))
    print(f"split: {together['near_duplicates']:,} reviews are kept with near-duplicates of theirs")
    if len(left_out):
        named = ", ".join([*left_out[:SHOWN], *["..."][: len(left_out) > SHOWN]])
        print(
            f"split: {len(left_out):,} training reviews left out, as they are in the test half "
            f"too: {named}"
        )


if __name__ == "__main__":
    check.run("split", main)
