import json
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ajuste.config.schema import Fault
from ajuste.data.csv_reader import read_csv
from ajuste.errors import PipelineError
from stages import validate as stage

FAULTS = list(get_args(Fault))
LABELS = ["negative", "positive"]
BOUNDS = stage.Validate(
    min_reviews=10,
    min_words=1,
    max_words=50,
    min_class_share=0.2,
    max_duplicates=0.05,
    max_conflicts=0.0,
    max_markup=0.0,
    max_control=0.0,
    drop=[],
)


def table(**changes: dict[int, object]) -> pd.DataFrame:
    """Twenty valid reviews, with some cells changed: `review={3: "x"}`."""
    reviews = pd.DataFrame(
        {
            "review": [f"Review number {row} of a film.<br />" for row in range(20)],
            "label": LABELS * 10,
            "origin": [f"line {row + 2}" for row in range(20)],
        }
    )
    for column, cells in changes.items():
        for row, value in cells.items():
            reviews.loc[row, column] = value
    return reviews


def failed(
    reviews: pd.DataFrame, task: str = "binary", labels: list[str] = LABELS
) -> dict[str, stage.Outcome]:
    outcomes = stage.validate(stage.facts(reviews, task, labels), stage.suite(BOUNDS, task, labels))
    return {outcome.name: outcome for outcome in outcomes if not outcome.success}


def test_good_reviews_pass():
    assert failed(table()) == {}


@pytest.mark.parametrize(
    ("changes", "name", "lines"),
    [
        ({"review": {3: ""}}, "no empty review", ["line 5"]),
        ({"review": {3: " \n"}}, "no empty review", ["line 5"]),
        ({"label": {3: ""}}, "no empty label", ["line 5"]),
        ({"label": {0: "neutral", 7: "Positive"}}, "label set", ["line 2", "line 9"]),
        ({"review": {4: "word " * 51}}, "length", ["line 6"]),
        ({"review": dict.fromkeys((1, 3, 5), "The same.")}, "duplicates", ["line 5", "line 7"]),
        ({"review": {1: "The same.", 2: "the  SAME"}}, "one label for one text",
         ["line 3", "line 4"]),
        ({"review": {2: "See <a href='x'>this</a>."}}, "no markup but line breaks", ["line 4"]),
        ({"review": {2: "<!-- a", 3: "<style>p {}", 4: "<x-y id='z'>", 5: "&lt;u&gt;", 6: "<o:p>"}},
         "no markup but line breaks", [f"line {row}" for row in range(4, 9)]),
        ({"review": {2: "It&amp;#39;s.", 3: "a&amp;amp;lt;br&amp;amp;gt;b"}},
         "no markup but line breaks", ["line 4", "line 5"]),
        ({"review": {2: "caf\ufffd"}}, "no control or replacement characters", ["line 4"]),
        ({"review": {2: "a\x96b"}}, "no control or replacement characters", ["line 4"]),
    ],
)  # fmt: skip
def test_a_broken_expectation_names_its_rows(changes, name, lines):
    outcomes = failed(table(**changes))
    assert outcomes[name].unexpected == len(lines)
    assert outcomes[name].origins == lines
    sentence = stage.explain(outcomes[name])
    assert sentence.startswith(f"`{name}` failed: {len(lines)} of 20 reviews")
    assert f"({lines[0]}" in sentence
    assert outcomes[name].advice in sentence
    assert len(outcomes) == 1


def test_a_rare_class_is_refused():
    rare = table(label=dict.fromkeys(range(3, 20), "negative"))
    assert failed(rare)["class balance"].unexpected == 1


def test_a_missing_class_is_named():
    outcomes = failed(table(label=dict.fromkeys(range(20), "negative")))
    assert list(outcomes) == ["every class"]
    assert stage.explain(outcomes["every class"]).startswith("`every class` failed: no 'positive';")


