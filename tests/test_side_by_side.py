"""Two runs on one page."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import run

from ajuste.errors import PipelineError
from ajuste.evaluation.significance import Answers
from ajuste.files import write_arrays
from ajuste.report.document import Drawing, Text
from ajuste.report.language import speaker
from ajuste.report.page import html_page
from study import side_by_side
from study.side_by_side import Side

SCRIPT = "<script>document.title = 'changed'</script><img src=https://example.org/x.png>"
TEXTS = ["a <b>fine</b> film", "dull", SCRIPT, "long" * 200]
CURVES = {"loss": {"train": [0.5, 0.4], "validation": [0.6, 0.5]}}
TRAINED = {
    **{part: {"loss": 0.4, "accuracy": 0.8} for part in ("train", "validation")},
    "parameters": {"total": 9, "trainable": 7},
}
SAY = speaker()


def a_side(name, predictions, task="binary", targets=(1, 0, 1, 0), labels=("bad", "good")) -> Side:
    predictions = np.array(predictions, dtype=np.float32).reshape(1, 4, -1)
    targets = np.array(targets, dtype=np.float32).reshape(4, -1)
    told = Answers(task, "", [*labels], TEXTS, targets, predictions, {}, None, np.array([[0.5]]))
    loss = "mean_squared_error" if task == "regression" else "binary_crossentropy"
    fit = {"verdict": "optimal", "sentence": "Optimal fit."}
    return Side(name, TRAINED, fit, CURVES, replace(told, loss=loss))


def test_the_reviews_on_which_they_differ_the_largest_difference_first():
    one, other = a_side("nn", [0.9, 0.6, 0.3, 0.2]), a_side("gru", [0.8, 0.1, 0.95, 0.1])
    _, count, entries = side_by_side.differences(one, other, SAY)
    assert "".join(count.pieces) == (
        "They answer 2 of 4 validation reviews differently (gru is right: 2)."
    )
    assert [(entry.title, entry.kind) for entry in entries.entries] == [
        (f"label good; nn: bad (0.70); gru: good (0.95): {SCRIPT[:50]}…", "gru is right"),
        ("label bad; nn: good (0.60); gru: bad (0.90): dull…", "gru is right"),
    ]


def test_of_numbers_the_closer_one_is_named():
    numbers = {"task": "regression", "targets": [1, 2, 3, 4], "labels": ["1", "10"]}
    one, other = a_side("nn", [1, 2.5, 3, 5], **numbers), a_side("gru", [2, 2, 3, 4.5], **numbers)
    *_, entries = side_by_side.differences(one, other, SAY)
    assert {entry.text: entry.kind for entry in entries.entries} == {
        **{TEXTS[0]: "nn is closer", TEXTS[1]: "gru is closer", TEXTS[3]: "gru is closer"}
    }


def test_the_table_has_the_score_with_its_interval():
    sides = a_side("nn", [0.9, 0.6, 0.9, 0.2]), a_side("gru", [0.9, 0.1, 0.9, 0.1])
    rows = [dict(zip(table.header, row, strict=True))
            for table in [side_by_side.table(sides, SAY)] for row in table.rows]  # fmt: skip
    scored = [row["accuracy in validation (95 % interval)"] for row in rows]
    assert scored == ["0.750 (0.301 to 0.954)", "1.000 (0.510 to 1.000)"]
    assert [row["fit"] for row in rows] == ["optimal", "optimal"]


def test_both_curves_are_in_one_drawing():
    [drawing] = [
        block
        for block in side_by_side.blocks(a_side("nn", [1] * 4), a_side("gru", [1] * 4))
        if isinstance(block, Drawing)
    ]
    found = {(row["network"], row["part"]) for row in drawing.spec["data"]["values"]}
    assert found == {(name, part) for name in ("nn", "gru") for part in ("training", "validation")}


@pytest.fixture(scope="module")
def opened(browse, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "compare.html"
    sides = a_side("nn", [0.9, 0.6, 0.3, 0.9]), a_side("gru", [0.8, 0.1, 0.95, 0.1])
    path.write_text(html_page(side_by_side.blocks(*sides)), encoding="utf-8")
    opened = browse(path.as_uri())
    opened.page.wait_for_selector(".drawing svg")
    for entry in opened.page.locator("details.entry summary").all():
        entry.click()
    return opened


def test_the_page_works_without_a_network_and_a_review_cannot_change_it(opened):
    assert opened.page.locator(".drawing svg").count() == 1
    assert (opened.asked, opened.said) == ([opened.page.url], [])
    assert opened.page.title() == "nn and gru"


def test_a_point_of_a_chart_tells_its_values(opened):
    opened.page.locator(".drawing path[aria-roledescription=point]").last.hover()
    tooltip = opened.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "epoch" in tooltip.inner_text()
    opened.page.mouse.move(0, 0)
    opened.page.locator("#vg-tooltip-element:not(.visible)").wait_for(state="attached")


def test_the_reviews_can_be_searched(opened):
    opened.page.get_by_label("Search").fill("dull")
    assert opened.page.locator("details.entry:visible").count() == 1
    assert opened.page.locator("output").inner_text() == "1 / 1"
    opened.page.get_by_label("Search").fill("")


def test_the_page_is_not_wider_than_a_phone(opened):
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_screen_reader_can_read_the_page(opened):
    assert opened.faults() == []


def test_other_reviews_are_not_compared():
    one, other = a_side("nn", [1] * 4), a_side("gru", [0] * 4)
    changed = replace(other.validation, reviews=[*TEXTS[:3], "another"])
    _, said = side_by_side.differences(one, replace(other, validation=changed), SAY)
    assert said == Text(["The runs have other validation reviews or labels: there is no list."])


@pytest.fixture
def workspace(tmp_path):
    """A repository with the results of a run in its workspace."""
    run("git", "init", "--quiet", cwd=tmp_path)
    run("dvc", "init", "--quiet", cwd=tmp_path)
    files = {
        "params.yaml": "task: binary\n",
        "data/raw/labels.json": '["bad", "good"]',
        side_by_side.collect.TRAIN: json.dumps(TRAINED),
        side_by_side.collect.EVALUATE: json.dumps({"fit": {"verdict": "optimal"}}),
        "metrics/train/plots/metrics/train/loss.tsv": "step\tloss\n1\t0.5\n",
        "metrics/train/plots/metrics/validation/loss.tsv": "step\tloss\n1\t0.6\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "data/split").mkdir()
    reviews = pd.DataFrame({"review": TEXTS, "label": ["good", "bad"] * 2})
    reviews.to_parquet(tmp_path / "data/split/validation.parquet")
    predictions = np.array([[0.9], [0.1], [0.9], [0.1]], np.float32)
    write_arrays(tmp_path / "data/predictions/validation.npz", predictions=predictions)
    return tmp_path


def test_a_run_is_read_with_its_texts(workspace):
    side = side_by_side.read(workspace, "workspace")
    assert side.labels == ["good", "bad", "good", "bad"]
    assert side.validation.reviews == TEXTS
    assert side.curves == {"loss": {"train": [0.5], "validation": [0.6]}}


@pytest.mark.parametrize("name", ["nothing", "HEAD"])
def test_a_run_that_is_not_there_is_one_line(workspace, name):
    with pytest.raises(PipelineError) as error:
        side_by_side.read(workspace, name)
    assert str(error.value).startswith(f"{name}: there are no results of this run here (")
    assert "\n" not in str(error.value)


def test_in_spanish_it_says_everything_in_spanish():
    blocks = side_by_side.blocks(a_side("nn", [1] * 4), a_side("gru", [0] * 4), "spanish")
    page = html_page(blocks, "spanish")
    assert "<h1>nn y gru</h1>" in page
    assert "Where they differ" not in page
    assert "En qué difieren" in page
