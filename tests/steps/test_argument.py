"""Values become what a step declares, the same whoever called."""

from __future__ import annotations

import pytest
import runtime_probe as probes

from pipec.steps import catalog
from pipec.steps.argument import arguments, conform
from pipec.steps.declare import CallerError, interface_of
from pipec.values import Json

KNOWN = {
    "type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "minItems", "pattern",
    "items", "properties", "required", "additionalProperties",
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "schema", "wanted"),
    [
        (10.0, {"type": "integer"}, 10),
        (1, {"type": "number"}, 1.0),
        ([1.0, 2.5], {"type": "array"}, [1, 2.5]),
        ({"a": [3.0]}, {"type": "object"}, {"a": [3]}),
        ({"a": 3}, {"type": "object", "properties": {"a": {"type": "number"}}}, {"a": 3.0}),
        ("x", {"type": "string", "enum": ["x", "y"]}, "x"),
        (True, {"type": "boolean"}, True),
        (None, {}, None),
        (2**60, {"type": "integer"}, 2**60),
    ],
)
def test_a_value_takes_its_declared_form(value: Json, schema: dict[str, Json], wanted: Json) -> None:
    found = conform(value, schema, "`v`")
    assert found == wanted
    assert repr(found) == repr(wanted)  # 1 equals 1.0 and True, but a report shows them apart


@pytest.mark.parametrize(
    ("value", "schema", "message"),
    [
        ("ten", {"type": "integer"}, "`v` needs a whole number, but got `ten`, which is text"),
        (1.5, {"type": "integer"}, "`v` needs a whole number, but got 1.5"),
        (True, {"type": "integer"}, "`v` needs a whole number, but got `true`"),
        (None, {"type": "string"}, "`v` needs text, but got nothing"),
        ([], {"type": "object"}, "`v` needs an object, but got a list"),
        (float("nan"), {"type": "number"}, "`v` must be a finite number"),
        (11, {"type": "integer", "maximum": 10}, "`v` is 11, but must be at most 10"),
        (0, {"type": "number", "exclusiveMinimum": 0}, "`v` is 0.0, but must be above 0"),
        ("", {"type": "string", "minLength": 1}, "`v` has 0 characters, but needs at least 1"),
        ([], {"type": "array", "minItems": 1}, "`v` has 0 items, but needs at least 1"),
        ("abc", {"type": "string", "maxLength": 2}, "`v` has 3 characters, but may have at most 2"),
        ([1, 2], {"type": "array", "maxItems": 1}, "`v` has 2 items, but may have at most 1"),
        ("z", {"type": "string", "enum": ["x", "y"]}, "`v` is `z`, but must be one of `x`, `y`"),
        (["a", 1], {"type": "array", "items": {"type": "string"}}, "`v`[1] needs text, but got 1"),
        ({"b": 1}, {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
         "`v` has no field `b`; it has: a"),
        ({}, {"type": "object", "required": ["a"]}, "`v` has no `a`"),
        ("b", {"type": "string", "pattern": "^a"}, "`v` is `b`, which is text, which does not match `^a`"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_told_in_the_users_words(
    value: Json, schema: dict[str, Json], message: str
) -> None:
    with pytest.raises(CallerError) as fault:
        conform(value, schema, "`v`")
    assert str(fault.value) == message


def test_defaults_fill_in_and_null_stands_only_for_a_null_default() -> None:
    interface = interface_of(probes.Probe)
    assert arguments(interface, {"source": None}) == {
        "act": "well", "number": 1.0, "attached": None, "secret": None, "source": None, "to": None
    }  # fmt: skip
    with pytest.raises(CallerError, match="`number` needs a number, but got nothing"):
        arguments(interface, {"number": None})


def test_a_missing_parameter_is_named() -> None:
    interface = catalog.find("ingest")
    assert interface is not None
    with pytest.raises(CallerError, match="parameter `source` is missing: give it a value"):
        arguments(interface, {})


def _keywords(schema: object) -> set[str]:
    if isinstance(schema, list):
        return set().union(*(_keywords(part) for part in schema))
    if not isinstance(schema, dict):
        return set()
    inner = [schema.get("items"), *(schema.get("properties") or {}).values()]
    return set(schema) | set().union(*(_keywords(part) for part in inner))


@pytest.mark.parametrize("name", ["ingest", "validate-data", "split", "monitor"])
def test_every_schema_keyword_of_a_step_is_one_that_is_checked(name: str) -> None:
    interface = catalog.find(name)
    assert interface is not None
    for parameter in interface.parameters:
        assert _keywords(dict(parameter.schema)) <= KNOWN
