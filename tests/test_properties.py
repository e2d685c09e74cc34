"""Properties of texts, readers, the split, token ids and statistics that hold for every input."""

import csv
import html
import io
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from test_bootstrap import LABELS, answers

from ajuste.config import reader
from ajuste.config.schema import FitBounds
from ajuste.data import csv_reader, vectors
from ajuste.data.encoder import PADDING, SPECIAL, UNKNOWN, Encoder
from ajuste.data.text import text_key, tokens
from ajuste.evaluation import bootstrap, fit, scores, significance
from ajuste.tasks import TASKS
from serving.predict import row_writer
from stages import split as stage

quick = settings(max_examples=40)
few = settings(max_examples=20)

any_text = st.text(st.characters(categories=None))  # with surrogates, as on a command line
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
seeds = st.integers(0, 2**32 - 1)

# Texts

plain = st.characters(exclude_categories=["Cs"], exclude_characters="&<>\u226e\u226f")
"""Characters that are not markup, whether composed or decomposed."""


@quick
@given(any_text)
def test_the_words_of_any_text_can_be_saved(text):
    for token in tokens(text):
        token.encode("utf-8")
        assert len(tokens(token)) == 1
        assert token == token.lower()
        assert not set(token) & set("\t\r\n <>")


@quick
@given(unicode_text | st.text("\u0301\u0327\u0344\u0f73ae<", max_size=200))
@example("J\u030c")
@example("e" + "\u0344" * 20)
def test_the_tokens_of_tokens_are_the_same(text):
    assert tokens(" ".join(tokens(text))) == tokens(text)


@quick
@given(st.text("abZ019'`.,/ -\\&;<>\n", max_size=30))
def test_a_word_of_another_alphabet_does_not_change_the_words_before_it(text):
    """For ASCII alone there is a faster expression."""
    assert tokens(f"{text} \u00e9") == [*tokens(text), "\u00e9"]


@quick
@given(st.text(plain, max_size=10))  # `tokens` keeps 30 marks on a letter: more can differ
def test_composed_and_decomposed_text_have_the_same_tokens(text):
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert tokens(composed) == tokens(decomposed) == tokens(text)


def has_one_case(character: str) -> bool:
    """Whether upper and lower case return a character; a sigma depends on the next one."""
    upper = character.upper()
    return upper.lower() == character.lower() and len(upper) == 1 and upper != "\u03a3"


@quick
@given(st.text(plain.filter(has_one_case)))
@example("j\u030c")
@example("\u03b9\u0308\u0301")
def test_upper_case_text_has_the_same_tokens(text):
    assert tokens(text.upper()) == tokens(text)


@quick
@given(unicode_text, st.sampled_from([" ", "  \t", "\n", " ... ", "<br />", " <b> ", " \u2014 "]))
def test_the_key_does_not_depend_on_what_separates_the_words(text, between):
    words = tokens(text)
    assume(words)
    assert text_key(between.join(words)) == text_key(text)
    assert text_key(f"{between}{text} {between}") == text_key(text)


invisible = (
    "\xad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064\ufe0f\ufeff"
)
NOT_NORMALIZED = [*map(chr, [*range(0x3131, 0x318F), *range(0xFFA0, 0xFFDD)]), "\u2139"]
"""Korean letters and an emoji, for which NFKC has others that are less in use."""
APOSTROPHES = (
    "'`\xb4\u02b9\u02bb\u02bc\u02bd\u02ca\u02cb\u055a\u05f3\u1fbd\u1fef\u1ffd\u2018\u2019"
    "\u201b\u2032\u2035\u275b\u275c\ua78b\ua78c\uff07\uff40"
)
digits = st.text("0123456789", min_size=1, max_size=4)


@quick
@given(st.text(invisible), st.integers(0, 4))
def test_characters_without_a_width_change_nothing(hidden, place):
    assert tokens("fine"[:place] + hidden + "fine"[place:]) == ["fine"]


compatible = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.decomposition(character).startswith("<") and character not in NOT_NORMALIZED
    if unicodedata.category(character)[0] == "L" or unicodedata.category(character) == "Nd"
]


@settings(max_examples=200)
@given(st.text(st.sampled_from(compatible)))
def test_letters_that_look_different_are_the_same(text):
    assert tokens(text) == tokens(unicodedata.normalize("NFKC", text))


