"""A plan as the text of a DAG file: the fixed skeleton of `dag.py.jinja`, filled with literals.

The skeleton holds no value: what stands in its slots was written by `source.py` or is one of this module's own words.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipec.compiler.plan import Plan, Task
from pipec.record import frozen
from pipec.steps.command import ITEMS
from pipec.targets.airflow.approval import decision_id, human, subject_id
from pipec.targets.airflow.docker import is_docker, worker_variables
from pipec.targets.airflow.event import Event, event_words, events, heard, read, takes_parameters
from pipec.targets.airflow.flow import Flow, asks_end, flow, has_written_items
from pipec.targets.airflow.foreign import foreign, is_foreign
from pipec.targets.airflow.group import Group, grouped, names
from pipec.targets.airflow.head import head, page
from pipec.targets.airflow.hoist import alike, constants, referring, shared, without
from pipec.targets.airflow.imports import imports
from pipec.targets.airflow.name import free, variables
from pipec.targets.airflow.operators import fixed, items, step, subject
from pipec.targets.airflow.pod import labels, side_car
from pipec.targets.airflow.source import WIDTH, Call, Name, Source, Spread, write
from pipec.targets.airflow.version import version
from pipec.targets.base import Options, every
from pipec.targets.cluster import asks_person
from pipec.values import Literal, OutputRef, references

if TYPE_CHECKING:
    from jinja2 import Template

_POD = ("pod_template_dict", "POD")  # what the operator lays its fields over, and what it is called in the file
_STEPS, _TEARDOWN = ("Step", "Step.partial"), ".as_teardown()"
Made = tuple[str, Call]  # an operator, and the id of its task


@frozen
class _Body:
    """The operators of a file. made: those that each task becomes, in the order in which they run.

    common: what `default_args` says of them. last: the tasks of no container behind all others. told: those that tell
    of events. names: the variables of all, by id.
    """

    made: Mapping[str, Sequence[Made]]
    common: Mapping[str, Source]
    last: Mapping[str, Call]
    told: Mapping[str, Event]
    names: Mapping[str, str]


def dag_file(plan: Plan, options: Options) -> str:
    """Return the DAG file's text. Assumes that `refuse` found nothing."""
    moves = flow(plan)
    moves = replace(moves, read=moves.read | read(plan, options))
    written = {task.name: tuple(_operators(plan, task, options, moves)) for task in plan.tasks}
    pods = constants([call for operators in written.values() for _, call in operators], *_POD)
    made = {
        name: tuple((task_id, referring(call, _POD[0], pods)) for task_id, call in operators)
        for name, operators in written.items()
    }
    calls = [call for operators in made.values() for _, call in operators]
    steps = [call for call in calls if call.name in _STEPS]
    ids = [task_id for operators in made.values() for task_id, _ in operators]
    last = _last(moves, {*ids, *names(plan.tasks)})
    parts = {name: [task_id for task_id, _ in operators] for name, operators in made.items()}
    told = events(plan, options, moves, parts, tuple(last))
    before = {task.name: parts[task.name][:-1] for task in plan.tasks if asks_person(task) or is_foreign(task)}
    body = _Body(made, shared(_telling(plan, made)), last, told, variables([*ids, *last, *told]))
    opening, groups = head(plan, options, {**body.common, **_side_car(options, steps)}), grouped(plan.tasks)
    words = _words(plan, options, moves, before)
    extra = [*last.values(), *(event.call for event in told.values())]
    is_grouped = any(isinstance(member, Group) for member in groups.members)
    used = [words["operator"], "AirflowFailException", "AirflowSkipException", *(["TaskGroup"] if is_grouped else [])]
    used += ["ApprovalOperator"] if words["has_decision"] else []
    used += ["BaseOperator"] if told else []
    return _skeleton().render(
        words,
        imports=imports(used, [opening, *calls, *extra], _modules(words), version(options).places),
        constants=[
            f"{name} = {write(parts, 0, len(name) + 3)}"
            for name, parts in [*_used(plan, options, steps, words), *pods.items()]
        ],
        # Its arguments stand on lines of their own, however short they are.
        dag=f"{write(opening, 0, WIDTH)} as dag",
        blocks=[
            *_blocks(groups, 4, body),
            *(_assigned(each, last[each], 4, body) for each in last),
            *(_assigned(each, told[each].call, 4, body, ending=_TEARDOWN) for each in told),
        ],
        edges=_edges(plan, moves, body),
        page=f"dag.doc_md = {write(said, 4, 17)}" if (said := page(plan, options)) else "",
    )


