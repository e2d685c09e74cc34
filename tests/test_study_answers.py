"""The predictions of a training, read from the files of its revision."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from study import answers

REVIEWS = {"review": list("abc"), "label": ["bad", "good", "bad"]}


def files(part, path, content, **columns):
    """The files of a revision, with three reviews in a part."""
    reviews = io.BytesIO()
    pd.DataFrame(REVIEWS | columns).to_parquet(reviews)
    held = {answers.REVIEWS.format(part=part): reviews.getvalue(), path: content}
    labels = json.dumps(["bad", "good"])
    return SimpleNamespace(read_text=lambda _: labels, read_bytes=held.__getitem__)


@pytest.mark.parametrize("groups", [None, [7, 7, 3]])
def test_the_test_part_has_slices_and_the_groups_of_the_reviews(groups):
    tables = {"probability": [0.2, 0.8, 0.9], "slices": ["long", "", "long"]}
    table = pd.DataFrame(tables | ({"group": groups} if groups else {})).to_csv(index=False)
    given = files("test", answers.TEST, table.encode())
    found = answers.read(given, {"task": "binary"}, {}, "test")
    assert found.targets.ravel().tolist() == [0, 1, 0]
    assert found.slices["long"].tolist() == [True, False, True]
    assert (None if found.groups is None else found.groups.tolist()) == groups


@pytest.mark.parametrize("columns", [{}, {"group": [7, 7, 3]}])
def test_the_validation_part_has_the_threshold_and_the_groups(columns):
    stored = io.BytesIO()
    np.savez(stored, predictions=np.float32([[0.2], [0.8], [0.9]]), targets=np.zeros((3, 1)))
    given = files("validation", answers.VALIDATION, stored.getvalue(), **columns)
    found = answers.read(given, {"task": "binary"}, {"threshold": {"good": 0.85}}, "validation")
    assert found.predictions.shape == (1, 3, 1)
    assert found.targets.ravel().tolist() == [0, 1, 0]
    assert found.quality().tolist() == [[1, 0, 0]]
    assert (None if found.groups is None else found.groups.tolist()) == columns.get("group")


def test_predictions_for_other_reviews_are_refused():
    stored = io.BytesIO()
    np.savez(stored, predictions=np.float32([[0.2]]))
    given = files("validation", answers.VALIDATION, stored.getvalue())
    with pytest.raises(ValueError, match="1 predictions for 3 validation reviews"):
        answers.read(given, {"task": "binary"}, {}, "validation")
