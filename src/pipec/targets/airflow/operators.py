"""One task as a call of an operator: what a container is called with, and what pods and Docker containers share.

What all tasks of a file share goes into the DAG's `default_args`; what Jinja could read is made safe here.
"""

from __future__ import annotations

import json
from dataclasses import replace

from pipec.compiler.plan import Loop, Plan, Task, order
from pipec.steps.brief import brief_name, brief_text, mark
from pipec.steps.carried import bare, interface_as_json
from pipec.steps.command import Ended, Order, guarded
from pipec.steps.interface import Interface
from pipec.targets.airflow.approval import decision, subject_id
from pipec.targets.airflow.asked import RUN_ID, expression, listed, scheduled_at
from pipec.targets.airflow.docker import docker, docker_args, is_docker
from pipec.targets.airflow.event import run_parameters
from pipec.targets.airflow.flow import Flow, asks_end
from pipec.targets.airflow.pod import XCOM, pod, pod_args
from pipec.targets.airflow.source import NO_DOLLAR, Call, Keywords, Name, Source, Spread, seconds, templated
from pipec.targets.airflow.version import version
from pipec.targets.base import Options, every
from pipec.targets.cluster import asks_person, pod_labels, task_references
from pipec.values import OutputRef, ParameterRef, RunRef, Value, references

FINAL = [1, 2, 3]  # a bug, the caller's arguments, a no: design.md 3.1.7 tries 75, 137 and lost machines again
LONGEST_WAIT_S = 3600  # design.md 3.1.7
LAST_LINE = "-"  # where the Docker operator looks for what a task hands on


def default_args(plan: Plan, options: Options) -> dict[str, Source]:
    """Return what all operators of the file share. Keys that an operator does not know pass it by."""
    settings = options.settings
    shared: dict[str, Source] = {"owner": plan.owner} if plan.owner else {}
    shared |= {key: str(settings[key]) for key in ("pool",) if settings.get(key)}
    shared["skip_on_exit_code"] = FINAL
    if is_docker(options):
        return shared | {"labels": dict(pod_labels(plan))} | docker_args(options)
    return shared | pod_args(plan, options)


def step(plan: Plan, task: Task, options: Options, moves: Flow) -> Call:
    """Return the operator that runs a task's container, without its id; of a loop, the one that is then expanded."""
    if task.loop:
        return _mapped(plan, task, task.loop, options, moves)
    # Of an approval, the task before a person is asked is the one that may be skipped.
    own = () if asks_person(task) else ruled(task, options, moves)
    return Call("Step", (*_container(plan, task, options, moves), *own))


def subject(plan: Plan, task: Task, options: Options, moves: Flow) -> Call:
    """Return the operator that finds out what an approval is about, without its id; people and the step see it."""
    called: list[Source] = ["--subject", *arguments(plan, task, subject_id(task)), *xcom_place(options)]
    place = placed(replace(task, name=subject_id(task), timeout_s=None), options, moves, called)
    keywords = (*place, ("do_xcom_push", True), *retried(task), *ruled(task, options, moves))
    return Call("Step", keywords)


def xcom_place(options: Options) -> list[Source]:
    """Return where a container leaves what the worker reads of it."""
    return ["--xcom", LAST_LINE if is_docker(options) else XCOM]


def placed(task: Task, options: Options, moves: Flow, called: list[Source]) -> Keywords:
    """Return how a task's container is made. called: what its command is called with."""
    image = ("image", templated(task.image or ""))
    if is_docker(options):
        return (image, *docker(task, options, called))
    return (image, *pod(task, options, called, has_shared=moves.shares_memory))


def _mapped(plan: Plan, task: Task, loop: Loop, options: Options, moves: Flow) -> Call:
    own: list[tuple[str, Source]] = []
    if loop.max_parallel:
        own.append(("max_active_tis_per_dagrun", loop.max_parallel))
        if loop.fail_fast:
            own.append(("fail_fast", True))
    own += ruled(task, options, moves)
    return Call("Step.partial", (*_container(plan, loop.body[0], options, moves, is_mapped=True), *own))


def items(plan: Plan, task: Task, options: Options) -> Call:
    """Return the operator that finds out the list of a loop, in the worker."""
    assert task.loop, f"operators.items got `{task.name}`, which is no loop"
    pushed: Keywords = (("do_xcom_push", True),) if is_docker(options) else ()
    given = listed(task.loop.items, version(options).moment, run_parameters(plan))
    return Call("PythonOperator", (("python_callable", Name("ast.literal_eval")), ("op_args", [given]), *pushed))


def _container(plan: Plan, task: Task, options: Options, moves: Flow, *, is_mapped: bool = False) -> Keywords:
    called = arguments(plan, task, is_mapped=is_mapped)
    if asks_person(task):
        called += ["--decision", decision(task, options)]
    is_read = task.name in moves.read
    if is_read:
        called += xcom_place(options)
    # The timeout of an approval is the person's; its containers are done as soon as others are.
    place = placed(replace(task, timeout_s=None) if asks_person(task) else task, options, moves, called)
    read: Keywords = (("do_xcom_push", True),) if is_read else ()
    return (*told(task), *place, *read, *retried(task))


