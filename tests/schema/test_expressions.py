"""The expression language: what is read, what is refused, and that nothing else can happen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipec.schema.expressions import (
    Comparison,
    Constant,
    ExpressionError,
    Junction,
    Negation,
    Path,
    StatusCall,
    parse_condition,
    parse_template,
)


def test_a_template_is_text_and_dotted_names() -> None:
    parts = parse_template("a ${{ steps.x-1.model }}/${{parameters.e}}")
    assert parts == ("a ", Path(("steps", "x-1", "model"), 6, 21), "/", Path(("parameters", "e"), 28, 40))


def test_two_dollars_write_a_literal_opening() -> None:
    assert parse_template("$${{ no }} ${{ run.id }}") == ("${{ no }} ", Path(("run", "id"), 15, 21))


@pytest.mark.parametrize("text", ["it's 5 {{ 3", "{{ x }}", "$ {", "}}", ""])
def test_look_alikes_are_plain_text(text: str) -> None:
    assert parse_template(text) == ((text,) if text else ())


@pytest.mark.parametrize(
    ("text", "start"),
    [("${{", 0), ("${{ }}", 4), ("${{ a b }}", 6), ("x ${{ 3 }}", 6), ("${{ a. }}", 7), ("${{ a ${{ b }}", 0),
     ("${{ ü }}", 4), ("${{ a == b }}", 6), ("${{ a[0] }}", 5), ("${{ __import__('os') }}", 14)],
)  # fmt: skip
def test_what_is_no_name_is_told_inside_the_braces(text: str, start: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_template(text)
    assert caught.value.start == start


@pytest.mark.parametrize("parse", [parse_template, parse_condition], ids=["template", "condition"])
def test_what_is_larger_than_anyone_writes_is_refused(parse) -> None:
    text = "${{ a }}" * 101 if parse is parse_template else "a or " * 2000 + "a"
    with pytest.raises(ExpressionError, match=r"more than 100 expressions|longer than 8192 characters"):
        parse(text)
    assert len(parse_template("${{ a }}" * 100)) == 100


def test_and_binds_closer_than_or_and_not_closest() -> None:
    a, b, c = Path(("a",), 0, 1), Path(("b",), 5, 6), Path(("c",), 15, 16)
    assert parse_condition("a or b and not c") == Junction("or", (a, Junction("and", (b, Negation(c)))))


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in"])
def test_every_operator_compares_two_values(operator: str) -> None:
    found = parse_condition(f"a {operator} 'x y'")
    assert found == Comparison(operator, Path(("a",), 0, 1), Constant("x y", 3 + len(operator), 8 + len(operator)))


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("-3", -3), ("true", True), ("false", False), ("0.9", 0.9)]
)
def test_literals_are_those_of_json(text: str, value: object) -> None:
    assert parse_condition(f"{text} == a").left.value == value


def test_status_functions_take_one_step() -> None:
    assert parse_condition("failed(train-1)") == StatusCall("failed", "train-1", 0, 15)
    with pytest.raises(ExpressionError):
        parse_condition("failed('train')")


@pytest.mark.parametrize("text", ["(" * 10_000, "not " * 10_000 + "a", "(" * 40 + "a" + ")" * 40])
def test_deep_nesting_is_an_error_and_not_a_crash(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(text)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab.()'\"=<>!0123e-_ ${}\u00e9\n", max_size=60) | st.text(max_size=60))
def test_any_text_parses_or_fails_with_a_place_inside_of_it(text: str) -> None:
    for parse in (parse_template, parse_condition):
        try:
            parse(text)
        except ExpressionError as fault:
            assert 0 <= fault.start < fault.end <= len(text) + 1
