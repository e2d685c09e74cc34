"""Check the reviews against a suite of expectations; a failed one stops the pipeline.

Reviews that `validate.drop` or `data.csv.mapping` leaves out are left out before.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when Great Expectations is imported

import great_expectations as gx
import great_expectations.expectations as gxe

from ajuste.config import reader, schema
from ajuste.config.schema import Validate
from ajuste.data.facts import CONTROL, facts, faults
from ajuste.errors import PipelineError
from ajuste.files import read_json, reading, replacing, write_json, write_text
from ajuste.report.document import Heading, Table, Text
from ajuste.report.page import html_page
from ajuste.tasks import NUMERIC
from stages import check

REVIEWS = Path("data/raw/reviews.parquet")
LABELS = Path("data/raw/labels.json")
KEPT = Path("data/validated/reviews.parquet")
METRICS = Path("metrics/validate.json")
REPORT = Path("reports/validate/index.html")
DROPPED = Path("reports/validate/dropped.csv")
LEFT_OUT = "left out by data.csv.mapping"
ORIGINS_SHOWN = 5

ADVICE = {
    "columns": "see ajuste/data/reviews.py for the columns",
    "reviews": "add reviews or lower validate.min_reviews",
    "review type": "make every review a text",
    "label type": "make every label a text",
    "no empty review": "fill in or remove these rows",
    "no empty label": "label or remove these rows",
    "numbers": "write these labels as numbers, such as 7 or 7.5, or remove the rows",
    "range": "valid: {labels}; correct these labels or data.csv.labels",
    "different numbers": "add reviews with another number; at least two must differ",
    "label set": "valid: {labels}; correct these labels or data.csv.labels, or map them "
    "(data.csv.mapping; null leaves the reviews out)",
    "every class": "add reviews; each of {labels} needs some",
    "class balance": "add reviews of the rarer class or lower validate.min_class_share",
    "length": "correct these rows or set validate.min_words and validate.max_words",
    "duplicates": "remove the copies or raise validate.max_duplicates",
    "one label for one text": "choose one label or raise validate.max_conflicts",
    "no markup but line breaks": "remove the markup or raise validate.max_markup",
    "no control or replacement characters": "decode the source again or raise validate.max_control",
}
"""What to do if an expectation fails, under the name of the expectation."""

FAULTS = {
    "no empty review": "empty",
    "no empty label": "label",
    "numbers": "label",
    "range": "label",
    "label set": "label",
    "length": "length",
    "duplicates": "duplicate",
    "one label for one text": "conflict",
    "no markup but line breaks": "markup",
    "no control or replacement characters": "control",
}
"""The entry of `validate.drop` that drops the reviews for which an expectation fails."""


def suite(bounds: Validate, task: str, labels: list[str]) -> gx.ExpectationSuite:
    """The expectations of a table with the columns that `facts` returns.

    The `meta` of each holds its `name` and `advice` (see `ADVICE`).
    """
    columns = ["review", "label", "origin"]
    expectations = {
        "columns": gxe.ExpectTableColumnsToMatchSet(column_set=columns, exact_match=False),
        "reviews": gxe.ExpectTableRowCountToBeBetween(min_value=bounds.min_reviews),
        "review type": gxe.ExpectColumnValuesToBeOfType(column="review", type_="str"),
        "label type": gxe.ExpectColumnValuesToBeOfType(column="label", type_="str"),
        "no empty review": gxe.ExpectColumnValuesToNotBeNull(column="review"),
        **_of_labels(bounds, task, labels),
        "length": gxe.ExpectColumnValuesToBeBetween(
            column="words", min_value=bounds.min_words, max_value=bounds.max_words
        ),
        "duplicates": gxe.ExpectColumnValuesToBeInSet(
            column="duplicate", value_set=[False], mostly=1 - bounds.max_duplicates
        ),
        "one label for one text": gxe.ExpectColumnValuesToBeInSet(
            column="conflict", value_set=[False], mostly=1 - bounds.max_conflicts
        ),
        "no markup but line breaks": gxe.ExpectColumnValuesToBeInSet(
            column="markup", value_set=[False], mostly=1 - bounds.max_markup
        ),
        "no control or replacement characters": gxe.ExpectColumnValuesToNotMatchRegex(
            column="review", regex=CONTROL, mostly=1 - bounds.max_control
        ),
    }
    valid = " to ".join(labels) if task in NUMERIC else ", ".join(labels)
    for name, expectation in expectations.items():
        advice = ADVICE[name].format(labels=valid)
        if name in FAULTS:
            advice += f"; or add {FAULTS[name]} to validate.drop"
        expectation.meta = {"name": name, "advice": advice}
    return gx.ExpectationSuite(name="reviews", expectations=list(expectations.values()))


def _of_labels(bounds: Validate, task: str, labels: list[str]) -> dict[str, gxe.Expectation]:
    empty = {"no empty label": gxe.ExpectColumnValuesToNotBeNull(column="label")}
    known = gxe.ExpectColumnValuesToBeNull(column="unknown")
    if task in NUMERIC:
        low, high = map(float, labels)
        return empty | {
            "numbers": known,
            "range": gxe.ExpectColumnValuesToBeBetween(
                column="number", min_value=low, max_value=high
            ),
            "different numbers": gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="number", min_value=2
            ),
        }
    classes = {
        "label set": known,
        "every class": gxe.ExpectColumnMostCommonValueToBeInSet(
            column="classes", value_set=["all"]
        ),
    }
    if task == "multilabel":
        return classes
    share = bounds.min_class_share * 2 / len(labels)
    balance = gxe.ExpectColumnValuesToBeBetween(column="class_share", min_value=share)
    return {**empty, **classes, "class balance": balance}


@dataclass(frozen=True)
class Outcome:
    """The result of one expectation.

    Attributes:
        name: its name.
        success: whether it holds.
        unexpected: the number of unexpected rows, or None if it is about the whole table.
        observed: the observed value, as text.
        origins: the places of the first unexpected rows in the source.
        advice: what to do if it does not hold.
    """

    name: str
    success: bool
    unexpected: int | None
    observed: str
    origins: list[str]
    advice: str


def validate(reviews: pd.DataFrame, expectations: gx.ExpectationSuite) -> list[Outcome]:
    """The outcome of each expectation for a table with the columns that `facts` returns."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("reviews").add_dataframe_asset("reviews")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": reviews})
    result_format = {"result_format": "COMPLETE", "unexpected_index_column_names": []}
    validation = batch.validate(expectations, result_format=result_format)
    outcomes = {
        result.expectation_config.meta["name"]: _outcome(result, reviews["origin"])
        for result in validation.results
    }
    return [outcomes[expectation.meta["name"]] for expectation in expectations.expectations]