def told(task: Task) -> Keywords:
    """Return what people read of a task."""
    titled: Keywords = (("task_display_name", task.title),) if task.title not in ("", task.name) else ()
    return (*titled, ("doc", task.description)) if task.description else titled


def ruled(task: Task, options: Options, moves: Flow) -> Keywords:
    """Return what a task that Airflow's default rule does not fit is told; `Step` reads it."""
    rule, told = moves.rules[task.name], list[tuple[str, Source]]()
    if rule.is_judged and not task.is_final:
        told.append(("trigger_rule", "all_done"))
    if rule.needs:
        told.append(("needs", {name: list(others) for name, others in rule.needs.items()}))
    if rule.any_of:
        told.append(("any_of", {name: list(cells) for name, cells in rule.any_of.items()}))
    if rule.siblings:
        told.append(("siblings", list(rule.siblings)))
    if rule.when:
        told.append(("when", "{{ " + expression(rule.when, version(options).moment) + " }}"))
    return tuple(told)


def retried(task: Task) -> Keywords:
    """Return how often a task is tried, and when again."""
    if task.retry.attempts <= 1:
        return (("retries", 0),)
    return (
        ("retries", task.retry.attempts - 1),
        ("retry_delay", seconds(task.retry.backoff_s)),
        ("retry_exponential_backoff", True),
        ("max_retry_delay", seconds(LONGEST_WAIT_S)),
    )


def _order(plan: Plan, task: Task) -> Order:
    if not (task.is_final and asks_end(task)):
        return order(plan, task, cache=True)
    others = [each for each in plan.tasks if not each.is_final]
    ends = tuple(Ended(each.name) for each in others)
    return order(plan, task, ends=ends, forgiven=tuple(each.name for each in others if each.continue_on_error))


def _own_name(interface: Interface) -> str:
    """Return the name of the constant that tells the library's image what a step of the user's own declares."""
    return f"OWN_{mark(interface).upper()}"


def _own(plan: Plan) -> dict[str, list[Source]]:
    found = {_own_name(task.interface): task.interface for task in every(plan) if task.interface.container}
    return {name: ["--interface", guarded(json.dumps(interface_as_json(bare(one))))] for name, one in found.items()}


def is_found(task: Task, value: Value) -> bool:
    """Say whether a run finds out the value of a variable: for an image of the user's own, before which a task of ours
    runs.
    """
    asked = tuple(references(value))
    is_told = all(isinstance(ref, OutputRef | ParameterRef | RunRef) for ref in asked)
    return task.interface.container is not None and bool(asked) and is_told


def fixed(plan: Plan, options: Options) -> dict[str, list[Source]]:
    """Return the parts of calls that are the same in every task that has them, by the names they have in the file."""
    known = version(options)
    return {
        "RUN": [
            f"--pipeline={plan.pipeline}",
            *([f"--env={plan.environment}"] if plan.environment else []),
            "--task={{ ti.task_id }}",
            templated(f"--root={options.artifacts or ''}"),
            "--run={{ " + RUN_ID + " }}",
        ],
        "PARAMETERS": ["--parameters", "{{ " + run_parameters(plan) + NO_DOLLAR + " }}"],
        "SCHEDULED": ["--scheduled-at", "{{ " + scheduled_at(known.moment) + " }}"],
        "ITEM": ["--item", "{{ task.item" + NO_DOLLAR + " }}", "--iteration", "{{ ti.map_index }}"],
        "ENDS": ["--ends", "{{ " + known.states + NO_DOLLAR + " }}"],
        **_own(plan),
    }


def arguments(plan: Plan, task: Task, task_id: str = "", *, is_mapped: bool = False) -> list[Source]:
    """Return what `pipec-step` is called with, fit for a templated field. is_mapped: once for each item of a list.

    task_id: of the operator, where that is not the task's name.
    """
    brief = brief_text(_order(plan, task), task.interface, task_id or task.name)
    given: list[Source] = [brief_name(task.interface), brief, Spread("RUN")]
    if task.interface.container:
        given.append(Spread(_own_name(task.interface)))
    found = tuple(ref for _, value in task.env if is_found(task, value) for ref in references(value))
    given_by = (*task_references(task), *found)
    if any(isinstance(reference, ParameterRef) for reference in given_by):
        given.append(Spread("PARAMETERS"))
    if RunRef("date") in given_by or RunRef("scheduled_at") in given_by:
        given.append(Spread("SCHEDULED"))
    if is_mapped:
        given.append(Spread("ITEM"))
    if asks_end(task):
        given.append(Spread("ENDS"))
    return given
