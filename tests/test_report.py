"""The report on a run: its sentences, its charts, and the page in a browser."""

import ast
import inspect
import re
import string
from dataclasses import replace

import pandas as pd
import pytest

from ajuste.evaluation import remedies
from ajuste.report import language, page, vega
from ajuste.report import run as report
from ajuste.report.document import Drawing, Entries, Heading, Table, Text
from ajuste.report.page import html_page
from demo import app
from stages import report as stage
from study import side_by_side

SCRIPT = "<script>document.title = 'changed'</script><img src=https://example.org/x.png>"
SCORES = {"reviews": 2500, "accuracy": 0.9192, "loss": 0.2, "f1": 0.9, "calibration_error": 0.013}
ENDS = {"accuracy_low": 0.9079, "accuracy_high": 0.9293}
FIT = {"verdict": "overfitting", "reason": "a gap of 0.25", "sentence": "Overfitting (99 % sure)."}
NOTHING = {"classes": {}, "fit": FIT}
NUMBERS = {"reviews": 40, "mean_absolute_error": 0.512, "loss": 0.4}


def a_run(**changes) -> report.Run:
    """The report's input, as the stages write it, with few reviews."""
    reviews = [f"A film number {place}, {SCRIPT}{'long' * 99}" for place in range(3)]
    points = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    pairs = pd.DataFrame({"actual": ["good", "bad"], "predicted": ["good", "good"]})
    tables = {
        "roc": points.set_axis(["false_positive", "true_positive"], axis=1),
        "precision_recall": points.set_axis(["recall", "precision"], axis=1),
        "calibration": points.set_axis(["probability", "positive"], axis=1).assign(reviews=9),
        "confusion": pairs,
        "regression": pairs[:0],
        "slices": pd.DataFrame(
            {"slice": ["short", "long"], "reviews": [5, 6], "accuracy": [0.9, 0.8]}
            | {"accuracy_low": [0.8, 0.7], "accuracy_high": [0.95, 0.9]}
        ),
        "errors": pd.DataFrame(
            {"origin": ["a", "b", "c"], "actual": "bad", "predicted": "good", "error": 0.9}
            | {"review": reviews}
        ),
        "words": pd.DataFrame({"origin": ["a", "a"], "word": ["film", "x"], "effect": [1.5, -0.2]}),
        "layers": pd.DataFrame(
            [["gru", "GRU", "any x 32", 99, 99]],
            columns=["layer", "type", "output", "parameters", "trainable"],
        ),
        "map": pd.DataFrame({"word": ["fine"], "sentiment": ["positive"], "x": [0.1], "y": [0.2]}),
        "neighbours": pd.DataFrame({"word": ["fine"] * 2, "neighbour": ["good", "nice"]}),
    }
    fields = {
        "settings": {
            **{"task": "binary", "model": "mine", "models": {"mine": {"units": 32}}, "seed": 1},
            **{"data": {"source": "csv"}, "evaluate": {"score": None}},
            "report": {"language": "english"},
        },
        "labels": ["bad", "good"],
        "tested": {**SCORES, **ENDS, **NOTHING},
        "baseline": {
            name: {"test": {**SCORES, "accuracy": 0.5}} for name in ("linear", "majority")
        },
        "trained": {
            **{part: {"loss": 0.2, "accuracy": 0.9} for part in ("train", "validation")},
            "generalization_gap": {"loss": 0.1, "accuracy": 0.05},
            **{"parameters": {"total": 99, "trainable": 99}, "kept_epoch": 2},
        },
        "split": {"train": 80, "validation": 10, "test": 10},
        **{"validated": {"unexpected": {"no empty review": 0}}, "browser": {}},
        "curves": {"": {"loss": {"train": [0.3, 0.2], "validation": [0.4, 0.5]}}},
        "tables": tables,
        **{"sure": "93 %", "remedies": [("dvc exp run -S model=mine", "dropout", "a reason")]},
    }
    return report.Run(**{**fields, **changes})


def of(kind, blocks) -> list:
    return [block for block in blocks if isinstance(block, kind)]


def text(blocks) -> str:
    return "\n".join("".join(block.pieces) for block in of(Text, blocks))


def test_the_answer_comes_first():
    title, first, *_ = report.blocks(a_run())
    assert (title, first.pieces) == (
        Heading(1, "mine: how good it is, and how it fits"),
        [
            "The network is right about 91.9 % of 2,500 test reviews that it has never seen (95 % "
            "interval 90.8 % to 92.9 %), the linear baseline about 50.0 %, the label frequencies "
            "about 50.0 %."
        ],
    )


@pytest.mark.parametrize("verdict", ["underfitting", "overfitting", "optimal", "undecided"])
def test_every_verdict_is_explained(verdict):
    run = a_run(tested={**SCORES, "classes": {}, "fit": FIT | {"verdict": verdict}})
    assert report.MEANINGS[verdict] in text(report.answer(run))


