"""The literal writer: values come back from Python's parser, and texts from Jinja, as they were."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from jinja2.sandbox import SandboxedEnvironment
from plans import HOSTILE

from pipec.targets.airflow.source import Call as Source
from pipec.targets.airflow.source import templated, write


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_text_survives_source_and_jinja(text: str) -> None:
    jinja = SandboxedEnvironment()
    assert ast.literal_eval(write(text)) == text
    assert ast.literal_eval(write({"k": [text]}, indent=4, taken=100))["k"] == [text]
    assert jinja.from_string(templated(text)).render() == text
    assert not templated(text).endswith((".sh", ".bash", ".env"))


@pytest.mark.parametrize("value", [None, True, 0, -5, 2**70, 1e-5, [], {}, [[1, "a"]], {"a": {"b": [None]}}])
def test_a_value_is_written_as_itself(value: Any) -> None:
    assert ast.literal_eval(write(value)) == value


def test_long_values_are_laid_out_over_lines() -> None:
    call = Source("Step", (("task_id", "a"), ("arguments", ["x" * 50, "y" * 70]), ("flag", True)))
    assert write(call, 4, 10) == (
        "Step(\n"
        '        task_id="a",\n'
        "        arguments=[\n"
        f'            "{"x" * 50}",\n'
        f'            "{"y" * 70}",\n'
        "        ],\n"
        "        flag=True,\n"
        "    )"
    )


def test_what_is_no_number_is_not_written() -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        write([float("nan")])