STARS = ["1", "2", "3", "4", "7", "8", "9", "10"]
GENRES = ["drama", "comedy"]
# Labels and label texts that are valid for each task.
GOOD = {
    "multiclass": (STARS, STARS * 2 + STARS[:4]),
    "multilabel": (GENRES, ["drama|comedy", "", " comedy | drama ", "drama"] * 5),
    "regression": (["1", "10"], ["7", "7.5", " 1 ", "1e1"] * 5),
    "unit_regression": (["-1", "1"], ["-1", "+.5", "0.", "1"] * 5),
}


def labelled(task: str, **cells: str) -> dict[str, stage.Outcome]:
    """The failures for valid reviews of a task with some labels changed: `_3="x"`."""
    labels, texts = GOOD[task]
    changed = {int(row[1:]): text for row, text in cells.items()}
    return failed(table(label=dict(enumerate(texts)) | changed), task, labels)


@pytest.mark.parametrize("task", GOOD)
def test_good_labels_of_every_task_pass(task):
    assert labelled(task) == {}


@pytest.mark.parametrize(
    ("task", "text", "name", "said"),
    [
        ("multiclass", "5", "label set", "such as '5' (line 5)"),
        ("multiclass", "", "no empty label", "(line 5)"),
        ("multilabel", "drama|horror", "label set", "such as 'horror' (line 5)"),
        ("multilabel", "drama,comedy", "label set", "such as 'drama,comedy' (line 5)"),
        ("regression", "7,5", "numbers", "such as '7,5' (line 5)"),
        ("regression", "NaN", "numbers", "such as 'NaN' (line 5)"),
        ("regression", "1_0", "numbers", "such as '1_0' (line 5)"),
        ("regression", "", "no empty label", "(line 5)"),
        ("regression", "11", "range", "such as 11.0 (line 5)"),
        ("regression", "1e999", "range", "such as inf (line 5)"),
        ("unit_regression", "-1.01", "range", "such as -1.01 (line 5)"),
    ],
)
def test_a_label_that_does_not_fit_the_task_is_named_with_its_row(task, text, name, said):
    outcomes = labelled(task, _3=text)
    assert list(outcomes) == [name]
    assert said in stage.explain(outcomes[name])


@pytest.mark.parametrize(
    ("task", "text", "name", "observed"),
    [
        ("multilabel", "drama", "every class", "no 'comedy'"),
        ("multilabel", "", "every class", "no 'comedy', no 'drama'"),
        ("regression", "7", "different numbers", "1"),
    ],
)
def test_the_same_label_on_every_review_is_refused(task, text, name, observed):
    outcomes = labelled(task, **{f"_{row}": text for row in range(20)})
    assert list(outcomes) == [name]
    assert observed == outcomes[name].observed


def test_the_bound_on_balance_depends_on_the_number_of_classes():
    """0.2 for two classes becomes 0.1 for four: 2 of 20 reviews."""
    four = ["a", "b", "c", "d"]
    rare = table(label=dict(enumerate(["a"] * 14 + ["b", "b", "c", "c", "d", "d"])))
    assert failed(rare, "multiclass", four) == {}
    rarer = table(label=dict(enumerate(["a"] * 15 + ["b", "b", "c", "c", "d"])))
    assert failed(rarer, "multiclass", four)["class balance"].origins == ["line 21"]


@pytest.mark.parametrize(
    ("task", "one", "same", "other"),
    [
        ("multilabel", "drama|comedy", "comedy|drama", "drama"),
        ("multilabel", "", " ", "drama"),
        ("regression", "7", "7.0", "8"),
    ],
)
def test_labels_with_the_same_meaning_are_no_conflict(task, one, same, other):
    labels, texts = GOOD[task]
    for second, conflicts in ((same, []), (other, ["one label for one text"])):
        reviews = table(
            review={3: "The same.", 4: "the  SAME"},
            label=dict(enumerate(texts)) | {3: one, 4: second},
        )
        assert list(failed(reviews, task, labels)) == conflicts


def test_line_breaks_and_angle_brackets_in_prose_are_no_markup():
    assert (
        failed(table(review={1: "a<BR>b", 2: "I <3 it <sigh>, <a pity>", 3: "a&lt;br /&gt;b"}))
        == {}
    )