def test_another_main_score_is_the_answer():
    run = a_run()
    run.settings["evaluate"]["score"] = "f1"
    assert text(report.answer(run)).startswith(
        "F1 0.900 on 2,500 test reviews that the network has never seen; the linear baseline "
        "gets 0.900, the label frequencies 0.900."
    )


def test_a_task_of_numbers_has_its_own_words_and_charts():
    run = a_run(tested={**NUMBERS, **NOTHING}, labels=[1, 10])
    run.settings["task"] = "regression"
    pairs = pd.DataFrame({"actual": [1.0, 9.0], "predicted": [2.0, 8.5]})
    nothing = {name: run.tables[name][:0] for name in ("roc", "precision_recall", "calibration")}
    sliced = pd.DataFrame({"slice": ["short"], "reviews": [5], "mean_absolute_error": [0.4]})
    changed = {"regression": pairs, "confusion": pairs[:0], "slices": sliced}
    run = replace(
        run,
        tables={**run.tables, **nothing, **changed},
        baseline={name: {"test": NUMBERS} for name in ("linear", "majority")},
    )
    blocks = report.blocks(run)
    assert "Mean absolute error 0.512 on 40 test reviews" in text(blocks)
    assert [drawing.about for drawing in of(Drawing, report.scores(run))] == [
        "the predicted number by the actual number"
    ]
    assert "Largest errors" in [heading.text for heading in of(Heading, blocks)]
    html_page(blocks)


def test_a_curve_has_all_epochs_and_the_one_that_is_kept():
    [drawing] = of(Drawing, report.learning_curves(a_run()))
    assert drawing.about.endswith("epoch 2 is kept")
    lines, mark = drawing.spec["layer"]
    found = [(row["part"], row["epoch"], row["loss"]) for row in lines["data"]["values"]]
    assert found == [
        *(("training", 1, 0.3), ("training", 2, 0.2)),
        *(("validation", 1, 0.4), ("validation", 2, 0.5)),
    ]
    assert mark["data"]["values"][0]["epoch"] == 2


def test_an_ensemble_has_the_curves_of_its_members_only():
    one = {"loss": {"train": [0.3], "validation": [0.3]}}
    curves = {"": one, "first": a_run().curves[""]}
    [drawing] = of(Drawing, report.learning_curves(a_run(curves=curves)))
    assert drawing.about == "loss of first by epoch"


def test_an_error_has_its_words_and_the_list_has_a_bound(monkeypatch):
    [entries] = of(Entries, report.errors(a_run()))
    assert [entry.words for entry in entries.entries] == [[("film", 1.5), ("x", -0.2)], [], []]
    monkeypatch.setattr(report, "MOST_ERRORS", 2)
    blocks = list(report.errors(a_run()))
    assert len(of(Entries, blocks)[0].entries) == 2
    assert "The first 2 are listed" in text(blocks)


def test_without_words_of_both_sentiments_there_is_no_map():
    run = a_run()
    tables = {**run.tables, "map": run.tables["map"][:0]}
    assert list(report.words(replace(run, tables=tables))) == []


def test_the_options_and_the_layers_of_the_network_are_there():
    _, layers, options = report.network(a_run())
    assert layers.rows == [["gru", "GRU", "any x 32", "99", "99"], ["total", "", "", "99", "99"]]
    assert options.blocks == [Table(["option", "value"], [["units", "32"]])]


def test_curves_are_read_by_network_score_and_part(tmp_path):
    for name in ("train/loss", "validation/loss", "train/accuracy", "bigru/train/loss"):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"step\t{path.stem}\n1\t0.5\n2\t0.25\n")
    (tmp_path / "gradient").mkdir()
    (tmp_path / "gradient" / "gru.tsv").write_text("step\tgru\n1\t0.5\n")
    values = [0.5, 0.25]
    assert stage.read_curves(tmp_path) == {
        "": {"loss": {"train": values, "validation": values}, "accuracy": {"train": values}},
        "bigru": {"loss": {"train": values}},
    }


def test_a_text_that_looks_like_a_missing_value_stays(tmp_path):
    (tmp_path / "errors.csv").write_text("actual,review,error\n,NA,\nb,null,0.5\n")
    table = stage.read_table(tmp_path / "errors.csv")
    assert table["review"].tolist() == ["NA", "null"]
    assert table["actual"].tolist() == ["", "b"]  # a review without a label, of `multilabel`
    assert table["error"].isna().tolist() == [True, False]


def test_a_text_that_looks_like_a_number_is_a_text(tmp_path):
    (tmp_path / "layers.csv").write_text("layer,type,output,parameters\ndense,Dense,16,160\n")
    [row] = stage.read_table(tmp_path / "layers.csv").to_numpy().tolist()
    assert row == ["dense", "Dense", "16", 160]


def test_a_score_that_is_not_defined_for_a_slice_is_a_dash():
    run = a_run()
    table = run.tables["slices"].assign(accuracy=[float("nan"), 0.8])
    blocks = list(report.slices(replace(run, tables={**run.tables, "slices": table})))
    assert blocks[-1].blocks[0].rows[0][2] == "—"
    html_page(blocks)


