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
    """Twenty good reviews, with some cells changed: `review={3: "x"}`."""
    reviews = pd.DataFrame(
        {
            "review": [f"Review number {row} of a film.<br />" for row in range(20)],
            "sentiment": LABELS * 10,
            "origin": [f"line {row + 2}" for row in range(20)],
        }
    )
    for column, cells in changes.items():
        for row, value in cells.items():
            reviews.loc[row, column] = value
    return reviews


def failed(reviews: pd.DataFrame) -> dict[str, stage.Outcome]:
    outcomes = stage.validate(stage.facts(reviews, LABELS), stage.suite(BOUNDS, LABELS))
    return {outcome.name: outcome for outcome in outcomes if not outcome.success}


def test_good_reviews_pass():
    assert failed(table()) == {}


@pytest.mark.parametrize(
    ("changes", "name", "lines"),
    [
        ({"review": {3: ""}}, "no empty review", ["line 5"]),
        ({"review": {3: " \n"}}, "no empty review", ["line 5"]),
        ({"sentiment": {3: ""}}, "no empty label", ["line 5"]),
        ({"sentiment": {0: "neutral", 7: "Positive"}}, "label set", ["line 2", "line 9"]),
        ({"review": {4: "word " * 51}}, "length", ["line 6"]),
        ({"review": dict.fromkeys((1, 3, 5), "The same.")}, "duplicates", ["line 5", "line 7"]),
        ({"review": {1: "The same.", 2: "the  SAME"}}, "one label for one text",
         ["line 3", "line 4"]),
        ({"review": {2: "See <a href='x'>this</a>."}}, "no markup but line breaks", ["line 4"]),
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


def test_class_balance():
    rare = table(sentiment=dict.fromkeys(range(3, 20), "negative"))
    assert failed(rare)["class balance"].unexpected == 1


def test_one_class_alone():
    assert "every class" in failed(table(sentiment=dict.fromkeys(range(20), "negative")))


def test_line_breaks_are_no_other_markup():
    assert failed(table(review={1: "a<BR>b", 2: "I <3 it <sigh>"})) == {}


def test_too_few_reviews():
    assert "reviews" in failed(table().head(9))


def test_only_the_first_rows_are_named():
    outcome = failed(table(review=dict.fromkeys(range(8), "a <b>c</b>")))[
        "no markup but line breaks"
    ]
    assert len(outcome.origins) == 5
    assert "line 6, ...)" in stage.explain(outcome)


def test_the_page_escapes_what_comes_from_the_reviews():
    outcome = stage.Outcome("label set", False, 1, "<script>", ["line <2>"], "mend")
    page = stage.page([outcome])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "0 of 1 expectations hold" in page


def test_a_failure_stops_the_stage_and_is_on_record(in_tmp):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["validate"]["min_reviews"] = 10
    Path("params.yaml").write_text(yaml.safe_dump(values))
    Path("data/raw").mkdir(parents=True)
    table(sentiment={0: "neutral"}).to_parquet(stage.REVIEWS)
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