def _telling(plan: Plan, made: Mapping[str, Sequence[Made]]) -> list[Call]:
    """Return the calls by which is judged what most are told alike: approvals do as the others, whatever that is."""
    told = [made[task.name] for task in plan.tasks if not asks_person(task)] or list(made.values())
    return [call for operators in told for _, call in operators if call.name in _STEPS]


def _words(plan: Plan, options: Options, moves: Flow, before: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what the skeleton asks about a plan: which of its parts a file needs.

    before: the ids of the tasks that stand before a task, where it is several.
    """
    rules, loops = moves.rules.values(), [task for task in plan.tasks if task.loop]
    judges = bool(loops) or any(rule.needs or rule.when for rule in rules)
    judges = judges or any(is_foreign(task) and task.is_final for task in plan.tasks)
    return {
        "operator": "DockerOperator" if is_docker(options) else "KubernetesPodOperator",
        "judges": judges,
        "asks_run": version(options).asks_run and (judges or any(asks_end(task) for task in every(plan))),
        "any_of": any(rule.any_of for rule in rules),
        "siblings": any(rule.siblings for rule in rules),
        "loops": {task.name: "" if has_written_items(task) else f"{task.name}{ITEMS}" for task in loops},
        "fail_fast": any(task.loop and task.loop.max_parallel and task.loop.fail_fast for task in loops),
        "reads_output": is_docker(options) and (bool(moves.read) or bool(before)),
        "parts": before,
        "has_own": any(is_foreign(task) for task in plan.tasks),
        "is_pod": not is_docker(options),
        "has_decision": any(asks_person(task) for task in plan.tasks),
        **event_words(plan, options),
        "worker_variables": is_docker(options) and any(worker_variables(task, options) for task in every(plan)),
    }


def _modules(words: Mapping[str, Any]) -> list[str]:
    """Return the modules of the standard library that the skeleton's own parts use."""
    users = {"json": ("reads_output", "hands"), "os": ("worker_variables",), "re": ("loops",)}
    return [module for module, parts in users.items() if any(words[part] for part in parts)]


def _operators(plan: Plan, task: Task, options: Options, moves: Flow) -> Iterator[Made]:
    """Yield the operators that a task becomes."""
    if task.loop and not has_written_items(task):
        yield f"{task.name}{ITEMS}", items(plan, task, options)
    if asks_person(task):
        yield subject_id(task), subject(plan, task, options, moves)
        yield decision_id(task), human(plan, task, options)
    if is_foreign(task):
        yield from foreign(plan, task, options, moves)
        return
    yield task.name, step(plan, task, options, moves)


def _last(moves: Flow, taken: Container[str]) -> dict[str, Call]:
    """Return the tasks that see to it that a run ends as its tasks did."""
    wanted = (("forgiven", "all_done", moves.forgiven), ("end", "none_failed", moves.ending))
    return {
        free(name, taken): Call("EmptyOperator", (("trigger_rule", rule),)) for name, rule, behind in wanted if behind
    }


def _used(
    plan: Plan, options: Options, steps: Sequence[Call], words: Mapping[str, Any]
) -> Iterator[tuple[str, Sequence[Source] | Mapping[str, Source]]]:
    """Yield the constants that calls are made with, and what the skeleton asks about loops and steps in parts."""
    spread = {item for call in steps for _, given in call.keywords if isinstance(given, list)
              for item in given if isinstance(item, Spread)}  # fmt: skip
    yield from ((name, parts) for name, parts in fixed(plan, options).items() if Spread(name) in spread)
    if words["loops"]:
        yield "LOOPS", words["loops"]
    if takes_parameters(plan):
        yield "TRIGGERS", list(heard(plan))
    if (words["judges"] or words["events"]) and words["parts"]:
        yield "PARTS", words["parts"]
    if not is_docker(options):
        yield "LABELS", labels(plan)


def _side_car(options: Options, steps: Sequence[Call]) -> Mapping[str, Source]:
    """Return what is to be said of the container beside those of tasks that hand something on, if there are any."""
    hands_on = any(("do_xcom_push", True) in call.keywords for call in steps)
    return side_car(options) if hands_on and not is_docker(options) else {}


def _blocks(group: Group, indent: int, body: _Body) -> Iterator[str]:
    """Yield the operators of a group, and the groups in it, as source that is indented."""
    for member in group.members:
        if isinstance(member, Group):
            cells = {} if member.is_prefix else _alike(member, body)
            keywords: tuple[tuple[str, Source], ...] = () if member.is_prefix else (("prefix_group_id", False),)
            keywords += (("default_args", cells),) if cells else ()
            opened = write(Call("TaskGroup", keywords, plain=(group.label(member.name),)), indent)
            inside = "\n\n".join(_blocks(member, indent + 4, replace(body, common={**body.common, **cells})))
            yield f"{' ' * indent}with {opened}:\n{inside}"
            continue
        for task_id, call in body.made[member.name]:
            own = without(call, body.common) if call.name in _STEPS else call
            ending = "" if task_id != member.name else _expanded(member, indent, body)
            ending += _TEARDOWN * (member.is_final and (task_id == member.name or is_foreign(member)))
            yield _assigned(task_id, own, indent, body, group.label(task_id), ending)


def _alike(cells: Group, body: _Body) -> dict[str, Source]:
    """Return what all cells of a matrix are told alike, beyond what most tasks of the file are."""
    made = [body.made[cell.name] for cell in cells.members if isinstance(cell, Task)]
    if any(len(operators) > 1 or operators[0][1].name != "Step" for operators in made):
        return {}  # what asks a person, say, is an operator that others' keywords mean nothing to
    return alike([without(operators[0][1], body.common) for operators in made])


def _expanded(task: Task, indent: int, body: _Body) -> str:
    """Return what maps the operator of a loop over its list."""
    if task.loop is None:
        return ""
    if isinstance(task.loop.items, Literal) and has_written_items(task):
        listed: Source = task.loop.items.value
    else:
        listed = Name(f"{body.names[f'{task.name}{ITEMS}']}.output")
    return write(Call(").expand", (("item", listed),)), indent, indent)[1:]


def _assigned(task_id: str, call: Call, indent: int, body: _Body, label: str = "", ending: str = "") -> str:
    """Return the line that makes an operator. label: what the task is called in its group."""
    name = body.names[task_id]
    whole = Call(call.name, (("task_id", label or task_id), *call.keywords), call.plain)
    return f"{' ' * indent}{name} = {write(whole, indent, indent + 3 + len(name))}{ending}"


def _edges(plan: Plan, moves: Flow, body: _Body) -> list[str]:
    """Return the lines that put every task after what it needs, the parts of an approval one after the other."""
    lines = []
    for task in plan.tasks:
        after, chain = moves.rules[task.name].after, [task_id for task_id, _ in body.made[task.name]]
        if task.loop and len(chain) > 1 and moves.rules[task.name].is_judged:
            # The list is found out where all it is made of is there, whatever became of the rest.
            first = dict.fromkeys(ref.task for ref in references(task.loop.items) if isinstance(ref, OutputRef))
            lines += _edge(tuple(first), chain[:1], body)
            after, chain = (*(each for each in after if each not in first), *chain[:1]), chain[1:]
        lines += _edge(after, chain, body)
    last = iter(body.last)
    forgiven = [next(last)] if moves.forgiven else []
    lines += _edge(moves.forgiven, forgiven, body)
    # A part of a final step that fails has the rest skipped, so the last task must see every part.
    parts = {task.name: body.made[task.name] for task in plan.tasks if task.is_final and is_foreign(task)}
    ending = [part for name in moves.ending for part, _ in parts.get(name, body.made[name][-1:])]
    lines += _edge([*ending, *forgiven], list(last), body)
    return _chained([*lines, *(line for name, each in body.told.items() for line in _edge(each.after, [name], body))])


def _chained(lines: Sequence[str]) -> list[str]:
    """Return lines of edges, joined where one begins with what the one before it ends in: `a >> b` and `b >> c`."""
    found: list[str] = []
    for line in lines:
        first, _, rest = line.partition(" >> ")
        if found and rest and found[-1].endswith(f">> {first}") and len(found[-1]) + len(rest) <= WIDTH - 8:
            found[-1] += f" >> {rest}"
        else:
            found.append(line)
    return found


def _edge(before: Sequence[str], chain: Sequence[str], body: _Body) -> list[str]:
    """Return what puts a chain of tasks behind others."""
    first, after = [body.names[each] for each in before], " >> ".join(body.names[each] for each in chain)
    if not first or not chain:
        return [after] if len(chain) > 1 else []
    if len(first) == 1:
        return [f"{first[0]} >> {after}"]
    flat = f"[{', '.join(first)}] >> {after}"
    if len(flat) <= WIDTH - 4:
        return [flat]
    return ["[", *(f"    {one}," for one in first), f"] >> {after}"]


@cache
def _skeleton() -> Template:
    """Return the skeleton, compiled once; jinja2 is loaded only when a DAG is written."""
    from jinja2 import Environment, StrictUndefined

    text = Path(__file__).with_name("dag.py.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(text)