def test_too_few_reviews_are_refused():
    assert "reviews" in failed(table().head(9))


def test_only_the_first_rows_are_named():
    outcome = failed(table(review=dict.fromkeys(range(8), "a <b>c</b>")))[
        "no markup but line breaks"
    ]
    assert len(outcome.origins) == 5
    assert "line 6, ...)" in stage.explain(outcome)


def test_the_page_escapes_what_comes_from_the_reviews():
    outcome = stage.Outcome("label set", False, 1, "<script>", ["line <2>"], "mend")
    page = stage.report([outcome], {"total": 0})
    assert "<script>" not in page
    assert "<td>&lt;script&gt;<td>line &lt;2&gt;<td>mend" in page
    assert "0 of 1 expectations hold" in page


def dropped(
    reviews: pd.DataFrame, *drop: str, task: str = "binary", labels: list[str] = LABELS
) -> dict[str, list[str]]:
    """The reasons for which `validate.drop` leaves rows out, under the places of the rows."""
    _, reasons = stage.clean(reviews, task, labels, BOUNDS.model_copy(update={"drop": [*drop]}))
    rows = stage.dropped_rows(reviews, reasons)
    return dict(zip(rows["origin"], rows["reasons"].str.split(", "), strict=True))


FAULTY = table(
    review={
        0: " \n",
        2: "word " * 51,
        3: "A <b>copy</b>!",
        5: "a copy",
        7: "A copy.",
        8: "A copy",
        10: "bad\x96 one",
    },
    label={0: "", 12: "neutral", 13: " "},
)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("empty", {2: "empty"}),
        ("label", {2: "label", 14: "label", 15: "label"}),
        ("empty label", {2: "empty label", 14: "label", 15: "label"}),
        ("length", {4: "length"}),
        ("markup", {5: "markup"}),
        ("control", {12: "control"}),
        ("duplicate", {7: "duplicate", 9: "duplicate"}),
        ("conflict", {5: "conflict", 7: "conflict", 9: "conflict", 10: "conflict"}),
        ("markup duplicate", {5: "markup", 9: "duplicate"}),
        ("duplicate conflict", {5: "conflict", 7: "duplicate conflict", 9: "duplicate conflict",
                                10: "conflict"}),
    ],
)  # fmt: skip
def test_rows_with_the_chosen_faults_are_dropped(kinds, expected):
    assert dropped(FAULTY, *kinds.split()) == {
        f"line {line}": reasons.split() for line, reasons in expected.items()
    }


def test_nothing_is_dropped_unless_asked():
    assert dropped(FAULTY) == {}


@pytest.mark.parametrize("task", GOOD)
def test_good_labels_of_every_task_are_kept(task):
    labels, texts = GOOD[task]
    assert dropped(table(label=dict(enumerate(texts))), *FAULTS, task=task, labels=labels) == {}


@pytest.mark.parametrize(
    ("task", "label"),
    [("multilabel", "drama|horror"), ("regression", "11"), ("regression", "7,5"),
     ("unit_regression", ""), ("multiclass", "5")],
)  # fmt: skip
def test_a_label_that_does_not_fit_the_task_is_dropped(task, label):
    labels, texts = GOOD[task]
    reviews = table(label=dict(enumerate(texts)) | {3: label})
    assert dropped(reviews, "label", task=task, labels=labels) == {"line 5": ["label"]}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "One.", "one", "<b>one", "two", "two\x00", "word " * 51]),
            st.sampled_from([None, "", "neutral", *LABELS]),
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_what_is_kept_has_no_fault(rows):
    reviews = pd.DataFrame(rows, columns=["review", "label"])
    reviews["origin"] = [f"line {row + 2}" for row in range(len(rows))]
    chosen = BOUNDS.model_copy(update={"drop": FAULTS})
    kept, reasons = stage.clean(reviews, "binary", LABELS, chosen)
    assert list(kept.index) == list(reasons.index[~reasons.any(axis=1)])
    assert not kept["review"].isna().any()
    assert kept["label"].isin(LABELS).all()
    assert not kept[["duplicate", "conflict", "markup"]].any().any()
    texts = {(text.strip(".").lower(), label) for text, label in rows if text in ("One.", "one")}
    labels = {label for _, label in texts if label in LABELS}
    assert (kept["text"] == "one").sum() == (len(labels) == 1)


