"""Rows are judged by great-expectations, and only rows that meet every expectation go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import runtime_probe as probes

from pipec import digest
from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.data import expectation, table
from pipec.steps.validate_data import ValidateData

INTERFACE = ValidateData.interface  # type: ignore[attr-defined]


def validate(folder: Path, frame: pd.DataFrame, *entries: dict[str, Any], **document: Any) -> tuple[int, str]:
    """Run the step; return its exit code and message."""
    table.write(frame, folder / "data")
    text = json.dumps({"expectations": list(entries)} | document)
    call = probes.call(
        INTERFACE, folder, parameters={"expectations": {"name": "asked.yaml", "text": text}},
        inputs={"data": (Location(str(folder / "data")),)},
    )  # fmt: skip
    return runtime.execute(call), str(probes.result(folder)["message"])


def between(column: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {
        "type": "expect_column_values_to_be_between", "column": column, "min_value": low, "max_value": high, **more
    }  # fmt: skip


FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0, None], "word": ["a", "b", "b", "c"], "gone": [None, None, None, None]})


def test_rows_that_meet_everything_pass_unchanged_with_a_report(tmp_path: Path) -> None:
    mean = {"type": "expect_column_mean_to_be_between", "column": "x", "min_value": 1.5}
    assert validate(tmp_path, FRAME, between("x", 0, 5), mean) == (0, "")
    assert digest.of_path(tmp_path / "t" / "data") == digest.of_path(tmp_path / "data")
    assert probes.result(tmp_path)["artifacts"]["data"]["type"] == "Dataset"
    report = json.loads((tmp_path / "t" / "report").read_text())
    assert report["summary"] == "all 3 expectations hold for 4 rows"
    assert [(one["type"], one["holds"], one["counts"]) for one in report["expectations"]] == [
        (expectation.ROW_COUNT, True, {"observed_value": 4}),
        ("expect_column_values_to_be_between", True, {"element_count": 4, "missing_count": 1, "unexpected_count": 0}),
        ("expect_column_mean_to_be_between", True, {"observed_value": 2}),
    ]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (between("x", 2, 5), "`x` expect_column_values_to_be_between (min_value=2, max_value=5): 1 of 4 rows fail"),
        (between("y", 2, 5), "`y` expect_column_values_to_be_between (min_value=2, max_value=5): "
                             "there is no column `y`"),
        (between("gone", 2, 5), "`gone` expect_column_values_to_be_between (min_value=2, max_value=5): "
                                "every value is missing, so there is nothing to judge"),
        (between("word", 2, 5), "`word` expect_column_values_to_be_between (min_value=2, max_value=5): "
                                "it cannot be judged (Column values, min_value, and max_value must either be None or "
                                "of the same type)"),
        ({"type": "expect_column_mean_to_be_between", "column": "x", "max_value": 1},
         "`x` expect_column_mean_to_be_between (max_value=1): observed 2"),
        ({"type": "expect_table_columns_to_match_set", "column_set": ["x"]},
         "expect_table_columns_to_match_set (column_set=['x']): mismatched {'unexpected': ['gone', 'word']}"),
        ({"type": "expect_column_values_to_not_be_null", "column": "x"},
         "`x` expect_column_values_to_not_be_null: 1 of 4 rows fail"),
        ({"type": "expect_column_to_exist", "column": "y"}, "`y` expect_column_to_exist: there is no column `y`"),
    ],
    ids=["values", "absent", "all-missing", "other-type", "mean", "columns", "null", "exist"],
)  # fmt: skip
def test_a_failing_expectation_is_named_with_what_was_counted(entry: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert validate(tmp_path, FRAME, entry) == (3, f"mend the data: 1 of 2 expectations failed: {told}")
    assert probes.visible(tmp_path) == ["data", "t/result.json"]


def test_every_failing_expectation_is_named(tmp_path: Path) -> None:
    code, message = validate(tmp_path, FRAME, between("x", 2, 5), between("x", 0, 5), between("x", 0, 2))
    assert code == 3
    assert message.startswith("mend the data: 2 of 4 expectations failed: ")
    assert message.count("1 of 4 rows fail") == 2


def test_no_rows_never_pass(tmp_path: Path) -> None:
    exists = {"type": "expect_column_to_exist", "column": "x"}
    told = "1 of 2 expectations failed: expect_table_row_count_to_be_between (min_value=1): observed 0"
    assert validate(tmp_path, FRAME[["x"]].iloc[:0], exists) == (3, f"mend the data: {told}")


@pytest.mark.parametrize(
    ("bounds", "code"), [({"minimum": 4}, 0), ({"minimum": 5}, 3), ({"maximum": 3}, 3), ({"minimum": 0}, 0)]
)
def test_the_number_of_rows_is_bounded(bounds: dict[str, int], code: int, tmp_path: Path) -> None:
    assert validate(tmp_path, FRAME, between("x", 0, 5), n_rows=bounds)[0] == code


def test_mostly_lets_a_share_fail(tmp_path: Path) -> None:
    assert validate(tmp_path, FRAME, between("x", 2, 5, mostly=0.6))[0] == 0


@pytest.mark.parametrize(
    ("entries", "document", "message"),
    [
        ([{"type": "expect_nothing"}], {}, "great-expectations has no `expect_nothing`"),
        ([{"type": "Expectation"}], {}, "great-expectations has no `Expectation`"),
        ([between("x", 0, 1, min_vlue=2)], {},
         "`expect_column_values_to_be_between`: `min_vlue` extra fields not permitted"),
        ([{"type": "expect_column_values_to_be_between", "column": "x", "min_value": "low"}], {},
         "`expect_column_values_to_be_between`: `min_value` value is not a valid float"),
        ([{"column": "x"}], {}, "expectation 1 has no `type`"),
        ([], {}, "no expectation is listed: a check that no data can fail is no check"),
        ([between("x", 0, 1, row_condition="__import__('os')")], {},
         "expectation 1 (`expect_column_values_to_be_between`) may not say `row_condition`"),
        ([between("x", 0, 1, mostly=0)], {},
         "expectation 1 (`expect_column_values_to_be_between`): `mostly` must be above 0 and at most 1"),
        ([between("x", 0, 1) | {"min_value": {"$PARAMETER": "low"}}], {},
         "`expect_column_values_to_be_between` may not take a `$PARAMETER`: write the value out"),
        ([between("x", 0, 1)], {"rows": 3}, "`rows` is not known here: a file has `expectations` and `n_rows`"),
        ([between("x", 0, 1)], {"n_rows": {"minimum": "some"}}, "`n_rows.minimum` needs a whole number of rows"),
        ([between("x", 0, 1)], {"n_rows": 5}, "`n_rows` takes `minimum` and `maximum`"),
        ([between("x", 0, 1)], {"expectations": {}}, "the file must have a list under `expectations`"),
    ],
    ids="unknown base-class misspelt mistyped typeless none condition mostly parameter key rows bounds no-list".split(),  # noqa: SIM905
)  # fmt: skip
def test_a_question_that_cannot_be_asked_is_the_callers_fault(
    entries: list[dict[str, Any]], document: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert validate(tmp_path, FRAME, *entries, **document) == (2, f"`asked.yaml`: {message}")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a,a\n1,2\n")
    text = "expectations: [{type: expect_column_to_exist, column: a}]"
    call = probes.call(
        INTERFACE, tmp_path, parameters={"expectations": {"name": "asked.yaml", "text": text}},
        inputs={"data": (Location(str(tmp_path / "data")),)},
    )  # fmt: skip
    assert runtime.execute(call) == 3
    assert probes.result(tmp_path)["message"] == (
        "column `a` stands there more than once: columns need different names"
    )


def test_no_value_of_a_row_leaves_in_message_or_report(tmp_path: Path) -> None:
    frame = pd.DataFrame({"card": ["4929-1", "4929-2", "4929-3"]})
    entry = {"type": "expect_column_values_to_match_regex", "column": "card", "regex": "^x"}
    code, message = validate(tmp_path, frame, entry)
    assert code == 3
    assert "4929" not in message
