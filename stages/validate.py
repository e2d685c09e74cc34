"""Hold the reviews against a suite of expectations; a failed one stops the pipeline."""

import html
import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pandas as pd

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when Great Expectations is imported

import great_expectations as gx
import great_expectations.expectations as gxe

from ajuste.config import reader, schema
from ajuste.config.schema import Validate
from ajuste.data.text import TAGS, text_key
from ajuste.errors import PipelineError
from ajuste.files import read_json, reading, write_json, write_text
from ajuste.tasks import NUMERIC, SEPARATOR, split_labels
from stages import check

REVIEWS = Path("data/raw/reviews.parquet")
LABELS = Path("data/raw/labels.json")
METRICS = Path("metrics/validate.json")
REPORT = Path("reports/validate/index.html")
ORIGINS_SHOWN = 5

OTHER_MARKUP = rf"(?i)</?(?:{TAGS})\b[^<>]*>"
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]"
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def suite(bounds: Validate, task: str, labels: list[str]) -> gx.ExpectationSuite:
    """What is expected of the reviews; `facts` adds the columns that `ajuste.data.reviews` lacks.

    `meta.name` is what an expectation is called in messages, metrics and the report; `meta.advice`
    says what to do where it fails.
    """
    return gx.ExpectationSuite(
        name="reviews",
        expectations=[
            gxe.ExpectTableColumnsToMatchSet(
                column_set=["review", "label", "origin"],
                exact_match=False,
                meta={"name": "columns", "advice": "see ajuste/data/reviews.py for the columns"},
            ),
            gxe.ExpectTableRowCountToBeBetween(
                min_value=bounds.min_reviews,
                meta={"name": "reviews", "advice": "add reviews or lower validate.min_reviews"},
            ),
            gxe.ExpectColumnValuesToBeOfType(
                column="review",
                type_="str",
                meta={"name": "review type", "advice": "make every review a text"},
            ),
            gxe.ExpectColumnValuesToBeOfType(
                column="label",
                type_="str",
                meta={"name": "label type", "advice": "make every label a text"},
            ),
            gxe.ExpectColumnValuesToNotBeNull(
                column="review",
                meta={"name": "no empty review", "advice": "fill in or remove these rows"},
            ),
            *_label_expectations(bounds, task, labels),
            gxe.ExpectColumnValuesToBeBetween(
                column="words",
                min_value=bounds.min_words,
                max_value=bounds.max_words,
                meta={
                    "name": "length",
                    "advice": "mend these rows or set validate.min_words and validate.max_words",
                },
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="duplicate",
                value_set=[False],
                mostly=1 - bounds.max_duplicates,
                meta={
                    "name": "duplicates",
                    "advice": "remove the copies or raise validate.max_duplicates",
                },
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="conflict",
                value_set=[False],
                mostly=1 - bounds.max_conflicts,
                meta={
                    "name": "one label for one text",
                    "advice": "decide for one label or raise validate.max_conflicts",
                },
            ),
            gxe.ExpectColumnValuesToNotMatchRegex(
                column="review",
                regex=OTHER_MARKUP,
                mostly=1 - bounds.max_markup,
                meta={
                    "name": "no markup but line breaks",
                    "advice": "strip the markup or raise validate.max_markup",
                },
            ),
            gxe.ExpectColumnValuesToNotMatchRegex(
                column="review",
                regex=CONTROL,
                mostly=1 - bounds.max_control,
                meta={
                    "name": "no control or replacement characters",
                    "advice": "decode the source anew or raise validate.max_control",
                },
            ),
        ],
    )


def _label_expectations(bounds: Validate, task: str, labels: list[str]) -> list[gxe.Expectation]:
    empty = gxe.ExpectColumnValuesToNotBeNull(
        column="label", meta={"name": "no empty label", "advice": "label or remove these rows"}
    )
    if task in NUMERIC:
        low, high = labels
        return [
            empty,
            gxe.ExpectColumnValuesToBeNull(
                column="unknown",
                meta={
                    "name": "numbers",
                    "advice": "write these labels as numbers, such as 7 or 7.5, or remove the rows",
                },
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="number",
                min_value=float(low),
                max_value=float(high),
                meta={
                    "name": "range",
                    "advice": f"valid is {low} to {high}: mend the labels or data.csv.labels",
                },
            ),
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="number",
                min_value=2,
                meta={"name": "different numbers", "advice": "there must be two at the least"},
            ),
        ]
    valid = ", ".join(labels)
    of_classes = [
        gxe.ExpectColumnValuesToBeNull(
            column="unknown",
            meta={
                "name": "label set",
                "advice": f"valid are {valid}: mend the labels or data.csv.labels",
            },
        ),
        gxe.ExpectColumnMostCommonValueToBeInSet(
            column="classes",
            value_set=["all"],
            meta={"name": "every class", "advice": f"there must be reviews of each of {valid}"},
        ),
    ]
    if task == "multilabel":
        return of_classes
    balance = gxe.ExpectColumnValuesToBeBetween(
        column="class_share",
        min_value=bounds.min_class_share * 2 / len(labels),
        meta={
            "name": "class balance",
            "advice": "add reviews of the rarer class or lower validate.min_class_share",
        },
    )
    return [empty, *of_classes, balance]


