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
         "1 of 2 values differ, numbers by up to 0.25 (a.b: 0.5, now 0.25)"),
        ("m.json", b'{"fit": "optimal"}', b'{"fit": "overfitting"}',
         "1 of 1 values differ, fit: `optimal`, now `overfitting`"),
        ("m.json", b'{"a": 1}', b'{"a": 1, "b": [2]}', "1 of 2 values differ, b.0 is new"),
        ("m.json", b'{"a": 1}', b'{ "a": 1 }', "the same values in other bytes"),
        ("m.json", b'{"a": 1}', b'{"a": ', "cannot be compared, one of the two is not readable"),
        ("c.csv", b"word,count\ngood,2\nbad,8\n", b"word,count\ngood,3\nfilm,8\n",
         "2 of 4 values differ, numbers by up to 1 (count[0]: 2, now 3), word[1]: `bad`, now "
         "`film`"),
        ("c.csv", b"a,b\n1,nan\n", b"a,b\n1,2\n", "1 of 2 values differ, b[0]: `nan`, now 2"),
        ("l.tsv", b'step\tloss\n1\t"0.5\n', b'step\tloss\n1\t"0.6\n',
         '1 of 2 values differ, loss[0]: `"0.5`, now `"0.6`'),
        ("a.npy", npy(np.array([1, 2, 3.0])), npy(np.array([1, 2.5, 3.0])),
         "1 of 3 values differ, numbers by up to 0.5 (array[1]: 2, now 2.5)"),
        ("a.npy", npy(np.array([np.nan, 1])), npy(np.array([np.nan, np.nan])),
         "1 of 2 values differ, numbers by up to inf (array[1]: 1, now nan)"),
        ("a.npy", npy(np.zeros((2, 3))), npy(np.zeros(2)),
         "6 of 6 values differ, array: shape (2, 3), now (2,)"),
        ("a.npz", npz(ids=np.array([[1, 2]]), targets=np.ones(2)),
         npz(ids=np.array([[1, 5]]), targets=np.ones(2)),
         "1 of 4 values differ, numbers by up to 3 (ids[0, 1]: 2, now 5)"),
        ("r.parquet", parquet(review=["a", "b"], label=["x", "y"]),
         parquet(review=["a", "c"], label=["x", "y"]),
         "1 of 4 values differ, review[1]: `b`, now `c`"),
        ("r.parquet", parquet(a=[1]), parquet(b=[1]), "2 of 2 values differ, a is missing, b is"),
        ("m.keras", keras(WEIGHTS), keras({"gru": [1.0, 2.5], "output": [3.0]}),
         "1 of 4 values differ, numbers by up to 0.5 (layers/gru/vars/0[1]: 2, now 2.5)"),
        ("m.keras", keras(WEIGHTS), keras(WEIGHTS, units=3),
         "1 of 4 values differ, numbers by up to 1 (config.layers.0.units: 2, now 3)"),
        ("m.keras", keras(WEIGHTS), b"PK nothing", "cannot be compared"),
        ("i.html", b"<p>\nold\n", b"<p>\nnew\n", "1 of 2 values differ, line 2: `old`, now `new`"),
        ("i.svg", b"<svg>", b"<svg>\n<g>", "1 of 2 values differ, line 2 is new"),
    ],
)  # fmt: skip
def test_describes_how_two_files_differ(name, old, new, said):
    assert compare.describe(name, old, new).startswith(said)
    assert compare.describe(name, old, old) == ""
