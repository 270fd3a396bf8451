"""A plan as the text of a DAG file: the fixed skeleton of `dag.py.jinja`, filled with literals.

The skeleton holds no value: what stands in its slots was written by `source.py` or is one of this module's own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipec.compiler.plan import Plan, Task
from pipec.record import frozen
from pipec.targets.airflow.approval import decision_id, human
from pipec.targets.airflow.docker import is_docker
from pipec.targets.airflow.flow import Flow, flow
from pipec.targets.airflow.group import Group, grouped
from pipec.targets.airflow.head import head
from pipec.targets.airflow.hoist import shared, without
from pipec.targets.airflow.name import free, variables
from pipec.targets.airflow.operators import constants, step
from pipec.targets.airflow.source import WIDTH, Call, Source, Spread, write
from pipec.targets.base import Options
from pipec.targets.cluster import asks_person, secret_variables

if TYPE_CHECKING:
    from jinja2 import Template

Made = tuple[str, Call]  # an operator, and the id of its task


@frozen
class _Body:
    """The operators of a file. made: those that each task becomes, in the order in which they run.

    common: what `default_args` says of them. last: the tasks of no container behind all others. names: the variables of
    all, by id.
    """

    made: Mapping[str, Sequence[Made]]
    common: Mapping[str, Source]
    last: Mapping[str, Call]
    names: Mapping[str, str]


def dag_file(plan: Plan, options: Options) -> str:
    """Return the DAG file's text. Assumes that `refuse` found nothing."""
    moves = flow(plan)
    made = {task.name: tuple(_operators(plan, task, options, moves)) for task in plan.tasks}
    steps = [call for operators in made.values() for _, call in operators if call.name == "Step"]
    ids = [task_id for operators in made.values() for task_id, _ in operators]
    last = _last(moves, ids)
    body = _Body(made, shared(steps), last, variables([*ids, *last]))
    rules = moves.rules.values()
    return _skeleton().render(
        imports=_imports(plan, options, moves),
        constants=[f"{name} = {write(items, 0, len(name) + 3)}" for name, items in _used(options, steps)],
        operator="DockerOperator" if is_docker(options) else "KubernetesPodOperator",
        judges=any(rule.needs or rule.when for rule in rules),
        any_of=any(rule.any_of for rule in rules),
        siblings=any(rule.siblings for rule in rules),
        reads_output=bool(moves.read) and is_docker(options),
        worker_secrets=_has_worker_secrets(plan, options),
        # Its arguments stand on lines of their own, however short they are.
        dag=f"{write(head(plan, options, body.common), 0, WIDTH)} as dag",
        blocks=[*_blocks(grouped(plan.tasks), 4, body), *(_assigned(each, last[each], 4, body) for each in last)],
        edges=_edges(plan, moves, body),
    )


def _operators(plan: Plan, task: Task, options: Options, moves: Flow) -> Iterator[Made]:
    """Yield the operators that a task becomes."""
    if asks_person(task):
        yield decision_id(task), human(plan, task, options)
    yield task.name, step(plan, task, options, moves)


def _last(moves: Flow, ids: Sequence[str]) -> dict[str, Call]:
    """Return the tasks that see to it that a run ends as its tasks did."""
    wanted = (("forgiven", "all_done", moves.forgiven), ("end", "none_failed", moves.ending))
    return {
        free(name, ids): Call("EmptyOperator", (("trigger_rule", rule),)) for name, rule, behind in wanted if behind
    }


def _used(options: Options, steps: Sequence[Call]) -> Iterator[tuple[str, Sequence[Source]]]:
    """Yield the constants that some call is made with."""
    spread = {item for call in steps for _, given in call.keywords if isinstance(given, list)
              for item in given if isinstance(item, Spread)}  # fmt: skip
    return ((name, items) for name, items in constants(options).items() if Spread(name) in spread)


