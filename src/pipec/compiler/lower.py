"""Pipeline to plan: defaults filled in, roles opened into people, files carried along, places forgotten.

Runs only on a pipeline in which no rule found an error; what it still asserts, a rule should have stopped.
"""

from __future__ import annotations

from dataclasses import replace

from pipec.compiler.arguments import Attachments
from pipec.compiler.graph import Graph
from pipec.compiler.plan import Concurrency, Need, Plan, PlanParameter, Schedule, Task
from pipec.compiler.rule import Subject
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.schema.expressions import Comparison, Constant, Expression, Junction, Negation, Path, StatusCall
from pipec.schema.model import Argument, Ask, Defaults, ParameterUse, StepUse
from pipec.steps.interface import MISSING, Interface, Parameter, Resources, Retry
from pipec.values import Json, ListOf, Literal, OutputRef, ParameterRef, Reference, RunRef, Value, substitute


def plan(subject: Subject, attachments: Attachments) -> Plan:
    """Return the plan of a pipeline that has no error."""
    pipeline, project, environment = subject.pipeline, subject.project, subject.environment
    folded = {p.name: p.default for p in pipeline.parameters if p.is_const and p.default is not MISSING}
    lowering = _Lowering(subject, attachments, folded)
    maximum, on_conflict = pipeline.concurrency or (0, "")
    return Plan(
        pipeline=pipeline.name,
        description=pipeline.description,
        owner=project.owner,
        labels=pipeline.labels,
        environment=pipeline.environment,
        production=bool(environment and environment.production),
        parameters=tuple(_parameter(p) for p in pipeline.parameters if not p.is_const),
        tasks=tuple(lowering.task(name) for name in subject.graph.order),
        outputs=tuple((o.name, o.value) for o in pipeline.outputs if isinstance(o.value, OutputRef | ParameterRef)),
        schedules=tuple(Schedule(cron=s.cron, timezone=s.timezone, catchup=s.catchup) for s in pipeline.schedules),
        concurrency=Concurrency(maximum=maximum, on_conflict=on_conflict) if pipeline.concurrency else None,
        roles=tuple(sorted(project.roles.items())),
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


class _Lowering:
    """What every task of one pipeline is lowered with."""

    def __init__(self, subject: Subject, attachments: Attachments, folded: dict[str, Json]) -> None:
        self.graph: Graph = subject.graph
        self.attachments, self.folded = attachments, folded
        self.roles, self.environment = subject.project.roles, subject.pipeline.environment
        pipeline, project, environment = subject.pipeline, subject.project, subject.environment
        layers = (pipeline.defaults, environment.defaults if environment else Defaults(), project.defaults)
        self.retry = next((layer.retry for layer in layers if layer.retry), Retry())
        self.timeout_s = next((layer.timeout_s for layer in layers if layer.timeout_s), None)
        self.asks = [layer.resources for layer in reversed(layers) if layer.resources]
        self.image = pipeline.image or (environment.image if environment else None) or project.image

    def task(self, name: str) -> Task:
        use, interface = self.graph.steps[name], self.graph.interfaces[name]
        when = use.when
        return Task(
            name=name,
            step=name,
            interface=interface,
            parameters=tuple(self._parameter(use, p) for p in interface.parameters if self._is_given(use, p)),
            inputs=tuple(
                (i.name, self._artifacts(a)) for i in interface.inputs if (a := use.argument(i.name)) is not None
            ),
            needs=self._needs(name),
            when=None if when is None or when.tree is True else self._condition(when.tree),
            env=tuple((a.name, self._fold(a.value)) for a in use.env),
            image=use.image or (interface.container.image if interface.container else None) or self.image,
            resources=self._resources(use, interface),
            retry=self._retry(use, interface),
            timeout_s=use.timeout_s or self.timeout_s,
            cache=use.cache,
            continue_on_error=use.continue_on_error,
            description=use.description or interface.summary,
        )

    def _is_given(self, use: StepUse, parameter: Parameter) -> bool:
        return not parameter.is_required or use.argument(parameter.name) is not None

    def _parameter(self, use: StepUse, parameter: Parameter) -> tuple[str, Value]:
        argument = use.argument(parameter.name)
        if (use.name, parameter.name) in self.attachments:
            return parameter.name, self.attachments[use.name, parameter.name]
        if argument is None:
            assert parameter.default is not MISSING, "lower._parameter got a required parameter without a value"
            return parameter.name, Literal(parameter.default)
        value = self._fold(argument.value)
        return parameter.name, self._people(value) if parameter.people else value

    def _people(self, value: Value) -> Value:
        """Put the members in the place of each role, each person once, in the order of the text."""
        if not (isinstance(value, Literal) and isinstance(value.value, list)):
            return value
        opened = [person for name in value.value for person in self.roles.get(str(name), (str(name),))]
        return Literal(list(dict.fromkeys(opened)))

    def _artifacts(self, argument: Argument) -> tuple[Value, ...]:
        value = self._fold(argument.value)
        return value.items if isinstance(value, ListOf) else (value,)

    def _fold(self, value: Value) -> Value:
        """Put the value of every `const` parameter in its place."""
        return substitute(value, self._const) if self.folded else value

    def _const(self, reference: Reference) -> Value | None:
        is_known = isinstance(reference, ParameterRef) and reference.name in self.folded
        return Literal(self.folded[reference.name]) if isinstance(reference, ParameterRef) and is_known else None

    def _needs(self, name: str) -> tuple[Need, ...]:
        """Return the edges into a step, one for each source: hard if any is, order-only if all are."""
        merged: dict[str, Need] = {}
        for edge in self.graph.into(name):
            before = merged.get(edge.source)
            soft = edge.soft and (before is None or before.soft)
            order_only = not edge.output and (before is None or before.order_only)
            merged[edge.source] = Need(edge.source, soft, order_only)
        return tuple(merged[source] for source in sorted(merged))

    def _retry(self, use: StepUse, interface: Interface) -> Retry:
        if use.retry:
            return use.retry
        # A person is asked once: the project's default retries are for machines.
        return Retry() if interface.role == "approve" else self.retry

    def _resources(self, use: StepUse, interface: Interface) -> Resources:
        resources = interface.resources
        for ask in (*self.asks, use.ask):
            resources = _asked(resources, ask)
        return resources

    def _condition(self, tree: Expression | bool) -> Condition:
        match tree:
            case bool():
                return Holds(Literal(tree))
            case StatusCall(state, step):
                return Status(state, step)
            case Comparison(operator, left, right):
                return Compare(operator, self._operand(left), self._operand(right))
            case Negation(term):
                return Not(self._condition(term))
            case Junction("and", terms):
                return AllOf(tuple(self._condition(term) for term in terms))
            case Junction(_, terms):
                return AnyOf(tuple(self._condition(term) for term in terms))
            case Path() | Constant():
                return Holds(self._operand(tree))

    def _operand(self, tree: Path | Constant) -> Value:
        if isinstance(tree, Constant):
            return Literal(tree.value)
        match tree.parts:
            case ("parameters", name):
                return self._fold(ParameterRef(name))
            case ("steps", step, output):
                return OutputRef(step, output)
            case ("run", field):
                return RunRef(field)
            case ("environment", "name"):
                return Literal(self.environment)
        raise AssertionError(f"lower._operand got `{tree}` (template.referent should have told it)")


def _asked(resources: Resources, ask: Ask) -> Resources:
    return replace(
        resources,
        cpu=ask.cpu or resources.cpu,
        memory_mib=ask.memory_mib or resources.memory_mib,
        accelerator=ask.accelerator or resources.accelerator,
        machines=ask.machines or resources.machines,
        pool=ask.pool or resources.pool,
    )