def _outcome(result: gx.core.ExpectationValidationResult, origin: pd.Series) -> Outcome:
    if result.exception_info.get("exception_message"):
        raise RuntimeError(result.exception_info["exception_traceback"])
    unexpected = result.result.get("unexpected_count")
    if unexpected is None:
        seen = result.result["observed_value"]
        observed = ", ".join(seen) if isinstance(seen, list) else str(seen)
    else:
        observed = f"{unexpected:,} of {len(origin):,} reviews"
        if unexpected and result.expectation_config.kwargs["column"] in ("unknown", "number"):
            observed += f", such as {result.result['partial_unexpected_list'][0]!r}"
    rows = result.result.get("unexpected_index_list") or []
    meta = result.expectation_config.meta
    origins = list(origin.loc[sorted(rows)[:ORIGINS_SHOWN]])
    return Outcome(meta["name"], result.success, unexpected, observed, origins, meta["advice"])


def explain(outcome: Outcome) -> str:
    """A failed expectation in one line: its name, the unexpected rows, what to do."""
    more = ", ..." if (outcome.unexpected or 0) > len(outcome.origins) else ""
    where = f" ({', '.join(outcome.origins)}{more})" if outcome.origins else ""
    return f"`{outcome.name}` failed: {outcome.observed}{where}; {outcome.advice}"


