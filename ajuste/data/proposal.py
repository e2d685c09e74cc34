"""Look at a user's CSV file and propose the values of `params.yaml` for it.

Everything is a guess from names and values; each comes with its reason.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ajuste.config.edit import Key, as_text
from ajuste.data.csv_reader import read_csv
from ajuste.data.facts import CONTROL, NUMBER, facts
from ajuste.data.labels import NO_LABEL, decimal_point, mapped, negative_first, plain, polarity
from ajuste.data.text import tokens
from ajuste.errors import Lines, PipelineError, excerpt
from ajuste.tasks import NUMERIC, SEPARATOR, split_labels

LOOKED_AT = 300
"""The rows, spread over the file, that the columns and the language are guessed from."""

CHECKED = 20_000_000
"""The characters of the reviews that are checked against the bounds of `validate`."""

CLASSES = 50
"""The maximum classes that are proposed; a column with more values is something else."""

STEPS = 11
"""The maximum whole numbers, such as 0 to 10, that are proposed as classes."""

FEW = 10
RARE = 0.1
DROPPED = 0.05
"""The maximum share of rows too short or too long that are dropped; else the bound changes."""

LABEL_WORDS = (
    "label sentiment sentimiento class clase category categoria polarity polaridad target opinion "
    "etiqueta rating stars star estrellas score puntuacion valoracion calificacion nota genre "
    "genres genero generos tags tag y"
)
"""Words in the names of columns of labels, the surest first."""

GROUP_WORDS = (
    "product producto film movie pelicula book libro item asin sku isbn hotel restaurant "
    "restaurante business negocio shop tienda brand marca app game juego title titulo author autor "
    "user usuario customer cliente reviewer"
)

FUNCTION_WORDS = {
    "english": "the and of to is it this that was with for but not are have you they be as on",
    "spanish": "el la los las y es un una con por muy pero del lo no que en se me su al",
    "portuguese": "o os as e um uma com n\u00e3o muito mas do da dos em que foi eu para ao na",
    "french": "le les et est un une pas des du dans je qui ce pour tr\u00e8s mais que la de il",
    "italian": "il di e un una non per che con molto ma del \u00e8 sono gli ho la lo si ha",
    "german": "der die das und ist nicht ich ein eine mit es sehr war zu auf den aber f\u00fcr von",
}
"""The most frequent words of a language."""

Label = str | float


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns, and the line on which each row starts."""

    path: str
    separator: str
    columns: dict[str, list[str]]
    lines: list[int]


@dataclass(frozen=True)
class Setting:
    """A value for a key of `params.yaml`, and the reason."""

    key: Key
    value: Any
    why: str


@dataclass
class Proposal:
    """What is proposed for a file.

    Attributes:
        settings: the values for `params.yaml`.
        remarks: what the user must decide or know.
        examples: the first rows as they are understood: the line, the label, the text.
    """

    settings: list[Setting]
    remarks: list[str]
    examples: list[tuple[int, str | None, str]]


@dataclass
class Understood:
    """What the column of labels says.

    Attributes:
        task: a key of `TASKS`.
        labels: the value of `data.csv.labels`.
        why: the reason for the task, and for the order of the labels.
        mapping: the value of `data.csv.mapping`.
        mapped_why: the reason for the mapping.
        remarks: what the user must decide.
    """

    task: str
    labels: list[Label]
    why: tuple[str, str]
    mapping: dict[str, str | float | None] = field(default_factory=dict)
    mapped_why: str = ""
    remarks: list[str] = field(default_factory=list)


def read_table(path: Path, separator: str) -> Table:
    """All rows of a CSV file; see `read_csv` for errors."""
    columns: dict[str, list[str]] = {}
    lines = []
    for line, row in read_csv(path, [], separator):
        lines.append(line)
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return Table(str(path), separator, columns, lines)


