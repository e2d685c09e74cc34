"""The model in a page gives the answers that Keras gives."""

import numpy as np
import pytest
import yaml
from conftest import ROOT

from ajuste.data.encoder import Encoder
from ajuste.data.text import tokens
from ajuste.report.document import Heading, Model
from ajuste.report.page import html_page
from ajuste.training import backend, browser, model_file
from ajuste.training.build import build
from ajuste.training.options import compile_model

LINEAR = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]["linear"]
WORDS = ["good", "bad", "film", "not", "a", "the", "very", "plot"]
WORDS += ["don't", "épico", "8.5", "1/2", "7/10", "影", "😀"]
TEXTS = [
    "A GOOD film, not a bad film<br />don&#39;t &amp;quot;miss&amp;quot; it &eacute;pico",
    "8½ and 7/10 8.5, a²b x⁄y №5 ﬁlm ﬁ ＦＩＬＭ “the” don’t don`t don\u00b4t",
    "<b>not</b> <sigh> I <3 it <!-- hidden --> <script>bad()</script> <a href=x>the</a> a < b > c",
    "影 電影 good\u00ad film e\u0301pico ÉPICO 😀😀 ☺ 👩‍👩‍👧 C:\\new\\film line\\nfilm don\\'t",
    "good " * 30 + "bad " * 30,
    "",
    "unknown words alone",
]


@pytest.fixture(scope="module")
def network():
    """A linear network of n-grams and its encoder, trained on a few reviews."""
    backend.seed(1)
    chance = np.random.default_rng(1)
    part = {
        "token_ids": chance.integers(2, 2 + len(WORDS), (40, 20)).astype(np.int32),
        "targets": (np.arange(40) % 2).reshape(-1, 1).astype(np.float32),
    }
    part["token_ids"][::2, :4] = 2  # so that there is something to learn
    entry = LINEAR | {"max_length": 24}
    model, options = build("mine", entry, np.zeros((9, 2), np.float32), "binary", 1, part)
    compile_model(model, options, 20)
    model.fit(part["token_ids"], part["targets"], epochs=10, verbose=0)
    counts = dict.fromkeys(WORDS, 5)
    return model, Encoder(counts, 24, "both", "binary", ["negative", "positive"])


@pytest.fixture(scope="module")
def page(browse, network, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    blocks = [Heading(1, "Try it"), Model(browser.exported(*network))]
    path.write_text(html_page(blocks), encoding="utf-8")
    page = browse(path.as_uri()).page
    page.locator("#review").fill("a good film")
    page.wait_for_selector("#answer p")
    return page


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_the_words_of_a_text_are_those_of_python(page, text):
    assert page.evaluate("text => tokens(text)", text) == tokens(text)


@pytest.mark.slow
def test_the_answers_are_those_of_keras(page, network):
    model, encoder = network
    token_ids = encoder.encode([tokens(text) for text in TEXTS])
    expected = model_file.predict(model, token_ids)[:, 0]
    found = page.evaluate("texts => texts.map(text => answer(model, text))", TEXTS)
    assert [one["probability"] for one in found[-2:]] == [None, None]
    assert [one["probability"] for one in found[:-2]] == pytest.approx(expected[:-2], abs=1e-5)
    assert np.ptp(expected[:-2]) > 0.1
    for text, one in zip(TEXTS, found, strict=True):
        words = tokens(text)
        assert (one["words"], one["known"]) == (len(words), sum(word in WORDS for word in words))


@pytest.mark.slow
def test_the_answer_is_shown_while_one_types(page):
    page.locator("#review").fill("good good film")
    page.wait_for_function("document.querySelector('#answer').textContent.includes('3 of 3')")
    page.locator("#review").fill("zzz")
    page.wait_for_function("document.querySelector('#answer').textContent === 'No word is known.'")


@pytest.mark.slow
def test_another_network_is_not_in_the_page(network):
    _, encoder = network
    part = {"token_ids": np.full((9, 4), 2, np.int32), "targets": np.eye(9, 1, dtype=np.float32)}
    entry = LINEAR | {"max_length": 4, "units": [3]}
    model, _ = build("mine", entry, np.zeros((9, 2), np.float32), "binary", 1, part)
    assert browser.exported(model, encoder) == {}


@pytest.mark.slow
def test_an_answer_that_is_not_reliable_has_a_warning(page):
    for review, said in [
        ("good zzz yyy xxx www", "Most words are unknown"),
        ("good film", "A short text"),
    ]:
        page.locator("#review").fill(review)
        page.wait_for_function(
            "said => document.querySelector('#answer').textContent.includes(said)", arg=said
        )
    page.locator("#review").fill("good film " * 10)
    page.wait_for_function("!document.querySelector('#answer').textContent.includes('short')")


@pytest.mark.slow
def test_an_example_is_a_click_away(page):
    page.locator(".example").first.click()
    assert page.locator("#review").input_value() == page.locator(".example").first.inner_text()
