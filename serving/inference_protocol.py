"""The Open Inference Protocol, version 2: https://github.com/kserve/open-inference-protocol."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from ajuste.data.encoder import Encoder
from ajuste.tasks import output_names
from serving.classifier import Answer

TEXTS, CHARACTERS = 256, 50_000
"""The maximum of one request: texts, and characters of a text."""
INTERFACE = "1"

Text = Annotated[str, Field(max_length=CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=TEXTS)]


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class TextTensor(Tensor):
    """The input: one text for each row."""

    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    data: Texts


class InferenceRequest(BaseModel):
    """A request of the Open Inference Protocol."""

    id: str | None = None
    inputs: Annotated[list[TextTensor], Field(min_length=1, max_length=1)]
    parameters: dict[str, Any] = {}
    outputs: list[dict[str, Any]] = []


class InferenceResponse(BaseModel):
    """A response of the Open Inference Protocol."""

    model_name: str
    id: str | None = None
    outputs: list[Tensor]


def router(
    encoder: Encoder, name: str, answered: Callable[[list[str]], Awaitable[list[Answer]]]
) -> APIRouter:
    """The routes below `/v2`.

    Args:
        encoder: that of the model.
        name: of the model.
        answered: from texts to one answer for each.
    """
    routes = APIRouter(prefix="/v2")

    def known(model: str) -> None:
        if model != name:
            raise HTTPException(404, f"there is no model {model!r}; the model is {name!r}")

    @routes.get("")
    async def server() -> dict[str, Any]:
        """The metadata of the server."""
        return {"name": "ajuste", "version": INTERFACE, "extensions": []}

    @routes.get("/health/live")
    @routes.get("/health/ready")
    async def live() -> dict[str, bool]:
        """Whether the server is up."""
        return {"live": True, "ready": True}

    @routes.get("/models/{model}/ready")
    async def ready(model: str) -> dict[str, Any]:
        """Whether the model is loaded."""
        known(model)
        return {"name": model, "ready": True}

    outputs = [{"name": "label", "datatype": "BYTES", "shape": [-1]}]
    columns = len(output_names(encoder.task, encoder.labels))
    outputs.append({"name": "output", "datatype": "FP32", "shape": [-1, columns]})

    @routes.get("/models/{model}")
    async def metadata(model: str) -> dict[str, Any]:
        """The inputs and outputs of the model."""
        known(model)
        inputs = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        about = {"name": model, "platform": "keras", "inputs": inputs, "outputs": outputs}
        labels = list(encoder.labels)
        return {**about, "parameters": {"task": encoder.task, "labels": labels}}

    @routes.post("/models/{model}/infer")
    async def infer(model: str, request: InferenceRequest) -> InferenceResponse:
        """Classify texts; a text without a known word has an empty label and null as its output."""
        known(model)
        [given] = request.inputs
        if given.shape not in ([len(given.data)], [len(given.data), 1]):
            raise HTTPException(422, f"the shape is {given.shape} for {len(given.data)} texts")
        found = await answered(given.data)
        rows = len(found)
        said = [answer.label or "" for answer in found]
        labels = Tensor(name="label", shape=[rows], datatype="BYTES", data=said)
        # JSON has no NaN, which is the output without a known word.
        values = [
            None if answer.label is None else value
            for answer in found
            for value in answer.prediction.tolist()
        ]
        output = Tensor(name="output", shape=[rows, columns], datatype="FP32", data=values)
        return InferenceResponse(model_name=name, id=request.id, outputs=[labels, output])

    return routes
