"""The Open Inference Protocol, version 2: https://github.com/kserve/open-inference-protocol."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path
from pydantic import BaseModel, Field

from ajuste.data.encoder import Encoder
from ajuste.tasks import output_names
from serving.classifier import Answer

TEXTS, CHARACTERS = 256, 50_000
"""The maximum of one request: texts, and characters of a text."""
INTERFACE = "1"

Text = Annotated[str, Field(max_length=CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=TEXTS)]


class Refusal(BaseModel):
    """Why there is no answer, in one line."""

    error: str


def refusals(*codes: int | str) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says about these status codes, and about others like them."""
    return {code: {"model": Refusal} for code in ("4XX", *codes)}


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class TextTensor(BaseModel, strict=True):
    """The input: one text for each row."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0, le=TEXTS)]], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    data: Texts


class Output(BaseModel):
    """An output that is asked for."""

    name: Literal["label", "output"]


class InferenceRequest(BaseModel):
    """A request of the Open Inference Protocol."""

    # Without a maximum pydantic accepts a lone surrogate, which no response can hold.
    id: Text | None = None
    inputs: Annotated[list[TextTensor], Field(min_length=1, max_length=1)]
    outputs: list[Output] = Field(default=[], description="all, if it is empty")


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

    async def known(model: Annotated[str, Path(json_schema_extra={"enum": [name]})]) -> None:
        if model != name:
            raise HTTPException(404, f"there is no model {model!r}; the model is {name!r}")

    routes = APIRouter()
    models = APIRouter(
        prefix="/v2/models/{model}", dependencies=[Depends(known)], responses=refusals(404)
    )

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        """The metadata of the server."""
        return {"name": "ajuste", "version": INTERFACE, "extensions": []}

    @routes.get("/v2/health/live")
    @routes.get("/v2/health/ready")
    async def live() -> dict[str, bool]:
        """Whether the server is up."""
        return {"live": True, "ready": True}

    @models.get("/ready")
    async def ready() -> dict[str, Any]:
        """Whether the model is loaded."""
        return {"name": name, "ready": True}

    outputs = [{"name": "label", "datatype": "BYTES", "shape": [-1]}]
    columns = len(output_names(encoder.task, encoder.labels))
    outputs.append({"name": "output", "datatype": "FP32", "shape": [-1, columns]})

    @models.get("")
    async def metadata() -> dict[str, Any]:
        """The inputs and outputs of the model."""
        inputs = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        about = {"name": name, "platform": "keras", "inputs": inputs, "outputs": outputs}
        labels = list(encoder.labels)
        return {**about, "parameters": {"task": encoder.task, "labels": labels}}

    @models.post("/infer", responses=refusals(400, 413, 422, 503))
    async def infer(request: InferenceRequest) -> InferenceResponse:
        """Classify texts; a text without a known word has an empty label and null as its output."""
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
        chosen = {one.name for one in request.outputs} or {"label", "output"}
        sent = [tensor for tensor in (labels, output) if tensor.name in chosen]
        return InferenceResponse(model_name=name, id=request.id, outputs=sent)

    routes.include_router(models)
    return routes
