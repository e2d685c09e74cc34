"""By how much two files of one name differ, in words; nothing where their bytes are the same."""

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any

import h5py
import numpy as np
import pandas as pd

Change = tuple[str, Any, Any]
"""Where, what is committed and what there is now."""

MISSING = object()


def describe(name: str, old: bytes, new: bytes) -> str:
    """By how much a file differs, by its kind.

    Args:
        name: its name, which tells its kind.
        old: what is committed.
        new: what there is now.

    Returns:
        A few words; empty where the bytes are the same.
    """
    if old == new:
        return ""
    by_kind = KINDS.get(PurePath(name).suffix, _text)
    try:
        return by_kind(name, old, new) or "the same values, written otherwise"
    except (ValueError, KeyError, OSError, csv.Error, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        return f"cannot be compared, one of the two is not readable ({reason})"


def numbers(changes: Iterable[Change], total: int, what: str) -> str:
    """Values that differ, in words: how many, and the largest differences of numbers.

    Args:
        changes: those that differ.
        total: how many there are in all.
        what: what one is called, in the plural.
    """
    changes = list(changes)
    if not changes:
        return ""
    parts = [f"{len(changes)} of {total} {what} differ"]
    measured = [change for change in changes if all(map(_is_number, change[1:]))]
    if measured:
        where, old, new = max(measured, key=lambda change: _nan_last(abs(change[1] - change[2])))
        parts.append(f"numbers by up to {abs(old - new):.2g} ({where}: {old:.6g}, now {new:.6g})")
        relative = max(_nan_last(_relative(old, new)) for _, old, new in measured)
        parts.append(f"relatively by up to {relative:.2g}")
    if others := [change for change in changes if change not in measured]:
        where, old, new = others[0]
        parts.append(f"{where}: {_shown(old)}, now {_shown(new)}")
    return ", ".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _relative(old: float, new: float) -> float:
    return abs(old - new) / max(abs(old), abs(new))


def _shown(value: object) -> str:
    return "nothing" if value is MISSING else f"`{str(value)[:60]}`"


def _json(_: str, old: bytes, new: bytes) -> str:
    return leaves(json.loads(old), json.loads(new))


def leaves(old: Any, new: Any) -> str:
    """By how much nested values differ, leaf by leaf, in words."""
    flat, now = dict(_flat(old)), dict(_flat(new))
    names = list({**flat, **now})
    pairs = ((name, flat.get(name, MISSING), now.get(name, MISSING)) for name in names)
    return numbers((pair for pair in pairs if pair[1] != pair[2]), len(names), "values")


def _flat(tree: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(tree, dict):
        inner = tree.items()
    elif isinstance(tree, list):
        inner = enumerate(tree)
    else:
        yield name, tree
        return
    for key, value in inner:
        yield from _flat(value, f"{name}.{key}" if name else str(key))


def _table(name: str, old: bytes, new: bytes) -> str:
    rows, now = (_rows(name, content) for content in (old, new))
    if len(rows) != len(now):
        return f"{len(rows)} lines, now {len(now)}"
    changes, total = [], 0
    for line, (row, other) in enumerate(zip(rows, now, strict=True), 1):
        if len(row) != len(other):
            return f"line {line} has {len(row)} cells, now {len(other)}"
        total += len(row)
        for column, (cell, new_cell) in enumerate(zip(row, other, strict=True)):
            if cell != new_cell:
                where = f"line {line}, {rows[0][column]}"
                changes.append((where, _number(cell), _number(new_cell)))
    return numbers(changes, total, "cells")


def _rows(name: str, content: bytes) -> list[list[str]]:
    text = io.StringIO(content.decode("utf-8"), newline="")
    if name.endswith(".tsv"):
        return list(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
    return list(csv.reader(text))


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _parquet(_: str, old: bytes, new: bytes) -> str:
    # Threads that read a Python object abort now and then as the process ends (arrow #34314).
    table, now = (pd.read_parquet(io.BytesIO(content), use_threads=False) for content in (old, new))
    if list(table.columns) != list(now.columns):
        return f"columns {', '.join(table.columns)}, now {', '.join(now.columns)}"
    if len(table) != len(now):
        return f"{len(table)} rows, now {len(now)}"
    changes = []
    for column in table.columns:
        cells, others = (frame[column].tolist() for frame in (table, now))
        for row, (cell, other) in enumerate(zip(cells, others, strict=True)):
            if cell != other and not (pd.isna(cell) and pd.isna(other)):
                changes.append((f"row {row}, {column}", cell, other))
    return numbers(changes, table.size, "cells")


def arrays(old: np.ndarray, new: np.ndarray) -> str:
    """By how much an array differs, in words."""
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return f"{old.dtype} {old.shape}, now {new.dtype} {new.shape}"
    same = (old == new) | ((old != old) & (new != new))
    if same.all():
        return ""
    words = f"{(~same).sum():,} of {same.size:,} elements differ"
    if not np.issubdtype(old.dtype, np.number):
        return words
    return f"{words}, by up to {_largest(old, new):.2g}"


def _largest(old: np.ndarray, new: np.ndarray) -> float:
    """The largest absolute difference of two arrays of one shape; NaN where only one is a NaN."""
    old, new = old.astype(np.float64), new.astype(np.float64)
    both = np.isnan(old) & np.isnan(new)
    return float(np.abs(np.where(both, 0, old - new)).max(initial=0))


def _npy(_: str, old: bytes, new: bytes) -> str:
    return arrays(*(np.load(io.BytesIO(content), allow_pickle=False) for content in (old, new)))


def _npz(_: str, old: bytes, new: bytes) -> str:
    parts, now = ({**np.load(io.BytesIO(file), allow_pickle=False)} for file in (old, new))
    if set(parts) != set(now):
        return f"arrays {', '.join(sorted(parts))}, now {', '.join(sorted(now))}"
    found = {name: arrays(parts[name], now[name]) for name in parts}
    return "; ".join(f"{name}: {words}" for name, words in found.items() if words)


def _keras(_: str, old: bytes, new: bytes) -> str:
    (config, weights), (config_now, weights_now) = (_model(content) for content in (old, new))
    found = []
    if words := leaves(config, config_now):
        found.append(f"configuration: {words}")
    if {name: array.shape for name, array in weights.items()} != {
        name: array.shape for name, array in weights_now.items()
    }:
        return "; ".join([*found, "weights of other shapes"])
    by_layer: dict[str, float] = {}
    for name, array in weights.items():
        layer = name.removeprefix("layers/").split("/")[0]
        difference = _nan_last(_largest(array, weights_now[name]))
        by_layer[layer] = max(by_layer.get(layer, 0), difference)
    if any(by_layer.values()):
        each = ", ".join(f"{layer}: {value:.2g}" for layer, value in by_layer.items() if value)
        found.append(f"weights differ by up to {max(by_layer.values()):.2g} ({each})")
    return "; ".join(found)


def _model(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """The configuration of a `.keras` file and its weights by their path in it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        config = json.loads(archive.read("config.json"))
        weights = io.BytesIO(archive.read("model.weights.h5"))
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(weights, "r") as file:
        file.visititems(keep)
    return config, found


def _text(_: str, old: bytes, new: bytes) -> str:
    lines, now = (content.splitlines() for content in (old, new))
    for number, (line, other) in enumerate(zip(lines, now, strict=False), 1):
        if line != other:
            return f"differs first in line {number}: {_line(line)}, now {_line(other)}"
    return f"{len(lines)} lines, now {len(now)}" if len(lines) != len(now) else ""


def _line(line: bytes) -> str:
    return _shown(line.decode("utf-8", errors="replace").strip())


KINDS: dict[str, Callable[[str, bytes, bytes], str]] = {
    ".csv": _table,
    ".json": _json,
    ".keras": _keras,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".tsv": _table,
}
