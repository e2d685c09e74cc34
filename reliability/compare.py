"""How two versions of a file differ, in words."""

import csv
import io
import json
import zipfile
from pathlib import PurePath
from typing import Any

import h5py
import numpy as np
import pandas as pd

SHOWN = 3  # values with another shape, or that only one version has

Values = dict[str, Any]
"""The content of a file: arrays and single values, by name."""


def describe(name: str, old: bytes, new: bytes) -> str:
    """How a file differs from the committed one.

    Args:
        name: its name; the suffix says what kind of file it is.
        old: the committed content.
        new: the content now.

    Returns:
        A few words; empty if the bytes are the same.
    """
    if old == new:
        return ""
    try:
        words = differences(*(_content(name, content) for content in (old, new)))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        return f"cannot be compared, one of the two is not readable ({reason})"
    return words or "the same values in other bytes"


def differences(old: Values, new: Values) -> str:
    """How values differ: how many, the largest difference of numbers, and a text that differs."""
    total, count = 0, 0
    examples: list[tuple[float, str]] = []
    others = []
    for name in {**old, **new}:
        one, other = (np.asarray(values.get(name)) for values in (old, new))
        differ = size = max(one.size, other.size)
        if name not in old or name not in new:
            others.append(f"{name} is {'new' if name in new else 'missing'}")
        elif one.shape != other.shape:
            others.append(f"{name}: shape {one.shape}, now {other.shape}")
        else:
            gaps = _gaps(one, other)
            differ = int((gaps >= 0).sum())
            if differ:
                place = np.unravel_index(gaps.argmax(), gaps.shape)
                where = f"{name}[{', '.join(map(str, place))}]" if place else name
                example = f"{where}: {_shown(one[place])}, now {_shown(other[place])}"
                examples.append((float(gaps[place]), example))
        total += size
        count += differ
    words = [f"{count:,} of {total:,} values differ"] if count else []
    largest, example = max(examples, default=(0, ""))
    if largest:
        words.append(f"numbers by up to {largest:.2g} ({example})")
    words += [text for gap, text in examples if not gap][:1]
    return ", ".join(words + others[:SHOWN])


def _gaps(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The distance of each two elements: of numbers; otherwise 0; -1 if they are equal."""
    if old.dtype.kind in "iuf" and new.dtype.kind in "iuf":
        differ = (old != new) & ~(np.isnan(old) & np.isnan(new))
        distance = np.abs(old.astype(np.float64) - new.astype(np.float64))
        return np.where(differ, np.nan_to_num(distance, nan=np.inf, posinf=np.inf), -1)
    one, other = (np.vectorize(str, otypes=[object])(array) for array in (old, new))
    return np.where(one != other, 0.0, -1)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, np.number) else f"`{str(value)[:60]}`"


def flat(tree: Any, name: str = "") -> Values:
    """The leaves of nested dictionaries and lists, by their keys with dots between."""
    if isinstance(tree, dict | list):
        inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
        parts = [flat(value, f"{name}.{key}" if name else str(key)) for key, value in inner]
        return {key: value for part in parts for key, value in part.items()}
    return {name: tree}


def _content(name: str, content: bytes) -> Values:
    file = io.BytesIO(content)
    match PurePath(name).suffix:
        case ".json":
            return flat(json.load(file))
        case ".npz":
            return dict(np.load(file, allow_pickle=False))
        case ".npy":
            return {"array": np.load(file, allow_pickle=False)}
        case ".csv":
            return dict(pd.read_csv(file, keep_default_na=False))
        case ".tsv":
            quoting = csv.QUOTE_NONE
            return dict(pd.read_csv(file, sep="\t", quoting=quoting, keep_default_na=False))
        case ".parquet":
            # Threads that read Python objects sometimes abort at exit (arrow #34314).
            return dict(pd.read_parquet(file, use_threads=False))
        case ".keras":
            return _model(file)
    lines = content.decode("utf-8", errors="replace").splitlines()
    return {f"line {number}": line for number, line in enumerate(lines, 1)}


def _model(file: io.BytesIO) -> Values:
    """The configuration of a Keras model, and its weights by their path in the file."""
    with zipfile.ZipFile(file) as archive:
        found = flat(json.loads(archive.read("config.json")), "config")
        weights = io.BytesIO(archive.read("model.weights.h5"))

    def keep(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(weights, "r") as opened:
        opened.visititems(keep)
    return found
