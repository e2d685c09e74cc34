"""Requests drawn from the service's own OpenAPI document: each answer is as it says."""

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode

pytestmark = pytest.mark.slow

REFUSED = {"checks": {"negative_data_rejection": {"expected-statuses": ["4XX"]}}}


def test_every_answer_is_as_documented(little_model):
    from serving import service
    from serving.classifier import Classifier

    app = service.create_app(Classifier.load(little_model("binary")), "mine")
    config = schemathesis.Config.from_dict(REFUSED)
    document = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)

    def check(case):
        if case.meta.generation.mode.is_positive and isinstance(case.body, dict):
            # What a schema cannot say: the shape fits the texts, and `why` is for few of them.
            for tensor in case.body.get("inputs", []):
                tensor["shape"] = [len(tensor["data"])]
            if len(case.body.get("texts", [])) > service.WHY_TEXTS:
                case.body["why"] = False
        answer = case.call_and_validate()
        if answer.status_code >= 400:
            [(key, reason)] = answer.json().items()
            assert key == "error"
            assert "\n" not in reason

    for result in document.get_all_operations():
        operation = result.ok()
        given = operation.body or operation.path_parameters
        for mode in GenerationMode if given else [GenerationMode.POSITIVE]:
            drawn = hypothesis.given(operation.as_strategy(generation_mode=mode))(check)
            hypothesis.settings(max_examples=50)(drawn)()