def propose(
    table: Table,
    params: dict[str, Any],
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    task: str | None = None,
) -> Proposal:
    """Propose the values of `params.yaml` for a file.

    Args:
        table: the file.
        params: the parameters now. Outside `data` and `task` only what differs is proposed.
        text: the column of the reviews, or None to guess it; the same for the others.
        label: the column of the labels.
        group: the column of what the reviews are about; None: a column is only named.
        task: a key of `TASKS`.

    Raises:
        PipelineError: there is no such column, or none that looks like reviews or labels; or the
            labels do not fit the task.
    """
    for name in (text, label, group):
        if name is not None and name not in table.columns:
            raise PipelineError(f"{table.path}: no column `{name}`; {_columns(table.columns)}")
    words = {name: _mean_words(values) for name, values in table.columns.items()}
    remarks = []
    text = text or _text_column(table, words, label)
    others = [n for n, mean in words.items() if mean > 3 and n not in (text, label, group)]
    if others:
        remarks.append(f"other columns of text are not used: {_names(others)}; TEXT=... takes one")
    label = label or _label_column(table, text, words, remarks)
    if group is None:
        remarks += _group_remark(table, [n for n in words if n not in (text, label)], words)
    counts = Counter(value.strip() for value in table.columns[label])
    found = understood(counts, label, task)
    names = [x if isinstance(x, str) else f"{x:.15g}" for x in found.labels]
    mapping = {key: value if value is None else str(value) for key, value in found.mapping.items()}
    new = mapped((value.strip() for value in table.columns[label]), mapping, found.task)
    language = _language(table.columns[text])

    settings = [
        Setting(("task",), found.task, found.why[0]),
        Setting(("data", "source"), "csv", "your own file"),
        Setting(("data", "csv", "path"), table.path, ""),
        Setting(("data", "csv", "separator"), table.separator, f"it gives {len(words)} columns"),
        Setting(
            ("data", "csv", "text"), text, f"its texts have {words[text]:.0f} words on average"
        ),
        Setting(("data", "csv", "label"), label, _values(counts)),
        Setting(("data", "csv", "group"), group, ""),
        Setting(("data", "csv", "labels"), found.labels, found.why[1]),
        Setting(("data", "csv", "mapping"), found.mapping, found.mapped_why),
    ]
    optional = [
        Setting(
            ("split", "by"),
            "group" if group else "review",
            "all reviews of one value are in one part" if group else "there is no column of groups",
        ),
        *_checks(table, text, new, found.task, names, params["validate"], remarks),
        *_score(found, new, names, remarks),
        *_of_language(language, params, remarks),
        Setting(("gate", "bounds"), {}, "the bounds now are those of other reviews"),
    ]
    settings += [one for one in optional if _now(params, one.key) != one.value]
    examples = list(zip(table.lines, new, table.columns[text], strict=True))[:3]
    return Proposal(settings, found.remarks + remarks, examples)


