"""An HTTP service for a trained model: `python -m serving.service`, or `make serve`.

It speaks a plain `/predict` and the Open Inference Protocol, version 2
(https://github.com/kserve/open-inference-protocol).
"""

import argparse
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client import generate_latest as exposition
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ajuste.data.encoder import Encoder
from ajuste.errors import run
from serving import inference_protocol
from serving.batcher import Batcher, BusyError
from serving.classifier import Answer, Classifier
from serving.inference_protocol import INTERFACE, TEXTS, Texts, refusals
from serving.predict import MODEL
from serving.shown import effects, label_probabilities

WHY_TEXTS = 16
"""The maximum of one request, if each answer is explained."""
BODY = 4 << 20  # bytes
WAITING = 4096  # texts
BUSY = "too many texts are waiting; try again in a moment"


class Question(BaseModel, strict=True):
    """Texts to classify."""

    texts: Texts
    why: bool = Field(default=False, description="what each word did to the answer")


class Word(BaseModel):
    """A word and what it does to the answer: the answer minus the answer without the word."""

    word: str
    effect: float


class Told(BaseModel):
    """The answer about a text; the label of a text without a known word is null."""

    label: str | None
    probabilities: dict[str, float] = Field(description="of each label; empty for numbers")
    words: int
    known: int
    why: dict[str, list[Word]] = Field(description="for each label of the answer, if asked for")


class Answers(BaseModel):
    """One answer for each text."""

    answers: list[Told]


def told(encoder: Encoder, answer: Answer, why: bool) -> Told:
    """An answer as JSON has it."""
    found = effects(encoder, answer) if why else {}
    return Told(
        label=answer.label,
        probabilities=label_probabilities(encoder, answer),
        words=answer.words,
        known=answer.known,
        why={
            label: [Word(word=word, effect=size) for word, size in sizes.items()]
            for label, sizes in found.items()
        },
    )


class Limited:
    """Refuses a body that is too large, before it is read."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes as they come: a client need not say how many there will be."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        said = int(length) if length.isdigit() else 0
        seen, chunks = 0, []
        while said <= self.most and seen <= self.most:
            message = await receive()
            chunks.append(message)
            seen += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        if max(said, seen) > self.most:
            refusal = JSONResponse({"error": f"a body has at most {self.most:,} bytes"}, 413)
            await refusal(scope, receive, send)
            return

        async def again() -> Message:
            return chunks.pop(0) if chunks else await receive()

        await self.app(scope, again, send)


def create_app(classifier: Classifier, name: str) -> FastAPI:
    """The service.

    Args:
        classifier: the model; one thread calls it for answers, one for explanations.
        name: of the model, for the Open Inference Protocol.
    """
    encoder = classifier.encoder
    plain = Batcher(classifier.answers, TEXTS, WAITING)
    explained = Batcher(lambda texts: classifier.answers(texts, why=True), WHY_TEXTS, WAITING)
    registry = CollectorRegistry()
    requests = Counter("requests", "Requests", ["path", "status"], registry=registry)
    seconds = Histogram("request_seconds", "Seconds of a request", ["path"], registry=registry)
    texts = Counter("texts", "Texts that were classified", registry=registry)

    @asynccontextmanager
    async def warmed(_: FastAPI) -> AsyncIterator[None]:
        await plain(["warm up"])  # the first prediction builds the graph
        yield

    app = FastAPI(title="Ajuste", version=INTERFACE, lifespan=warmed, docs_url=None, redoc_url=None)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return JSONResponse({"error": f"{where}: {first['msg']}"}, 422)

    @app.middleware("http")
    async def measured(
        request: Request, proceed: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        started = time.perf_counter()
        response = await proceed(request)
        route = request.scope.get("route")
        path = route.path if route else "other"
        requests.labels(path, response.status_code).inc()
        seconds.labels(path).observe(time.perf_counter() - started)
        return response

    app.add_middleware(Limited, most=BODY)

    async def answered(asked: list[str], why: bool = False) -> list[Answer]:
        try:
            found = await (explained if why else plain)(asked)
        except BusyError:
            raise HTTPException(503, BUSY, {"Retry-After": "1"}) from None
        texts.inc(len(asked))
        return found

    @app.post("/predict", responses=refusals(400, 413, 422, 503))
    async def predict(question: Question) -> Answers:
        """Classify texts."""
        if question.why and len(question.texts) > WHY_TEXTS:
            raise HTTPException(422, f"`why` is for at most {WHY_TEXTS} texts at a time")
        found = await answered(question.texts, question.why)
        return Answers(answers=[told(encoder, one, question.why) for one in found])

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up; it answers only once the model is loaded."""
        return {"status": "ok", "model": name}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and times in the format of Prometheus."""
        return Response(exposition(registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(inference_protocol.router(encoder, name, answered))
    return app


def main() -> None:
    """Load the model, then serve until a signal stops it; requests that run are finished."""
    parser = argparse.ArgumentParser(prog="python -m serving.service", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="its folder (%(default)s)")
    parser.add_argument("--name", default="sentiment", help="its name in the protocol")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: for other machines too")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    app = create_app(Classifier.load(asked.model), asked.name)
    print(f"serve: http://{asked.host}:{asked.port}/predict; /openapi.json is the interface")
    uvicorn.run(app, host=asked.host, port=asked.port, log_level="warning")


if __name__ == "__main__":
    run("serve", main)
