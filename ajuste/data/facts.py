"""What there is to know about the reviews, row by row, before they are used."""

import re

import pandas as pd

from ajuste.config.schema import Validate
from ajuste.data.text import has_markup, text_key
from ajuste.tasks import NUMERIC, SEPARATOR, split_labels

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]"
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def facts(reviews: pd.DataFrame, task: str, labels: list[str]) -> pd.DataFrame:
    """The reviews with the columns that the suite checks.

    An empty review or label becomes null. A value that cannot be computed for a row is null, so
    that one fault is reported once. The new columns are

    - `words`: the number of words of the review, separated by white space;
    - `text`: the `text_key` of the review;
    - `meaning`: the label, the same for labels that mean the same;
    - `duplicate` (bool): whether an earlier row has the same text;
    - `conflict` (bool): whether another row has the same text with another label;
    - `markup` (bool): see `has_markup`;
    - `unknown`: the part of its label that is not in `labels`, or is not a number;
    - for numbers `number` (float); for classes `classes`, the same in every row: `all`, or which
      classes are absent; and `class_share`, the share of its class among the reviews with a label
      of `labels`.
    """
    filled = reviews.mask(reviews.apply(lambda column: column.str.strip() == ""))
    filled = filled.astype(reviews.dtypes)  # a column without any text has become one of floats
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
    meaning = meaning.reindex(filled.index)
    markup = filled["review"].dropna().map(has_markup).astype(bool)
    return filled.assign(
        text=text,
        meaning=meaning,
        words=filled["review"].str.split().str.len(),
        duplicate=text.duplicated().reindex(filled.index, fill_value=False),
        conflict=meaning.groupby(text).transform("nunique") > 1,
        markup=markup.reindex(filled.index, fill_value=False),
        unknown=unknown,
        **of_labels,
    )


def faults(
    known: pd.DataFrame, task: str, labels: list[str], bounds: Validate
) -> dict[str, pd.Series]:
    """The reviews with a fault of the kinds in `validate.drop`.

    Args:
        known: the result of `facts`.
        task: a key of `TASKS`.
        labels: the labels of the data (see `ajuste.tasks.encode`).
        bounds: the section `validate`.

    Returns:
        Under each kind a series of bool with the index of `known`:

        - `empty`: no text;
        - `label`: no label, an unknown one, or a number out of range;
        - `length`: fewer words than `min_words`, or more than `max_words`;
        - `markup`, `control`: see `has_markup` and `CONTROL`;
        - `duplicate`: an earlier row has the same text and the same label;
        - `conflict`: all rows of a text with several labels.

        For the last two, rows with a fault of the others do not count as other rows: if the first
        of two copies is dropped for its markup, the second is kept.
    """
    review, words, wrong = known["review"], known["words"], known["unknown"].notna()
    if task in NUMERIC:
        wrong |= known["number"].notna() & ~known["number"].between(*map(float, labels))
    if task != "multilabel":
        wrong |= known["label"].isna()
    found = {
        "empty": review.isna(),
        "label": wrong,
        "length": words.notna() & ~words.between(bounds.min_words, bounds.max_words),
        "markup": known["markup"],
        "control": review.str.contains(CONTROL, na=False),
    }
    sound = pd.Series(True, index=known.index)
    for kind in found.keys() & set(bounds.drop):
        sound &= ~found[kind]
    place = pd.Series(range(len(known)), index=known.index)
    same = [known["text"], known["meaning"]]
    found["duplicate"] = place > place.where(sound).groupby(same).transform("min")
    several = known["meaning"].where(sound).groupby(known["text"]).transform("nunique")
    found["conflict"] = several > 1
    return {kind: found[kind] for kind in found if kind in bounds.drop}
