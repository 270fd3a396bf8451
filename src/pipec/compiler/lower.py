"""Flat pipeline to plan: defaults filled in, roles opened into people, files carried along, places forgotten.

Runs only on a pipeline in which no rule found an error; what it still asserts, a rule should have stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pipec.compiler.arguments import Attachments
from pipec.compiler.flatten import Flat, is_about
from pipec.compiler.graph import Graph
from pipec.compiler.plan import After, Concurrency, Group, Handed, Loop, Need, Plan, PlanParameter, Schedule, Task
from pipec.compiler.rule import Subject
from pipec.compiler.spread import Cell, Path, Spread, path_of
from pipec.condition import Condition, named, statuses
from pipec.schema.load import LOCATION
from pipec.schema.model import (
    AfterUse,
    Argument,
    Ask,
    Defaults,
    ForEachUse,
    InputUse,
    MatrixUse,
    ParameterUse,
    Pool,
    StepUse,
)
from pipec.steps.interface import MISSING, Accelerator, Interface, Kind, Parameter, Resources, Retry
from pipec.values import (
    EachRef,
    Gather,
    Json,
    ListOf,
    Literal,
    OutputRef,
    ParameterRef,
    Reference,
    Value,
    as_text,
    substitute,
)


def plan(subject: Subject, attachments: Attachments) -> Plan:
    """Return the plan of a flat pipeline that has no error; triggers by other pipelines are added by `triggers`."""
    pipeline, project, environment = subject.pipeline, subject.project, subject.environment
    lowering = _Lowering(subject, attachments)
    maximum, on_conflict = pipeline.concurrency or (0, "")
    return Plan(
        pipeline=pipeline.name,
        description=pipeline.description,
        owner=project.owner,
        labels=pipeline.labels,
        environment=pipeline.environment,
        production=bool(environment and environment.production),
        parameters=(*(_parameter(p) for p in pipeline.parameters if not p.is_const), *map(_input, pipeline.inputs)),
        tasks=tuple(lowering.tasks("", {}, subject.graph.order)),
        groups=tuple(lowering.groups.values()),
        outputs=tuple(lowering.outputs(pipeline.outputs)),
        schedules=tuple(Schedule(cron=s.cron, timezone=s.timezone, catchup=s.catchup) for s in pipeline.schedules),
        data=tuple(uri for uri, _ in pipeline.data),
        concurrency=Concurrency(maximum=maximum, on_conflict=on_conflict) if pipeline.concurrency else None,
        roles=tuple(sorted(project.roles.items())),
    )


def triggers(uses: Iterable[AfterUse], others: Mapping[str, tuple[Flat, Graph]]) -> tuple[After, ...]:
    """Return the triggers by other pipelines. others: each pipeline of the file, flat, with its graph."""
    return tuple(_after(use, *others[use.pipeline]) for use in uses)


def _after(use: AfterUse, flat: Flat, graph: Graph) -> After:
    spread = Spread(graph)
    when = flat.when(use.when) if use.when else None
    given = (flat.argument(argument) for argument in use.parameters)
    return After(
        pipeline=use.pipeline,
        step=use.step,
        outcome=use.outcome,
        when=spread.condition(when.asks, (), {}) if when and when.asks else None,
        parameters=tuple((argument.name, substitute(argument.value, spread.known({}))) for argument in given),
        cooldown_s=use.cooldown_s,
    )


def _parameter(use: ParameterUse) -> PlanParameter:
    default = None if use.default is MISSING else use.default
    return PlanParameter(
        name=use.name,
        kind=use.kind,
        schema=use.schema,
        default=default,
        is_required=use.default is MISSING,
        description=use.description,
    )


def _input(use: InputUse) -> PlanParameter:
    """Return an input of the pipeline as a run is given it: a location."""
    return PlanParameter(
        name=use.name,
        kind=Kind.STRING,
        schema=LOCATION,
        default=use.default,
        is_required=use.default is None and not use.optional,
        description=use.description,
    )


class _Lowering:
    """What every task of one pipeline is lowered with."""

    def __init__(self, subject: Subject, attachments: Attachments) -> None:
        self.subject, self.graph, self.attachments = subject, subject.graph, attachments
        self.spread = Spread(subject.graph)
        self.groups: dict[str, Group] = {}
        self.needs: dict[str, tuple[Need, ...]] = {}
        self.roles = subject.project.roles
        environment = subject.environment
        self.around = (environment.defaults if environment else Defaults(), subject.project.defaults)
        self.pools = subject.project.pools_in(environment)
        self.members: dict[str, list[str]] = {}  # of each loop, in an order to run them
        for step in subject.graph.order:
            for loop in self.spread.loops(self.spread.paths[step]):
                self.members.setdefault(loop, []).append(step)

    def tasks(self, loop: str, cell: Cell, steps: Iterable[str]) -> Iterator[Task]:
        """Yield the tasks that some steps become inside of `loop` (empty: outside of all), in an order to run them."""
        depth = len(path_of(loop)) if loop else 0
        for step in steps:
            path = self.spread.paths[step]
            inner = self.spread.loops(path[depth:])
            if not inner:
                for here in self.spread.cells(path, cell):
                    yield self._task(step, path, here)
            elif self.members[inner[0]][-1] == step:
                around = path[: path.index(inner[0]) + 1]
                for here in self.spread.cells(around, cell):
                    yield self._carrier(inner[0], around, here)

    def outputs(self, given: Iterable[Argument]) -> Iterator[tuple[str, Handed]]:
        """Yield what the pipeline hands on."""
        for argument in given:
            value = substitute(argument.value, self.spread.known({}))
            if isinstance(value, ParameterRef | OutputRef | EachRef | Gather | Literal):
                yield argument.name, value

    def _task(self, name: str, path: Path, cell: Cell) -> Task:
        use, interface = self.graph.steps[name], self.graph.interfaces[name]
        asks = use.when.asks if use.when else None
        needs = self._needs(name, path, cell)
        if asks and use.for_each and not is_about(asks, name):
            # The loop as a whole has asked, and whose end it asked must not be waited for again.
            asked = {status.task for status in statuses(self.spread.condition(asks, path, cell))}
            asks, needs = None, tuple(n for n in needs if n.task not in asked or not n.order_only)
        return Task(
            name=self.spread.name(path, cell),
            step=name,
            interface=interface,
            parameters=tuple(self._parameter(use, p, cell) for p in interface.parameters if self._is_given(use, p)),
            inputs=tuple(
                (i.name, self._artifacts(a, cell)) for i in interface.inputs if (a := use.argument(i.name)) is not None
            ),
            needs=needs,
            when=self.spread.condition(asks, path, cell) if asks else None,
            env=tuple((a.name, self._value(a.value, cell)) for a in use.env),
            image=self._image(use),
            resources=self._resources(use, interface),
            retry=self._retry(use, interface),
            timeout_s=use.timeout_s or self._timeout_s(use),
            cache=use.cache,
            continue_on_error=use.continue_on_error,
            is_final=use.is_final,
            description=use.description or interface.summary,
            title=self._title(name, path, cell),
            group=self._group(use, path, cell),
            volumes=tuple((volume.mount, volume.name) for volume in use.volumes),
        )  # fmt: skip

    def _image(self, use: StepUse) -> str | None:
        """Return the image of a task: pinned, where the text or the lock knows its digest."""
        image = self.subject.image(use)
        return self.subject.lock.pinned(image) if image else None

    def _carrier(self, loop: str, path: Path, cell: Cell) -> Task:
        """Return the task that stands for a loop, with the tasks of one iteration as its body."""
        use, composite = self.spread.use(loop), self.graph.composites.get(loop)
        many = use.for_each or use.matrix
        assert many is not None, f"lower._carrier got a step without a loop: {loop}"
        members = self.members[loop]
        interface = composite.interface if composite else self.graph.interfaces[loop]
        name = self.spread.name(path, cell)
        outside = [
            edge for step in members for edge in self.graph.into(step) if loop not in self.spread.paths[edge.source]
        ]
        handed = composite.outputs if composite else {o.name: OutputRef(loop, o.name) for o in interface.outputs}
        asks = use.when.asks if use.when else None
        if asks and is_about(asks, loop):
            asks = None  # each iteration asks for itself
        when = self.spread.condition(asks, path, cell) if asks else None
        return Task(
            name=name,
            step=loop,
            interface=interface,
            needs=_with_read(self.spread.needs(tuple(outside), path, cell), when),
            when=when,
            continue_on_error=use.continue_on_error,
            is_final=use.is_final,
            description=use.description or interface.summary,
            title=self._title(loop, path, cell),
            loop=Loop(
                items=self._value(_listed(many), cell),
                body=tuple(self.tasks(loop, cell, members)),
                outputs=tuple((output, substitute(value, self.spread.known(cell))) for output, value in handed.items()),
                max_parallel=many.max_parallel,
                fail_fast=many.fail_fast,
            ),
        )

    def _needs(self, name: str, path: Path, cell: Cell) -> tuple[Need, ...]:
        """Return the edges into a task: the same for all cells of a step, since a matrix around it is a loop."""
        if name not in self.needs:
            self.needs[name] = self.spread.needs(self.graph.into(name), path, cell)
        return self.needs[name]

    def _group(self, use: StepUse, path: Path, cell: Cell) -> str:
        """Return the group of a cell of the step's own matrix, noting its settings."""
        if use.matrix is None:
            return ""
        name = self.spread.name(path, {element: n for element, n in cell.items() if element != use.name})
        self.groups[name] = Group(name=name, max_parallel=use.matrix.max_parallel, fail_fast=use.matrix.fail_fast)
        return name

    def _title(self, name: str, path: Path, cell: Cell) -> str:
        values = self.spread.values(path, cell) if cell else {}
        shown = ", ".join(f"{axis}={_shown(value)}" for axis, value in values.items())
        return f"{name} ({shown})" if shown else ""

    def _is_given(self, use: StepUse, parameter: Parameter) -> bool:
        return not parameter.is_required or use.argument(parameter.name) is not None

    def _parameter(self, use: StepUse, parameter: Parameter, cell: Cell) -> tuple[str, Value]:
        argument = use.argument(parameter.name)
        if (use.name, parameter.name) in self.attachments:
            return parameter.name, self.attachments[use.name, parameter.name]
        if argument is None:
            assert parameter.default is not MISSING, "lower._parameter got a required parameter without a value"
            return parameter.name, Literal(parameter.default)
        value = self._value(argument.value, cell)
        return parameter.name, self._people(value) if parameter.people else value

    def _people(self, value: Value) -> Value:
        """Put the members in the place of each role, each person once, in the order of the text."""
        if not (isinstance(value, Literal) and isinstance(value.value, list)):
            return value
        opened = [person for name in value.value for person in self.roles.get(str(name), (str(name),))]
        return Literal(list(dict.fromkeys(opened)))

    def _artifacts(self, argument: Argument, cell: Cell) -> tuple[Value, ...]:
        return tuple(_items(self._value(argument.value, cell)))

    def _value(self, value: Value, cell: Cell) -> Value:
        return substitute(value, _unchanged if self.spread.is_plain else self.spread.known(cell))

    def _layers(self, use: StepUse) -> tuple[Defaults, ...]:
        return (use.defaults, *self.around)

    def _retry(self, use: StepUse, interface: Interface) -> Retry:
        if use.retry:
            return use.retry
        # A person is asked once: the project's default retries are for machines.
        if interface.role == "approve":
            return Retry()
        return next((layer.retry for layer in self._layers(use) if layer.retry), Retry())

    def _timeout_s(self, use: StepUse) -> int | None:
        return next((layer.timeout_s for layer in self._layers(use) if layer.timeout_s), None)

    def _resources(self, use: StepUse, interface: Interface) -> Resources:
        resources = interface.resources
        for layer in reversed(self._layers(use)):
            resources = _asked(resources, layer.resources) if layer.resources else resources
        resources = _asked(resources, use.ask)
        pool = self.pools.get(resources.pool or "", Pool())
        if resources.accelerator is None or pool.accelerator is None:
            return resources
        return replace(resources, accelerator=_of_pool(resources.accelerator, pool.accelerator))


