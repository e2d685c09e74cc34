"""Write the model as a TensorFlow SavedModel that takes raw texts: `make export`.

TensorFlow Serving, or any program with TensorFlow, answers with it and needs nothing of this
project: the text processing is in its graph.
"""

import argparse
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ajuste.data.encoder import UNKNOWN, Encoder
from ajuste.errors import PipelineError, run
from ajuste.files import sha256, write_json
from ajuste.report.numbers import many
from ajuste.tasks import NUMERIC, SEPARATOR, decimals
from ajuste.training import backend, ensemble, explain, model_file
from serving import text_graph, versions
from serving.classifier import MODEL_FILE, Classifier
from serving.predict import MODEL

if TYPE_CHECKING:
    from ajuste.training.backend import keras, tf

EXPORTS = Path("exports/sentiment")
REVIEWS = Path("data/split/validation.parquet")
BATCH = 256  # texts
TOLERANCE = 1e-6


def answers(
    texts: "tf.Tensor", model: "keras.Model", encoder: Encoder, tables: text_graph.Tables
) -> dict[str, "tf.Tensor"]:
    """The answer about each text, as a graph.

    Args:
        texts: strings in UTF-8, (n,).
        model: the network.
        encoder: its encoder.
        tables: those of `text_graph.tables`, and `vocabulary`.

    Returns:
        `label`, (n,), empty for a text without a word that the network knows; `output`, float32 (n,
        outputs), NaN for such a text; `output_names`, (n, outputs): the label whose probability an
        output is.
    """
    tf = backend.tf
    found = text_graph.words(texts, tables)
    ids = found.with_flat_values(tables["vocabulary"].lookup(found.flat_values))
    ids = tf.cast(tf.ragged.boolean_mask(ids, ids > UNKNOWN).to_tensor(), tf.int32)
    is_empty = tf.reduce_all(ids <= UNKNOWN, axis=1)
    first = tf.where(is_empty, UNKNOWN, 0)[:, None]
    ids = tf.pad(ids, [[0, 0], [0, 1]])
    ids = tf.concat([ids[:, :1] + first, ids[:, 1:]], axis=1)
    ids = ensemble.cut(ids, encoder.max_length, encoder.keep)
    if not model.input_shape[1]:
        ids = ids[:, : tf.reduce_max(tf.reduce_sum(tf.cast(ids > 0, tf.int32), axis=1))]
    output = model(ids, training=False)
    is_known = (ids > UNKNOWN) & (ids < explain.distinct_ids(model))
    is_known = tf.reduce_any(is_known, axis=1)
    names = encoder.labels[1:] if encoder.task == "binary" else encoder.labels
    names = ["value"] if encoder.task in NUMERIC else names
    return {
        "label": tf.where(is_known, _labels(output, encoder), ""),
        "output": tf.where(is_known[:, None], output, np.nan),
        "output_names": tf.tile([names], [tf.size(texts), 1]),
    }


def _labels(output: "tf.Tensor", encoder: Encoder) -> "tf.Tensor":
    """The labels, (n,), of outputs (n, outputs), as `ajuste.tasks.decode` gives them."""
    tf, task, labels = backend.tf, encoder.task, encoder.labels
    values = tf.cast(output, tf.float64)
    if task in NUMERIC:
        low, high = map(float, labels)
        digits = decimals(labels)
        values = low + values * (high - low) if task == "unit_regression" else values
        values = tf.clip_by_value(values[:, 0], low, high)
        rounded = tf.round(values * 10.0**digits) / 10.0**digits + 0.0
        return tf.strings.as_string(rounded, precision=digits)
    if task == "multiclass":
        return tf.gather(labels, tf.argmax(values, axis=1))
    is_given = values >= np.asarray(encoder.threshold, dtype=np.float64)
    if task == "binary":
        return tf.where(is_given[:, 0], labels[1], labels[0])
    said = tf.fill([tf.shape(values)[0]], "")
    for place, label in enumerate(labels):
        longer = tf.where(said == "", label, tf.strings.join([said, label], SEPARATOR))
        said = tf.where(is_given[:, place], longer, said)
    return said


def write(model: "keras.Model", encoder: Encoder, folder: Path) -> None:
    """Write the SavedModel; the signature `serving_default` is `answers`."""
    tf = backend.tf
    module = tf.Module()
    module.model = model
    vocabulary = text_graph.table(encoder.ids, UNKNOWN)
    module.tables = {**text_graph.tables(), "vocabulary": vocabulary}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        return answers(text, module.model, encoder, module.tables)

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def differences(folder: Path, classifier: Classifier, texts: list[str]) -> np.ndarray:
    """How far the outputs of a SavedModel are from those of the model: (n,), inf if NaN in one."""
    serve = backend.tf.saved_model.load(str(folder)).signatures["serving_default"]
    parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    found = np.concatenate([serve(text=part)["output"].numpy() for part in parts])
    expected = classifier.predict(texts)
    apart = np.where(np.isnan(found) & np.isnan(expected), 0.0, np.abs(found - expected))
    return np.nan_to_num(apart, nan=np.inf).max(axis=1)


def main() -> None:
    """Write the next version, and compare its answers with those of the model."""
    parser = argparse.ArgumentParser(prog="python -m serving.export", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="its folder (%(default)s)")
    parser.add_argument("--rev", help="a version (v1.2.0) or a revision of Git instead")
    parser.add_argument("--output", type=Path, default=EXPORTS, help="(%(default)s)")
    asked = parser.parse_args()
    chosen = versions.folder(Path.cwd(), asked.rev) if asked.rev else nullcontext(asked.model)
    with chosen as folder:
        classifier = Classifier.load(folder)
        model = model_file.load(folder / MODEL_FILE)
        digest = sha256(folder / MODEL_FILE)
    numbers = [int(path.name) for path in asked.output.glob("*") if path.name.isdecimal()]
    final = asked.output / str(max(numbers, default=0) + 1)
    part = asked.output / f".{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    encoder = classifier.encoder
    write(model, encoder, part)
    about = {"task": encoder.task, "labels": list(encoder.labels), "threshold": encoder.threshold}
    write_json(
        part / "assets.extra/about.json",
        {**about, "version": asked.rev or "", "sha256_of_model.keras": digest},
    )
    said = f"export: {final}"
    if REVIEWS.exists():
        texts = pd.read_parquet(REVIEWS, columns=["review"])["review"].tolist()
        apart = differences(part, classifier, texts)
        if not (apart <= TOLERANCE).all():
            raise PipelineError(
                f"{part}: its answers to {(apart > TOLERANCE).sum():,} of "
                f"{many(len(texts), 'validation review')} differ from those of the model by up to "
                f"{apart.max():.2g}"
            )
        said += (
            f"; its answers to {many(len(texts), 'validation review')} are those of the model "
            f"(largest difference {apart.max():.1g})"
        )
    part.rename(final)
    print(said)


if __name__ == "__main__":
    run("export", main)
