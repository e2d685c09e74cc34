"""The SavedModel takes raw texts and gives the answers of the classifier."""

import json
import subprocess
import sys

import pytest
import test_text
from conftest import LABELS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_browser import TEXTS, network  # noqa: F401, a fixture

from ajuste.data.encoder import Encoder
from ajuste.data.text import tokens
from ajuste.files import read_json
from ajuste.training import backend
from serving import export, text_graph
from serving.classifier import Classifier
from serving.keras_network import KerasNetwork

pytestmark = pytest.mark.slow

[CASES] = [mark.args[1] for mark in test_text.test_tokens.pytestmark]
PIECES = [
    *"aZ19 \n.,/'<>&;\\-\u00b2\u00bd\u0660\u2019\u00ad\u03c3\u0130\u0141\u1e9e\u00e9",
    *"\u5f71\u3093\u1100\u1161\u11a8\ud55c\ufb01\uff26",
    *["\u30ab\u3099", "\uff76\uff9e", "\u0e01\u0e38", "\u0915\u094d", "e\u0302\u0323", "E\u0301"],
    *["&amp;", "&lt;", "&eacute;", "&notit;", "&#233;", "&#xE9", "&#0;", "&#9999999999;", "&#128;"],
    *["<br />", "</p>", "<b x=1>", "<x-y id='z'>", "<a real", "<!--", "-->", "<!-->", "<script>"],
    *["</script >", "<STYLE a>", "</style>", "<![CDATA[", "<!doctype x>", "<o:p>", " C:", "\\n"],
    *["\\new", "\\\\t", "\\'", "\U0001f600", "\U0001f468\u200d\U0001f467", "\u2122", "\u2116"],
]


@pytest.fixture(scope="module")
def words():
    tables = text_graph.tables()

    @backend.tf.function(input_signature=[backend.tf.TensorSpec([None], backend.tf.string)])
    def graph(texts):
        return text_graph.words(texts, tables)

    def listed(texts):
        found = graph(backend.tf.constant([text.encode() for text in texts]))
        return [[word.decode() for word in row] for row in found.to_list()]

    return listed


def test_the_words_of_a_text_are_those_of_python(words):
    texts = [text for text, _ in CASES] + TEXTS
    assert words(texts) == [tokens(text) for text in texts]


@settings(max_examples=60)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES)).map("".join), min_size=1, max_size=40))
def test_whatever_a_text_is_made_of(words, texts):
    assert words(texts) == [tokens(text) for text in texts]


@settings(max_examples=60)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs", "M"])), min_size=1))
def test_whatever_characters_a_text_has(words, texts):
    assert words(texts) == [tokens(text) for text in texts]


GIVEN = ["a good film", "bad, bad film; a GOOD <br />film & more good", "nothing known", ""]
ALONE = """
import json, sys
import tensorflow as tf

serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
labels = serve(text=tf.constant(json.loads(sys.argv[2])))["label"].numpy().tolist()
print(json.dumps([label.decode() for label in labels]))
"""


def of_keras(folder) -> Classifier:
    return Classifier(KerasNetwork.load(folder / "model.keras"), Encoder.load(folder))


@pytest.mark.parametrize("task", LABELS)
def test_its_answers_are_those_of_the_classifier(task, little_model, tmp_path):
    classifier = of_keras(little_model(task))
    export.write(classifier.network.model, classifier.encoder, tmp_path / "1")
    serve = backend.tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    found = {name: value.numpy() for name, value in serve(text=GIVEN).items()}
    expected = classifier.predict(GIVEN)
    labels = [label or "" for label in classifier.label(expected)]
    assert found["output"] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert [label.decode() for label in found["label"]] == labels
    assert found["output_names"].shape == expected.shape


def test_it_needs_only_tensorflow(little_model, tmp_path):
    classifier = of_keras(little_model("multiclass"))
    export.write(classifier.network.model, classifier.encoder, tmp_path / "1")
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "1"), json.dumps(GIVEN)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    labels = [label or "" for label in classifier.label(classifier.predict(GIVEN))]
    assert (done.returncode, json.loads(done.stdout)) == (0, labels)


def test_a_longer_text_is_cut_as_in_training(network, tmp_path):  # noqa: F811
    classifier = Classifier(KerasNetwork(network[0]), network[1])
    export.write(*network, tmp_path)
    assert export.differences(tmp_path, classifier, TEXTS).max() < 1e-6


def test_each_call_writes_the_next_version(little_model, monkeypatch, capsys):
    folder = little_model("multilabel").parents[1]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["export"])
    for _ in range(2):
        export.main()
    assert capsys.readouterr().out == "export: exports/sentiment/1\nexport: exports/sentiment/2\n"
    about = read_json(folder / "exports/sentiment/2/assets.extra/about.json")
    assert (about["task"], about["labels"]) == ("multilabel", LABELS["multilabel"])
