"""The plan: everything an engine needs to run a pipeline, and nothing else.

It holds no position, no path of the compiling machine and no target's word: two pipelines that mean the same have equal
plans. A *step* is what the user wrote; a *task* is what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from pipec import digest
from pipec.compiler import zone
from pipec.compiler.shift import shifted
from pipec.condition import Condition, describe, named
from pipec.record import frozen
from pipec.steps.command import Ended, Order, Report
from pipec.steps.interface import Interface, Kind, Resources, Retry
from pipec.values import (
    EachRef,
    Gather,
    Json,
    Literal,
    OutputRef,
    ParameterRef,
    Reference,
    SecretRef,
    Value,
    encode,
    references,
)

ONCE = Retry(attempts=1)
Handed: TypeAlias = ParameterRef | OutputRef | EachRef | Gather | Literal  # what a pipeline may hand on as an output


@frozen
class Need:
    """An edge into a task. soft: the task may run if `task` was skipped (optional inputs, status functions).

    order_only: nothing but order flows along it. forgiving: the task may run if `task` failed too (fan-in over cells
    that may fail). any_of: needs that name the same step here belong together: one of them at least must have
    succeeded, or the task is skipped.
    """

    task: str
    soft: bool = False
    order_only: bool = False
    forgiving: bool = False
    any_of: str = ""


@frozen(kw_only=True)
class Group:
    """Tasks that one step became by a matrix. max_parallel: how many may run at once; None: all.

    fail_fast: once one has failed or was refused, those that have not started are skipped.
    """

    name: str
    max_parallel: int | None = None
    fail_fast: bool = True


@frozen(kw_only=True)
class Loop:
    """What a task does for each item of a list known at run time.

    items: the list. body: the tasks of one iteration, in an order in which they may run; `ItemRef` stands for the item.
    Iteration `i` of loop `score` calls them `score-<i>` and `score-<i>.<rest>`. outputs: what an iteration leaves, as
    references into the body. max_parallel, fail_fast: as a `Group` has them, counted in iterations.
    """

    items: Value
    body: tuple[Task, ...]
    outputs: tuple[tuple[str, Value], ...] = ()
    max_parallel: int | None = None
    fail_fast: bool = True


@frozen(kw_only=True)
class Task:
    """One container, or process, of a run.

    name: unique in the plan. step: the user's step. parameters: every parameter of the interface, defaults filled in.
    inputs: artifacts; an absent optional one is not listed. needs: all edges, sorted by task. image: None for a process
    of the engine. timeout_s: of one attempt, or None. is_final: runs when all else has ended. title: what people read,
    where that says more than the name (the values of a cell). group: the name of its `Group`, or empty. volumes: names
    of the environment's volumes by where they are mounted. loop: set for a task that only stands for its iterations;
    its own parameters and inputs are then empty.

    A task inside of sub-pipelines is called `<step>.<inner step>`; cells of a matrix are numbered: `train-0`. step
    has the same form, without the numbers.
    """

    name: str
    step: str
    interface: Interface
    parameters: tuple[tuple[str, Value], ...] = ()
    inputs: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    needs: tuple[Need, ...] = ()
    when: Condition | None = None
    env: tuple[tuple[str, Value], ...] = ()
    image: str | None = None
    resources: Resources = Resources()
    retry: Retry = Retry()
    timeout_s: int | None = None
    cache: bool = True
    continue_on_error: bool = False
    is_final: bool = False
    description: str = ""
    title: str = ""
    group: str = ""
    volumes: tuple[tuple[str, str], ...] = ()
    loop: Loop | None = None

    @property
    def values(self) -> Iterator[Value]:
        """Every value the task is given: parameters, inputs and environment, then those of its loop, in that order."""
        for _, value in self.parameters:
            yield value
        for _, values in self.inputs:
            yield from values
        for _, value in self.env:
            yield value
        if self.loop:
            yield self.loop.items
            for task in self.loop.body:
                yield from task.values

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in `values`, each once, in order of first use."""
        return tuple(dict.fromkeys(ref for value in self.values for ref in references(value)))

    @property
    def functions(self) -> tuple[tuple[str, Value], ...]:
        """The functions of the team that the step imports, by parameter."""
        named = {parameter.name for parameter in self.interface.parameters if parameter.factory}
        return tuple(given for given in self.parameters if given[0] in named and given[1] != Literal(""))

    @property
    def asked(self) -> tuple[Reference, ...]:
        """The references in `when`, those of its loop included."""
        found = tuple(named(self.when)) if self.when else ()
        return found + tuple(ref for task in (self.loop.body if self.loop else ()) for ref in task.asked)


@frozen(kw_only=True)
class PlanParameter:
    """A run-time input of the pipeline. schema: its JSON Schema. default: None with is_required."""

    name: str
    kind: Kind
    schema: Mapping[str, Json]
    default: Json = None
    is_required: bool = False
    description: str = ""


@frozen(kw_only=True)
class Schedule:
    """A trigger by time. cron: five fields. timezone: an IANA name."""

    cron: str
    timezone: str = "UTC"
    catchup: bool = False

    @property
    def in_utc(self) -> str | None:
        """The expression that comes at the same moments in UTC, or None where there is none."""
        if self.timezone == "UTC":
            return self.cron
        offset = zone.fixed_offset(self.timezone)
        return None if offset is None else shifted(self.cron, -offset)


@frozen(kw_only=True)
class After:
    """A trigger by a run of another pipeline.

    step: whose end counts; empty: the run's. outcome: `succeeded`, `failed`, `refused`, `skipped` or `any`. when and
    parameters are about the run that ended; parameters are given to the run that starts. cooldown_s: the least time
    between two starts by this trigger.
    """

    pipeline: str
    step: str = ""
    outcome: str = "succeeded"
    when: Condition | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    cooldown_s: int = 0


