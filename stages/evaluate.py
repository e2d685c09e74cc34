"""Score the trained network on the test part, over all of it and by slices."""

from collections.abc import Container, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from ajuste.config import reader
from ajuste.config.schema import Evaluate, language_in_use
from ajuste.data.encoder import SPECIAL, Encoder, read_part
from ajuste.data.text import tokens
from ajuste.errors import PipelineError
from ajuste.evaluation import fit, remedies, scores, tables
from ajuste.evaluation.sentence import quality, sentence
from ajuste.files import (
    FLOATS,
    read_arrays,
    read_json,
    reading,
    replacing,
    significant,
    write_json,
)
from ajuste.tasks import (
    NUMERIC,
    SEPARATOR,
    SMALLEST,
    TASKS,
    Threshold,
    decode,
    output_names,
    review_losses,
    reweighted,
)
from ajuste.training import browser, explain, model_file
from stages import check

TEST = Path("data/split/test.parquet")
TOKENS = Path("data/tokens")
MODEL = Path("data/model")
TRAIN_METRICS = Path("metrics/train")
BASELINE = Path("metrics/baseline.json")
VALIDATION = Path("data/predictions/validation.npz")
LINEAR = Path("data/baseline/predictions.npz")
EXPLAINED, WORDS = 25, 12
"""So many of the surest errors are explained, with so many words each; it takes seconds."""
EXACT = "%.9g"  # enough digits for the same float32 again
METRICS = Path("metrics/evaluate.json")
REPORTS = Path("reports/evaluate")


def slices(
    words: list[list[str]], vocabulary: Container[str], negations: list[str]
) -> dict[str, np.ndarray]:
    """The reviews of each slice.

    By length there are three slices, of about a third of the reviews each: "short" has the shortest
    third and all reviews as long as its longest; "medium" likewise the second third. "with rare
    words" has the reviews with a larger share of words outside the vocabulary than two thirds of
    the reviews have.

    Args:
        words: the words of each of n reviews; n is at least 1.
        vocabulary: the words that the vocabulary of the training part contains.
        negations: patterns of words that negate.

    Returns:
        For each slice a bool array (n,). Each review is in exactly one slice by length, one by
        rare words and one by negation; without `negations` there are no slices by negation.
    """
    length = np.array([len(review) for review in words])
    unknown = np.array([sum(word not in vocabulary for word in review) for review in words])
    rare_share = unknown / np.maximum(length, 1)
    first, second = (len(words) - 1) // 3, (2 * len(words) - 1) // 3  # the last ranks of two thirds
    short, medium = (length <= np.sort(length)[rank] for rank in (first, second))
    rare = rare_share > np.sort(rare_share)[second]
    found = {"short": short, "medium": medium & ~short, "long": ~medium}
    if negations:
        negated = {
            word: any(fnmatchcase(word, pattern) for pattern in negations)
            for word in {word for review in words for word in review}
        }
        negation = np.array([any(negated[word] for word in review) for review in words])
        found |= {"with negation": negation, "without negation": ~negation}
    return {**found, "with rare words": rare, "without rare words": ~rare}


def tell(main: str, overall: dict[str, Any]) -> Iterator[str]:
    """The main score with its interval and the loss; for classes also the calibration."""
    value = "is not defined" if overall[main] is None else f"{overall[main]:.3f}"
    line = f"{main.replace('_', ' ')} {value} on {overall['reviews']:,} test reviews"
    if "groups" in overall:
        line += f" of {overall['groups']:,} groups"
    if f"{main}_low" in overall:
        low, high = overall[f"{main}_low"], overall[f"{main}_high"]
        line += f" (95 % interval {low:.3f} to {high:.3f})"
    yield line if main == "loss" else f"{line}, loss {overall['loss']:.3f}"
    if "calibration_error" in overall:
        error, floor = overall["calibration_error"], overall["calibration_error_floor"]
        yield (
            f"calibration error {error:.3f}; a perfectly calibrated network would show about "
            f"{floor:.3f} on as many reviews, by chance"
        )
    if "sure" in overall:
        answers, wrong = overall["sure"].values()
        share = f" ({wrong / answers:.1%})" if answers else ""
        yield f"{answers:,} answers surer than {scores.SURE}; {wrong:,}{share} are wrong"


