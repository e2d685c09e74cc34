"""The page of the demo in a browser."""

import shutil

import pytest
from conftest import ROOT, commit, run

from demo.networks import HERE

pytestmark = pytest.mark.slow

ADDRESS = "http://localhost/"
PATHS = {"", "settings", "experiment"}
SCRIPT = "<script>document.title = 'changed'</script><img src=x onerror=document.title='changed'>"


@pytest.fixture
def service(little_model, tmp_path):
    """The demo of a repository with one network, and no experiment."""
    from fastapi.testclient import TestClient

    from demo.app import create_app

    little_model("binary")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    run("git", "init", "--quiet", cwd=tmp_path)
    commit(tmp_path, "start")
    with TestClient(create_app(tmp_path)) as client:
        yield client


RUN = {"name": "mine", "state": "running", "stage": "stages.train"}
CURVES = {"train": [0.6, 0.4, 0.3], "validation": [0.6, 0.5, 0.55]}
ENDED = {
    **{"name": "mine", "state": "done", "stage": "dvc", "curves": CURVES},
    "fit": {"verdict": "overfitting", "sentence": f"Overfitting. {SCRIPT}", "reason": "a gap"},
    "sure": "93 %",
    "scores": {"train": {"loss": 0.3}, "validation": {"loss": 0.55}},
    "remedies": [
        {
            "what": "dropout",
            "why": "a reason",
            "overrides": {"model": "nn", "models.nn.dropout": 0.3},
        }
    ],
}


@pytest.fixture
def replies():
    """What the demo says instead of what it would say, by method and path."""
    return {}


@pytest.fixture
def opened(browse, service, replies):
    def answer(route):
        sent = route.request
        path, body = sent.url.removeprefix(ADDRESS), sent.post_data_buffer
        if said := replies.get((sent.method, path)):
            route.fulfill(json=said.pop(0) if len(said) > 1 else said[0])
            return
        given = service.request(sent.method, f"/{path}", content=body, headers=sent.headers)
        route.fulfill(status=given.status_code, headers=dict(given.headers), body=given.content)

    opened = browse(ADDRESS, answer)
    opened.page.wait_for_function("settings !== undefined")
    return opened


def classified(page, text: str, lines: bool = False) -> list[str]:
    """What the page says about a text, once it says something."""
    page.locator("#text").fill(text)
    page.get_by_label("each line").set_checked(lines)
    page.get_by_role("button", name="Classify", exact=True).click()
    page.wait_for_selector("#answers > *")
    return page.locator("#answers > *").all_inner_texts()


def test_a_review_gets_the_answer_of_the_service(opened, service):
    [answer] = service.post("/predict", json={"network": HERE, "texts": ["a good film"]}).json()[
        "answers"
    ]
    [said] = classified(opened.page, "a good film")
    assert said.startswith(answer["label"])
    for label, share in answer["probabilities"].items():
        assert f"{100 * share:.1f} % {label}" in said
    assert "2 of 3 words are known" in said
    assert {one.removeprefix(ADDRESS) for one in opened.asked} == PATHS | {"predict"}
    assert opened.said == []


def test_each_line_is_a_review(opened):
    lines = ["good film", "unknown words", "bad film"]
    said = classified(opened.page, "\n\n".join(lines), lines=True)
    assert [text.splitlines().count(line) for text, line in zip(said, lines, strict=True)] == [
        1
    ] * 3


def test_a_review_cannot_change_the_page(opened):
    [said] = classified(opened.page, f"{SCRIPT} good")
    assert SCRIPT in said
    assert opened.page.locator("#answers :is(script, img)").count() == 0
    assert opened.page.title() == "Ajuste"
    assert {one.removeprefix(ADDRESS) for one in opened.asked} == PATHS | {"predict"}
    assert opened.said == []


def test_an_example_is_a_click_away(opened):
    opened.page.locator(".example").first.click()
    opened.page.wait_for_selector("#answers section")
    assert opened.page.locator("#answers section").count() == 1


