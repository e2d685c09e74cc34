"""The HTTP service: its answers are those of the classifier, and nothing makes it fail."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import numpy as np
import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

TEXTS = ["a good film", "a bad film, bad", "nothing known"]
INPUT = {"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}


@pytest.fixture
def client(little_model):
    """A function that starts the service in this process, with an untrained model of a task."""
    from fastapi.testclient import TestClient

    from serving import service
    from serving.classifier import Classifier

    def start(task="binary"):
        classifier = Classifier.load(little_model(task))
        return TestClient(service.create_app(classifier, "mine")), classifier

    return start


def test_the_answers_are_those_of_the_classifier(client):
    service, classifier = client()
    with service:
        answers = service.post("/predict", json={"texts": TEXTS}).json()["answers"]
    positive = classifier.probability(TEXTS)
    assert [answer["label"] for answer in answers] == classifier.label(classifier.predict(TEXTS))
    found = [answer["probabilities"].get("positive") for answer in answers]
    assert found[:2] == pytest.approx(positive[:2].tolist(), abs=1e-6)
    assert (found[2], np.isnan(positive[2])) == (None, True)
    assert [answer["known"] for answer in answers] == [2, 3, 0]


def test_why_gives_the_words_of_the_label(client):
    service, classifier = client("multiclass")
    with service:
        [answer] = service.post("/predict", json={"texts": TEXTS[:1], "why": True}).json()[
            "answers"
        ]
    [(label, words)] = answer["why"].items()
    [expected] = classifier.answers(TEXTS[:1], why=True)
    place = classifier.encoder.labels.index(label)
    assert label == answer["label"]
    assert {one["word"]: one["effect"] for one in words} == pytest.approx(
        {word: float(effect[place]) for word, effect in expected.effects.items()}, abs=1e-6
    )


def test_numbers_have_no_probabilities(client):
    service, _ = client("regression")
    with service:
        [answer] = service.post("/predict", json={"texts": TEXTS[:1]}).json()["answers"]
    assert (answer["probabilities"], float(answer["label"]) > 0) == ({}, True)


def test_the_open_inference_protocol(client):
    service, classifier = client("multiclass")
    with service:
        assert service.get("/v2/health/ready").status_code == 200
        assert service.get("/v2/models/mine/ready").json()["ready"] is True
        about = service.get("/v2/models/mine").json()
        answer = service.post("/v2/models/mine/infer", json={"id": "7", "inputs": [INPUT]}).json()
    assert [one["name"] for one in about["inputs"] + about["outputs"]] == [
        "text",
        "label",
        "output",
    ]
    labels, output = answer["outputs"]
    predictions = classifier.predict(TEXTS)
    assert (answer["id"], answer["model_name"]) == ("7", "mine")
    assert labels["data"] == [label or "" for label in classifier.label(predictions)]
    assert output["shape"] == list(predictions.shape)
    known = np.array(output["data"][:6], float).reshape(2, 3)
    assert known == pytest.approx(predictions[:2], abs=1e-6)
    assert output["data"][6:] == [None] * 3


def test_a_client_gets_the_outputs_that_it_asks_for(client):
    body = {"inputs": [INPUT], "outputs": [{"name": "label"}]}
    with client()[0] as service:
        answer = service.post("/v2/models/mine/infer", json=body).json()
    assert [one["name"] for one in answer["outputs"]] == ["label"]


BAD = [
    ("/predict", {"texts": []}, 422),
    ("/predict", {"texts": ["x"] * 257}, 422),
    ("/predict", {"texts": ["x" * 50_001]}, 422),
    ("/predict", {"texts": ["x"] * 17, "why": True}, 422),
    ("/predict", {"texts": "one text"}, 422),
    ("/predict", {"texts": ["x"], "why": 1}, 422),
    ("/predict", [1], 422),
    ("/v2/models/other/infer", {"inputs": [INPUT]}, 404),
    ("/v2/models/mine/infer", {"inputs": []}, 422),
    ("/v2/models/mine/infer", {"inputs": [{**INPUT, "shape": [2]}]}, 422),
    ("/v2/models/mine/infer", {"inputs": [{**INPUT, "shape": ["3"]}]}, 422),
    ("/v2/models/mine/infer", {"inputs": [{**INPUT, "datatype": "FP32"}]}, 422),
    ("/v2/models/mine/infer", {"inputs": [INPUT], "outputs": [{"name": "other"}]}, 422),
    ("/health", {}, 405),
    ("/nothing", {}, 404),
]

TENSOR = json.dumps({"inputs": [INPUT]})[1:].encode()
MALFORMED = {
    "/predict": [
        *(b"", b"null", b"\xff{", b'{"texts": ["x"]}}', b'{"texts": [NaN]}'),
        *(b"[" * 100_000, b'{"texts": ["x"], "why": %s}' % (b"9" * 5000)),
        b'{"texts": ["\\ud800"]}',
    ],
    "/v2/models/mine/infer": [
        b'{"id": "\\ud800", ' + TENSOR,
        b'{"outputs": [{"name": "\\ud800"}], ' + TENSOR,
    ],
}


def test_a_bad_request_is_one_line(client):
    with client()[0] as service:
        for path, body, status in BAD:
            answer = service.post(path, json=body)
            assert (path, answer.status_code) == (path, status)
            assert "\n" not in answer.json()["error"]


def test_a_malformed_body_is_refused(client):
    with client()[0] as service:
        for path, bodies in MALFORMED.items():
            for body in bodies:
                headers = {"Content-Type": "application/json"}
                answer = service.post(path, content=body, headers=headers)
                assert (body[:80], answer.status_code in (400, 422)) == (body[:80], True)
                assert "\n" not in answer.json()["error"]
        assert service.post("/predict", content=b'{"texts": ["x"]}').status_code == 422  # no type


def test_a_body_that_is_too_large_is_refused_whether_or_not_its_length_is_known(client):
    def chunks():
        for _ in range(80):
            yield b"x" * (1 << 16)

    with client()[0] as service:
        for content in (b"x" * (5 << 20), chunks()):
            assert service.post("/predict", content=content).status_code == 413
        assert service.post("/predict", json={"texts": TEXTS}).status_code == 200


def test_what_was_done_is_counted(client):
    with client()[0] as service:
        service.post("/predict", json={"texts": TEXTS})
        service.post("/v2/models/mine/infer", json={})
        service.get("/nothing")
        found = service.get("/metrics").text
    assert 'requests_total{path="/predict",status="200"} 1.0' in found
    assert 'requests_total{path="/v2/models/{model}/infer",status="422"} 1.0' in found
    assert 'requests_total{path="other",status="404"} 1.0' in found
    assert "\ntexts_total 3.0" in found


def test_a_signal_stops_it_after_the_requests_that_run(little_model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.service", "--model", str(little_model("binary"))]
    served = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout.readline().startswith(f"serve: http://127.0.0.1:{port}/")
        address, until = f"http://127.0.0.1:{port}/predict", time.monotonic() + 60
        while time.monotonic() < until:  # the server listens a moment after the line
            try:
                answer = httpx2.post(address, json={"texts": TEXTS}, timeout=60)
                break
            except httpx2.ConnectError:
                continue
        assert answer.status_code == 200
        served.send_signal(signal.SIGTERM)
        assert served.wait(30) in (0, -signal.SIGTERM)
    finally:
        served.kill()