def surest_errors(
    answers: pd.DataFrame, text: pd.Series, targets: np.ndarray, predictions: np.ndarray
) -> pd.DataFrame:
    """The wrong answers, the surest first; for numbers all answers, the largest errors first.

    Args:
        answers: `origin`, `actual` and `predicted` of n reviews.
        text: their texts.
        targets: (n, outputs).
        predictions: (n, outputs).

    Returns:
        The columns of `answers`, `error` (how far the prediction is from the target, the largest
        over the outputs) and `review`.
    """
    error = np.abs(predictions - targets).max(axis=1)
    table = answers.assign(error=error, review=text.to_numpy())
    wrong = table[answers["actual"] != answers["predicted"]]
    return wrong.sort_values(["error", "review"], ascending=[False, True])


def words_that_mattered(
    task: str,
    origins: pd.Series,
    targets: np.ndarray,
    answers: np.ndarray,
    effects: list[dict[str, np.ndarray]],
) -> pd.DataFrame:
    """What each word adds to the error of each of n answers.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        origins: where the reviews come from.
        targets: (n, outputs).
        answers: (n, outputs).
        effects: of each word on the outputs (see `ajuste.training.explain.effects`).

    Returns:
        `origin`, `word` and `effect`, at most `WORDS` rows for each answer, the largest first. The
        effect is on the output with the largest error, positive if it makes the error larger; in
        log-odds, since a probability near 0 or 1 hardly changes, and for numbers in their unit.
    """
    rows = []
    for origin, target, answer, found in zip(origins, targets, answers, effects, strict=True):
        place = np.abs(answer - target).argmax()
        added = {}
        for word, effect in found.items():
            with_it, without = answer[place], answer[place] - effect[place]
            if task not in NUMERIC:
                with_it, without = logit(np.clip([with_it, without], SMALLEST, 1 - SMALLEST))
            added[word] = float((with_it - without) * np.sign(answer[place] - target[place]))
        largest = sorted(added, key=lambda word: -abs(added[word]))[:WORDS]
        rows += [(origin, word, added[word]) for word in largest]
    return pd.DataFrame(rows, columns=["origin", "word", "effect"])


def linear_loss(
    loss: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None
) -> float:
    """The validation loss of the linear baseline, comparable with the curves of a network.

    Args:
        loss: the one that the network was trained with.
        targets: (n, outputs).
        predictions: of the linear baseline, (n, outputs).
        weights: of the classes in the training of the network (see `ajuste.tasks.class_weights`).
    """
    answers = reweighted(loss, predictions.astype(np.float64), weights)
    return float(review_losses(loss, targets, answers, weights).mean())


def fitted(
    task: str,
    labels: list[str],
    settings: dict[str, Any],
    cuts: Evaluate,
    threshold: Threshold,
    baseline: dict[str, Any],
) -> dict[str, Any]:
    """The verdict with its numbers and its sentence: `fit` of `metrics/evaluate.json`.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        labels: those of the data.
        settings: all of `params.yaml`.
        cuts: its section `evaluate`.
        threshold: the probability from which the network gives a label.
        baseline: `metrics/baseline.json`.
    """
    trained = read_json(TRAIN_METRICS / "metrics.json")
    loss = trained["loss_function"]
    network, linear = read_arrays(VALIDATION), read_arrays(LINEAR)["validation"]
    targets, weights = network["targets"], network.get("class_weights")
    best = linear_loss(loss, targets, linear, weights)
    found = fit.judge(fit.read_curves(TRAIN_METRICS, best), cuts.fit).as_json()
    score = "loss" if task in NUMERIC else cuts.score or "accuracy"
    given = task, TASKS[task].losses[0], targets, network["predictions"], labels
    beside = {
        "network": scores.score(*given, threshold=threshold)[score],
        **{name: baseline[name]["validation"][score] for name in tables.BASELINES},
    }
    explained, own = found.get("explained", {}), trained["validation"]["loss"]
    known = quality(score, beside, explained, own)
    return {**found, "sentence": sentence(found, known, settings)}


