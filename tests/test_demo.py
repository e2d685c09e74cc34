"""The demo: its answers, its experiments, and its page in a browser."""

import time

import pytest
from conftest import ROOT, commit, run

from ajuste.config import reader
from demo import app
from demo.networks import HERE
from demo.simulator import typed

TEXTS = ["A good film, one of the best.", "qqqq"]


def test_a_page_of_each_language_has_all_its_texts():
    english, spanish = app.page("english"), app.page("spanish")
    assert '<html lang="es">' in spanish
    assert "Simulador de configuración" in spanish
    for made in (english, spanish):
        assert "{{" not in made
        assert "$TEXTS" not in made


def test_the_form_offers_the_options_of_an_entry_with_their_choices():
    offered = app.fields(reader.read(ROOT / "params.yaml"))["lstm"]
    assert offered["models.lstm.units"] == {"value": "128", "choices": []}
    assert offered["models.lstm.optimizer"]["choices"] == ["sgd", "adagrad", "rmsprop", "adam"]
    assert offered[app.SHARE]["value"] == "1.0"
    assert "models.lstm.network" not in offered


def test_what_is_typed_is_read_as_yaml():
    found = typed({"a": "[16, 16]", "b": "1e-3", "c": "adam", "d": 0.5, "e": "null"})
    assert found == {"a": [16, 16], "b": 0.001, "c": "adam", "d": 0.5, "e": None}


@pytest.fixture(scope="module")
def repository(reproduced, tmp_path_factory):
    import shutil

    folder = shutil.copytree(reproduced[1], tmp_path_factory.mktemp("demo") / "r", symlinks=True)
    commit(folder, "results")
    return folder


@pytest.fixture(scope="module")
def client(repository):
    from fastapi.testclient import TestClient

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        patch.setenv("PYTHONPATH", str(repository))
        with TestClient(app.create_app(repository)) as opened:
            yield opened


def ended(client) -> dict:
    until = time.monotonic() + 300
    while (state := client.get("/experiment").json())["state"] == "running":
        assert time.monotonic() < until, state
    return state


@pytest.mark.slow
def test_an_answer_is_that_of_the_classifier(client, repository):
    from serving.classifier import Classifier

    asked = {"network": HERE, "texts": TEXTS, "why": True}
    first, second = client.post("/predict", json=asked).json()["answers"]
    classifier = Classifier.load(repository / "data/model")
    expected = classifier.probability(TEXTS)
    assert first["probabilities"]["positive"] == pytest.approx(float(expected[0]), abs=1e-6)
    assert first["why"]
    assert (second["label"], second["known"]) == (None, 0)


@pytest.mark.slow
def test_a_csv_file_comes_back_with_its_answers(client):
    content = 'title,review\n"a, b",A good film\nc,A bad film\n'
    made = client.post("/csv", params={"network": HERE}, content=content)
    lines = made.text.splitlines()
    assert (made.status_code, len(lines)) == (200, 3)
    assert lines[0] == "title,review,sentiment,probability"
    assert lines[1].startswith('"a, b",A good film,')


BAD = [
    ("/predict", {"json": {"network": "none", "texts": TEXTS}}, "none: there is no such network"),
    ("/predict", {"json": {"network": HERE, "texts": []}}, "texts"),
    ("/csv?network=data/model&column=x", {"content": "review\na\n"}, "reviews.csv, line 1"),
    ("/csv?network=data/model", {"content": b"review\n\xff\n"}, "not UTF-8"),
    ("/csv?network=data/model", {"content": b"x" * (5 << 20)}, "at most"),
]


@pytest.mark.slow
def test_a_fault_is_one_line(client):
    for path, given, message in BAD:
        answer = client.post(path, **given)
        assert 400 <= answer.status_code < 500
        assert message in answer.json()["error"]
        assert "\n" not in answer.json()["error"]


@pytest.mark.slow
def test_an_experiment_keeps_its_name_and_ends_with_verdict_and_remedies(client, repository):
    before = run("git", "status", "--porcelain", cwd=repository).stdout
    overrides = {"model": "nn", "models.nn.epochs": "3", "models.nn.units": "[4]"}
    client.post("/experiment", json={"name": "mine", "overrides": overrides})
    refused = client.post("/experiment", json={"name": "other", "overrides": {}})
    assert (refused.status_code, "mine is running" in refused.json()["error"]) == (422, True)
    state = ended(client)
    assert (state["state"], state.get("error")) == ("done", None)
    assert [len(state["curves"][part]) for part in ("train", "validation")] == [3, 3]
    assert state["fit"]["verdict"] in {"overfitting", "underfitting", "optimal", "undecided"}
    assert state["remedies"][0]["overrides"]["model"]
    assert "mine" in client.get("/settings").json()["networks"]
    asked = {"network": "mine", "texts": TEXTS}
    assert client.post("/predict", json=asked).json()["answers"][0]["label"]
    assert run("git", "status", "--porcelain", cwd=repository).stdout == before


@pytest.mark.slow
def test_a_wrong_option_is_named(client):
    overrides = {"model": "nn", "models.nn.units": "many"}
    client.post("/experiment", json={"name": "wrong", "overrides": overrides})
    state = ended(client)
    assert state["state"] == "failed"
    assert "models.nn.units" in state["error"]


@pytest.mark.slow
def test_an_experiment_that_is_stopped_leaves_nothing(client, repository):
    overrides = {"model": "gru", "models.gru.epochs": "99"}
    client.post("/experiment", json={"name": "long", "overrides": overrides})
    state = client.delete("/experiment").json()
    assert state["state"] == "stopped"
    assert "long" not in client.get("/settings").json()["networks"]
    assert not list((repository / ".dvc/tmp/study").glob("worker-*"))