@quick
@given(st.text("".join(map(chr, range(32, 0x2200))), max_size=20))
def test_words_are_composed(text):
    for token in tokens(text):
        assert unicodedata.is_normalized("NFC", token)


@quick
@given(digits, st.characters(categories=["No"]), digits)
def test_a_sign_with_a_number_is_no_part_of_the_number_beside_it(before, sign, after):
    found = tokens(before + sign + after)
    assert (found[0], found[-1]) == (before, after)


@quick
@given(st.text(plain.filter(lambda character: character not in "'\"")), st.integers(1, 8))
def test_entities_and_tags_are_resolved_however_often_they_were_escaped(text, times):
    markup = f"{text}<br/>it's &eacute;<i>"
    expected = tokens(markup)
    for _ in range(times):
        markup = html.escape(markup)
    assert tokens(markup) == expected


@quick
@given(
    st.sampled_from(
        [("<!--", "-->"), ("<script>", "</script>"), ('<STYLE type="text/css">', "</Style >")]
    ),
    unicode_text,
)
def test_what_a_page_does_not_show_has_no_words(ends, text):
    start, end = ends
    assume(not any(mark in f"{start}{text}".lower()[1:] for mark in ("<", "-->", "&")))
    assert tokens(f"good{start}{text}{end}film") == ["good", "film"]


@quick
@given(
    st.sampled_from(["\\n", "\\r\\n", "\\t", "\\\\n"]),
    st.lists(st.text("abcxyz", min_size=2), min_size=2),
)
def test_an_escaped_line_end_is_white_space(end, words):
    assert tokens(end.join(words)) == words


@quick
@given(st.sampled_from("CDe"), st.lists(st.text("nrtabc", min_size=2), min_size=1))
def test_a_path_keeps_its_names(drive, names):
    assert tokens("\\".join([f"in {drive}:", *names])) == ["in", drive.lower(), *names]


@pytest.mark.parametrize("apostrophe", APOSTROPHES)
def test_an_apostrophe_of_any_kind_is_inside_a_word(apostrophe):
    assert tokens(f"{apostrophe}don{apostrophe}t{apostrophe}") == ["don't"]


# Readers

any_character = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
cells = st.text(st.sampled_from('\r\n",;\t ') | any_character, max_size=10)


def tables_of(columns: int):
    row = st.tuples(*[cells] * columns)
    names = st.lists(cells.map(str.strip), min_size=columns, max_size=columns, unique=True).filter(
        any
    )
    return st.tuples(names, st.lists(row, min_size=1, max_size=6))


@settings(max_examples=120)
@given(
    st.integers(1, 4).flatmap(tables_of),
    st.sampled_from(",;\t|a"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.booleans(),
)
def test_any_table_that_csv_writes_is_read_correctly(
    tmp_path_factory, table, separator, end, quoting, mark
):
    names, rows = table
    assume(not names[0].startswith("\ufeff"))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", encoding="utf-8-sig" if mark else "utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting).writerows(
            [names, *rows]
        )
    read = list(csv_reader.read_csv(path, names, separator))
    assert [tuple(row.values()) for _, row in read] == rows
    assert all(list(row) == names for _, row in read)
    assert [line for line, _ in read] == sorted({line for line, _ in read})


@quick
@given(st.lists(st.tuples(cells, cells, cells), min_size=1), st.sampled_from(",;\t"))
def test_what_predict_writes_is_read_without_changes(tmp_path_factory, rows, separator):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        write = row_writer(file, separator)
        for row in [("a", "b", "c"), *rows]:
            write(row)
    read = [tuple(row.values()) for _, row in csv_reader.read_csv(path, ["a"], separator)]
    assert read == rows


words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \r\n\ufeff"), min_size=1
)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@quick
@given(
    st.integers(2, 5).flatmap(
        lambda width: st.dictionaries(
            words, st.lists(numbers, min_size=width, max_size=width), min_size=1
        )
    ),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", " \n"]),
    st.sampled_from(["{!r}", "{:.9g}", "{:+.8e}"]),
)
def test_any_vectors_are_read_without_changes(table, header, end, how):
    width = len(next(iter(table.values())))
    lines = [f"{len(table)} {width}"] if header else []
    lines += [" ".join([word, *map(how.format, vector)]) for word, vector in table.items()]
    content = "".join(line + end for line in lines).encode()
    found = vectors.parse(io.BytesIO(content), table.keys(), width, "vectors.txt")
    assert list(found) == list(table)
    for word, vector in table.items():
        assert found[word].tolist() == vector