def clean(
    reviews: pd.DataFrame, task: str, labels: list[str], bounds: Validate
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reviews to keep, and the reasons to drop the others.

    Args:
        reviews: the table of `fetch`; a null label is one that `data.csv.mapping` leaves out.
        task: a key of `TASKS`.
        labels: the labels of the data (see `ajuste.tasks.encode`).
        bounds: the section `validate`.

    Returns:
        The `facts` of the reviews that are kept; and a table of bool with the index of `reviews`
        and a column for each reason: `LEFT_OUT`, if a review has it, and those in `validate.drop`.
    """
    unlabelled = reviews["label"].isna()
    known = facts(reviews[~unlabelled], task, labels)
    reasons = {LEFT_OUT: unlabelled} if unlabelled.any() else {}
    if bounds.drop:
        for kind, found in faults(known, task, labels, bounds).items():
            reasons[kind] = found.reindex(reviews.index, fill_value=False)
    table = pd.DataFrame(reasons, index=reviews.index, dtype=bool)
    keep = ~table.any(axis=1)
    if keep.sum() < len(known):
        known = facts(reviews[keep], task, labels)
    return known, table


def dropped_rows(reviews: pd.DataFrame, reasons: pd.DataFrame) -> pd.DataFrame:
    """The reviews that are dropped, with the columns origin, reasons, label, review."""
    rows = reviews[reasons.any(axis=1)]
    said = reasons.loc[rows.index].apply(lambda row: ", ".join(reasons.columns[row]), axis=1)
    return rows.assign(reasons=said if len(rows) else "")[["origin", "reasons", "label", "review"]]


def tell(counts: dict[str, int]) -> str:
    """How many reviews were dropped, and why, in one line."""
    total, *reasons = counts.items()
    said = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    return f"dropped {total[1]:,} reviews" + (f" ({said})" if reasons else "")


def report(outcomes: list[Outcome], dropped: dict[str, int]) -> str:
    """The outcomes, and how many reviews were dropped, as an HTML page."""
    failed = {number for number, outcome in enumerate(outcomes) if not outcome.success}
    rows = [
        [
            outcome.name,
            "holds" if outcome.success else "failed",
            outcome.observed,
            ", ".join(outcome.origins),
            "" if outcome.success else outcome.advice,
        ]
        for outcome in outcomes
    ]
    summary = f"{len(outcomes) - len(failed)} of {len(outcomes)} expectations hold."
    header = ["Expectation", "Outcome", "Observed", "First rows", "What to do"]
    title = Heading(1, "Validation of the reviews")
    cleaned = f"{tell(dropped).capitalize()}; {DROPPED.name} lists them."
    return html_page([title, Text([cleaned]), Text([summary]), Table(header, rows, failed)])


def main() -> None:
    """Drop what `validate.drop` says, check the rest, and write what is kept if it passes.

    Metrics, the report and the list of what is dropped are written even if an expectation fails.
    """
    bounds = reader.load("validate", Validate)
    task = reader.load("task", schema.Task)
    labels = read_json(LABELS)
    with reading(REVIEWS):
        table = pd.read_parquet(REVIEWS)
    reviews, reasons = clean(table, task, labels, bounds)
    rows = dropped_rows(table, reasons)
    dropped = {"total": len(rows), **{name: int(reasons[name].sum()) for name in reasons}}
    outcomes = validate(reviews, suite(bounds, task, labels))
    failed = [outcome for outcome in outcomes if not outcome.success]
    write_text(REPORT, report(outcomes, dropped))
    with replacing(DROPPED) as temporary:
        # With quotes: before 3.13, Python puts none around a carriage return.
        rows.to_csv(temporary, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    metrics = {
        "success": not failed,
        "reviews": len(reviews),
        "dropped": dropped,
        "unexpected": {o.name: o.unexpected for o in outcomes if o.unexpected is not None},
    }
    write_json(METRICS, metrics)
    if len(rows):
        print(f"validate: {tell(dropped)}; listed in {DROPPED}")
    if failed:
        raise PipelineError("; ".join([*map(explain, failed), f"report: {REPORT}"]))
    with replacing(KEPT) as temporary:
        table.drop(rows.index).to_parquet(temporary, index=False)
    print(f"validate: {len(outcomes)} expectations hold; report: {REPORT}")


if __name__ == "__main__":
    check.run("validate", main)
