"""`PIPE5xx`: what must be true on the graph before a model may reach production.

Each rule walks the graph breadth-first from a place of interest and tells the route that offends. A model is followed
by its origin: steps that pass a model through unchanged (`same_as`) do not make another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from pipec.compiler.graph import Graph, Port, artifact_edges, outside
from pipec.compiler.rule import Subject, rule
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule
from pipec.schema.model import StepUse
from pipec.steps.interface import Artifact, Role
from pipec.values import ListOf, Literal, ObjectOf, OutputRef, Value


@rule("PIPE501", "unapproved-deploy", needs_order=True, ignorable=Ignorable.PROJECT)
def unapproved_deploy(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A production deployment of a model that nobody approved.

    Why: what serves people must have been released by a person, and the release must be of this very model.

    Bad:
        deploy: {uses: deploy, with: {model: "${{ steps.train.model }}"}}

    Fix:
        approve: {uses: approve, with: {model: "${{ steps.evaluate.model }}", approvers: [ml-leads]}}
        deploy:  {uses: deploy, with: {model: "${{ steps.approve.model }}", approval: "${{ steps.approve.approval }}"}}
    """
    approved = _Judged(subject.graph, Role.APPROVE)
    approvals = [n for n, i in subject.graph.interfaces.items() if i.role is Role.APPROVE]
    for use, model, loc in _production_models(subject):
        if approved.before(use.name, model):
            continue
        other = f"deploy {_named(approvals[0], 'model')} instead" if approvals else "add a step `uses: approve`"
        yield rule.at(use.loc, f"`{use.name}` ships a model that nobody approved", help=other,
                      notes=_release_notes(subject, use, model, loc, "approve"))  # fmt: skip


