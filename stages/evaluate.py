"""Score the trained network on the test part, over all of it and by slices."""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ajuste import fit, model_file, params, remedies, scores
from ajuste.errors import run
from ajuste.files import read_arrays, replacing, write_json
from ajuste.text import Encoder, tokens

TEST = Path("data/split/test.parquet")
TOKENS = Path("data/tokens")
MODEL = Path("data/model")
TRAIN_METRICS = Path("metrics/train")
METRICS = Path("metrics/evaluate.json")
REPORTS = Path("reports/evaluate")


class Evaluate(params.Params):
    """`evaluate`: where the slices are cut."""

    short_words: params.Count
    long_words: params.Count
    rare_count: params.Positive
    rare_share: params.Share
    negations: list[params.Name]
    fit: fit.Bounds


def slices(words: list[list[str]], counts: dict[str, int], cuts: Evaluate) -> dict[str, np.ndarray]:
    """Which reviews belong to which slice.

    Args:
        words: the words of each of n reviews.
        counts: how often each word of the vocabulary came in training.
        cuts: where the slices are cut.

    Returns:
        For each slice a bool array (n,). The slices of one question (length, negation, rare words)
        hold every review exactly once.
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


def score_slices(
    labels: np.ndarray, probability: np.ndarray, members: dict[str, np.ndarray]
) -> dict[str, dict[str, scores.Score]]:
    """The scores of each slice that is not empty (see `scores.binary_scores`)."""
    return {
        name: scores.binary_scores(labels[chosen], probability[chosen])
        for name, chosen in members.items()
        if chosen.any()
    }


def main() -> None:
    """Predict the test part; write the scores, the slices, the predictions and their curves."""
    cuts = params.load("evaluate", Evaluate)
    model = model_file.load(MODEL / "model.keras")
    encoder = Encoder.load(MODEL)
    reviews = pd.read_parquet(TEST)
    test = read_arrays(TOKENS / "test.npz")
    probability = model_file.predict(model, test["token_ids"])[:, 0]
    labels = test["targets"][:, 0].astype(int)
    overall = scores.binary_scores(labels, probability)
    words = [tokens(text) for text in reviews["review"]]
    sliced = score_slices(labels, probability, slices(words, encoder.counts, cuts))
    names = np.array(encoder.labels)
    predictions = pd.DataFrame(
        {
            "origin": reviews["origin"],
            "actual": names[labels],
            "predicted": names[scores.predicted(probability)],
            "probability": probability,
        }
    )
    tables = {
        "predictions": predictions,
        "slices": pd.DataFrame(sliced).T.rename_axis("slice").reset_index(),
        "roc": scores.roc_curve(labels, probability),
        "precision_recall": scores.precision_recall_curve(labels, probability),
        "calibration": scores.calibration_curve(labels, probability),
    }
    for name, table in tables.items():
        with replacing(REPORTS / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    verdict = fit.judge(fit.read_curves(TRAIN_METRICS), cuts.fit)
    write_json(METRICS, {**overall, "fit": verdict.as_json(), "slices": sliced})
    print(
        f"evaluate: accuracy {overall['accuracy']:.3f} on {overall['reviews']:,} test reviews "
        f"(95 % interval {overall['accuracy_low']:.3f} to {overall['accuracy_high']:.3f}), "
        f"loss {overall['loss']:.3f}"
    )
    print(remedies.advise(verdict.as_json(), params.read()))


if __name__ == "__main__":
    run("evaluate", main)
