"""What there is to know about the reviews, row by row, before they are used."""

import re

import pandas as pd

from ajuste.data.text import has_markup, text_key
from ajuste.tasks import NUMERIC, SEPARATOR, split_labels

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]"
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def facts(reviews: pd.DataFrame, task: str, labels: list[str]) -> pd.DataFrame:
    """The reviews with the columns that the suite checks.

    An empty review or label becomes null. A value that cannot be computed for a row is null, so
    that one fault is reported once. The new columns are

    - `words`: the number of words of the review, separated by white space;
    - `duplicate` (bool): whether an earlier row has the same text (see `text_key`);
    - `conflict` (bool): whether another row has the same text with another label;
    - `markup` (bool): see `has_markup`;
    - `unknown`: the part of its label that is not in `labels`, or is not a number;
    - for numbers `number` (float); for classes `classes`, the same in every row: `all`, or which
      classes are absent; and `class_share`, the share of its class among the reviews with a label
      of `labels`.
    """
    filled = reviews.mask(reviews.apply(lambda column: column.str.strip() == ""))
    text = filled["review"].dropna().map(text_key)
    named = filled["label"].dropna().map(lambda label: split_labels(task, label))
    valid = NUMBER.fullmatch if task in NUMERIC else labels.__contains__
    unknown = named.map(lambda names: next((name for name in names if not valid(name)), None))
    if task in NUMERIC:
        meaning = filled["label"].where(unknown.isna()).astype(float)
        of_labels = {"number": meaning}
    else:
        meaning = named.map(lambda names: SEPARATOR.join(sorted(set(names))))
        absent = sorted(set(labels) - set(named.explode()))
        known = filled.loc[filled["label"].isin(labels), "label"]
        of_labels = {
            "classes": ", ".join(f"no {name!r}" for name in absent) or "all",
            "class_share": known.map(known.value_counts(normalize=True)),
        }
    if task == "multilabel":
        meaning = meaning.reindex(filled.index, fill_value="")
    return filled.assign(
        words=filled["review"].str.split().str.len(),
        duplicate=text.duplicated().reindex(filled.index, fill_value=False),
        conflict=meaning.reindex(filled.index).groupby(text).transform("nunique") > 1,
        markup=filled["review"].dropna().map(has_markup).reindex(filled.index, fill_value=False),
        unknown=unknown,
        **of_labels,
    )
