import io
import json
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest

from reliability import compare


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def parquet(**columns) -> bytes:
    return pd.DataFrame(columns).to_parquet()


def keras(weights: dict, units: int = 2) -> bytes:
    """A file such as Keras writes, with a weight for each name."""
    buffer, inner = io.BytesIO(), io.BytesIO()
    with h5py.File(inner, "w") as file:
        for name, value in weights.items():
            file[f"layers/{name}/vars/0"] = np.array(value, np.float32)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps({"layers": [{"units": units}]}))
        archive.writestr("model.weights.h5", inner.getvalue())
    return buffer.getvalue()


WEIGHTS = {"gru": [1.0, 2.0], "output": [3.0]}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("m.json", b'{"a": {"b": 0.5}, "c": 2}', b'{"a": {"b": 0.25}, "c": 2}',
         "1 of 2 values differ, numbers by up to 0.25 (a.b: 0.5, now 0.25), relatively by up to "
         "0.5"),
        ("m.json", b'{"fit": "optimal"}', b'{"fit": "overfitting"}',
         "1 of 1 values differ, fit: `optimal`, now `overfitting`"),
        ("m.json", b'{"a": 1}', b'{"a": 1, "b": [2]}',
         "1 of 2 values differ, b.0: nothing, now `2`"),
        ("m.json", b'{"a": 1}', b'{ "a": 1 }', "the same values, written otherwise"),
        ("m.json", b'{"a": 1}', b'{"a": ', "cannot be compared, one of the two is not readable"),
        ("c.csv", b"word,count\ngood,2\nbad,8\n", b"word,count\ngood,3\nfilm,8\n",
         "2 of 6 cells differ, numbers by up to 1 (line 2, count: 2, now 3), relatively by up to "
         "0.33, line 3, word: `bad`, now `film`"),
        ("c.csv", b"a,b\n1,2\n", b"a,b\n1,2\n3,4\n", "2 lines, now 3"),
        ("c.csv", b"a,b\n1,2\n", b"a,b\n1\n", "line 2 has 2 cells, now 1"),
        ("c.csv", b"a,b\n1,nan\n", b"a,b\n1,2\n",
         "1 of 4 cells differ, numbers by up to nan (line 2, b: nan, now 2)"),
        ("l.tsv", b'step\tloss\n1\t"0.5\n', b'step\tloss\n1\t"0.6\n',
         '1 of 4 cells differ, line 2, loss: `"0.5`, now `"0.6`'),
        ("a.npy", npy(np.array([1, 2, 3.0])), npy(np.array([1, 2.5, 3.0])),
         "1 of 3 elements differ, by up to 0.5"),
        ("a.npy", npy(np.zeros((2, 3))), npy(np.zeros(2)), "float64 (2, 3), now float64 (2,)"),
        ("a.npz", npz(ids=np.array([1, 2]), targets=np.ones(2)),
         npz(ids=np.array([1, 5]), targets=np.ones(2)), "ids: 1 of 2 elements differ, by up to 3"),
        ("a.npz", npz(ids=np.ones(1)), npz(targets=np.ones(1)), "arrays ids, now targets"),
        ("r.parquet", parquet(review=["a", "b"], label=["x", "y"]),
         parquet(review=["a", "c"], label=["x", "y"]),
         "1 of 4 cells differ, row 1, review: `b`, now `c`"),
        ("r.parquet", parquet(n=[1.0, None]), parquet(n=[1.5, None]),
         "1 of 2 cells differ, numbers by up to 0.5 (row 0, n: 1, now 1.5)"),
        ("r.parquet", parquet(a=[1]), parquet(a=[1, 2]), "1 rows, now 2"),
        ("r.parquet", parquet(a=[1]), parquet(b=[1]), "columns a, now b"),
        ("m.keras", keras(WEIGHTS), keras({"gru": [1.0, 2.5], "output": [3.0]}),
         "weights differ by up to 0.5 (gru: 0.5)"),
        ("m.keras", keras(WEIGHTS), keras({"gru": [np.nan, 2.0], "output": [3.5]}),
         "weights differ by up to inf (gru: inf, output: 0.5)"),
        ("m.keras", keras(WEIGHTS), keras(WEIGHTS, units=3), "configuration: 1 of 1 values differ"),
        ("m.keras", keras(WEIGHTS), keras({"gru": [1.0]}), "weights of other shapes"),
        ("m.keras", keras(WEIGHTS), b"PK nothing", "cannot be compared"),
        ("i.html", b"<p>\nold\n", b"<p>\nnew\n", "differs first in line 2: `old`, now `new`"),
        ("i.svg", b"<svg>", b"<svg>\n<g>", "1 lines, now 2"),
    ],
)  # fmt: skip
def test_by_how_much_two_files_differ(name, old, new, said):
    assert compare.describe(name, old, new).startswith(said)
    assert compare.describe(name, old, old) == ""


def test_a_nan_that_stays_one_is_no_difference():
    old = npy(np.array([np.nan, 1]))
    assert compare.describe("a.npy", old, npy(np.array([np.nan, 2]))).startswith("1 of 2 elements")