def main() -> None:
    """Score the test part and judge the fit; write scores, slices, predictions and their curves.

    `loss` is the default loss of the task, so that networks trained with different losses can be
    compared. With `split.by: group` the intervals are over groups, and the predictions have a
    column `group`.
    """
    asked = reader.load("evaluate", Evaluate)
    key, language = language_in_use()
    model = model_file.load(MODEL / "model.keras")
    encoder = Encoder.load(MODEL)
    with reading(TEST):
        reviews = pd.read_parquet(TEST)
    test = read_part(TOKENS / "test.npz", encoder.max_length, encoder.keep)
    task, labels, targets = encoder.task, encoder.labels, test["targets"]
    predictions = model_file.predict(model, test["token_ids"])
    loss = TASKS[task].losses[0]
    main_score = asked.score or scores.MAIN[task]
    threshold = encoder.threshold
    groups = reviews["group"].to_numpy() if "group" in reviews else None

    def scored(chosen: np.ndarray) -> dict[str, scores.Score]:
        films = None if groups is None else groups[chosen]
        return scores.score(
            task, loss, targets[chosen], predictions[chosen], labels, main_score, films, threshold
        )

    overall = scored(np.ones(len(reviews), dtype=bool))
    if main_score not in overall:
        raise PipelineError(
            f"params.yaml: `evaluate.score` is {main_score!r}, which needs labels that are all "
            f"numbers; choose another score or null"
        )
    if task not in NUMERIC:
        overall["sure"] = scores.sure(task, targets, predictions)
    of_classes = scores.classes(task, targets, predictions, labels, threshold)
    words = [tokens(text) for text in reviews["review"]]
    members = slices(words, encoder.counts, language.negations)
    sliced = {name: scored(chosen) for name, chosen in members.items() if chosen.any()}
    answers = pd.DataFrame(
        {
            "origin": reviews["origin"],
            "actual": decode(task, targets, labels),
            "predicted": decode(task, predictions, labels, threshold),
        }
    )
    answers[output_names(task, labels)] = predictions
    if groups is not None:
        answers["group"] = groups
    answers["slices"] = [
        SEPARATOR.join(name for name, within in zip(members, row, strict=True) if within)
        for row in zip(*members.values(), strict=True)
    ]
    pairs = answers[["actual", "predicted"]]
    errors = surest_errors(
        answers[["origin", "actual", "predicted"]], reviews["review"], targets, predictions
    )
    rows, vocabulary = errors.index[:EXPLAINED], [*SPECIAL, *encoder.counts]
    explained = test["token_ids"][rows]
    known = explain.is_known(model, explained)
    predict = partial(model_file.predict, model)
    effects = [
        {vocabulary[id_]: effect for id_, effect in found.items()}
        for found in explain.effects(predict, known, explained, predictions[rows])
    ]
    answered = targets[rows], predictions[rows].astype(np.float64)
    mattered = words_that_mattered(task, errors["origin"][:EXPLAINED], *answered, effects)
    numeric = task in NUMERIC
    files = {
        "predictions": answers,
        "confusion": pairs[: 0 if numeric else None],
        "regression": pairs[: None if numeric else 0],
        "errors": errors,
        "words": mattered,
        "layers": explain.summary(model),
        "slices": pd.DataFrame(sliced).T.rename_axis("slice").reset_index(),
        **scores.curves(task, targets, predictions),
    }
    for name, table in files.items():
        digits = EXACT if name == "predictions" else FLOATS
        with replacing(REPORTS / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format=digits)
    write_json(REPORTS / "browser.json", browser.exported(model, encoder))
    settings, baseline = reader.read(), read_json(BASELINE)
    verdict = fitted(task, labels, settings, asked, threshold, baseline)
    tested = {**overall, "classes": of_classes, "fit": verdict, "slices": sliced}
    write_json(METRICS, significant(tested))
    for line in tell(main_score, overall):
        print(f"evaluate: {line}")
    if not language.negations:
        print(f"evaluate: `{key}` has no negations: no slices by negation")
    print(f"\n{tables.results(settings['model'], task, tested, baseline)}\n")
    print(remedies.advise(verdict, settings))


if __name__ == "__main__":
    check.run("evaluate", main)
