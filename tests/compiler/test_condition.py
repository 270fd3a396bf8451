"""Conditions as values: what is in one, what another one in its place is, and its form as JSON."""

from __future__ import annotations

import json

import pytest

from pipec.condition import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Holds,
    Not,
    Status,
    both,
    describe,
    named,
    operands,
    parse,
    rewritten,
    statuses,
)
from pipec.values import Json, Literal, OutputRef, ParameterRef, Value, encode

READY, RATE, LEAST = OutputRef("a", "ready"), OutputRef("a", "rate"), ParameterRef("least")
WHOLE = AllOf(
    (
        Compare(">=", RATE, LEAST),
        Not(AnyOf((Status("failed", "a"), Status("skipped", "b")))),
        AnyOf((Holds(READY), Not(Compare("in", Literal(1), RATE)))),
    )
)


def test_the_parts_of_a_condition_are_found_at_any_depth_in_their_order() -> None:
    assert list(statuses(WHOLE)) == [Status("failed", "a"), Status("skipped", "b")]
    assert list(operands(WHOLE)) == [RATE, LEAST, READY, Literal(1), RATE]
    assert list(named(WHOLE)) == [RATE, LEAST, READY, RATE]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Compare("<", RATE, Literal(2)), ["<", encode(RATE), encode(Literal(2))]),
        (Status("failed", "a"), ["failed", "a"]),
        (Holds(READY), ["is", encode(READY)]),
        (Not(Status("failed", "a")), ["not", ["failed", "a"]]),
        (AllOf((Status("failed", "a"), Holds(READY))), ["and", ["failed", "a"], ["is", encode(READY)]]),
        (AnyOf((Status("failed", "a"), Holds(READY))), ["or", ["failed", "a"], ["is", encode(READY)]]),
    ],
)
def test_a_condition_is_written_with_its_operator_first(asked: Condition, said: Json) -> None:
    assert describe(asked) == said
    assert parse(said) == asked


def test_a_condition_comes_back_from_its_text_whole() -> None:
    assert parse(json.loads(json.dumps(describe(WHOLE)))) == WHOLE


@pytest.mark.parametrize(
    "said",
    [None, True, "a", [], ["not"], ["is"], ["parked", "a"], ["failed", 1], ["=", 1, 2], ["<", 1], [1, 2, 3],
     ["and", ["failed"]], ["is", {"$nothing": 1}], {"failed": "a"}],
    ids=str,
)  # fmt: skip
def test_no_other_form_is_a_condition(said: Json) -> None:
    with pytest.raises(ValueError, match="is not a form of"):
        parse(said)


def test_every_name_and_every_status_may_be_replaced() -> None:
    def known(reference: object) -> Value | None:
        return Literal(0.9) if reference == LEAST else None

    found = rewritten(WHOLE, known, Not)
    assert found == AllOf(
        (
            Compare(">=", RATE, Literal(0.9)),
            Not(AnyOf((Not(Status("failed", "a")), Not(Status("skipped", "b"))))),
            AnyOf((Holds(READY), Not(Compare("in", Literal(1), RATE)))),
        )
    )


def test_two_conditions_hold_together_and_none_asks_nothing() -> None:
    one, other = Status("failed", "a"), Holds(READY)
    assert both(one, other) == AllOf((one, other))
    assert (both(one, None), both(None, other), both(None, None)) == (one, other, None)