@frozen(kw_only=True)
class Concurrency:
    """How many runs may go on at once, and what becomes of one too many: `queue`, `skip` or `cancel`."""

    maximum: int = 1
    on_conflict: str = "queue"


@frozen(kw_only=True)
class Plan:
    """A pipeline, ready to run anywhere. tasks: in an order in which they may run, ties in the file's order.

    production: whether the environment says so. environment: its name, or empty. outputs: references to parameters and
    to what tasks wrote, and lists of them. data: locations whose change starts a run.
    """

    pipeline: str
    description: str = ""
    owner: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    environment: str = ""
    production: bool = False
    parameters: tuple[PlanParameter, ...] = ()
    tasks: tuple[Task, ...] = ()
    outputs: tuple[tuple[str, Handed], ...] = ()
    groups: tuple[Group, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    after: tuple[After, ...] = ()
    data: tuple[str, ...] = ()
    concurrency: Concurrency | None = None
    roles: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def task(self, name: str) -> Task:
        return next(task for task in self.tasks if task.name == name)

    def describe(self) -> dict[str, Json]:
        """Return the plan as JSON: equal plans, equal JSON."""
        return {
            "pipeline": self.pipeline,
            "environment": self.environment,
            "production": self.production,
            "labels": dict(self.labels),
            "parameters": [
                {"name": p.name, "schema": p.schema, "default": p.default, "required": p.is_required}
                for p in self.parameters
            ],
            "tasks": [_task(task) for task in self.tasks],
            "groups": [[group.name, group.max_parallel, group.fail_fast] for group in self.groups],
            "outputs": {name: encode(value) for name, value in self.outputs},
        }

    @property
    def digest(self) -> str:
        return digest.of_value(self.describe())


def order(
    plan: Plan,
    task: Task,
    wait_s: int = 0,
    retry: Retry = ONCE,
    *,
    cache: bool = False,
    report: Report | None = None,
    ledger: str = "",
    ends: tuple[Ended, ...] = (),
    forgiven: tuple[str, ...] = (),
    marks: int = 0,
) -> Order:
    """Return the compile-time half of the task's call.

    wait_s: how long the step may wait for a person or a server. retry: the attempts that are left to the runtime.
    cache: whether the runtime is to keep one, where this task's work may be taken from it. report, ledger, ends,
    forgiven and marks: as an `Order` has them, for an orchestrator that knows hard edges and no exit codes.
    """
    accelerator = task.resources.accelerator
    return Order(
        pipeline=plan.pipeline,
        task=task.name,
        step=f"{task.interface.name}@{task.interface.version}",
        interface=task.interface.digest,
        parameters=task.parameters,
        inputs=task.inputs,
        environment=plan.environment,
        threads=max(1, int(task.resources.cpu)),
        wait_s=wait_s,
        attempts=retry.attempts,
        backoff_s=retry.backoff_s if retry.attempts > 1 else 0,
        env=digest.of_value({name: encode(value) for name, value in task.env}) if task.env else "",
        hidden=tuple(name for name, value in task.env if isinstance(value, SecretRef)),
        devices=(accelerator.kind, accelerator.count) if accelerator else None,
        cache=cache and not uncacheable(task),
        report=report,
        ledger=ledger,
        ends=ends,
        forgiven=forgiven,
        marks=marks,
    )


def uncacheable(task: Task) -> str:
    """Return why the task's work cannot be taken from an earlier run, or an empty text.

    A cache may only replay work whose outputs follow from what it is made of; steps that change or ask the world do
    not. What lies at a location is not judged here: its digest is known once it was read.
    """
    if not task.cache:
        return "it says `cache: false`"
    if task.interface.always_runs:
        return task.interface.always_runs
    if task.functions:  # its arguments say neither that code nor what it imports
        return "it calls a function of yours, and what that does may have changed"
    if task.is_final:
        return "a `finally` step always runs"
    if any(isinstance(value, SecretRef) for _, value in (*task.parameters, *task.env)):
        return "it uses a secret, and what that opens may change"
    return ""


def _task(task: Task) -> dict[str, Json]:
    resources = task.resources
    accelerator = resources.accelerator
    return {
        "name": task.name,
        "step": task.step,
        "uses": f"{task.interface.name}@{task.interface.version}",
        "interface": task.interface.digest,
        "parameters": {name: encode(value) for name, value in task.parameters},
        "inputs": {name: [encode(value) for value in values] for name, values in task.inputs},
        "needs": [
            [need.task, "soft" if need.soft else "hard", need.order_only, need.forgiving, need.any_of]
            for need in task.needs
        ],
        "when": describe(task.when) if task.when else None,
        "env": {name: encode(value) for name, value in task.env},
        "image": task.image,
        "resources": {
            "cpu": resources.cpu,
            "memory_mib": resources.memory_mib,
            "accelerator": [accelerator.kind, accelerator.vendor, accelerator.model, accelerator.memory_mib,
                            accelerator.count] if accelerator else None,
            "machines": resources.machines,
            "pool": resources.pool,
        },
        "retry": [task.retry.attempts, task.retry.backoff_s],
        "timeout_s": task.timeout_s,
        "cache": task.cache,
        "continue_on_error": task.continue_on_error,
        "final": task.is_final,
        "group": task.group,
        "volumes": dict(task.volumes),
        "loop": _loop(task.loop) if task.loop else None,
    }  # fmt: skip


def _loop(loop: Loop) -> dict[str, Json]:
    return {
        "items": encode(loop.items),
        "body": [_task(task) for task in loop.body],
        "outputs": {name: encode(value) for name, value in loop.outputs},
        "max_parallel": loop.max_parallel,
        "fail_fast": loop.fail_fast,
    }
