"""The door to great-expectations: neutral questions in, counts out.

Knows nothing of pipec. No value of a row leaves this module: what failed is told by column and counts, because reports
travel further than the data may.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROW_COUNT = "expect_table_row_count_to_be_between"
# Ours to say, or code that would be run on the rows (`row_condition` is evaluated as Python by pandas).
RESERVED = frozenset({
    "id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity",
    "windows", "batch_id", "row_condition", "condition_parser",
})  # fmt: skip

ABOUT_MISSING = frozenset({
    "expect_column_to_exist", "expect_column_values_to_be_null", "expect_column_values_to_not_be_null",
    "expect_column_proportion_of_non_null_values_to_be_between",
})  # fmt: skip


class UnknownExpectation(ValueError):
    """A list of expectations that cannot be asked. The message is one line."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One question. type: great-expectations' name for it. arguments: its keywords, `column` among them."""

    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values it judges; those must be there."""
        single = [self.arguments.get(key) for key in ("column", "column_A", "column_B")]
        listed = self.arguments.get("column_list")
        found = [*single, *(listed if isinstance(listed, list) else [])]
        return tuple(name for name in found if isinstance(name, str))


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one question. counts: rows judged, missing and failing, or the value observed."""

    asked: Expectation
    holds: bool
    why: str = ""
    counts: Mapping[str, int | float | str | None] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The finding in a line: column, question, and what was counted."""
        column = " and ".join(f"`{name}`" for name in self.asked.columns)
        keys = {"column", "column_A", "column_B", "column_list"}
        bounds = ", ".join(f"{key}={value}" for key, value in self.asked.arguments.items() if key not in keys)
        head = f"{column} {self.asked.type}".strip() + (f" ({bounds})" if bounds else "")
        return f"{head}: {self.why}" if self.why else head

    def describe(self) -> dict[str, object]:
        """Return the finding as JSON."""
        return {
            "type": self.asked.type,
            "arguments": dict(self.asked.arguments),
            "holds": self.holds,
            "why": self.why,
            "counts": dict(self.counts),
        }


def parse(document: object) -> tuple[Expectation, ...]:
    """Return the questions of a document `{expectations: [{type, ...}], n_rows: {minimum, maximum}}`.

    The number of rows is always asked, at least 1: no rows, no pass. Raises UnknownExpectation.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("expectations"), list):
        raise UnknownExpectation("the file must have a list under `expectations`")
    unknown = sorted(str(key) for key in set(document) - {"expectations", "n_rows"})
    if unknown:
        raise UnknownExpectation(f"`{unknown[0]}` is not known here: a file has `expectations` and `n_rows`")
    if not document["expectations"]:
        raise UnknownExpectation("no expectation is listed: a check that no data can fail is no check")
    listed = [_parse_one(entry, place) for place, entry in enumerate(document["expectations"], start=1)]
    return (_row_count(document.get("n_rows")), *listed)


def _row_count(bounds: object) -> Expectation:
    given = {"minimum": 1} if bounds is None else bounds
    if not isinstance(given, Mapping) or not set(given) <= {"minimum", "maximum"}:
        raise UnknownExpectation("`n_rows` takes `minimum` and `maximum`")
    for name, bound in given.items():
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise UnknownExpectation(f"`n_rows.{name}` needs a whole number of rows")
    arguments = {"min_value": max(1, given.get("minimum", 1))}
    if "maximum" in given:
        arguments["max_value"] = given["maximum"]
    return Expectation(ROW_COUNT, arguments)


def _parse_one(entry: object, place: int) -> Expectation:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise UnknownExpectation(f"expectation {place} has no `type`")
    arguments = {str(key): value for key, value in entry.items() if key != "type"}
    reserved = sorted(set(arguments) & RESERVED)
    if reserved:
        raise UnknownExpectation(f"expectation {place} (`{entry['type']}`) may not say `{reserved[0]}`")
    mostly = arguments.get("mostly", 1)
    if not isinstance(mostly, (int, float)) or not 0 < mostly <= 1:
        raise UnknownExpectation(f"expectation {place} (`{entry['type']}`): `mostly` must be above 0 and at most 1")
    return Expectation(entry["type"], arguments)


