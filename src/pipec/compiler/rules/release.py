"""`PIPE5xx`: what must be true on the graph before a model may reach production.

Each rule walks the graph breadth-first from a place of interest and tells the route that offends. A model is followed
by its origin: steps that pass a model through unchanged (`same_as`) do not make another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipec.compiler.graph import Graph, Port, artifact_edges, outside
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.route import GAP, MAX_SHOWN, derived, drawn, route, shown
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule
from pipec.schema.model import StepUse
from pipec.steps.interface import Artifact, Role
from pipec.values import OutputRef


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
    approved = Judged(subject.graph, Role.APPROVE)
    for use, model, loc in production_models(subject):
        if approved.before(use.name, model):
            continue
        approval = approved.first(model)
        other = f"deploy {_named(approval, 'model')} instead" if approval else _approve(model)
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
    evaluated = Judged(subject.graph, Role.EVALUATE)
    for use, model, loc in production_models(subject):
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
    came_from = derived(graph, dict.fromkeys(_set_aside(graph)))
    for use in subject.pipeline.steps:
        for declared, given, loc in artifact_edges(graph, use.name):
            port = Port(given.task, given.output)
            if not declared.fits or port not in came_from:
                continue
            way = route(came_from, port)
            help_text = _sibling(graph, way[0])
            note = Note(f"`{shown(way[0])}` is set aside for testing", _step_loc(graph, way[0].step))
            told = drawn([*map(shown, way), f"{use.name}.{declared.name}"])
            yield rule.at(loc, f"`{use.name}` learns from test data", help=help_text,
                          notes=[note, Note(f"the data goes {told}")])  # fmt: skip


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
    raw = _Raw(subject.graph)
    for use, model, _ in production_models(subject):
        for names in raw.routes(model.step):
            way = drawn(names)
            yield rule.at(_read_loc(subject.graph, model.step, names),
                          f"the model that `{use.name}` ships is fitted on data that no step validated",
                          help="put a step `uses: validate-data` on the way",
                          notes=[Note(f"the data goes {way}"), Note("it is shipped here", use.loc)])  # fmt: skip


def _approve(model: Port) -> str:
    of = f" for `{shown(model)}`" if model.step else ""
    return f"add a step `uses: approve`{of}, and deploy what it hands on"


def production_models(subject: Subject) -> Iterator[tuple[StepUse, Port, Loc]]:
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
                model = origin_of(subject.graph, use.name, declared.name, given)
                if not model.step or subject.graph.output(model):
                    yield use, model, loc


def origin_of(graph: Graph, step: str, name: str, given: OutputRef | None) -> Port:
    """Return where the artifact given to an input was made."""
    return outside(step, name) if given is None else graph.origin(given)


class Judged:
    """What runs only after a model was judged: one pass over the graph for all models, however many there are."""

    def __init__(self, graph: Graph, role: Role, counts: Callable[[StepUse], bool] = lambda use: True) -> None:
        """role: of the steps that judge. counts: which of them to believe."""
        self.names = names = [n for n, i in graph.interfaces.items() if i.role is role and counts(graph.steps[n])]
        self.judges: dict[Port, int] = {}  # the steps that judge a model, as bits
        for at, name in enumerate(names):
            for declared, given, _ in graph.artifact_inputs(name):
                if declared.type is Artifact.MODEL and not declared.optional:
                    model = origin_of(graph, name, declared.name, given)
                    self.judges[model] = self.judges.get(model, 0) | 1 << at
        self.behind = graph.behind(names)

    def before(self, step: str, model: Port) -> bool:
        """Say whether `step` waits, without fail, until a step that judges `model` has succeeded."""
        return bool(self.behind[step] & self.judges.get(model, 0))

    def first(self, model: Port) -> str:
        """Return the first step that judges `model`; "" without one."""
        judges = self.judges.get(model, 0)
        return self.names[(judges & -judges).bit_length() - 1] if judges else ""


def _release_notes(subject: Subject, use: StepUse, model: Port, loc: Loc, missing: str) -> list[Note]:
    origin = f"`{shown(model)}`" if model.step else "a location outside of this pipeline"
    notes = [Note(f"the model goes {origin} -> `{use.name}`, past any step that could {missing} it", loc)]
    environment = subject.environment
    if environment and environment.production_loc:
        notes.append(Note(f"environment `{environment.name}` is production", environment.production_loc))
    elif environment is None:
        notes.append(Note("without `--env`, a release counts as one to production"))
    return notes


def _set_aside(graph: Graph) -> Iterator[Port]:
    """Yield what is set aside for testing."""
    for name in graph.order:
        interface = graph.interfaces.get(name)
        for output in interface.outputs if interface else ():
            if output.split == "test":
                yield Port(name, output.name)


def _sibling(graph: Graph, port: Port) -> str:
    """Return a help line that names the training part beside a test part."""
    interface = graph.interfaces.get(port.step)
    for output in interface.outputs if interface else ():
        if output.split == "train":
            return f"read {_named(port.step, output.name)} instead"
    return "read rows that are not set aside"


def _named(step: str, output: str) -> str:
    """Return how a document names an output; of a step in a pipeline below, what that has to hand on."""
    inner = step.rpartition(".")[0]
    return f"`{output}` of `{step}`, as an output of `{inner}`," if inner else f"`${{{{ steps.{step}.{output} }}}}`"


class _Raw:
    """Which sources of data reach each step past every validation, in one pass; all artifacts are followed.

    A model may be made of another, and rows by one.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sources: list[tuple[str, str]] = []  # where data enters, and the input that reads it from a location
        self.of: dict[str, int] = {}  # those that reach a step, as bits by their place
        for step in graph.order:
            interface = graph.interfaces.get(step)
            if interface is None or interface.role is Role.VALIDATE:
                continue
            read = list(graph.artifact_inputs(step))
            data = {given: declared.name for declared, given, _ in read if declared.type is Artifact.DATASET}
            makes = any(output.type is Artifact.DATASET for output in interface.outputs)
            found = 0
            if None in data or (not data and makes):
                found = 1 << len(self.sources)
                self.sources.append((step, f"{step}.{data[None]}" if None in data else ""))
            for _, given, _ in read:
                found |= self.of.get(given.task, 0) if given else 0
            self.of[step] = found

    def routes(self, made_by: str) -> Iterator[list[str]]:
        """Yield a route from each source that reaches the step that made a model."""
        reached = self.of.get(made_by, 0)
        while reached:
            at = (reached & -reached).bit_length() - 1
            reached &= reached - 1
            start, location = self.sources[at]
            yield [*([location] if location else []), *self._way(at, start, made_by)]

    def _way(self, at: int, start: str, end: str) -> list[str]:
        """Return a way that one source goes: of a long one its end, and its source."""
        way = [end]
        while way[-1] != start and len(way) < MAX_SHOWN:
            given = (given.task for _, given, _ in self.graph.artifact_inputs(way[-1]) if given)
            way.append(next(task for task in given if self.of.get(task, 0) >> at & 1))
        return [*([] if way[-1] == start else [start, GAP]), *way[::-1]]


def _read_loc(graph: Graph, step: str, way: list[str]) -> Loc:
    """Return where a step reads what comes its way; where that stands in another file, the step."""
    before, here = way[-2] if len(way) > 1 else "", _step_loc(graph, step)
    for declared, given, loc in graph.artifact_inputs(step):
        is_read = given.task == before if given else f"{step}.{declared.name}" == before
        if is_read and loc.path == here.path:
            return loc
    return here


def _step_loc(graph: Graph, step: str) -> Loc:
    return graph.steps[step].loc