def run_stage(reviews: pd.DataFrame, **settings: object) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["validate"] |= {"min_reviews": 10, "max_words": 50, **settings}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    stage.REVIEWS.parent.mkdir(parents=True, exist_ok=True)
    reviews.to_parquet(stage.REVIEWS, index=False)
    stage.LABELS.write_text(json.dumps(LABELS))
    stage.main()


def test_dropped_rows_are_counted_listed_and_not_kept(in_tmp, capsys):
    text = 'a "quoted"\rtext; \xe9,\nand = more <b>'
    reviews = table(review={1: "", 2: text}, label={1: "neutral", 4: None})
    run_stage(reviews, drop=["empty", "label", "markup", "control"])
    said = capsys.readouterr().out
    line = (
        "dropped 3 reviews (1 left out by data.csv.mapping, 1 empty, 1 label, 1 markup, 0 control)"
    )
    assert f"validate: {line}; listed in {stage.DROPPED}" in said
    assert line.capitalize() in stage.REPORT.read_text()
    metrics = json.loads(stage.METRICS.read_text())
    assert metrics["reviews"] == 17
    assert metrics["dropped"] == {
        "total": 3,
        "left out by data.csv.mapping": 1,
        "empty": 1,
        "label": 1,
        "markup": 1,
        "control": 0,
    }
    columns = ["origin", "reasons", "label", "review"]
    rows = [tuple(row.values()) for _, row in read_csv(stage.DROPPED, columns)]
    assert rows == [
        ("line 3", "empty, label", "neutral", ""),
        ("line 4", "markup", "negative", text),
        ("line 6", "left out by data.csv.mapping", "", reviews["review"][4]),
    ]
    kept = pd.read_parquet(stage.KEPT)
    pd.testing.assert_frame_equal(kept, reviews.drop([1, 2, 4]).reset_index(drop=True))


def test_without_faults_all_is_kept_and_the_list_is_empty(in_tmp, capsys):
    run_stage(table())
    assert stage.KEPT.read_bytes() == stage.REVIEWS.read_bytes()
    assert stage.DROPPED.read_text() == '"origin","reasons","label","review"\n'
    assert json.loads(stage.METRICS.read_text())["dropped"] == {"total": 0}
    assert "dropped" not in capsys.readouterr().out


@pytest.mark.parametrize("label", [None, ""])
def test_a_source_of_which_nothing_is_left_fails(in_tmp, label):
    with pytest.raises(PipelineError, match="`reviews` failed: 0; add reviews"):
        run_stage(table().assign(label=label), drop=["label"])
    assert len(pd.read_csv(stage.DROPPED)) == 20
    assert not stage.KEPT.exists()


def test_the_remedy_of_an_expectation_mends_it():
    mended = []
    for outcome in failed(FAULTY).values():
        drop = outcome.advice.removesuffix(" to validate.drop").split()[-1]
        chosen = BOUNDS.model_copy(update={"drop": [drop]})
        kept, _ = stage.clean(FAULTY, "binary", LABELS, chosen)
        outcomes = stage.validate(kept, stage.suite(BOUNDS, "binary", LABELS))
        mended += [drop for other in outcomes if other.name == outcome.name and other.success]
    assert set(mended) == {*FAULTS} - {"duplicate"}  # the copies have another label: a conflict


def test_a_failure_stops_the_stage_and_is_recorded(in_tmp):
    with pytest.raises(
        PipelineError, match=r"failed: 1 of 20 reviews, such as 'neutral' .line 2."
    ) as error:
        run_stage(table(label={0: "neutral"}))
    assert "\n" not in str(error.value)
    metrics = json.loads(stage.METRICS.read_text())
    assert metrics["success"] is False
    assert metrics["unexpected"]["label set"] == 1
    assert "line 2" in stage.REPORT.read_text()
    assert not stage.KEPT.exists()
