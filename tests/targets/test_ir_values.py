"""What the runner of IR makes of values and conditions: as Kubeflow's Go code does, which cannot run here."""

from __future__ import annotations

from typing import Any

import pytest
from ir_values import Fault, as_json, carried, expanded, filled, fit, holds, items, of_text, selected

VALUES: dict[str, Any] = {"n": 3.0, "s": "it's", "b": True, "l": ["a", 2.0], "d": {"k": 1.5}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("inputs.parameter_values['n'] == 3", True),
        ("inputs.parameter_values['n'] > 2", True),
        ("inputs.parameter_values['n'] < 2.5", False),
        ("inputs.parameter_values['s'] == 'it\\'s'", True),
        ("inputs.parameter_values['s'] == 3.0", False),
        ("inputs.parameter_values['s'] != 3.0", True),
        ("!inputs.parameter_values['b'] || inputs.parameter_values['n'] <= 3.0", True),
        ("inputs.parameter_values['b'] == 1.0", False),
        ("inputs.parameter_values['n'] in [1, 3]", True),
        ("'a' in inputs.parameter_values['l']", True),
        ("inputs.parameter_values['d'].k == 1.5", True),
        ("'x' in inputs.parameter_values && inputs.parameter_values['x'] == 1.0", False),
    ],
)
def test_a_condition_is_judged_as_common_expression_language(condition: str, expected: bool) -> None:
    assert holds(condition, VALUES) is expected


@pytest.mark.parametrize(
    "condition",
    ["inputs.parameter_values['x'] == 'a'", "inputs.parameter_values['s'] > 2.0", "inputs.parameter_values['n']",
     "inputs.parameter_values[", "n == 3.0"],
)  # fmt: skip
def test_a_condition_that_cannot_be_answered_is_a_fault(condition: str) -> None:
    with pytest.raises(Fault):
        holds(condition, VALUES)


def test_a_selector_reads_what_a_text_or_a_struct_holds() -> None:
    assert selected('{"k": {"a": [1, "x"]}}', 'parseJson(string_value)["k"]["a"]') == [1.0, "x"]
    assert selected({"k": 2.0}, 'parseJson(string_value)["k"]') == 2.0
    assert selected({"k": True}, 'struct_value["k"]') is True
    with pytest.raises(Fault):
        selected("no JSON", 'parseJson(string_value)["k"]')


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("1e-3", "STRING", "1e-3"), (" 3\n", "NUMBER_INTEGER", 3.0), ("1e-3", "NUMBER_DOUBLE", 0.001),
     ("true", "BOOLEAN", True), ('[1, "a"]', "LIST", [1.0, "a"]), ('{"a": null}', "STRUCT", {"a": None})],
)  # fmt: skip
def test_an_output_parameter_is_read_by_its_type(text: str, kind: str, value: object) -> None:
    assert of_text(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1.5", "NUMBER_INTEGER"), ("no", "NUMBER_DOUBLE"), ("yes", "BOOLEAN"), ("{}", "LIST"), ("a", "STRUCT")],
)
def test_an_output_parameter_of_another_type_is_a_fault(text: str, kind: str) -> None:
    with pytest.raises(Fault):
        of_text(text, kind)


@pytest.mark.parametrize(("value", "text"), [(3.0, "3"), (True, "true"), (["a", 1.0], '["a",1]'), ("a", "a")])
def test_a_string_takes_any_value_as_its_text(value: object, text: str) -> None:
    assert fit(value, "STRING", "x") == text


def test_any_other_type_takes_only_what_is_of_it() -> None:
    assert fit(2.5, "NUMBER_INTEGER", "x") == 2.5  # the driver tells no whole number from another
    for value, kind in (("3", "NUMBER_INTEGER"), (1.0, "BOOLEAN"), (None, "LIST"), (True, "NUMBER_DOUBLE")):
        with pytest.raises(Fault):
            fit(value, kind, "x")


def test_numbers_are_doubles_written_without_a_needless_fraction() -> None:
    assert as_json(carried({"b": [1, 2.5, 2**53 + 1], "a": True})) == '{"a":true,"b":[1,2.5,9007199254740992]}'


def test_a_loop_goes_over_a_list_or_its_text() -> None:
    assert items("[1, 2]") == items([1.0, 2.0]) == [1.0, 2.0]
    with pytest.raises(Fault):
        items({"a": 1.0})


def test_kubernetes_replaces_variables_that_it_knows_and_halves_dollars() -> None:
    assert expanded("$(A) $(B) $$(A) $5", {"A": "x$(A)"}) == "x$(A) $(B) $(A) $5"


def test_placeholders_are_filled_and_looked_for_again_in_what_was_filled_in() -> None:
    given: dict[str, Any] = {
        "inputs": {"parameterValues": {"x": "{{$.outputs.parameters['o'].output_file}}", "n": 2.0},
                   "artifacts": {"m": {"artifacts": [{"uri": "/pipeline/m"}]}}},
        "outputs": {"parameters": {"o": {"outputFile": "/o"}}, "artifacts": {}},
    }  # fmt: skip
    assert filled("n={{$.inputs.parameters['n']}} {{$.inputs.artifacts['m'].path}}", given) == "n=2 /pipeline/m"
    assert filled("{{$.inputs.parameters['x']}}", given) == "/o"
    assert filled("{{$.inputs.parameters['y']}} {{workflow.name}}", given) == (
        "{{$.inputs.parameters['y']}} {{workflow.name}}"
    )
