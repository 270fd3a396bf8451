"""Conditions in CEL, judged as cel-go judges them, against the engine's answer to the same condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from ir_values import Fault as NoAnswer
from ir_values import carried
from ir_values import holds as judged

from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.steps.interface import Kind
from pipec.targets.kubeflow.cel import can_say, cel
from pipec.values import ConfigRef, Json, ListOf, Literal, OutputRef, ParameterRef, Reference, RunRef, Text, Value
from pipec.verdict import Fault, holds

KINDS = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}
TRAPS = ("", "it's", 'say "no"', "a \\ b", "\\n", "two\nlines", "tab\t", "ünï 🙂",
         "{{$.inputs}}", "$(HOME) $$", "[[RunUUID]]",
         "1", "1.0", "true", "' == '' || '", "\x7f", "\u2028")  # fmt: skip
WHOLE = (0, 1, -1, 7, 2**53 - 1, -(2**53) + 1)
NUMBERS = (0.0, 0.5, -0.5, 1.0, 1e-9, 1e300, 0.1 + 0.2)


@dataclass(frozen=True, slots=True)
class Known:
    """A run in which parameters have values and tasks have ended."""

    values: Mapping[str, Json]
    states: Mapping[str, str]

    def state(self, task: str) -> str:
        return self.states[task]

    def seen(self, task: str) -> str:
        return self.states[task]

    def is_barren(self, task: str) -> bool:
        return False

    def lookup(self, reference: Reference) -> Json:
        assert isinstance(reference, ParameterRef)
        return self.values[reference.name]

    def present(self, value: Value) -> Iterator[Value]:
        yield value


def answers(
    condition: Condition, values: Mapping[str, Json], states: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return what the engine says, and what Kubeflow does: `true`, `false` or `none`."""
    told = states or {}

    def named(reference: Reference) -> tuple[str, Kind]:
        assert isinstance(reference, ParameterRef)
        return reference.name, KINDS[type(values[reference.name])]

    said = cel(condition, named, lambda task: f"state-{task}")
    try:
        here = str(holds(condition, Known(values, told))).lower()
    except Fault:
        here = "none"
    given = {name: carried(value) for name, value in values.items()}
    try:
        there = str(judged(said, given | {f"state-{task}": state for task, state in told.items()})).lower()
    except NoAnswer:
        there = "none"
    return here, there


X, Y = ParameterRef("x"), ParameterRef("y")
ORDERS = ("==", "!=", "<", "<=", ">", ">=")


@pytest.mark.parametrize(
    "pool", [WHOLE, NUMBERS, (*WHOLE[:4], *NUMBERS[:5]), TRAPS], ids=["whole", "numbers", "mixed", "texts"]
)
@pytest.mark.parametrize("operator", ORDERS)
def test_values_of_a_kind_compare_as_on_the_engine(pool: tuple[Json, ...], operator: str) -> None:
    for left in pool:
        for right in pool[:: 1 if len(pool) < 12 else 3]:
            for condition in (Compare(operator, X, Literal(right)), Compare(operator, X, Y)):
                here, there = answers(condition, {"x": left, "y": right})
                assert here == there, (condition, left, right)


@pytest.mark.parametrize("text", TRAPS, ids=range(len(TRAPS)))
def test_a_text_that_nobody_may_read_as_theirs_stands_for_itself(text: str) -> None:
    assert answers(Compare("==", X, Literal(text)), {"x": text}) == ("true", "true")
    said = cel(Compare("==", X, Literal(text)), lambda reference: ("x", Kind.STRING), str)
    assert not any(each in said.removeprefix("inputs.parameter_values['x']") for each in ("{{", "$(", "$$", "[[", "\n"))


@pytest.mark.parametrize("operator", ["==", "!="])
@pytest.mark.parametrize(
    "pool", [(True, False), ([], [1], [1, 2], ["a"], [1.0, "a"], [[1], []])], ids=["booleans", "lists"]
)
def test_what_has_no_order_is_equal_or_not_as_on_the_engine(pool: tuple[Json, ...], operator: str) -> None:
    for left in pool:
        for right in pool:
            for condition in (Compare(operator, X, Literal(right)), Compare(operator, X, Y)):
                here, there = answers(condition, {"x": left, "y": right})
                assert here == there, (condition, left, right)


@pytest.mark.parametrize(
    ("item", "listed"),
    [("a", ["a", "b"]), ("c", ["a", "b"]), ("a", []), (1, [1, 2]), (3, [1, 2]), (1, [1.0, 2.5]), (0.5, [0.5, 1]),
     (1, ["1", 1]), ("1", [1, "1"]), (True, [True]), (False, [True]), ([1], [[1], [2]]), ("it's", ["it's", "\\"])],
)  # fmt: skip
def test_a_list_holds_what_it_holds_on_the_engine(item: Json, listed: list[Json]) -> None:
    values = {"x": item}
    one_by_one = ListOf(tuple(Literal(each) for each in listed))
    for where in (Literal(listed), one_by_one):
        for what in (X, Literal(item)):
            here, there = answers(Compare("in", what, where), values)
            assert here == there, (what, where)


@pytest.mark.parametrize("state", ["succeeded", "failed", "refused", "skipped"])
@pytest.mark.parametrize("asked", ["succeeded", "failed", "skipped"])
def test_a_status_is_told_as_on_the_engine(asked: str, state: str) -> None:
    status = Status(asked, "a")
    for condition in (status, Not(status), AllOf((status, Holds(X))), AnyOf((status, Holds(X)))):
        for value in (True, False):
            here, there = answers(condition, {"x": value}, {"a": state})
            assert here == there, condition


@pytest.mark.parametrize("x", [True, False])
@pytest.mark.parametrize("y", [1, 2])
def test_terms_are_grouped_as_they_were_written(x: bool, y: int) -> None:
    one, two, three = Holds(X), Compare("==", Y, Literal(1)), Holds(Literal(False))
    for condition in (
        AllOf((AnyOf((one, two)), Not(three))), AnyOf((AllOf((one, two)), three)), AllOf(()), AnyOf(()), Not(Not(one)),
        Not(AnyOf((one, AllOf((two, three))))), Not(AllOf((one, Not(two)))),
        AnyOf((Not(one), AllOf((two, AnyOf((one, three)))))),
    ):  # fmt: skip
        here, there = answers(condition, {"x": x, "y": y})
        assert here == there, condition


@pytest.mark.parametrize(
    ("value", "is_said"),
    [(Literal(1), True), (Literal(None), False), (Literal({"k": 1}), False), (X, True), (OutputRef("a", "n"), True),
     (RunRef("id"), True), (RunRef("date"), False), (ConfigRef("region"), False), (Text((Literal("a"), X)), False),
     (ListOf((Literal(1), X)), True), (ListOf((Text((X, X)),)), False)],
)  # fmt: skip
def test_what_cannot_be_said_is_known_before(value: Value, is_said: bool) -> None:
    assert can_say(Compare("==", X, value)) is is_said
    assert can_say(AllOf((Holds(X), Not(Compare("<", value, X))))) is is_said


@pytest.mark.parametrize("terms", [Compare("in", X, Y), AllOf((Holds(X), Not(Compare("in", Literal(1), Y))))])
def test_a_list_that_only_a_run_knows_is_searched_by_the_step_itself(terms: Condition) -> None:
    assert not can_say(terms)
    assert answers(Compare("in", Literal(1), Y), {"y": ["a"]}) == ("none", "false")