def _blocks(group: Group, indent: int, body: _Body) -> Iterator[str]:
    """Yield the operators of a group, and the groups in it, as source that is indented."""
    for member in group.members:
        if isinstance(member, Group):
            keywords: tuple[tuple[str, Source], ...] = () if member.is_prefix else (("prefix_group_id", False),)
            opened = write(Call("TaskGroup", keywords, plain=(group.label(member.name),)), indent)
            inside = "\n\n".join(_blocks(member, indent + 4, body))
            yield f"{' ' * indent}with {opened}:\n{inside}"
            continue
        for task_id, call in body.made[member.name]:
            own = without(call, body.common) if call.name == "Step" else call
            yield _assigned(task_id, own, indent, body, group.label(task_id), ".as_teardown()" * member.is_final)


def _assigned(task_id: str, call: Call, indent: int, body: _Body, label: str = "", ending: str = "") -> str:
    """Return the line that makes an operator. label: what the task is called in its group."""
    name = body.names[task_id]
    whole = Call(call.name, (("task_id", label or task_id), *call.keywords), call.plain)
    return f"{' ' * indent}{name} = {write(whole, indent, indent + 3 + len(name))}{ending}"


def _edges(plan: Plan, moves: Flow, body: _Body) -> list[str]:
    """Return the lines that put every task after what it needs, the parts of an approval one after the other."""
    lines = []
    for task in plan.tasks:
        lines += _edge(moves.rules[task.name].after, [task_id for task_id, _ in body.made[task.name]], body)
    *forgiven, end = body.last or ("",)
    for each in forgiven:
        lines += _edge(moves.forgiven, [each], body)
    if end:
        lines += _edge([*moves.ending, *forgiven], [end], body)
    return lines


def _edge(before: Sequence[str], chain: Sequence[str], body: _Body) -> list[str]:
    """Return what puts a chain of tasks behind others."""
    first, after = [body.names[each] for each in before], " >> ".join(body.names[each] for each in chain)
    if not first:
        return [after] if len(chain) > 1 else []
    if len(first) == 1:
        return [f"{first[0]} >> {after}"]
    flat = f"[{', '.join(first)}] >> {after}"
    if len(flat) <= WIDTH - 4:
        return [flat]
    return ["[", *(f"    {one}," for one in first), f"] >> {after}"]


def _imports(plan: Plan, options: Options, moves: Flow) -> list[str]:
    """Return the import lines, sorted as ruff sorts them; only what the file uses, for the processor loads it all."""
    sdk = ["DAG"]
    if plan.schedules:
        sdk.append("CronTriggerTimetable" if len(plan.schedules) == 1 else "MultipleCronTriggerTimetable")
    if plan.parameters:
        sdk.append("Param")
    provider = "airflow.providers"
    lines = [f"from {provider}.common.compat.sdk import AirflowFailException, AirflowSkipException"]
    if is_docker(options):
        lines.append(f"from {provider}.docker.operators.docker import DockerOperator")
    else:
        lines.append(f"from {provider}.cncf.kubernetes.operators.pod import KubernetesPodOperator")
        if any(secret_variables(task) for task in plan.tasks):
            lines.append(f"from {provider}.cncf.kubernetes.secret import Secret")
    if any(asks_person(task) for task in plan.tasks):
        lines.append(f"from {provider}.standard.operators.hitl import ApprovalOperator")
    if moves.ending or moves.forgiven:
        lines.append(f"from {provider}.standard.operators.empty import EmptyOperator")
    if any(task.group or "." in task.name for task in plan.tasks):
        sdk.append("TaskGroup")
    lines.append(f"from airflow.sdk import {', '.join(sdk)}")
    standard = ["import json"] if moves.read and is_docker(options) else []
    standard += ["import os"] if _has_worker_secrets(plan, options) else []
    if _needs_timedelta(plan, options):
        standard.append("from datetime import timedelta")
    return [*standard, *([""] if standard else []), *sorted(lines)]


def _needs_timedelta(plan: Plan, options: Options) -> bool:
    return any(
        task.retry.attempts > 1 or asks_person(task) or (is_docker(options) and task.timeout_s is not None)
        for task in plan.tasks
    )


def _has_worker_secrets(plan: Plan, options: Options) -> bool:
    return is_docker(options) and any(secret_variables(task) for task in plan.tasks)


@cache
def _skeleton() -> Template:
    """Return the skeleton, compiled once; jinja2 is loaded only when a DAG is written."""
    from jinja2 import Environment, StrictUndefined

    text = Path(__file__).with_name("dag.py.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(text)
