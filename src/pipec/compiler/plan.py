"""The plan: everything an engine needs to run a pipeline, and nothing else.

It holds no position, no path of the compiling machine and no target's word: two pipelines that mean the same have equal
plans. A *step* is what the user wrote; a *task* is what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from pipec import digest
from pipec.steps.command import Order
from pipec.steps.interface import Interface, Kind, Resources, Retry
from pipec.values import Json, OutputRef, ParameterRef, Reference, Value, encode, references

ONCE = Retry(attempts=1)


@dataclass(frozen=True, slots=True)
class Compare:
    """left `operator` right, by value; operator: `== != < <= > >= in`."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Status:
    """Whether `task` ended as `state`: `succeeded`, `failed` or `skipped`."""

    state: str
    task: str


@dataclass(frozen=True, slots=True)
class Holds:
    """A boolean value standing alone."""

    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    term: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    terms: tuple[Condition, ...]


Condition: TypeAlias = Compare | Status | Holds | Not | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Need:
    """An edge into a task. soft: the task may run if `task` was skipped (optional inputs, status functions).

    order_only: nothing but order flows along it.
    """

    task: str
    soft: bool = False
    order_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One container, or process, of a run.

    name: unique in the plan. step: the user's step. parameters: every parameter of the interface, defaults filled in.
    inputs: artifacts; an absent optional one is not listed. needs: all edges, sorted by task. image: None for a process
    of the engine. timeout_s: of one attempt, or None. is_final: runs when all else has ended.
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

    @property
    def values(self) -> Iterator[Value]:
        """Every value the task is given: parameters, inputs and environment, in that order."""
        for _, value in self.parameters:
            yield value
        for _, values in self.inputs:
            yield from values
        for _, value in self.env:
            yield value

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in `values`, each once, in order of first use."""
        return tuple(dict.fromkeys(ref for value in self.values for ref in references(value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanParameter:
    """A run-time input of the pipeline. schema: its JSON Schema. default: None with is_required."""

    name: str
    kind: Kind
    schema: Mapping[str, Json]
    default: Json = None
    is_required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A trigger by time. cron: five fields. timezone: an IANA name."""

    cron: str
    timezone: str = "UTC"
    catchup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many runs may go on at once, and what becomes of one too many: `queue`, `skip` or `cancel`."""

    maximum: int = 1
    on_conflict: str = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A pipeline, ready to run anywhere. tasks: in an order in which they may run, ties in the file's order.

    secrets: names used, sorted. production: whether the environment says so. environment: its name, or empty.
    """

    pipeline: str
    description: str = ""
    owner: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    environment: str = ""
    production: bool = False
    parameters: tuple[PlanParameter, ...] = ()
    tasks: tuple[Task, ...] = ()
    outputs: tuple[tuple[str, OutputRef | ParameterRef], ...] = ()
    schedules: tuple[Schedule, ...] = ()
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
            "outputs": {name: encode(value) for name, value in self.outputs},
        }

    @property
    def digest(self) -> str:
        return digest.of_value(self.describe())


def order(plan: Plan, task: Task, wait_s: int = 0, retry: Retry = ONCE) -> Order:
    """Return the compile-time half of the task's call.

    wait_s: how long the step may wait for a person or a server. retry: the attempts that are left to the runtime.
    """
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
    )


def statuses(condition: Condition) -> Iterator[Status]:
    """Yield every status function in a condition."""
    match condition:
        case Status():
            yield condition
        case Not(term):
            yield from statuses(term)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from statuses(term)
        case Compare() | Holds():
            return
        case _:
            assert_never(condition)


def operands(condition: Condition) -> Iterator[Value]:
    """Yield every value in a condition."""
    match condition:
        case Compare(_, left, right):
            yield left
            yield right
        case Holds(value):
            yield value
        case Not(term):
            yield from operands(term)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from operands(term)
        case Status():
            return
        case _:
            assert_never(condition)


def describe_condition(condition: Condition) -> Json:
    """Return a condition as JSON, operators first."""
    match condition:
        case Compare(operator, left, right):
            return [operator, encode(left), encode(right)]
        case Status(state, task):
            return [state, task]
        case Holds(value):
            return ["is", encode(value)]
        case Not(term):
            return ["not", describe_condition(term)]
        case AllOf(terms):
            return ["and", *(describe_condition(term) for term in terms)]
        case AnyOf(terms):
            return ["or", *(describe_condition(term) for term in terms)]
        case _:
            assert_never(condition)


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
        "needs": [[need.task, "soft" if need.soft else "hard", need.order_only] for need in task.needs],
        "when": describe_condition(task.when) if task.when else None,
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
    }  # fmt: skip