def _with_read(needs: tuple[Need, ...], when: Condition | None) -> tuple[Need, ...]:
    """Return the needs of a loop with those on tasks of which its `when` asks a value: no step in it reads that."""
    known = {need.task for need in needs}
    read = {ref.task for ref in named(when) if isinstance(ref, OutputRef)} if when else set()
    more = (Need(task) for task in read - known)
    return tuple(sorted((*needs, *more), key=lambda need: need.task))


def _unchanged(reference: Reference) -> None:
    """Keep a reference: what is known around it is joined all the same, so that equal texts make equal plans."""


def _listed(many: MatrixUse | ForEachUse) -> Value:
    """Return the list that a loop goes over; a cell is the values by axis."""
    if isinstance(many, ForEachUse):
        return many.items.value
    return Literal([dict(zip(many.axes, cell, strict=True)) for cell in many.cells])


def _items(value: Value) -> Iterator[Value]:
    """Yield the artifacts that an input is given, one by one where they are known to be several."""
    if isinstance(value, ListOf | Gather):
        for item in value.items:
            yield from _items(item)
    elif isinstance(value, Literal) and isinstance(value.value, list):
        for location in value.value:
            yield Literal(location)
    else:
        yield value


def _shown(value: Json) -> str:
    try:
        text = as_text(value)
    except TypeError:
        text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _of_pool(wanted: Accelerator, pool: Accelerator) -> Accelerator:
    """Return what a step asks for, with what its pool says about the devices there."""
    return replace(
        wanted, vendor=wanted.vendor or pool.vendor, model=wanted.model or pool.model,
        memory_mib=wanted.memory_mib or pool.memory_mib,
    )  # fmt: skip


def _asked(resources: Resources, ask: Ask) -> Resources:
    return replace(
        resources,
        cpu=ask.cpu or resources.cpu,
        memory_mib=ask.memory_mib or resources.memory_mib,
        accelerator=ask.accelerator or resources.accelerator,
        machines=ask.machines or resources.machines,
        pool=ask.pool or resources.pool,
    )
