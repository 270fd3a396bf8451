"""Files of expectations that no data can fail are told where they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
steps: {v: {uses: validate-data, with: {data: a.csv, expectations: e.yaml}}}
"""
NONE, OPEN = "no expectation is listed", "has neither `min_value` nor `max_value`"
BETWEEN = "{type: expect_column_values_to_be_between, column: a%s}"


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("expectations: []", NONE, 1),
        ("n_rows: {minimum: 3}", NONE, 1),
        ("\nexpectations: {}", NONE, 2),
        ("[]", NONE, 1),
        ("3", NONE, 1),
        (f"expectations:\n- {BETWEEN % ''}", OPEN, 2),
        (f"expectations:\n- {BETWEEN % ', min_value: null'}", OPEN, 2),
        ("expectations: [{type: expect_table_row_count_to_be_between}]", OPEN, 1),
        (f"expectations: [{BETWEEN % ', min_value: 0'}]", "", 0),
        (f"expectations: [{BETWEEN % ', max_value: 0'}]", "", 0),
        ("expectations: [{type: expect_column_to_exist, column: a}]", "", 0),
        ("expectations: [{type: expect_column_quantile_values_to_be_between, quantile_ranges: {}}]", "", 0),
        ("expectations: [3, {column: a}, {type: 3}]", "", 0),
        (f"expectations: [3, {{column: a}}, {BETWEEN % ''}]", OPEN, 1),
        ("expectations: &all []", "", 0),
        ('{"expectations": [{"type": "expect_column_to_exist", "column": "a"}]}', "", 0),
    ],
)
def test_what_no_data_can_fail_is_told_with_its_line(text: str, why: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(text + "\n")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    found = api.check(api.Request(path=tmp_path / "p.yaml")).report.findings
    assert [(finding.rule.code, finding.loc.span.line) for finding in found] == [("PIPE510", 4)] * bool(why)
    for finding in found:
        assert finding.message.endswith(f"{why} (line {line} of `e.yaml`)")


def test_a_file_that_only_the_step_can_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("expectations: &all []\n")
    (tmp_path / "f.yaml").write_text("expectations: []\n")
    more = "\n  w: {uses: validate-data, with: {data: a.csv, expectations: f.yaml}}"
    text = PIPELINE.replace("steps: {v", "steps:\n  v").replace("e.yaml}}}", "e.yaml}}" + more)
    (tmp_path / "p.yaml").write_text(text)
    found = api.check(api.Request(path=tmp_path / "p.yaml")).report.findings
    assert [(finding.rule.code, finding.loc.span.line) for finding in found] == [("PIPE510", 6)]