def shown(settings: Sequence[Setting]) -> str:
    """The settings as YAML, with the reasons as comments."""
    lines, above = [], ()
    for one in settings:
        *sections, key = one.key
        for depth, section in enumerate(sections):
            if tuple(sections[: depth + 1]) != above[: depth + 1]:
                lines.append((f"{'  ' * depth}{section}:", ""))
                above = tuple(sections[: depth + 1])
        above = tuple(sections)
        first, *others = as_text({key: one.value}).splitlines()
        indent = "  " * len(sections)
        lines += [(indent + first, one.why), *((indent + other, "") for other in others)]
    width = min(40, max(len(line) for line, why in lines if why))
    return "\n".join(f"{line:<{width}}  # {why}" if why else line for line, why in lines)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{excerpt(name)}`" for name in names)


def _columns(names: Iterable[str]) -> str:
    return f"the file has {_names(list(names)[:10])}"


def _now(params: Any, key: Key) -> Any:
    for part in key:
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _spread(values: Sequence[str], most: int = LOOKED_AT) -> Sequence[str]:
    return values[:: -(-len(values) // most)]


def _mean_words(values: list[str]) -> float:
    """The mean number of words of the cells that are not empty; of the first 2,000 characters."""
    filled = [value for value in _spread(values) if value.strip()]
    return sum(len(tokens(value[:2000])) for value in filled) / max(len(filled), 1)


def _text_column(table: Table, words: dict[str, float], label: str | None) -> str:
    means = {name: mean for name, mean in words.items() if name != label}
    name = max(means, key=means.__getitem__, default=None)
    if name is None or means[name] <= 1 or len(words) == 1:
        raise PipelineError(
            f"{table.path}: two columns are needed, of texts and of labels; "
            f"{_columns(words)}; if they are right, name them with TEXT=... LABEL=..., or give "
            "another SEPARATOR=..."
        )
    return name


def _hint(name: str, known: str) -> int:
    """The place of the surest of some words in the name of a column; large if there is none."""
    words = known.split()
    parts = [part.rstrip("s") for part in re.split(r"[\W_]+", plain(name)) if part]
    places = [place for place, word in enumerate(words) if word.rstrip("s") in parts]
    return min(places, default=len(words))


def _label_column(table: Table, text: str, words: dict[str, float], remarks: list[str]) -> str:
    ranks = {}
    for name, values in table.columns.items():
        distinct = {part for value in set(values) for part in split_labels("multilabel", value)}
        hint = _hint(name, LABEL_WORDS)
        hinted = hint < len(LABEL_WORDS.split())
        if name == text or len(distinct) < 2 or words[name] > 8:
            continue
        if hinted or len(distinct) <= min(CLASSES, len(values) // 2):
            ranks[name] = (not hinted, hint, len(distinct))
    if not ranks:
        others = [name for name in table.columns if name != text]
        raise PipelineError(
            f"{table.path}: no column looks like labels; name one with LABEL=...: {_names(others)}"
        )
    best, *others = sorted(ranks, key=ranks.__getitem__)
    if others:
        remarks.append(f"other columns could be the label: {_names(others)}; LABEL=... takes one")
    return best


def _group_remark(table: Table, names: list[str], words: dict[str, float]) -> list[str]:
    ranks = {}
    for name in names:
        counts = Counter(value.strip() for value in table.columns[name] if value.strip())
        repeated = 5 <= len(counts) <= sum(counts.values()) / 2
        if repeated and words[name] <= 12:
            identifies = "id" in re.split(r"[\W_]+", plain(name))
            ranks[name] = (_hint(name, GROUP_WORDS), not identifies, len(counts))
    if not ranks:
        return []
    best = min(ranks, key=ranks.__getitem__)
    return [
        f"`{best}` has {ranks[best][2]:,} values that repeat. If it says what a review is about (a "
        f"product, a film), GROUP={best} keeps its reviews in one part, so that the test is honest"
    ]


def _values(counts: Counter[str]) -> str:
    most = ", ".join(f"{excerpt(name)!r} {count:,}" for name, count in counts.most_common(4))
    return f"{len(counts):,} values: {most}{', ...' if len(counts) > 4 else ''}"


def understood(counts: Counter[str], column: str, task: str | None = None) -> Understood:
    """The task and the labels that the values of a column suggest.

    Args:
        counts: how often each value occurs, without white space around it.
        column: the name of the column, for messages.
        task: the task, or None to guess it.

    Raises:
        PipelineError: the values do not fit any task, or not this one.
    """
    mapping: dict[str, str | float | None] = {}
    filled = Counter({name: count for name, count in counts.items() if name})
    if task == "multilabel" or (task is None and any(SEPARATOR in name for name in filled)):
        return _several(filled, column)
    nothing = sorted(name for name in filled if name.casefold() in NO_LABEL)
    mapping |= dict.fromkeys(nothing)
    values = [name for name in filled if name not in mapping]
    why = "no label: these reviews are left out" if nothing else ""
    points = {name: decimal_point(name) for name in values}
    if values and all(NUMBER.fullmatch(point) for point in points.values()):
        found = _numbers({name: float(point) for name, point in points.items()}, filled, task)
        if found:
            found.mapping = mapping | found.mapping
            found.mapped_why = "; ".join(filter(None, (why, found.mapped_why)))
            return found
    elif task in NUMERIC:
        other = next(name for name in values if not NUMBER.fullmatch(points[name]))
        raise PipelineError(
            f"`{column}` has labels that are not numbers, such as {excerpt(other)!r}; give another "
            "TASK=... or LABEL=..."
        )
    spelling: dict[str, str] = {}
    for name in sorted(values, key=lambda name: (-filled[name], name)):
        usual = spelling.setdefault(name.casefold(), name)
        if usual != name:
            mapping[name] = usual
            why = "; ".join(filter(None, (why, "another spelling")))[:80]
    return _classes(list(spelling.values()), filled, column, task, mapping, why)


def _several(counts: Counter[str], column: str) -> Understood:
    names: Counter[str] = Counter()
    for cell, count in counts.items():
        for name in split_labels("multilabel", cell):
            names[name] += count
    if not 1 <= len(names) <= 4 * CLASSES:
        raise PipelineError(
            f"`{column}` has {len(names):,} names between `|`, too many for labels; give another "
            "LABEL=..."
        )
    why = ("the labels have several names, separated by |", "all names; the order does not matter")
    remarks = [
        f"the label {name!r} has only {count} reviews; `mapping` can give it another name"
        for name, count in sorted(names.items())
        if count < FEW
    ]
    return Understood("multilabel", sorted(names), why, {}, "", remarks)


def _numbers(
    numbers: dict[str, float], counts: Counter[str], task: str | None
) -> Understood | None:
    """What labels that are all numbers suggest; None if they are two classes of any kind."""
    steps = sorted(set(numbers.values()))
    whole = all(step.is_integer() for step in steps)
    if task in NUMERIC or (task is None and len(steps) > 2 and not (whole and len(steps) <= STEPS)):
        return _range(steps, task or "regression")
    usual: dict[float, str] = {}
    for name in sorted(numbers, key=lambda name: (-counts[name], name)):
        usual.setdefault(numbers[name], name)
    same = {name: usual[n] for name, n in numbers.items() if usual[n] != name}
    labels = [usual[step] for step in steps]
    if len(labels) > 2 and task == "binary":
        middle = (steps[0] + steps[-1]) / 2
        sides = {name: _side(n, middle) for name, n in sorted(numbers.items(), key=_by_number)}
        why = ("TASK=binary", "the negative one first")
        reason = f"below and above the middle, {middle:g}; null leaves the reviews out"
        return Understood("binary", ["negative", "positive"], why, sides, reason)
    if len(labels) < 2 or (task == "binary" and len(labels) != 2):
        return None
    if len(labels) == 2 and task != "multiclass":
        why = ("two numbers", "the lower number first, as the negative label")
        return Understood("binary", labels, why, same, "another way to write it" if same else "")
    middle = (steps[0] + steps[-1]) / 2
    sides = ", ".join(f"{usual[s]!r}: {_side(s, middle) or 'null'}" for s in steps)
    remarks = [
        f"stars as classes: the network does not know that {steps[-1]:g} is near {steps[-2]:g}. "
        "TASK=regression predicts a number; TASK=binary proposes `labels: [negative, positive]` "
        f"with `mapping: {{{sides}}}`"
    ]
    why = (f"{len(labels)} whole numbers, such as stars", "in the order of the numbers")
    return Understood(
        "multiclass", labels, why, same, "another way to write it" if same else "", remarks
    )


def _by_number(item: tuple[str, float]) -> float:
    return item[1]


def _side(number: float, middle: float) -> str | None:
    if number == middle:
        return None
    return "negative" if number < middle else "positive"


def _range(steps: list[float], task: str) -> Understood:
    if len(steps) < 2:
        raise PipelineError("all labels are the same number; two different ones are needed")
    why = ("numbers" if task == "regression" else f"TASK={task}", "the lowest and the highest")
    ends = [int(end) if end.is_integer() else end for end in (steps[0], steps[-1])]
    return Understood(task, ends, why)


def _classes(
    names: list[str],
    counts: Counter[str],
    column: str,
    task: str | None,
    mapping: dict[str, str | float | None],
    why: str,
) -> Understood:
    totals = Counter({name: counts[name] for name in names})
    for name, usual in mapping.items():
        if usual in totals:
            totals[usual] += counts[name]
    if not 2 <= len(names) <= CLASSES:
        what = f"only the label {names[0]!r}" if len(names) == 1 else f"{len(names):,} labels"
        raise PipelineError(
            f"`{column}` has {what}, and between 2 and {CLASSES} are needed; give another "
            "column with LABEL=..."
        )
    remarks = [
        f"the label {name!r} has only {count} reviews; `mapping` can give it another name, or "
        "null to leave them out"
        for name, count in sorted(totals.items())
        if count < FEW
    ]
    separators = [s for s in ",;/" if sum(s in name for name in names) > len(names) / 2]
    if separators:
        remarks.append(
            f"most labels contain `{separators[0]}`: if it separates several labels, replace it by "
            "`|` in the file, for the task multilabel"
        )
    if len(names) > 2 and task == "binary":
        signs = {name: polarity(name) for name in names}
        ends = [
            max((n for n in names if signs[n] == sign), key=lambda n: (totals[n], n), default=None)
            for sign in (-1, 1)
        ]
        if None in ends:
            raise PipelineError(
                f"`{column}` has {len(names)} labels, and their names do not say which two are "
                "meant; write `data.csv.mapping` by hand, or give another TASK=..."
            )
        sides = {-1: ends[0], 1: ends[1], 0: None}
        mapping = mapping | {n: sides[signs[n]] for n in names if n not in ends}
        mapping = {n: sides[signs.get(m, 0)] if m in signs else m for n, m in mapping.items()}
        return Understood(
            "binary", ends, ("TASK=binary", "the negative one first"), mapping, "null leaves the "
            "reviews out", remarks,
        )  # fmt: skip
    if len(names) == 2 and task != "multiclass":
        order = negative_first(*names)
        if order is None:
            labels = sorted(names, key=lambda name: (-totals[name], name))
            reason = "a guess: the rarer one second, as the one to detect"
            remarks.insert(
                0,
                f"the order of the labels is a guess: `probability` will be that of {labels[1]!r}; "
                "swap them if the other one is to be detected",
            )
        else:
            labels = names if order else names[::-1]
            reason = "the negative one first"
        return Understood("binary", labels, ("two labels", reason), mapping, why, remarks)
    labels = sorted(names, key=lambda name: (polarity(name), plain(name), name))
    reasons = (f"{len(names)} labels", "the order does not matter")
    return Understood("multiclass", labels, reasons, mapping, why, remarks)


def _language(texts: list[str]) -> str:
    """`english`, `spanish` or `other`."""
    counts = Counter(word for text in _spread(texts) for word in tokens(text[:2000]))
    shares = {
        name: sum(counts[word] for word in words.split()) / max(counts.total(), 1)
        for name, words in FUNCTION_WORDS.items()
    }
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= 0.08 and best in ("english", "spanish") else "other"


def _of_language(language: str, params: dict[str, Any], remarks: list[str]) -> list[Setting]:
    settings = [Setting(("language",), language, "by its most frequent words")]
    if language == "english":
        return settings if "language" in params else []
    name, source = params.get("model"), _now(params, ("embed", "source"))
    entry = _now(params, ("models", str(name))) or {}
    if source == "file" or "embedding" not in entry:
        return settings
    remarks.append(
        "the bundled word vectors are English. `embedding: scratch` learns vectors from the "
        "reviews, for this network only; vectors of the language are better with few reviews: "
        "`embed.source: file`, with a file in GloVe's or word2vec's format"
    )
    scratch = {"embedding": "scratch", "embedding_width": 32, "max_features": 10_000}
    reason = "the bundled word vectors are English"
    return settings + [
        Setting(("models", name, key), value, reason if key == "embedding" else "")
        for key, value in scratch.items()
        if key == "embedding" or key not in entry
    ]


def _score(
    found: Understood, new: list[str | None], names: list[str], remarks: list[str]
) -> list[Setting]:
    key = ("evaluate", "score")
    counts = Counter(label for label in new if label in names)
    rare = min(names, key=lambda name: (counts[name], name))
    share = counts[rare] / max(counts.total(), 1)
    if found.task != "binary" or share >= RARE:
        return [Setting(key, None, "the score of the task")]
    if rare == names[0]:
        remarks.append(
            f"{rare!r} is rare ({share:.1%}) but first: average_precision is about the second "
            "label; swap the labels to detect the rare one"
        )
    return [Setting(key, "average_precision", f"{rare!r} is rare, {share:.1%} of the reviews")]


def _checks(
    table: Table,
    text: str,
    new: list[str | None],
    task: str,
    names: list[str],
    bounds: dict[str, Any],
    remarks: list[str],
) -> list[Setting]:
    """The bounds of `validate` that the file would break, and the rows to drop."""
    frame = pd.DataFrame(
        {
            "review": table.columns[text],
            "label": new,
            "origin": map(str, table.lines),
        }
    )
    frame = frame[frame["label"].notna()]
    usable = frame["label"].isin(names).sum() if task not in (*NUMERIC, "multilabel") else None
    rows = len(frame)
    step = -(-int(frame["review"].str.len().sum()) // CHECKED) or 1
    blank = (frame["review"].str.strip() == "") | (frame["label"].str.strip() == "")
    always = blank | frame["review"].duplicated(keep=False)
    part = frame[always | (frame.index % step == 0)]
    if step > 1:
        remarks.append(
            f"{len(part):,} of {rows:,} rows were checked against the bounds of `validate`; the "
            "counts are of these"
        )
    known = facts(part, task, names)
    words = known["words"]
    short, long = words < bounds["min_words"], words > bounds["max_words"]
    wrong = known["unknown"].notna()
    if task in NUMERIC:
        wrong |= ~known["number"].between(*map(float, names)) & known["number"].notna()
    broken = {
        "empty": known["review"].isna(),
        "label": wrong | (known["label"].isna() & (task != "multilabel")),
        "length": short | long,
        "duplicate": known["duplicate"],
        "conflict": known["conflict"],
        "markup": known["markup"],
        "control": known["review"].str.contains(CONTROL, na=False),
    }
    limits = {
        "duplicate": bounds["max_duplicates"],
        "conflict": bounds["max_conflicts"],
        "markup": bounds["max_markup"],
        "control": bounds["max_control"],
    }
    settings, dropped = [], []
    for kind, flags in broken.items():
        count = int(flags.sum())
        of = rows if kind in ("duplicate", "conflict") else len(part)  # all copies are in `part`
        if count <= limits.get(kind, 0) * of:
            continue
        if kind == "length" and count > DROPPED * len(part):
            for key, value, beyond in (
                ("min_words", max(int(words.min()), 1), short),
                ("max_words", int(words.max()), long),
            ):
                if beyond.any():
                    reason = f"{int(beyond.sum()):,} reviews are beyond {bounds[key]:,}"
                    settings.append(Setting(("validate", key), value, reason))
        elif kind == "markup":
            share = -(-count * 100 // len(part)) / 100
            reason = f"{count:,} reviews have markup; it is removed"
            settings.append(Setting(("validate", "max_markup"), share, reason))
        else:
            dropped.append(f"{kind}: {count:,} rows ({_lines(known['origin'][flags])})")
    if broken["control"].sum() > limits["control"] * len(part):
        remarks.append(
            "many reviews have control or replacement characters: the file was decoded wrongly "
            "before; to decode the source again is better than to drop them"
        )
    kinds = [entry.split(":")[0] for entry in dropped]
    if kinds or "drop" in bounds:
        settings.append(Setting(("validate", "drop"), kinds, "; ".join(dropped)))
    settings += _of_size(usable, rows, frame["label"], names, bounds, remarks)
    return settings


def _of_size(
    usable: int | None,
    rows: int,
    labels: pd.Series,
    names: list[str],
    bounds: dict[str, Any],
    remarks: list[str],
) -> list[Setting]:
    settings = []
    count = rows if usable is None else int(usable)
    if count < bounds["min_reviews"]:
        settings.append(Setting(("validate", "min_reviews"), count, f"only {count:,} reviews"))
        remarks.append(f"{count:,} reviews are few: expect wide intervals and no sure verdict")
    if usable:
        least = labels.value_counts().reindex(names, fill_value=0).min() / usable
        needed = bounds["min_class_share"] * 2 / len(names)
        if least < needed:
            share = int(least * len(names) / 2 * 0.9 * 1000) / 1000
            reason = f"the rarest label is {least:.1%} of the reviews"
            settings.append(Setting(("validate", "min_class_share"), share, reason))
    return settings


def _lines(origins: pd.Series) -> str:
    lines = Lines()
    for number in origins:
        lines.add(int(number))
    return str(lines)
