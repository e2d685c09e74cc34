"""Divide the reviews into a training, a validation and a test part.

A review, its copies and its near-duplicates (see `ajuste.data.duplicates`) are always in one part;
with `split.by: group`, all reviews of a film are too.
"""

import math
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

REVIEWS = Path("data/validated/reviews.parquet")
FOLDER = Path("data/split")
METRICS = Path("metrics/split.json")

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def grouped(text: pd.Series) -> pd.Series:
    """The group of each review; the reviews of a group always go to the same part.

    Copies are in one group, and so are near-duplicates and the near-duplicates of those.

    Args:
        text: the `text_key` of each review.

    Returns:
        A series of str with the index of `text`: the first text of the group in alphabetical order.
    """
    texts = sorted(set(text))
    return _named(text, texts, near_duplicates([words.split() for words in texts]))


def joined(group: pd.Series, about: pd.Series) -> pd.Series:
    """The groups, after groups with reviews about the same thing are united.

    Args:
        group: the group of each review.
        about: what it is about, or null.

    Returns:
        A series like `group`.
    """
    names = sorted(set(group))
    place = group.map(dict(zip(names, range(len(names)), strict=True)))
    first = place.groupby(about).transform("first")
    return _named(group, names, np.stack([first, place], axis=1)[first.notna()].astype(int))


def _named(group: pd.Series, names: list[str], pairs: np.ndarray) -> pd.Series:
    """The groups after the pairs are united, each with the first of its names in the alphabet."""
    first = pd.Series(names, dtype=object)
    first = first.groupby(united(len(names), pairs)).transform("first")
    return group.map(dict(zip(names, first, strict=True)))


def assign(reviews: pd.DataFrame, group: pd.Series, task: str, split: Split) -> pd.Series:
    """The part of each review: `train`, `validation` or `test`, or null if it is left out.

    The reviews of a group always go to the same part. The groups are taken in the order of a keyed
    hash, so the part of a review depends on the seed and on the texts, not on the order of the
    rows. A group goes to the first held-out part with room for it, otherwise to the training part:
    a held-out part has room for `round(share * reviews of the class)` reviews of each class.

    Bounds for every seed: a held-out part never has more reviews of a class than that. Every group
    in the training part has more reviews of some class than a held-out part has room left for. So
    if each group has one class, a held-out part lacks fewer reviews of a class than each group of
    that class in the training part has: none if one of them is a single review. If groups have
    several classes (films), only one class needs to be so full; the part can lack more of the
    others.

    If the source is already split (`official_split`), its test half is the test part, its training
    half is divided into the other two parts, and a training review of a group with reviews in the
    test half is left out.

    Args:
        reviews: with the columns `review`, `label` and optionally `official_split`.
        group: the group of each review (see `grouped`).
        task: a key of `TASKS`.
        split: the shares of the parts and the key of the hash. With an official split,
            `validation` is a share of the training half and `test` is not used.

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
    sizes = pd.crosstab(order[free], label[free])  # a row for each group, in order
    room = {name: (share * sizes.sum()).round().to_numpy() for name, share in shares.items()}
    parts = []
    for size in sizes.to_numpy():
        name = next((name for name, left in room.items() if (size <= left).all()), TRAIN)
        if name != TRAIN:
            room[name] = room[name] - size
        parts.append(name)
    part[free] = order[free].map(dict(zip(sizes.index, parts, strict=True)))
    return part


def divide(
    reviews: pd.DataFrame, group: pd.Series, task: str, split: Split
) -> dict[str, pd.DataFrame]:
    """The reviews of each part (see `assign`), in an order by seed and text.

    Raises:
        PipelineError: there are too few reviews, and a part is empty or has no review of a class.
            With `split.test: 0` the test part is empty.
    """
    part = assign(reviews, group, task, split)
    order = reviews["review"].map(lambda text: _order(text, split.seed))
    shuffled = reviews.assign(order=order).sort_values(["order", "label"]).index
    parts = {}
    for name in (TRAIN, VALIDATION, TEST):
        chosen = shuffled[part[shuffled] == name]
        parts[name] = reviews.loc[chosen, ["review", "label", "origin"]]
        if name == TEST and not split.test and parts[name].empty:
            continue
        missing = _classes(task, reviews["label"]) - _classes(task, parts[name]["label"])
        if missing or parts[name].empty:
            which = f" with the label {min(missing)!r}" if missing else ""
            raise PipelineError(
                f"{REVIEWS}: too few reviews, the {name} part has none{which}; add reviews, or "
                f"raise `split.{VALIDATION}` and `split.{TEST}`"
            )
    return parts


def alike(text: pd.Series, group: pd.Series) -> dict[str, int]:
    """The number of reviews that are kept together with others.

    Args:
        text: the `text_key` of each review.
        group: the group of each review (see `grouped`).

    Returns:
        `copies`, the reviews with the same text as another; `near_duplicates`, the reviews whose
        group has several texts.
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
    """Divide the reviews that `validate` kept; write a table for each part.

    With `split.by: group` the tables have a column `group`, the number of the group: an interval
    of a score needs it.
    """
    task, split = reader.load("task", schema.Task), reader.load("split", Split)
    with reading(REVIEWS):
        reviews = pd.read_parquet(REVIEWS)
    text = reviews["review"].map(text_key)
    group = grouped(text)
    together = alike(text, group)
    if split.by == "group":
        if "group" not in reviews:
            raise PipelineError(
                "`split.by` is group, but these reviews have no groups; set `data.csv.group` to "
                "the column of the groups, or `split.by` to review"
            )
        group = joined(group, reviews["group"])
    parts = divide(reviews, group, task, split)
    kept = pd.concat([table["origin"] for table in parts.values()])
    left_out = reviews["origin"][~reviews["origin"].isin(kept)]
    parts[TRAIN] = parts[TRAIN].head(math.ceil(split.train_share * len(parts[TRAIN])))
    if split.by == "group":
        number = pd.Series(pd.factorize(group, sort=True)[0], index=group.index)
        parts = {name: table.assign(group=number[table.index]) for name, table in parts.items()}
    for name, table in parts.items():
        with replacing(FOLDER / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)
    sizes = {name: len(table) for name, table in parts.items()}
    counts = {**sizes, "left_out": len(left_out), **together, "groups": group.nunique()}
    write_json(METRICS, counts)
    print("split: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()))
    print(
        f"split: {together['copies']:,} copies and {together['near_duplicates']:,} near-duplicates "
        "are kept together"
    )
    if len(left_out):
        named = ", ".join([*left_out[:SHOWN], *["..."][: len(left_out) > SHOWN]])
        print(
            f"split: {len(left_out):,} training reviews left out, because they or "
            f"near-duplicates of them are in the test half: {named}"
        )


if __name__ == "__main__":
    check.run("split", main)
