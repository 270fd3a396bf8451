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
    assert parse_condition("a" * 8192) == Path(("a" * 8192,), 0, 8192)
    assert isinstance(parse_condition("not " * 31 + "a"), Negation)


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
    assert parse_condition(f"a == {text}").right.value == value


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


_NAMES = "an expression names a value"
_ONE_NAME = "one name stands between `${{` and `}}`; operators are for `when`"
_OPEN = ("`${{` is not closed", 0, 3, "close it with `}}`, or write `$${{` for text")
_MANY = (
    "the text holds more than 100 expressions", 800, 808, "let a step put the text together, and read its output"
)  # fmt: skip
_VALUE = "a value is expected here: a name, a number, `true`, `false` or a 'text'"
_LISTED = "a list holds numbers, `true`, `false` and 'texts'"
_ONE = "write one name, such as `${{ steps.train.model }}`"
_FORM = "a condition is written as in `steps.evaluate.score >= 0.9 and not failed(train)`"
_INEXACT = "the number cannot be carried exactly"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${{ a", _OPEN),
        ("${{ a ${{ b }}", _OPEN),
        ("${{ }}", (_NAMES, 4, 5, "such as `${{ steps.train.model }}` or `${{ parameters.epochs }}`")),
        ("${{ 3 }}", (_NAMES, 4, 5, "such as `${{ steps.train.model }}` or `${{ parameters.epochs }}`")),
        ("${{ a b }}", (_ONE_NAME, 6, 7, _ONE)),
        ("${{ a[0] }}", (_ONE_NAME, 5, 6, _ONE)),
        ("${{ a.b.3 }}", ("a name must follow the dot", 8, 9, _ONE)),
        ("${{ ü }}", ("`ü` has no meaning in an expression", 4, 5, _ONE)),
        ("${{ '}} }}", ("the text is not closed", 4, 5, "close it with `'`")),
        ("${{ a }}" * 101, _MANY),
    ],
    ids=lambda value: value[:16] if isinstance(value, str) else "",
)
def test_what_is_wrong_in_a_template_is_said_with_its_place(text: str, told: tuple[str, int, int, str]) -> None:
    assert fault(parse_template, text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${{ a }}", ("`when` is an expression already and takes no `${{ }}`", 0, 3, "write the names bare")),
        ("a" * 8193, ("the expression is longer than 8192 characters", 0, 1, "")),
        ("a b", ("`b` is not expected here", 2, 3, _FORM)),
        ("a == b == c", ("`==` is not expected here", 7, 9, _FORM)),
        ("a == ", (_VALUE, 5, 6, _FORM)),
        ("not", (_VALUE, 3, 4, _FORM)),
        ("(a", ("`)` is expected here", 2, 3, _FORM)),
        ("failed('x')", ("`failed` asks about one step: `failed(train)`", 7, 10, _FORM)),
        ("failed(x", ("`)` is expected here", 8, 9, _FORM)),
        ("[1 2] == a", ("`,` or `]` is expected here", 3, 4, _FORM)),
        ("a in [1,]", (_LISTED, 8, 9, _FORM)),
        ("a in [b]", (_LISTED, 6, 7, _FORM)),
        ("1.2.3 == a", ("`1.2.3` is not a number", 0, 5, "")),
        ("01 == a", ("`01` is not a number", 0, 2, "")),
        ("9007199254740992 == a", (_INEXACT, 0, 16, "")),
        ("-9007199254740992 == a", (_INEXACT, 0, 17, "")),
        ("1e400 == a", (_INEXACT, 0, 5, "")),
        ("-a", ("`-` has no meaning in an expression", 0, 1, _FORM)),
        ("a == 'x", ("the text is not closed", 5, 7, "close it with `'`")),
        ("not " * 33 + "a", ("the expression is nested more than 32 deep", 128, 131, _FORM)),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_what_is_wrong_in_a_condition_is_said_with_its_place(text: str, told: tuple[str, int, int, str]) -> None:
    assert fault(parse_condition, text) == told


def fault(parse, text: str) -> tuple[str, int, int, str]:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    return caught.value.message, caught.value.start, caught.value.end, caught.value.help


@pytest.mark.parametrize(
    "text", ["9007199254740991", "'" + "x" * 8190 + "'", "not " * 31 + "a", "(" * 31 + "a" + ")" * 31],
    ids=["number", "length", "negations", "parentheses"],
)  # fmt: skip
def test_what_is_just_small_enough_is_read(text: str) -> None:
    assert parse_condition(text)


@pytest.mark.parametrize(
    ("text", "value", "end"), [("[]", [], 7), ("[1]", [1], 8), ("[1, 'x', true, -2]", [1, "x", True, -2], 23)]
)
def test_a_list_holds_literals(text: str, value: list[object], end: int) -> None:
    assert parse_condition(f"a in {text}") == Comparison("in", Path(("a",), 0, 1), Constant(value, 5, end))


def test_a_name_may_hold_words_of_the_language_and_all_cells() -> None:
    assert parse_template("${{ a.in.b[*].not }}") == (Path(("a", "in", "b", "*", "not"), 4, 17),)
    assert str(parse_template("${{ steps.a[*].b }}")[0]) == "steps.a[*].b"
    assert parse_condition("failed == 1") == Comparison("==", Path(("failed",), 0, 6), Constant(1, 10, 11))