def said_texts() -> set[str]:
    """The English texts that the report says: in the code, and the names of its charts."""
    texts = {*report.MEANINGS, *report.MEANINGS.values(), *page.TRIED.values()}
    texts |= {about for _, about, _ in report.CURVES} | {*report.CLASS_SCORES}
    for module in (report, page):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    texts.add(first.value)
                elif isinstance(first, ast.Name) and first.id.isupper():
                    texts.add(getattr(module, first.id))
    run = a_run()
    for drawing in of(Drawing, report.blocks(run)):
        vega.translated(drawing.spec, lambda text: texts.add(text) or text)
    return texts - {"place", "mark", "x", "y"}  # fields that no chart names


def remedy_texts() -> set[str]:
    """What `remedies` says: the noun phrases and the reasons."""
    texts = {f"no {what}" for what in remedies.HOLDING_BACK.values()}
    for node in ast.walk(ast.parse(inspect.getsource(remedies))):
        said = []
        if isinstance(node, ast.Tuple) and len(node.elts) == 3:
            said = [] if isinstance(node.elts[0], ast.Constant) else node.elts[1:]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Remedy":
            said = node.args[:2]
        texts |= {one.value for one in said if isinstance(one, ast.Constant)}
    return texts


def compare_texts() -> set[str]:
    calls = (
        node
        for node in ast.walk(ast.parse(inspect.getsource(side_by_side)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"
    )
    return {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}


def demo_texts() -> set[str]:
    source = app.PAGE.read_text(encoding="utf-8")
    return {*re.findall(r"\{\{(.+?)\}\}", source), *re.findall(r'say\("([^"]+)"', source)}


def fields(text: str) -> set[str | None]:
    return {field for _, field, _, _ in string.Formatter().parse(text)} - {None}


def test_a_catalogue_has_every_text_with_the_same_fields():
    for name in set(language.CODES) - {language.ENGLISH}:
        catalogue = language.catalogue(name)
        assert (said_texts() | remedy_texts() | demo_texts() | compare_texts()) - set(
            catalogue
        ) == set()
        assert {
            english for english, said in catalogue.items() if fields(said) != fields(english)
        } == set()


def test_every_page_says_what_it_says_in_its_language():
    run = a_run()
    run.settings["report"]["language"] = "spanish"
    made = html_page(report.blocks(run), "spanish")
    assert '<html lang="es">' in made
    assert "La red acierta el 91,9 % de 2.500 críticas de prueba" in made
    english = [text for text in said_texts() if " " in text and "{" not in text]
    assert [text for text in english if text in made] == []


@pytest.fixture(scope="module")
def opened(browse, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html_page(report.blocks(a_run())), encoding="utf-8")
    opened = browse(path.as_uri())
    opened.page.wait_for_selector(".drawing svg")
    for fold in opened.page.locator("summary").all():
        fold.click()
    return opened


def test_the_page_works_without_a_network_and_a_review_cannot_change_it(opened):
    drawings = of(Drawing, report.blocks(a_run()))
    assert opened.page.locator(".drawing svg").count() == len(drawings)
    assert (opened.asked, opened.said) == ([opened.page.url], [])
    assert opened.page.title() == "mine: how good it is, and how it fits"


def test_the_page_is_not_wider_than_a_phone(opened):
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_errors_can_be_searched(opened):
    page = opened.page
    page.get_by_label("Search").fill("number 1")
    assert page.locator("details.entry:visible").count() == 1
    assert page.locator("output").inner_text() == "1 / 1"
    page.get_by_label("Search").fill("")


def test_more_errors_are_a_click_away(browse, tmp_path):
    run = a_run()
    many = pd.concat([run.tables["errors"]] * 8)
    run = replace(run, tables={**run.tables, "errors": many})
    (tmp_path / "index.html").write_text(html_page(report.blocks(run)), encoding="utf-8")
    page = browse((tmp_path / "index.html").as_uri()).page
    assert page.locator("details.entry:visible").count() == 20
    page.get_by_role("button", name="show all").click()
    assert page.locator("details.entry:visible").count() == 24
    assert not page.get_by_role("button", name="show all").is_visible()


def test_a_difference_that_is_not_shown_is_said():
    run = a_run()
    run.baseline["linear"]["test"]["accuracy"] = 0.915
    assert "no difference is shown" in text(report.answer(run))
    run.baseline["linear"]["test"]["accuracy"] = 0.85
    assert "no difference is shown" not in text(report.answer(run))


def test_sure_answers_are_counted():
    run = a_run()
    run.tested["sure"] = {"answers": 1000, "wrong": 20}
    assert "sure of 1,000 reviews, and right about 98.0 % of these" in text(report.answer(run))


def test_a_screen_reader_can_read_the_page(opened):
    assert opened.faults() == []