def test_a_click_before_the_networks_are_known_is_answered(opened):
    opened.page.reload(wait_until="commit")
    opened.page.locator(".example").first.click()
    opened.page.wait_for_selector("#answers section")
    assert opened.page.locator("#answers .error").count() == 0


def test_two_clicks_give_one_answer(opened):
    opened.page.locator("#text").fill("good")
    opened.page.evaluate("Promise.all([classify(), classify()])")
    assert opened.page.locator("#answers section").count() == 1


def test_a_refusal_is_shown(opened):
    [said] = classified(opened.page, "good\n" * 300, lines=True)
    assert said.startswith("body.texts: ")


def test_a_service_that_is_gone_is_shown(opened):
    opened.page.route("**/predict", lambda route: route.abort())
    assert classified(opened.page, "good") == ["Failed to fetch"]


def test_the_page_is_not_wider_than_a_phone(opened):
    classified(opened.page, "good" * 100)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_screen_reader_can_read_the_page(opened):
    classified(opened.page, "a good film, not a bad film")
    assert opened.faults() == []


def simulator(opened):
    opened.page.get_by_role("tab", name="Simulator").click()
    return opened.page


def test_the_simulator_draws_both_losses_and_ends_with_verdict_and_remedies(opened, replies):
    page = simulator(opened)
    page.locator("[name=model]").select_option("nn")
    page.locator("[name='models.nn.epochs']").fill("3")
    replies["POST", "experiment"] = [RUN]
    part = {**RUN, "curves": {"train": [0.6], "validation": [0.6]}}
    replies["GET", "experiment"] = [{**RUN, "curves": {}}, part, ENDED]
    with page.expect_request("**/experiment") as sent:
        page.get_by_role("button", name="Train", exact=True).click()
    assert sent.value.post_data_json["overrides"] == {"model": "nn", "models.nn.epochs": "3"}
    page.wait_for_selector("#outcome h2")
    assert page.locator("#outcome h2").inner_text() == "overfitting (93 %)"
    assert SCRIPT in page.locator("#outcome").inner_text()
    said = page.locator("#curves svg").get_attribute("aria-label")
    assert said == "loss by epoch: training 0.300, validation 0.550"
    assert page.locator("#curves path").count() == 2
    with page.expect_request("**/experiment") as sent:
        page.get_by_role("button", name="dropout").click()
    assert sent.value.post_data_json["overrides"] == {"model": "nn", "models.nn.dropout": 0.3}
    assert page.locator("[name='models.nn.dropout']").input_value() == "0.3"
    replies["GET", "experiment"] = [{**ENDED, "name": "other"}]
    page.evaluate("follow()")
    page.wait_for_function("document.querySelectorAll('path.before').length === 2")
    assert "Dashed: mine" in page.locator("#curves").inner_text()
    assert (page.title(), opened.said) == ("Ajuste", [])


def test_the_simulator_can_be_stopped(opened, replies):
    page = simulator(opened)
    replies["POST", "experiment"] = replies["GET", "experiment"] = [{**RUN, "curves": {}}]
    replies["DELETE", "experiment"] = [{**RUN, "state": "stopped"}]
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_function(
        "document.querySelector('#progress').textContent.includes('stages.train')"
    )
    with page.expect_request(lambda sent: sent.method == "DELETE"):
        page.get_by_role("button", name="Stop").click()
    replies["GET", "experiment"] = [{**RUN, "state": "stopped"}]
    page.wait_for_function(
        "document.querySelector('#progress').textContent === 'mine was stopped.'"
    )


def test_a_screen_reader_can_read_the_simulator(opened, replies):
    page = simulator(opened)
    replies["GET", "experiment"] = [ENDED]
    page.evaluate("follow()")
    page.wait_for_selector("#outcome h2")
    assert opened.faults() == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_goes_from_tab_to_tab(opened):
    opened.page.locator("#tab-try").focus()
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.evaluate("document.activeElement.id") == "tab-run"
    assert opened.page.locator("#run").is_visible()
