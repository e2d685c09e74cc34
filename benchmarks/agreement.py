"""All ways to the model's answers agree on the test part: `python -m benchmarks.agreement`.

Each way answers every review of the test part. The table has the largest difference of a
probability from what the pipeline wrote (`reports/evaluate/predictions.csv`), and how many labels
differ. The browser needs Chromium and a network that the report can hold. The task is `binary`.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd

from ajuste.data.encoder import Encoder
from ajuste.errors import PipelineError, run
from ajuste.files import read_json
from ajuste.training import backend, model_file
from benchmarks.service import service
from serving import export
from serving.classifier import MODEL_FILE, Classifier
from serving.inference_protocol import TEXTS
from serving.predict import MODEL

TEST, PIPELINE = Path("data/split/test.parquet"), Path("reports/evaluate/predictions.csv")
REPORT, IN_PAGE = Path("reports/index.html"), Path("reports/evaluate/browser.json")

Way = Callable[[list[str]], list[float]]


def in_parts(texts: list[str]) -> Iterator[list[str]]:
    """The texts of one request, or of one call, after the other."""
    return (texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS))


def predicted(texts: list[str]) -> list[float]:
    """By `serving.predict`'s classifier."""
    return Classifier.load(MODEL).probability(texts).tolist()


def exported(texts: list[str]) -> list[float]:
    """By the SavedModel, loaded from its folder."""
    with tempfile.TemporaryDirectory() as folder:
        export.write(model_file.load(MODEL / MODEL_FILE), Encoder.load(MODEL), Path(folder))
        serve = backend.tf.saved_model.load(folder).signatures["serving_default"]
        parts = [serve(text=part)["output"][:, 0].numpy() for part in in_parts(texts)]
    return np.concatenate(parts).tolist()


def served(texts: list[str]) -> list[float]:
    """By the HTTP service, over loopback."""
    found: list[float] = []
    with service() as (address, _):
        for part in in_parts(texts):
            body = {"inputs": [{"name": "text", "shape": [len(part)], "datatype": "BYTES"}]}
            body["inputs"][0]["data"] = part
            answer = httpx2.post(f"{address}/v2/models/sentiment/infer", json=body, timeout=60)
            [output] = [one for one in answer.json()["outputs"] if one["name"] == "output"]
            found += output["data"]
    return found


def in_browser(texts: list[str]) -> list[float]:
    """By the report in Chromium."""
    from playwright.sync_api import sync_playwright  # a development requirement

    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome")
        )
        page = browser.new_page()
        page.goto(REPORT.resolve().as_uri())
        return page.evaluate(
            """async texts => {
              const model = await load(JSON.parse(document.querySelector("#model").textContent));
              return texts.map(text => answer(model, text).probability);
            }""",
            texts,
        )


def main() -> None:
    """Print the table; end with an error if a label differs."""
    written = pd.read_csv(PIPELINE)
    texts = pd.read_parquet(TEST, columns=["review"])["review"].tolist()
    ways: dict[str, Way] = {"serving.predict": predicted, "SavedModel": exported, "HTTP": served}
    if read_json(IN_PAGE) and shutil.which("chromium"):
        ways["browser"] = in_browser
    threshold = Classifier.load(MODEL).encoder.threshold[0]
    expected, failed = written["probability"].to_numpy(), []
    print(f"{len(texts):,} test reviews")
    print("way              largest difference  other labels  seconds")
    for name, way in ways.items():
        began = time.monotonic()
        found = np.array(way(texts), dtype=float)
        apart = np.abs(found - expected).max()
        labels = int(((found >= threshold) != (expected >= threshold)).sum())
        print(f"{name:15}  {apart:18.1e}  {labels:12,}  {time.monotonic() - began:7.1f}")
        failed += [name] if labels else []
    if failed:
        raise PipelineError(f"other labels than those of the pipeline: {', '.join(failed)}")


if __name__ == "__main__":
    run("agreement", main)