def check(frame: pd.DataFrame, asked: Iterable[Expectation]) -> tuple[Finding, ...]:
    """Return what comes of each question, in their order. Raises UnknownExpectation before any row is looked at."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when great-expectations is imported
    questions = tuple(asked)
    built = [_build(question, place) for place, question in enumerate(questions)]
    told = {place: _nothing_to_judge(frame, question) for place, question in enumerate(questions)}
    answers = _validate(frame, [one for place, one in enumerate(built) if not told[place]])
    return tuple(
        Finding(question, holds=False, why=told[place]) if told[place] else _finding(question, answers[place])
        for place, question in enumerate(questions)
    )


def _nothing_to_judge(frame: pd.DataFrame, question: Expectation) -> str:
    """Return why a question cannot be put to these rows. great-expectations calls a column without values correct."""
    for name in question.columns:
        if name not in frame.columns:
            return f"there is no column `{name}`"
        if question.type not in ABOUT_MISSING and frame[name].isna().all():
            return "every value is missing, so there is nothing to judge" if len(frame) else "there are no rows"
    return ""


def _build(question: Expectation, place: int) -> Any:
    """Return great-expectations' own object for a question; its place travels along, as answers come in any order."""
    import great_expectations.expectations as library

    name = "".join(part.capitalize() for part in question.type.split("_"))
    kind = getattr(library, name, None)
    if not (question.type.startswith("expect_") and isinstance(kind, type)):
        raise UnknownExpectation(f"great-expectations has no `{question.type}`")
    if any(isinstance(value, Mapping) and "$PARAMETER" in value for value in question.arguments.values()):
        raise UnknownExpectation(f"`{question.type}` may not take a `$PARAMETER`: write the value out")
    try:
        return kind(**question.arguments, meta={"place": place})
    except (ValueError, TypeError) as fault:
        raise UnknownExpectation(f"`{question.type}`: {_reason(fault)}") from fault


def _reason(fault: Exception) -> str:
    """Return what pydantic found, in a line: `min_vlue: extra fields not permitted`."""
    errors = getattr(fault, "errors", None)
    if not callable(errors):
        return str(fault).strip().split("\n", 1)[0]
    # A value of a union is complained about once for each type it might have had: the first is enough.
    first = {str(error["loc"][-1]): str(error["msg"]) for error in reversed(errors())}
    whole = first.pop("__root__", "")  # what is wrong with one keyword makes the whole wrong too
    return "; ".join(f"`{name}` {text}" for name, text in sorted(first.items())) or whole


def _validate(frame: pd.DataFrame, built: list[Any]) -> dict[int, Any]:
    """Return great-expectations' answers by the place of the question."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="rows", expectations=built)
    # SUMMARY with no sample: COMPLETE writes out every failing value, megabytes of them and maybe personal.
    result: Any = batch.validate(suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": 0})
    return {answer.expectation_config.meta["place"]: answer for answer in result.results}


def _finding(question: Expectation, answer: Any) -> Finding:
    told = answer.result
    counts = {key: _number(told.get(key)) for key in ("element_count", "missing_count", "unexpected_count")}
    counts = {key: value for key, value in counts.items() if value is not None}
    if "observed_value" in told and _number(told["observed_value"]) is not None:
        counts["observed_value"] = _number(told["observed_value"])
    fault = _exception(answer.exception_info)
    if fault:
        return Finding(question, holds=False, why=f"it cannot be judged ({fault})", counts=counts)
    return Finding(question, bool(answer.success), _observed(counts, told), counts)


def _observed(counts: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if "unexpected_count" in counts and "element_count" in counts:
        return f"{counts['unexpected_count']} of {counts['element_count']} rows fail"
    if "observed_value" in counts:
        return f"observed {counts['observed_value']}"
    details = (told.get("details") or {}).get("mismatched")
    return f"mismatched {details}" if details else ""


def _exception(info: Mapping[str, Any]) -> str:
    """Return what great-expectations met instead of an answer: told once, or once for each metric."""
    told = [info] if "raised_exception" in info else list(info.values())
    found = [str(one["exception_message"]) for one in told if one.get("raised_exception")]
    return found[0].strip().split("\n", 1)[0].rstrip(".") if found else ""


def _number(value: Any) -> int | float | str | None:
    """Return a count or statistic as JSON has it; None for anything else, which could be the rows' own values."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return int(number) if number.is_integer() else number if math.isfinite(number) else str(number)
