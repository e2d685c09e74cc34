"""Score the trained network on the test part, over all of it and by slices."""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ajuste.config import reader
from ajuste.config.schema import Evaluate
from ajuste.data.text import Encoder, tokens
from ajuste.evaluation import fit, remedies, scores
from ajuste.files import FLOATS, read_arrays, reading, replacing, significant, write_json
from ajuste.tasks import NUMERIC, SEPARATOR, TASKS, decode, output_names
from ajuste.training import model_file
from stages import check

TEST = Path("data/split/test.parquet")
TOKENS = Path("data/tokens")
MODEL = Path("data/model")
TRAIN_METRICS = Path("metrics/train")
EXACT = "%.9g"  # enough digits for the same float32 again
METRICS = Path("metrics/evaluate.json")
REPORTS = Path("reports/evaluate")


def slices(words: list[list[str]], counts: dict[str, int], cuts: Evaluate) -> dict[str, np.ndarray]:
    """The reviews of each slice.

    Args:
        words: the words of each of n reviews.
        counts: how often each word of the vocabulary occurs in the training part.
        cuts: the bounds of the slices.

    Returns:
        For each slice a bool array (n,). Each review is in exactly one slice by length, one by
        negation and one by rare words.
    """
    length = np.array([len(review) for review in words])
    negated = {
        word: any(fnmatchcase(word, pattern) for pattern in cuts.negations)
        for word in {word for review in words for word in review}
    }
    negation = np.array([any(negated[word] for word in review) for review in words])
    rare_words = np.array(
        [sum(counts.get(word, 0) < cuts.rare_count for word in review) for review in words]
    )
    rare = rare_words > cuts.rare_share * length
    short, long = length <= cuts.short_words, length > cuts.long_words
    return {
        "short": short,
        "medium": ~short & ~long,
        "long": long,
        "with negation": negation,
        "without negation": ~negation,
        "with rare words": rare,
        "without rare words": ~rare,
    }


def tell(task: str, overall: dict[str, scores.Score]) -> str:
    """The main score of a task, with its interval if it has one, and the loss."""
    name = scores.MAIN[task]
    line = f"{name.replace('_', ' ')} {overall[name]:.3f} on {overall['reviews']:,} test reviews"
    if f"{name}_low" in overall:
        low, high = overall[f"{name}_low"], overall[f"{name}_high"]
        line += f" (95 % interval {low:.3f} to {high:.3f})"
    return f"{line}, loss {overall['loss']:.3f}"


def main() -> None:
    """Score the test part and judge the fit; write scores, slices, predictions and their curves.

    `loss` is the default loss of the task, so that networks trained with different losses can be
    compared.
    """
    cuts = reader.load("evaluate", Evaluate)
    model = model_file.load(MODEL / "model.keras")
    encoder = Encoder.load(MODEL)
    with reading(TEST):
        reviews = pd.read_parquet(TEST)
    test = read_arrays(TOKENS / "test.npz")
    task, labels, targets = encoder.task, encoder.labels, test["targets"]
    predictions = model_file.predict(model, test["token_ids"])
    loss = TASKS[task].losses[0]
    overall = scores.score(task, loss, targets, predictions, labels)
    members = slices([tokens(text) for text in reviews["review"]], encoder.counts, cuts)
    sliced = {
        name: scores.score(task, loss, targets[chosen], predictions[chosen], labels)
        for name, chosen in members.items()
        if chosen.any()
    }
    answers = pd.DataFrame(
        {
            "origin": reviews["origin"],
            "actual": decode(task, targets, labels),
            "predicted": decode(task, predictions, labels),
        }
    )
    answers[output_names(task, labels)] = predictions
    answers["slices"] = [
        SEPARATOR.join(name for name, within in zip(members, row, strict=True) if within)
        for row in zip(*members.values(), strict=True)
    ]
    pairs = answers[["actual", "predicted"]]
    numeric = task in NUMERIC
    tables = {
        "predictions": answers,
        "confusion": pairs[: 0 if numeric else None],
        "regression": pairs[: None if numeric else 0],
        "slices": pd.DataFrame(sliced).T.rename_axis("slice").reset_index(),
        **scores.curves(task, targets, predictions),
    }
    for name, table in tables.items():
        digits = EXACT if name == "predictions" else FLOATS
        with replacing(REPORTS / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format=digits)
    verdict = fit.judge(fit.read_curves(TRAIN_METRICS), cuts.fit).as_json()
    write_json(METRICS, significant({**overall, "fit": verdict, "slices": sliced}))
    print(f"evaluate: {tell(task, overall)}")
    print(remedies.advise(verdict, reader.read()))


if __name__ == "__main__":
    check.run("evaluate", main)
