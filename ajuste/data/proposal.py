"""Look at a user's CSV file and propose the values of `params.yaml` for it.

Everything is a guess from names and values; each comes with its reason.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ajuste.config.edit import Key, as_text
from ajuste.config.reader import meant
from ajuste.config.schema import Fault, Validate
from ajuste.data.csv_reader import read_csv
from ajuste.data.facts import NUMBER, facts, faults
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
UNEVEN = 0.7
"""A class is named as rare if it has less than this, as a multiple of an equal share."""

MANY_GROUPS = 300
"""A tenth of so many groups, the test part, gives a usable interval."""

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
    labels: list[str] | list[float]
    why: tuple[str, str]
    mapping: dict[str, str | None] = field(default_factory=dict)
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
            close = meant(name, table.columns)
            question = f"did you mean `{close}`? " if close else ""
            raise PipelineError(
                f"{table.path}: no column `{name}`; {question}{_columns(table.columns)}"
            )
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
    new = mapped((value.strip() for value in table.columns[label]), found.mapping, found.task)
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
        *_checks(table, text, new, found.task, names, Validate(**params["validate"]), remarks),
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
    count = ranks[best][2]
    few = "" if count >= MANY_GROUPS else "; but so few make the intervals wide"
    return [
        f"`{best}` has {count:,} values that repeat. If it says what a review is about (a "
        f"product, a film), GROUP={best} keeps its reviews in one part, so that the test is "
        f"honest{few}"
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
    filled = Counter({name: count for name, count in counts.items() if name})
    if task == "multilabel" or (task is None and any(SEPARATOR in name for name in filled)):
        return _several(filled, column)
    nothing = sorted(name for name in filled if name.casefold() in NO_LABEL)
    values = sorted(filled.keys() - nothing, key=lambda name: (-filled[name], name))
    numbers = {
        name: float(decimal_point(name)) for name in values if NUMBER.fullmatch(decimal_point(name))
    }
    numeric = len(numbers) == len(values)
    meaning = numbers if numeric else {name: name.casefold() for name in values}
    usual: dict[float | str, str] = {}
    totals: Counter[str] = Counter()
    for name in values:
        totals[usual.setdefault(meaning[name], name)] += filled[name]
    labels = sorted(totals, key=lambda name: (numbers[name] if numeric else polarity(name), name))
    if task is None:
        steps = numeric and len(labels) <= STEPS and all(n.is_integer() for n in numbers.values())
        several = "multiclass" if steps or not numeric else "regression"
        task = "binary" if len(labels) == 2 else several
    mapping: dict[str, str | None] = dict.fromkeys(nothing)
    why = ["no label: null leaves the reviews out"] if nothing else []
    if task in NUMERIC:
        if not numeric or len(labels) < 2:
            other = next((name for name in values if name not in numbers), "of one value")
            raise PipelineError(
                f"`{column}` does not have different numbers: it has labels such as "
                f"{excerpt(other)!r}; give another TASK=... or LABEL=..."
            )
        ends = [numbers[labels[0]], numbers[labels[-1]]]
        ends = [int(end) if end.is_integer() else end for end in ends]
        reasons = (f"{len(labels):,} numbers", "the lowest and the highest")
        return Understood(task, ends, reasons, mapping, *why)
    if not 2 <= len(labels) <= CLASSES:
        raise PipelineError(
            f"`{column}` has {len(labels):,} labels, such as {excerpt(max(labels, default=''))!r}; "
            f"between 2 and {CLASSES} are needed; give another column with LABEL=..."
        )
    remarks = _few(totals)
    listing = [s for s in ",;/" if sum(s in name for name in labels) > len(labels) / 2]
    if listing:
        remarks.append(
            f"most labels contain `{listing[0]}`: if it separates several labels, replace it by "
            f"`{SEPARATOR}` in the file, for the task multilabel"
        )
    middle = (numbers[labels[0]] + numbers[labels[-1]]) / 2 if numeric else 0
    signs = {name: numbers[name] - middle if numeric else polarity(name) for name in labels}
    sides = {n: sign and ("negative" if sign < 0 else "positive") for n, sign in signs.items()}
    sides = {name: side or None for name, side in sides.items()}
    two_sides = {"negative", "positive"} <= set(sides.values())
    if task == "binary" and len(labels) > 2:
        if not two_sides:
            raise PipelineError(
                f"`{column}` has {len(labels)} labels whose names do not say which are negative "
                "and which positive; write `data.csv.mapping` by hand, or give another TASK=..."
            )
        mapping |= {name: sides[usual[meaning[name]]] for name in sorted(values)}
        mapping = {name: label for name, label in mapping.items() if name != label}
        reasons = (f"two of {len(labels)} labels", "the negative one first")
        null = "null leaves the reviews out"
        return Understood(task, ["negative", "positive"], reasons, mapping, null, remarks)
    same = {name: usual[meaning[name]] for name in values if usual[meaning[name]] != name}
    why = "; ".join(why + ["other spellings"] * bool(same))
    order, reason = labels, "the order does not matter"
    if task == "binary":
        reason, known = "the negative one first", negative_first(*labels)
        order = labels if known else labels[::-1]
        if known is None:
            order = sorted(labels, key=lambda name: (-totals[name], name))
            reason = "a guess: the rarer one second, as the one to detect"
            remarks.append(
                f"the order of the labels is a guess: `probability` will be that of {order[1]!r}; "
                "swap them if the other one is to be detected"
            )
    elif two_sides:
        if numeric:
            remarks.append("TASK=regression predicts the number, and knows which are near")
        shown_sides = ", ".join(f"{name!r}: {side or 'null'}" for name, side in sides.items())
        remarks.append(
            "for two classes, run it again with TASK=binary: it proposes `labels: [negative, "
            f"positive]` with `mapping: {{{shown_sides}}}`"
        )
    return Understood(task, order, (f"{len(labels)} labels", reason), mapping | same, why, remarks)


def _several(counts: Counter[str], column: str) -> Understood:
    names: Counter[str] = Counter()
    for cell, count in counts.items():
        for name in split_labels("multilabel", cell):
            names[name] += count
    if not 1 <= len(names) <= CLASSES:
        raise PipelineError(
            f"`{column}` has {len(names):,} names between `{SEPARATOR}`, at most {CLASSES} are "
            "proposed; give another LABEL=..."
        )
    reasons = (f"the labels have names separated by {SEPARATOR}", "the order does not matter")
    return Understood("multilabel", sorted(names), reasons, remarks=_few(names))


def _few(totals: Counter[str]) -> list[str]:
    return [
        f"the label {name!r} has only {count} reviews; `mapping` can give it another name, or null "
        "to leave them out"
        for name, count in sorted(totals.items())
        if count < FEW
    ]


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
    if found.task in ("binary", "multiclass") and share < UNEVEN / len(names):
        remarks.append(
            f"{rare!r} is {share:.0%} of the reviews: for class weights, a decision threshold and "
            "a score that counts the classes equally, see docs/own-data.md, Rare classes"
        )
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
    bounds: Validate,
    remarks: list[str],
) -> list[Setting]:
    """The bounds of `validate` that the file would break, and the rows to drop."""
    frame = pd.DataFrame(
        {"review": table.columns[text], "label": new, "origin": map(str, table.lines)}
    )
    frame = frame[frame["label"].notna()]
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
    short, long = words < bounds.min_words, words > bounds.max_words
    many = (short | long).sum() > DROPPED * len(part)
    other_bounds = {"markup", "length"} if many else {"markup"}
    kinds = [kind for kind in get_args(Fault) if kind not in other_bounds]
    broken = faults(known, task, names, bounds.model_copy(update={"drop": kinds}))
    limits = {
        "duplicate": bounds.max_duplicates,
        "conflict": bounds.max_conflicts,
        "control": bounds.max_control,
    }
    settings, dropped = [], []
    lost = pd.Series(False, index=known.index)
    for kind, flags in broken.items():
        count = int(flags.sum())
        of = rows if kind in ("duplicate", "conflict") else len(part)  # all copies are in `part`
        if count > limits.get(kind, 0) * of:
            lost |= flags
            dropped.append(f"{kind}: {count:,} ({_lines(known['origin'][flags])})")
    for key, value, beyond in (
        ("min_words", max(words.min(), 1), short),
        ("max_words", words.max(), long),
    ):
        if many and beyond.any():
            reason = f"{int(beyond.sum()):,} reviews are beyond {getattr(bounds, key):,}"
            settings.append(Setting(("validate", key), int(value), reason))
    marked = int(known["markup"].sum())
    if marked > bounds.max_markup * len(part):
        share = -(-marked * 100 // len(part)) / 100
        reason = f"{marked:,} reviews have markup; it is removed"
        settings.append(Setting(("validate", "max_markup"), share, reason))
    if broken["control"].sum() > limits["control"] * len(part):
        remarks.append(
            "many reviews have control or replacement characters: the file was decoded wrongly "
            "before; to decode the source again is better than to drop them"
        )
    kinds = [entry.split(":")[0] for entry in dropped]
    settings.append(Setting(("validate", "drop"), kinds, "; ".join(dropped)))
    kept = frame["label"].drop(index=lost[lost].index)
    classes = [] if task in (*NUMERIC, "multilabel") else names
    return settings + _of_size(kept, classes, bounds, remarks)


def _of_size(
    labels: pd.Series, classes: list[str], bounds: Validate, remarks: list[str]
) -> list[Setting]:
    """The bounds that too few reviews would break, of all or of a class."""
    settings, count = [], max(len(labels), 1)
    if count < bounds.min_reviews:
        settings.append(Setting(("validate", "min_reviews"), count, f"only {count:,} reviews"))
        remarks.append(f"{count:,} reviews are few: expect wide intervals and no sure verdict")
    if classes:
        least = labels.value_counts(normalize=True).reindex(classes, fill_value=0).min()
        if least < bounds.min_class_share * 2 / len(classes):
            share = int(least * len(classes) / 2 * 0.9 * 1000) / 1000
            reason = f"the rarest label is {least:.1%} of the reviews"
            settings.append(Setting(("validate", "min_class_share"), share, reason))
    return settings


def _lines(origins: pd.Series) -> str:
    lines = Lines()
    for number in origins:
        lines.add(int(number))
    return str(lines)
