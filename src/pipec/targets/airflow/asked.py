"""Conditions as the expressions of Jinja that Airflow renders in the worker, before a container starts.

Values arrive as they were written: parameters of the run, small outputs by XCom. What is absent is undefined there, and
asking it fails the task. Knows no task and no source text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import assert_never

from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.targets.airflow.source import jinja, templated
from pipec.values import ItemRef, Json, ListOf, Literal, ObjectOf, OutputRef, ParameterRef, RunRef, Text, Value

RUN_ID = "run_id"
MOMENT = "dag_run.run_after"  # a run that is started by hand has no other moment than that of its start
PARAMS = "params"
# What to do about a condition that cannot be said.
COMPARABLE = "compare parameters, small outputs, `run.id` and `run.date` with each other or with what is written here"


def scheduled_at(moment: str) -> str:
    """Return the expression for the time that a run is of, as Kubeflow writes it. moment: that of the time itself."""
    return f'{moment}.strftime("%Y-%m-%dT%H:%M:%SZ")'


def can_say(condition: Condition) -> bool:
    """Say whether a condition means the same in Jinja.

    It does not fail where a list that only a run knows has nothing of the kind that is looked for in it, nor where a
    value that is absent is looked for in an empty one: nothing there asks it.
    """
    match condition:
        case Compare("in", left, right):
            return _is_known(left) and _has_items(right) and _is_known(right)
        case Compare(_, left, right):
            return _is_known(left) and _is_known(right)
        case Holds(value):
            return _is_known(value)
        case Not(term):
            return can_say(term)
        case AllOf(terms) | AnyOf(terms):
            return all(can_say(term) for term in terms)
        case Status():
            return True
        case _:
            assert_never(condition)


def _has_items(value: Value) -> bool:
    match value:
        case Literal(list() | tuple() as items) | ListOf(items):
            return bool(items)
        case _:
            return False


def _is_known(value: Value) -> bool:
    match value:
        case Literal(known):
            return known is not None and not isinstance(known, dict)
        case ListOf(items):
            return all(_is_known(item) for item in items)
        case OutputRef() | ParameterRef() | ItemRef():
            return True
        case RunRef(name):
            return name != "outcome"  # a worker cannot tell a refusal from another failure
        case _:
            return False


def expression(condition: Condition, moment: str) -> str:
    """Return a condition as an expression that is true or false. Assumes `can_say`. moment: as in `scheduled_at`."""
    match condition:
        case Compare(operator, left, right):
            return f"{_operand(left, moment)} {operator} {_operand(right, moment)}"
        case Holds(value):
            return _operand(value, moment)
        case Status(state, task):
            return f"ends[{jinja(task)}] == {jinja(state)}"
        case Not(term):
            return f"not ({expression(term, moment)})"
        case AllOf(terms):
            return " and ".join(_term(term, moment) for term in terms) or "true"
        case AnyOf(terms):
            return " or ".join(_term(term, moment) for term in terms) or "false"
        case _:
            assert_never(condition)


def _term(condition: Condition, moment: str) -> str:
    """Return a part of a condition, in parentheses where it has parts itself."""
    said = expression(condition, moment)
    return f"({said})" if isinstance(condition, AllOf | AnyOf) else said


def _operand(value: Value, moment: str) -> str:
    match value:
        case Literal(known):
            return _literal(known)
        case ListOf(items):
            return "[" + ", ".join(_operand(item, moment) for item in items) + "]"
        case OutputRef(task, output):
            return f"ti.xcom_pull({jinja(task)})[{jinja(output)}]"
        case ParameterRef(name):
            return f"{PARAMS}[{jinja(name)}]"
        case ItemRef(field):
            return f"item[{jinja(field)}]" if field else "item"
        case RunRef("id"):
            return RUN_ID
        case RunRef("scheduled_at"):
            return scheduled_at(moment)
        case RunRef("date"):
            return f"{scheduled_at(moment)}[:10]"
    raise AssertionError(f"asked._operand got {value} (can_say should have stopped it)")


def can_tell(value: Value) -> bool:
    """Say whether the worker can find out a value that a run is to be given."""
    match value:
        case Literal():
            return True
        case Text(parts) | ListOf(parts):
            return all(can_tell(part) for part in parts)
        case ObjectOf(fields):
            return all(can_tell(part) for _, part in fields)
        case _:
            return _is_known(value)


def told(value: Value) -> str:
    """Return a value as a template that renders to JSON, so that it keeps its type. Assumes `can_tell`."""
    if isinstance(value, Literal):
        return templated(json.dumps(value.value))
    return "{{ " + _told(value) + " | tojson }}"


def _told(value: Value) -> str:
    match value:
        case Text(parts):
            # Jinja's own `~` would write a number or a truth as Python does.
            return f"({' ~ '.join(_part(part) for part in parts)})"
        case ListOf(items):
            return "[" + ", ".join(_told(item) for item in items) + "]"
        case ObjectOf(fields):
            return "{" + ", ".join(f"{jinja(name)}: {_told(item)}" for name, item in fields) + "}"
        case _:
            return _operand(value, MOMENT)


def _part(value: Value) -> str:
    match value:
        case Literal(str(known)):
            return jinja(known)
        case RunRef():
            return _operand(value, MOMENT)
        case _:
            return f"as_text({_told(value)})"


def listed(items: Value, moment: str, params: str = PARAMS) -> str:
    """Return the list that a loop goes over as a template, which renders to what Python writes. Assumes `can_list`.

    moment: the expression for the time that the run is of. params: for its parameters.
    """
    known = "" if params == PARAMS else f"{{% set {PARAMS} = {params} %}}"
    return f"{known}{{{{ {_operand(items, moment)} }}}}"


def can_list(items: Value) -> bool:
    """Say whether the worker can find out a list itself."""
    return _is_known(items)


def _literal(known: Json) -> str:
    match known:
        case None:
            return "none"
        case bool():
            return "true" if known else "false"
        case int() | float():
            return repr(known)
        case str():
            return jinja(known)
        case Mapping():
            return "{" + ", ".join(f"{jinja(name)}: {_literal(item)}" for name, item in known.items()) + "}"
        case _:
            return "[" + ", ".join(_literal(item) for item in known) + "]"
