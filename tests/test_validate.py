import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ajuste.errors import PipelineError
from stages import validate as stage

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
    page = stage.report([outcome])
    assert "<script>" not in page
    assert "<td>&lt;script&gt;<td>line &lt;2&gt;<td>mend" in page
    assert "0 of 1 expectations hold" in page


def test_a_failure_stops_the_stage_and_is_recorded(in_tmp):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["validate"]["min_reviews"] = 10
    Path("params.yaml").write_text(yaml.safe_dump(values))
    Path("data/raw").mkdir(parents=True)
    table(label={0: "neutral"}).to_parquet(stage.REVIEWS)
    stage.LABELS.write_text(json.dumps(LABELS))
    with pytest.raises(
        PipelineError, match=r"failed: 1 of 20 reviews, such as 'neutral' .line 2."
    ) as error:
        stage.main()
    assert "\n" not in str(error.value)
    metrics = json.loads(stage.METRICS.read_text())
    assert metrics["success"] is False
    assert metrics["unexpected"]["label set"] == 1
    assert "line 2" in stage.REPORT.read_text()