@rule("PIPE502", "unevaluated-deploy", needs_order=True, ignorable=Ignorable.PROJECT)
def unevaluated_deploy(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A production deployment of a model that was not evaluated.

    Why: an approval without figures approves a name, not a model.

    Bad:
        approve: {uses: approve, with: {model: "${{ steps.train.model }}"}}

    Fix:
        evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
        approve:  {uses: approve, with: {model: "${{ steps.evaluate.model }}"}}
    """
    evaluated = _Judged(subject.graph, Role.EVALUATE)
    for use, model, loc in _production_models(subject):
        if not evaluated.before(use.name, model):
            yield rule.at(use.loc, f"`{use.name}` ships a model that was not evaluated",
                          help="evaluate that model before it is approved",
                          notes=_release_notes(subject, use, model, loc, "evaluate"))  # fmt: skip


@rule("PIPE503", "test-data-in-fit", needs_order=True, ignorable=Ignorable.PROJECT)
def test_data_in_fit(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Data that was set aside for testing reaches a fit.

    Why: a model that has seen its test data is judged by what it remembers.

    Bad:
        train: {uses: train, with: {data: "${{ steps.split.test }}", target: quality}}

    Fix:
        train: {uses: train, with: {data: "${{ steps.split.train }}", target: quality}}
    """
    graph = subject.graph
    came_from = _tainted(graph)
    for use in subject.pipeline.steps:
        for declared, given, loc in artifact_edges(graph, use.name):
            port = Port(given.task, given.output)
            if not declared.fits or port not in came_from:
                continue
            route = _route(came_from, port)
            help_text = _sibling(graph, route[0])
            note = Note(f"`{_shown(route[0])}` is set aside for testing", _step_loc(graph, route[0].step))
            way = " -> ".join(f"`{_shown(p)}`" for p in route) + f" -> `{use.name}.{declared.name}`"
            yield rule.at(loc, f"`{use.name}` learns from test data", help=help_text,
                          notes=[note, Note(f"the data goes {way}")])  # fmt: skip


@rule("PIPE504", "unvalidated-training-data", needs_order=True, ignorable=Ignorable.PROJECT)
def unvalidated_training_data(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A model for production is fitted on data that no step validated.

    Why: a broken source would be learned, evaluated on its own kind, and shipped.

    Bad:
        train: {uses: train, with: {data: "${{ steps.ingest.data }}", target: quality}}

    Fix:
        validate: {uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: expectations/wine.yaml}}
        train:    {uses: train, with: {data: "${{ steps.validate.data }}", target: quality}}
    """
    walked: dict[str, list[list[str]]] = {}
    for use, model, _ in _production_models(subject):
        if model.step not in subject.graph.steps:
            continue
        if model.step not in walked:
            walked[model.step] = list(_unvalidated(subject.graph, model.step))
        for route in walked[model.step]:
            way = " -> ".join(f"`{name}`" for name in route)
            yield rule.at(_step_loc(subject.graph, model.step),
                          f"the model that `{use.name}` ships is fitted on data that no step validated",
                          help="put a step `uses: validate-data` on the way",
                          notes=[Note(f"the data goes {way}", use.loc)])  # fmt: skip


@rule("PIPE505", "toothless-approval", needs_order=True, ignorable=Ignorable.PROJECT)
def toothless_approval(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An automatic approval that no evaluation can withhold.

    Why: with no gate that stops, everything is approved. A gate that only wants a model to be better than the champion
    cannot stop one where no `champion` is given.

    Bad:
        approve: {uses: approve, with: {mode: automatic, model: "${{ steps.evaluate.model }}"}}

    Fix:
        evaluate: {uses: evaluate, with: {gates: [{metric: f1_macro, minimum: 0.9}], model: "...", data: "..."}}
    """
    graph = subject.graph
    gated = _Judged(graph, Role.EVALUATE, _stops)
    for use in subject.pipeline.steps:
        interface = graph.interfaces.get(use.name)
        mode = use.argument("mode")
        if not (interface and interface.role is Role.APPROVE and mode and mode.value != Literal("person")):
            continue
        models = [graph.origin(given) for i, given, _ in artifact_edges(graph, use.name) if i.type is Artifact.MODEL]
        if not any(gated.before(use.name, model) for model in models):
            verb = "approves" if mode.value == Literal("automatic") else "may approve"
            yield rule.at(mode.node.loc, f"`{use.name}` {verb} by itself, and no gate before it can stop",
                          help="give the evaluation a gate: `gates: [{metric: f1_macro, minimum: 0.9}]`")  # fmt: skip


def _stops(use: StepUse) -> bool:
    """Say whether a gate of an evaluation can refuse a model; one that is not known here is believed to."""
    gates = use.argument("gates")
    if gates is None:
        return False
    found = _items(gates.value)
    return found is None or any(_can_stop(gate, has_champion=use.argument("champion") is not None) for gate in found)


def _items(value: Value) -> list[dict[str, Value]] | None:
    """Return the objects of a list with their fields, or None where the list is known only when it runs."""
    match value:
        case Literal(list() as items):
            return [_fields(Literal(item)) for item in items]
        case ListOf(items):
            return [_fields(item) for item in items]
        case Literal():
            return []
    return None


def _fields(value: Value) -> dict[str, Value]:
    match value:
        case Literal(dict() as known):
            return {name: Literal(item) for name, item in known.items()}
        case ObjectOf(fields):
            return dict(fields)
    return {}


def _can_stop(gate: dict[str, Value], *, has_champion: bool) -> bool:
    is_bound = bool({"minimum", "maximum"} & set(gate))
    stops = gate.get("on_fail", Literal("stop")) != Literal("report")
    return stops and (is_bound or (has_champion and "better_by" in gate))


def _production_models(subject: Subject) -> Iterator[tuple[StepUse, Port, Loc]]:
    """Yield each step that deploys to production with the origin of the model it ships.

    Nothing where a step or a model on the way is unknown: that is told already, and every route would look broken.
    """
    if not subject.is_production or len(subject.graph.interfaces) < len(subject.graph.steps):
        return
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        if interface is None or interface.role is not Role.DEPLOY:
            continue
        for declared, given, loc in subject.graph.artifact_inputs(use.name):
            if declared.type is Artifact.MODEL:
                model = _origin(subject.graph, use.name, declared.name, given)
                if not model.step or subject.graph.output(model):
                    yield use, model, loc


def _origin(graph: Graph, step: str, name: str, given: OutputRef | None) -> Port:
    """Return where the artifact given to an input was made."""
    return outside(step, name) if given is None else graph.origin(given)


class _Judged:
    """What runs only after a model was judged. One walk for each model, not for each deploy: there may be many."""

    def __init__(self, graph: Graph, role: Role, counts: Callable[[StepUse], bool] = lambda use: True) -> None:
        """role: of the steps that judge. counts: which of them to believe."""
        self.graph = graph
        self.judges: dict[Port, list[str]] = {}
        self.walked: dict[Port, set[str]] = {}
        for name, interface in graph.interfaces.items():
            if interface.role is not role or not counts(graph.steps[name]):
                continue
            for declared, given, _ in graph.artifact_inputs(name):
                if declared.type is Artifact.MODEL and not declared.optional:
                    self.judges.setdefault(_origin(graph, name, declared.name, given), []).append(name)

    def before(self, step: str, model: Port) -> bool:
        """Say whether `step` waits, without fail, until a step that judges `model` has succeeded."""
        if model not in self.walked:
            self.walked[model] = self.graph.after(self.judges.get(model, ()))
        return step in self.walked[model]


def _release_notes(subject: Subject, use: StepUse, model: Port, loc: Loc, missing: str) -> list[Note]:
    shown = _shown(model) if model.step else "a location outside of this pipeline"
    notes = [Note(f"the model goes `{shown}` -> `{use.name}`, past any step that could {missing} it", loc)]
    environment = subject.environment
    if environment and environment.production_loc:
        notes.append(Note(f"environment `{environment.name}` is production", environment.production_loc))
    elif environment is None:
        notes.append(Note("without `--env`, a release counts as one to production"))
    return notes


def _tainted(graph: Graph) -> dict[Port, Port | None]:
    """Return every artifact derived from one that is set aside for testing, with what it was derived from."""
    came_from: dict[Port, Port | None] = {}
    queue: deque[Port] = deque()
    for name in graph.order:
        interface = graph.interfaces.get(name)
        for output in interface.outputs if interface else ():
            if output.split == "test":
                came_from[Port(name, output.name)] = None
                queue.append(Port(name, output.name))
    while queue:
        port = queue.popleft()
        for edge in graph.out_of(port.step):
            if edge.output != port.output or not edge.argument:
                continue
            for derived in _derived(graph, edge.target, edge.argument):
                if derived not in came_from:
                    came_from[derived] = port
                    queue.append(derived)
    return came_from


def _derived(graph: Graph, step: str, argument: str) -> Iterator[Port]:
    """Yield the artifacts of a step that depend on what one of its inputs holds."""
    interface = graph.interfaces.get(step)
    if interface is None or interface.input(argument) is None:
        return
    for output in interface.artifacts:
        if output.same_as in (None, argument):
            yield Port(step, output.name)


def _route(came_from: dict[Port, Port | None], port: Port) -> list[Port]:
    route = [port]
    while (before := came_from[route[-1]]) is not None:
        route.append(before)
    return route[::-1]


def _sibling(graph: Graph, port: Port) -> str:
    """Return a help line that names the training part beside a test part."""
    interface = graph.interfaces.get(port.step)
    for output in interface.outputs if interface else ():
        if output.split == "train":
            return f"read {_named(port.step, output.name)} instead"
    return ""


def _named(step: str, output: str) -> str:
    """Return how a document names an output; of a step in a pipeline below, what that has to hand on."""
    inner = step.rpartition(".")[0]
    return f"`{output}` of `{step}`, as an output of `{inner}`," if inner else f"`${{{{ steps.{step}.{output} }}}}`"


def _unvalidated(graph: Graph, made_by: str) -> Iterator[list[str]]:
    """Yield one route from each source of data to the step that made a model, past every validation.

    All artifacts are followed: a model may be made of another, and rows by one.
    """
    came_from: dict[str, str | None] = {made_by: None}
    queue = deque([made_by])
    while queue:
        step = queue.popleft()
        interface = graph.interfaces.get(step)
        if interface is None or interface.role is Role.VALIDATE:
            continue
        read = list(graph.artifact_inputs(step))
        data = [given for declared, given, _ in read if declared.type is Artifact.DATASET]
        if None in data:
            yield ["a location", *_back(came_from, step)]
        elif not data and any(output.type is Artifact.DATASET for output in interface.outputs):
            yield _back(came_from, step)
        for _, given, _ in read:
            if given is not None and given.task in graph.steps and given.task not in came_from:
                came_from[given.task] = step
                queue.append(given.task)


def _back(came_from: dict[str, str | None], step: str) -> list[str]:
    route = [step]
    while (after := came_from[route[-1]]) is not None:
        route.append(after)
    return route


def _shown(port: Port) -> str:
    return f"{port.step}.{port.output}"


def _step_loc(graph: Graph, step: str) -> Loc:
    return graph.steps[step].loc
