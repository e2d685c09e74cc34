"""The demo: `make demo`. A page to try the trained networks and to run experiments.

It is for one person at this machine: it has no passwords, and it listens on loopback only.
"""

import argparse
import asyncio
import html
import json
import re
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.report.language import CODES, catalogue, speaker
from ajuste.training import entry_schema
from demo.networks import Networks
from demo.simulator import Simulator
from serving import predict
from serving.inference_protocol import Texts
from serving.service import BODY, Answers, Limited, told
from study import collect

PAGE = Path(__file__).with_name("page.html")
HOST = "127.0.0.1"
SHARE = "split.train_share"
"""The size of the training part, as a share of it."""


class Question(BaseModel):
    """Texts for a network."""

    network: str
    texts: Texts
    why: bool = False


class Asked(BaseModel):
    """An experiment: its name, and the parameters that it changes."""

    name: str
    overrides: dict[str, Any]


def page(language: str) -> str:
    """The page in a language: `{{text}}` and `say("text")` are texts of the catalogue."""
    say = speaker(language)
    source = PAGE.read_text(encoding="utf-8")
    said = {text: text for text in re.findall(r'say\("([^"]+)"', source)} | catalogue(language)
    source = re.sub(r"\{\{(.+?)\}\}", lambda found: html.escape(say(found[1])), source)
    return source.replace("$LANGUAGE", CODES[language]).replace("$TEXTS", json.dumps(said))


def fields(params: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The options of each network that the form shows.

    Returns:
        by the entries of `models`: for each full name of a parameter its `value`, as it is written
        in YAML, and the `choices`, if these are few.
    """
    found = {}
    for name, entry in params["models"].items():
        schema = type(entry_schema.options(name, entry)).model_json_schema()["properties"]
        options = {f"models.{name}.{key}": (value, schema[key]) for key, value in entry.items()}
        options[SHARE] = params["split"]["train_share"], {}
        found[name] = {
            key: {"value": _written(value), "choices": _choices(about)}
            for key, (value, about) in options.items()
            if not isinstance(value, dict) and not key.endswith(".network")
        }
    return found


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _choices(about: dict[str, Any]) -> list[str]:
    return ["false", "true"] if about.get("type") == "boolean" else about.get("enum", [])


def create_app(root: Path) -> FastAPI:
    """The demo of a repository."""
    kept, simulator, thread = ExitStack(), Simulator(root), ThreadPoolExecutor(1)
    networks = Networks(root, kept)

    @asynccontextmanager
    async def closed(_: FastAPI) -> AsyncIterator[None]:
        yield
        await simulator.stop()
        thread.shutdown()
        kept.close()

    app = FastAPI(title="Ajuste", lifespan=closed, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Limited, most=BODY)

    @app.exception_handler(PipelineError)
    async def refused(_: Request, error: PipelineError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)

    async def in_thread(work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)

    @app.get("/", response_class=HTMLResponse)
    async def show() -> str:
        return page(reader.read(root / reader.FILE)["report"]["language"])

    @app.get("/settings")
    async def settings() -> dict[str, Any]:
        """What the forms offer."""
        params = collect.base(root).params  # those that experiments start from
        offered = {"networks": networks.names(), "models": fields(params)}
        return {**offered, "model": params["model"]}

    def answered(question: Question) -> Answers:
        _, classifier = networks.load(question.network)
        found = classifier.answers(question.texts, question.why)
        return Answers(answers=[told(classifier.encoder, one, question.why) for one in found])

    @app.post("/predict")
    async def ask(question: Question) -> Answers:
        return await in_thread(answered, question)

    def scored(content: bytes, network: str, column: str) -> bytes:
        folder, _ = networks.load(network)
        with tempfile.TemporaryDirectory() as temporary:
            given, made = Path(temporary) / "reviews.csv", Path(temporary) / "scored.csv"
            given.write_bytes(content)
            files = ["--csv", str(given), "--output", str(made)]
            try:
                predict.main([*files, "--column", column, "--model", str(folder)])
            except PipelineError as error:
                raise PipelineError(str(error).replace(f"{temporary}/", "")) from None
            return made.read_bytes()

    @app.post("/csv")
    async def score(request: Request, network: str, column: str = "review") -> Response:
        """The rows of a CSV file with new columns for the answers."""
        made = await in_thread(scored, await request.body(), network, column)
        return Response(made, media_type="text/csv")

    @app.get("/experiment")
    async def state() -> dict[str, Any]:
        return simulator.shown()

    @app.post("/experiment")
    async def start(asked: Asked) -> dict[str, Any]:
        await simulator.start(asked.name, asked.overrides)
        return simulator.shown()

    @app.delete("/experiment")
    async def stop() -> dict[str, Any]:
        await simulator.stop()
        return simulator.shown()

    return app


class Server(uvicorn.Server):
    """Opens the page once it can be served."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            address = f"http://{HOST}:{self.config.port}/"
            print(f"demo: {address} (Ctrl-C ends it)", flush=True)
            webbrowser.open(address)


def main() -> None:
    """Serve the page until a signal stops it, and open it in a browser."""
    parser = argparse.ArgumentParser(prog="python -m demo.app", description=__doc__)
    parser.add_argument("--port", type=int, default=7860)
    port = parser.parse_args().port
    app = create_app(collect.base(Path.cwd()).root)
    Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning")).run()


if __name__ == "__main__":
    run("demo", main)