# The split

reviews = st.lists(
    st.tuples(st.text("ab. \u00e9<", max_size=6), st.sampled_from(["good", "bad"])),
    min_size=1,
    max_size=60,
).map(lambda rows: pd.DataFrame(rows, columns=["review", "label"]))
halves = st.tuples(st.floats(0.05, 0.45), st.floats(0.05, 0.45))


def parts(table: pd.DataFrame, shares: tuple[float, float], seed: int) -> pd.Series:
    group = stage.grouped(table["review"].map(text_key))
    chosen = stage.Split(seed=seed, by="review", validation=shares[0], test=shares[1])
    return stage.assign(table, group, "binary", chosen)


@few
@given(reviews, halves, seeds, st.randoms(use_true_random=False))
def test_each_review_goes_to_one_part_in_any_order_of_the_rows(table, shares, seed, chance):
    part = parts(table, shares, seed)
    assert set(part) <= {"train", "validation", "test"}
    assert part.groupby(table["review"].map(text_key)).nunique().max() == 1
    order = chance.sample(range(len(table)), len(table))
    turned = parts(table.iloc[order].reset_index(drop=True), shares, seed)
    assert turned.tolist() == part.iloc[order].tolist()


@few
@given(reviews, halves, seeds)
def test_no_part_is_larger_than_its_share_of_each_class(table, shares, seed):
    part = parts(table, shares, seed)
    for _, of_class in part.groupby(table["label"]):
        for name, share in zip(("validation", "test"), shares, strict=True):
            assert (of_class == name).sum() <= round(share * len(of_class))


@few
@given(reviews, halves, seeds, st.data())
def test_an_official_test_half_is_kept_and_not_trained_on(table, shares, seed, data):
    half = st.sampled_from(["train", "test"])
    official = data.draw(st.lists(half, min_size=len(table), max_size=len(table)))
    table = table.assign(official_split=official)
    part = parts(table, shares, seed)
    assert ((part == "test") == (table["official_split"] == "test")).all()
    key = table["review"].map(text_key)
    assert not set(key[part == "test"]) & set(key[part.isin(["train", "validation"])])


# Token ids

vocabularies = st.lists(st.text("abc\u00e9\U0001f600'7/", min_size=1, max_size=4), unique=True)


@quick
@given(
    vocabularies,
    st.integers(1, 6),
    st.sampled_from(["first", "last"]),
    st.lists(st.lists(st.text("abc\u00e9", max_size=2), max_size=12), max_size=6),
)
def test_one_end_of_the_known_words_of_a_text_is_kept(vocabulary, length, keep, texts):
    encoder = Encoder(dict.fromkeys(vocabulary, 5), length, keep, "binary", ["a", "b"])
    names = dict(enumerate(vocabulary, start=len(SPECIAL)))
    token_ids = encoder.encode(texts)
    assert token_ids.shape == (len(texts), length)
    for row, text in zip(token_ids.tolist(), texts, strict=True):
        known = [word for word in text if word in vocabulary]
        kept = known[:length] if keep == "first" else known[-length:]
        expected = kept or [UNKNOWN]
        assert [names.get(id_, id_) for id_ in row[: len(expected)]] == expected
        assert set(row[len(expected) :]) <= {PADDING}


@few
@given(st.lists(unicode_text), st.integers(1, 10**6))
def test_an_encoder_of_any_texts_is_the_same_after_loading(tmp_path_factory, texts, length):
    counts = {word: 1 + place for place, word in enumerate({w for t in texts for w in tokens(t)})}
    assume(counts)
    folder = tmp_path_factory.getbasetemp() / "encoder"
    encoder = Encoder(counts, length, "last", "binary", ["\u2028", '"\\'])
    encoder.save(folder)
    found = Encoder.load(folder)
    assert found == encoder
    assert list(found.counts) == list(counts)


# Statistics


@pytest.mark.parametrize("task", TASKS)
@few
@given(count=st.integers(2, 30), seed=seeds)
def test_scores_do_not_depend_on_the_order_and_are_in_their_intervals(task, count, seed):
    targets, predictions = answers(task, count, seed)
    order = np.random.default_rng(seed).permutation(count)
    loss = TASKS[task].losses[0]
    found = scores.score(task, loss, targets, predictions, LABELS[task])
    turned = scores.score(task, loss, targets[order], predictions[order], LABELS[task])
    assert turned == pytest.approx(found, nan_ok=True)
    for name in found:
        if f"{name}_low" in found:
            assert 0 <= found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] <= 1
    for name in ("roc_auc", "average_precision", "calibration_error", "f1", "macro_f1"):
        assert found.get(name) is None or 0 <= found[name] <= 1


