"""The page of the service in a browser."""

import pytest

pytestmark = pytest.mark.slow

ADDRESS = "http://localhost/"
SCRIPT = "<script>document.title = 'changed'</script><img src=x onerror=document.title='changed'>"


@pytest.fixture
def service(little_model):
    from fastapi.testclient import TestClient

    from serving.classifier import Classifier
    from serving.service import create_app

    with TestClient(create_app(Classifier.load(little_model("binary")), "mine")) as client:
        yield client


@pytest.fixture
def opened(browse, service):
    def answer(route):
        sent = route.request
        path, body = sent.url.removeprefix(ADDRESS), sent.post_data_buffer
        given = service.request(sent.method, f"/{path}", content=body, headers=sent.headers)
        route.fulfill(status=given.status_code, headers=dict(given.headers), body=given.content)

    return browse(ADDRESS, answer)


def classified(page, text: str, lines: bool = False) -> list[str]:
    """What the page says about a text, once it says something."""
    page.get_by_role("textbox").fill(text)
    page.get_by_label("each line").set_checked(lines)
    page.get_by_role("button", name="Classify").click()
    page.wait_for_selector("#answers > *")
    return page.locator("#answers > *").all_inner_texts()


def test_a_review_gets_the_answer_of_the_service(opened, service):
    [answer] = service.post("/predict", json={"texts": ["a good film"]}).json()["answers"]
    [said] = classified(opened.page, "a good film")
    assert said.startswith(answer["label"])
    for label, share in answer["probabilities"].items():
        assert f"{100 * share:.1f} % {label}" in said
    assert "2 of 3 words are known" in said
    assert (opened.asked, opened.said) == ([ADDRESS, f"{ADDRESS}predict"], [])


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
    assert opened.page.title() == "Try the model"
    assert (len(opened.asked), opened.said) == (2, [])


def test_an_example_is_a_click_away(opened):
    opened.page.locator(".example").first.click()
    opened.page.wait_for_selector("#answers section")
    assert opened.page.locator("#answers section").count() == 1


def test_two_clicks_give_one_answer(opened):
    opened.page.get_by_role("textbox").fill("good")
    opened.page.evaluate("Promise.all([classify(), classify()])")
    assert opened.page.locator("#answers section").count() == 1


def test_a_refusal_is_shown(opened):
    [said] = classified(opened.page, "good\n" * 300, lines=True)
    assert said.startswith("No answer: body.texts: ")


def test_a_service_that_is_gone_is_shown(opened):
    opened.page.route("**/predict", lambda route: route.abort())
    assert classified(opened.page, "good") == ["No answer: Failed to fetch"]


def test_the_page_is_not_wider_than_a_phone(opened):
    classified(opened.page, "good" * 100)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_screen_reader_can_read_the_page(opened):
    classified(opened.page, "a good film, not a bad film")
    assert opened.faults() == []