def facts(reviews: pd.DataFrame, task: str, labels: list[str]) -> pd.DataFrame:
    """The reviews with what the suite asks about them.

    An empty review or label becomes null. What cannot be said of a row is null, so that one fault
    is reported once. Added are

    - `words`: the white-space separated words of the review;
    - `duplicate` (bool): whether an earlier row has the same text (see `text_key`);
    - `conflict` (bool): whether its text comes with another label too;
    - `unknown`: what of its label is none of `labels`, or is no number;
    - for numbers `number` (float); for classes `classes`, whether `all` of them come or which do
      not, alike in every row, and `class_share`, the share of its class among the reviews with a
      label of `labels`.
    """
    filled = reviews.mask(reviews.apply(lambda column: column.str.strip() == ""))
    text = filled["review"].dropna().map(text_key)
    named = filled["label"].dropna().map(lambda label: split_labels(task, label))
    valid = NUMBER.fullmatch if task in NUMERIC else labels.__contains__
    unknown = named.map(lambda names: next((name for name in names if not valid(name)), None))
    if task in NUMERIC:
        meaning = filled["label"].where(unknown.isna()).astype(float)
        of_labels = {"number": meaning}
    else:
        meaning = named.map(lambda names: SEPARATOR.join(sorted(set(names))))
        absent = sorted(set(labels) - set(named.explode()))
        known = filled.loc[filled["label"].isin(labels), "label"]
        of_labels = {
            "classes": ", ".join(f"no {name!r}" for name in absent) or "all",
            "class_share": known.map(known.value_counts(normalize=True)),
        }
    if task == "multilabel":
        meaning = meaning.reindex(filled.index, fill_value="")
    return filled.assign(
        words=filled["review"].str.split().str.len(),
        duplicate=text.duplicated().reindex(filled.index, fill_value=False),
        conflict=meaning.reindex(filled.index).groupby(text).transform("nunique") > 1,
        unknown=unknown,
        **of_labels,
    )


@dataclass(frozen=True)
class Outcome:
    """How one expectation went.

    Attributes:
        name: what it is called.
        success: whether it holds.
        unexpected: how many rows are not as expected, or None where it is about the whole table.
        observed: what was seen, for a reader.
        origins: where the first of these rows stand in the source.
        advice: what to do if it does not hold.
    """

    name: str
    success: bool
    unexpected: int | None
    observed: str
    origins: list[str]
    advice: str


def validate(reviews: pd.DataFrame, expectations: gx.ExpectationSuite) -> list[Outcome]:
    """The outcome of each expectation over a table with the columns that `facts` gives."""
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
    """A failed expectation in one sentence: what, how many rows, the first of them, what to do."""
    more = ", ..." if (outcome.unexpected or 0) > len(outcome.origins) else ""
    where = f" ({', '.join(outcome.origins)}{more})" if outcome.origins else ""
    return f"`{outcome.name}` failed: {outcome.observed}{where}; {outcome.advice}"


PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Validation of the reviews</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .4rem; text-align: left; vertical-align: top }
.failed { background: #fde8e8 }
</style>
<h1>Validation of the reviews</h1>
<p>$summary</p>
<table>
<tr><th>Expectation<th>Outcome<th>Observed<th>First rows<th>What to do</tr>
$rows
</table>
</html>
""")


def page(outcomes: list[Outcome]) -> str:
    """The outcomes as an HTML page that needs no other file."""
    failed = sum(not outcome.success for outcome in outcomes)
    rows = []
    for outcome in outcomes:
        advice = "" if outcome.success else outcome.advice
        state = "holds" if outcome.success else "failed"
        cells = [outcome.name, state, outcome.observed, ", ".join(outcome.origins), advice]
        columns = "".join(f"<td>{html.escape(cell)}" for cell in cells)
        rows.append(f'<tr class="{state}">{columns}</tr>')
    summary = f"{len(outcomes) - failed} of {len(outcomes)} expectations hold."
    return PAGE.substitute(summary=summary, rows="\n".join(rows))


def main() -> None:
    """Validate what `fetch` got; write metrics and report, whether or not all is as expected."""
    bounds = reader.load("validate", Validate)
    task = reader.load("task", schema.Task)
    labels = read_json(LABELS)
    with reading(REVIEWS):
        table = pd.read_parquet(REVIEWS)
    reviews = facts(table, task, labels)
    outcomes = validate(reviews, suite(bounds, task, labels))
    failed = [outcome for outcome in outcomes if not outcome.success]
    write_text(REPORT, page(outcomes))
    metrics = {
        "success": not failed,
        "reviews": len(reviews),
        "unexpected": {o.name: o.unexpected for o in outcomes if o.unexpected is not None},
    }
    write_json(METRICS, metrics)
    if failed:
        raise PipelineError("; ".join([*map(explain, failed), f"report: {REPORT}"]))
    print(f"validate: {len(outcomes)} expectations hold; report: {REPORT}")


if __name__ == "__main__":
    check.run("validate", main)