@pytest.mark.parametrize("task", TASKS)
@few
@given(count=st.integers(2, 12), seed=seeds)
def test_resampled_scores_do_not_depend_on_the_order(task, count, seed):
    targets, predictions = answers(task, count, seed)
    generator = np.random.default_rng(seed)
    order = generator.permutation(count)
    weights = next(bootstrap.resamples(count, 8, seed))
    given_ = (task, TASKS[task].losses[0])
    found = scores.weighted(*given_, targets, predictions, LABELS[task], weights)
    turned = scores.weighted(
        *given_, targets[order], predictions[order], LABELS[task], weights[:, order]
    )
    for name, values in found.items():
        np.testing.assert_allclose(turned[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


def qualities(trainings: int, count: int, exact: bool):
    value = st.sampled_from([0.0, 1.0]) if exact else st.floats(0, 10)
    rows = st.lists(st.lists(value, min_size=count, max_size=count), min_size=2, max_size=trainings)
    return rows.map(np.array)


sides = st.tuples(st.integers(2, 12), st.booleans()).flatmap(
    lambda drawn: st.tuples(qualities(3, *drawn), qualities(3, *drawn))
)


@settings(max_examples=120)
@given(sides, st.booleans(), seeds)
def test_a_difference_changes_sign_with_its_sides_and_ignores_the_order(two, paired, seed):
    before, after = two

    def tested(first, second, paired=paired):
        return significance.estimate(first, second, paired).test("accuracy", 0.01)

    test = tested(before, after)
    assert test.low <= test.value <= test.high
    assert 0 <= test.p <= 1
    turned = tested(after, before)
    assert (-turned.high, -turned.value, -turned.low) == pytest.approx(
        (test.low, test.value, test.high), abs=1e-9
    )
    assert (turned.p, turned.detectable) == pytest.approx((test.p, test.detectable), abs=1e-6)
    assert turned.equivalent == test.equivalent
    assert turned.seeds == test.seeds
    order = np.random.default_rng(seed).permutation(before.shape[1])
    mixed = tested(before[:, order], after[:, order])
    assert (mixed.low, mixed.value, mixed.high) == pytest.approx(
        (test.low, test.value, test.high), abs=1e-9
    )
    assert tested(before, before, paired=True).p == 1


curves = st.lists(st.floats(0, 10), min_size=3, max_size=15).map(np.array)


@quick
@given(curves, st.floats(0.1, 10), st.floats(-5, 5))
def test_smoothing_stays_within_a_curve_and_follows_its_scale(curve, scale, shift):
    smooth = fit.smooth(curve)
    assert len(smooth) == len(curve)
    assert curve.min() <= smooth.min() <= smooth.max() <= curve.max()
    np.testing.assert_allclose(fit.smooth(curve[::-1]), smooth[::-1], atol=1e-9)
    np.testing.assert_allclose(fit.smooth(scale * curve + shift), scale * smooth + shift, atol=1e-7)
    np.testing.assert_allclose(fit.smooth(-curve), -smooth, atol=1e-9)
    assert fit.noise(curve) >= 0


losses = st.lists(
    st.tuples(*[st.floats(0, 1e6, allow_subnormal=False)] * 2), min_size=1, max_size=20
)


@quick
@given(losses, st.floats(0.01, 10), st.floats(0, 1), st.data())
def test_any_curves_have_a_verdict_that_json_can_hold(pairs, baseline, error, data):
    train, validation = (np.array(side) for side in zip(*pairs, strict=True))
    kept = data.draw(st.integers(1, len(pairs)))
    linear = data.draw(st.none() | st.floats(0, 1e6))
    bounds = reader.load("evaluate.fit", FitBounds, Path(__file__).parent.parent / "params.yaml")
    found = fit.judge(fit.Curves(train, validation, kept, baseline, error, linear), bounds)
    assert found.verdict in ("overfitting", "underfitting", "optimal", "undecided")
    assert found.reason.isprintable()
    json.dumps(found.as_json(), allow_nan=False)
    if "probability" in found.numbers:
        assert 0 <= found.certainty <= 1
        assert 1 <= found.numbers["best_epoch"] <= len(pairs)
