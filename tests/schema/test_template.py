"""Text with expressions as values: every root, where each name stands, and what names nothing."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

import pytest

from pipec.condition import AllOf, AnyOf, Compare, Holds, Not, Status
from pipec.diagnostics import Loc, Source, Span
from pipec.schema import tree
from pipec.schema.model import Reference, When
from pipec.schema.template import Templates
from pipec.values import (
    ConfigRef,
    EachRef,
    ItemRef,
    ListOf,
    Literal,
    MatrixRef,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    SecretRef,
    Text,
    Value,
)


def read(text: str) -> tuple[Templates, tree.Tree]:
    source = Source("p.yaml", text)
    (document,), found = tree.read(source)
    assert not found
    return Templates(source, "prod", {"k": 4, "none": None, "l": [1, 2]}, {"region": "eu"}), document


def value(text: str) -> tuple[Value, list[Reference], list[str]]:
    templates, document = read(text)
    found: list[Reference] = []
    return templates.value(document, found), found, [one.message for one in templates.findings]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("parameters.x", ParameterRef("x")), ("parameters.k", Literal(4)), ("parameters.l", Literal([1, 2])),
        ("parameters.none", Literal(None)), ("inputs.x", ParameterRef("x")), ("inputs.k", ParameterRef("k")),
        ("steps.a.b", OutputRef("a", "b")), ("steps.a-1.b_c", OutputRef("a-1", "b_c")),
        ("steps.a[*].b", EachRef("a", "b")), ("secrets.x-y", SecretRef("x-y")), ("configs.x", ConfigRef("x")),
        ("configs.region", Literal("eu")), ("item", ItemRef()), ("item.x", ItemRef("x")), ("item.in", ItemRef("in")),
        ("matrix.x", MatrixRef("x")), ("run.id", RunRef("id")), ("run.date", RunRef("date")),
        ("run.scheduled_at", RunRef("scheduled_at")), ("run.outcome", RunRef("outcome")),
        ("environment.name", Literal("prod")),
    ],
)  # fmt: skip
def test_every_root_stands_for_its_value_alone_and_in_a_text(name: str, meant: Value) -> None:
    alone, (reference,), told = value(f"${{{{ {name} }}}}")
    assert (alone, told) == (meant, [])
    assert (str(reference), reference.whole, reference.loc.span) == (name, True, (1, 5, 1, 5 + len(name)))
    inside, (reference,), _ = value(f"x ${{{{ {name} }}}}")
    assert (inside, reference.whole) == (Text((Literal("x "), meant)), False)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("parameters", "parameters.NAME"), ("parameters.a.b", "parameters.NAME"), ("inputs[*]", "inputs.NAME"),
        ("steps.a", "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT"), ("steps.a.b.c", "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT"),
        ("steps.a[*]", "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT"), ("steps[*].a", "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT"),
        ("steps.a[*][*].b", "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT"), ("secrets", "secrets.NAME"),
        ("item.a.b", "item` or `item.FIELD"), ("item[*]", "item` or `item.FIELD"), ("matrix", "matrix.AXIS"),
        ("matrix[*]", "matrix.AXIS"), ("run.time", "run.date|id|outcome|scheduled_at"), ("environment.x", "environment.name"),
        ("configs[*]", "configs.NAME"), ("secrets[*]", "secrets.NAME"), ("parameters[*]", "parameters.NAME"),
    ],
)  # fmt: skip
def test_a_name_of_another_form_is_told_with_the_form(name: str, form: str) -> None:
    templates, document = read(f"${{{{ {name} }}}}")
    templates.value(document, [])
    (found,) = templates.findings
    assert (found.message, found.help) == (f"`{name}` names no value", f"the form is `{form}`")
    assert found.loc.span == (1, 5, 1, 5 + len(name))


def test_an_unknown_root_is_told_with_the_nearest() -> None:
    _, _, told = value("${{ step.a.b }}")
    assert told == ["an expression cannot begin with `step`"]


def test_lists_and_objects_are_plain_where_all_of_them_is_known() -> None:
    assert value("[1, '${{ parameters.k }}', {a: '$${{'}]")[0] == Literal([1, 4, {"a": "${{"}])
    assert value("[1, '${{ parameters.x }}']")[0] == ListOf((Literal(1), ParameterRef("x")))
    assert value("{a: ['${{ item }}'], b: 2}")[0] == ObjectOf((("a", ListOf((ItemRef(),))), ("b", Literal(2))))


def test_a_text_that_is_all_known_is_left_as_parts_for_the_run_to_join() -> None:
    assert value("'${{ parameters.k }}-${{ configs.region }}'")[0] == Text((Literal(4), Literal("-"), Literal("eu")))


def when(text: str) -> tuple[When | None, Templates]:
    source = Source("p.yaml", text)
    document = tree.Scalar(text, Loc("p.yaml", Span(1, 1, text.count("\n") + 1, len(text.split("\n")[-1]) + 1)))
    templates = Templates(source, "prod")
    return templates.condition(tree.read(source)[0][0] if text in ("true", "false") else document), templates


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("steps.a.n > 3", Compare(">", OutputRef("a", "n"), Literal(3))),
        ("'x' in steps.a[*].t", Compare("in", Literal("x"), EachRef("a", "t"))),
        ("parameters.x in [1, 2.5, true, \"a\"]", Compare("in", ParameterRef("x"), Literal([1, 2.5, True, "a"]))),
        ("not parameters.x and item.y or failed(b)",
         AnyOf((AllOf((Not(Holds(ParameterRef("x"))), Holds(ItemRef("y")))), Status("failed", "b")))),
        ("environment.name == 'prod'", Compare("==", Literal("prod"), Literal("prod"))),
        ("succeeded(in-1)", Status("succeeded", "in-1")),
        ("true", None),
        ("false", Holds(Literal(False))),
    ],
)  # fmt: skip
def test_a_condition_asks_by_value(text: str, asks: object) -> None:
    found, templates = when(text)
    assert templates.findings == []
    assert found is not None
    assert found.asks == asks


def test_the_names_of_a_condition_stand_at_their_places() -> None:
    found, _ = when("steps.a.n > 3 and\n  steps.a.n < 5 or failed(a)")
    assert found is not None
    assert [(str(one), one.loc.span) for one in found.references] == [
        ("steps.a.n", (1, 1, 1, 10)), ("steps.a.n", (2, 3, 2, 12)), ("status.a", (2, 20, 2, 29)),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a ==", "succeeded()", "(", "1 2", "${{ x }}", "x.y"])
def test_a_condition_that_cannot_be_read_is_told_once(text: str) -> None:
    _, templates = when(text)
    assert len(templates.findings) == 1


PLACES = {
    "plain": ("{}", 1, 1),
    "in double quotes": ('"{}"', 1, 2),
    "in single quotes": ("'{}'", 1, 2),
    "in a block": ("|\n  {}\n", 2, 3),
    "in a folded block": (">-\n  text\n  and {}\n", 3, 7),
    "under a key": ("a: {}", 1, 4),
    "after the same name as text": ("steps.a.b and {}", 1, 15),
    "on the second line of a plain text": ("a\n  {}", 2, 3),
}


@pytest.mark.parametrize("form", PLACES)
def test_a_name_is_placed_where_it_is_written(form: str) -> None:
    written, line, column = PLACES[form]
    _, (reference,), _ = value(written.format("${{ steps.a.b }}"))
    assert reference.loc.span == (line, column + 4, line, column + 13)
