"""Divide the reviews into training, validation and test; no text stands in two of them."""

from hashlib import blake2b
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import model_validator

from ajuste import params
from ajuste.errors import PipelineError, run
from ajuste.files import reading, replacing, write_json
from ajuste.tasks import NUMERIC, TASKS, split_labels
from ajuste.text import text_key

REVIEWS = Path("data/raw/reviews.parquet")
FOLDER = Path("data/split")
METRICS = Path("metrics/split.json")

TRAIN, VALIDATION, TEST = "train", "validation", "test"


class Split(params.Params):
    """`split`: the shares of the reviews that are held out, and the key that chooses them."""

    seed: params.Seed
    validation: params.Rate
    test: params.Rate

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> "Split":
        if self.validation <= 0 or self.test <= 0 or self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` must be above 0, and below 1 together")
        return self


def assign(reviews: pd.DataFrame, task: str, split: Split) -> pd.Series:
    """The part of each review: `train`, `validation` or `test`, or null where it is left out.

    Reviews of one text (see `text_key`) always go together. Where a review has one of several
    labels, each class is divided by itself, so the parts have the same balance. The order is that
    of a keyed hash of the text: which part a review goes to depends on the seed and on the texts,
    not on the order of the rows.

    Where the source comes split (`official_split`), its test half is the test part as it is, its
    training half is divided into the other two, and a training review whose text is in the test
    half is left out.

    Args:
        reviews: with the columns `review`, `label` and maybe `official_split`.
        task: what the labels are for.
        split: the shares held out and the key of the hash. With an official split, `validation`
            is a share of the training half and `test` is not used.

    Returns:
        A series with the index of `reviews`.
    """
    table = pd.DataFrame({"label": reviews["label"], "text": reviews["review"].map(text_key)})
    if task not in ("binary", "multiclass"):
        table["label"] = ""
    table["order"] = [_order(text, split.seed) for text in table["text"]]
    part = pd.Series(TRAIN, index=reviews.index, dtype="object")
    free = pd.Series(True, index=reviews.index)
    held_out = {VALIDATION: split.validation, TEST: split.test}
    if "official_split" in reviews:
        official_test = reviews["official_split"] == TEST
        copies = table["text"].isin(table.loc[official_test, "text"]) & ~official_test
        part[official_test] = TEST
        part[copies] = None
        free = ~official_test & ~copies
        held_out = {VALIDATION: split.validation}
    # A text under two labels goes by the first of them, and stays in one piece.
    table["label"] = table.groupby("text")["label"].transform("min")
    for _, same_label in table[free].groupby("label"):
        wanted = {name: round(share * len(same_label)) for name, share in held_out.items()}
        groups = same_label.groupby("order", sort=True).groups
        for members in groups.values():
            # The first part that still has room for the whole group; training takes the rest.
            name = next((n for n, room in wanted.items() if len(members) <= room), TRAIN)
            if name != TRAIN:
                wanted[name] -= len(members)
            part[members] = name
    return part


def divide(reviews: pd.DataFrame, task: str, split: Split) -> dict[str, pd.DataFrame]:
    """The reviews of each part (see `assign`), in an order that the seed and the texts decide.

    Raises:
        PipelineError: a part is empty or lacks one of the classes, since there are too few reviews.
    """
    part = assign(reviews, task, split)
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


def _classes(task: str, labels: pd.Series) -> set[str]:
    if task in NUMERIC:
        return set()
    return {name for label in labels for name in split_labels(task, label)}


def _order(text: str, seed: int) -> str:
    return blake2b(text.encode(), digest_size=16, key=seed.to_bytes(8)).hexdigest()


def main() -> None:
    """Divide what `fetch` got; write a table for each part."""
    with reading(REVIEWS):
        reviews = pd.read_parquet(REVIEWS)
    parts = divide(reviews, params.load("task", Literal[*TASKS]), params.load("split", Split))
    for name, table in parts.items():
        with replacing(FOLDER / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)
    sizes = {name: len(table) for name, table in parts.items()}
    left_out = len(reviews) - sum(sizes.values())
    write_json(METRICS, {**sizes, "left_out": left_out})
    print("split: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()))
    if left_out:
        print(f"split: {left_out:,} training reviews left out, as they are in the test half too")


if __name__ == "__main__":
    run("split", main)
