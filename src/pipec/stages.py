"""The stages of the documents of one file, in order: typed, opened, judged, flat, proven, planned.

Each stage runs for all documents before the next begins, because pipelines of one file may start each other. What is
found about a document stops only its own later stages, and those of pipelines that it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace

from pipec.compiler import arguments, flatten, graph, lower, nested, rule, spread
from pipec.compiler.plan import Plan
from pipec.diagnostics import Finding, Ignored, Source, has_error
from pipec.digest import canonical
from pipec.record import frozen, mutable
from pipec.schema import check as shape
from pipec.schema import ignore, secret, tree
from pipec.schema.lock import Lock
from pipec.schema.model import Environment, Pipeline, Places, Project
from pipec.schema.overlay import without_overlay_nulls
from pipec.values import Json


@mutable
class Unit:
    """One pipeline of a file, as far as it came. plan: None if there was an error. subject: the document's own.

    ignores: what counts for it. ignored: what was found, and is answered for.
    """

    pipeline: Pipeline
    subject: rule.Subject
    opening: nested.Opening
    findings: list[Finding] = field(default_factory=list)
    ignores: ignore.Ignores = ignore.Ignores()
    ignored: list[Ignored] = field(default_factory=list)
    flat: flatten.Flat | None = None
    graph: graph.Graph | None = None
    plan: Plan | None = None

    @property
    def is_proven(self) -> bool:
        """Whether every rule has judged it."""
        return self.graph is not None and not self.graph.cycle and len(self.graph.interfaces) == len(self.graph.steps)

    def tell(self, findings: Iterable[Finding]) -> None:
        """Add what was found, as far as nobody has answered for it."""
        kept, answered = self.ignores.sift(findings, self._documents())
        self.findings += kept
        self.ignored += answered

    def _documents(self) -> tuple[Pipeline, ...]:
        inner = (opened.pipeline for opened in self.opening.known.values() if opened)
        return (self.pipeline, *(pipeline for pipeline in inner if pipeline))


@frozen
class Setting:
    """What the documents of a file are read in.

    folder: theirs, relative to the root. library: names of its steps. settings: the schema of what a project may say to
    each target. ignores: what the file and its project answer for. lock: what the project's images are.
    """

    source: Source
    project: Project
    environment: Environment | None
    world: nested.World
    folder: str
    library: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    ignores: ignore.Ignores = ignore.Ignores()
    lock: Lock = Lock()


def units(
    documents: Iterable[tree.Tree], setting: Setting, sets: Callable[[tree.Mapping], Mapping[str, Json]]
) -> tuple[tuple[Unit, ...], list[Finding]]:
    """Return the pipelines of a file, and what is wrong with documents that are none. sets: values of `--set`."""
    found: list[Finding] = []
    documents = tuple(documents)
    typed = [unit for document in documents if (unit := _typed(document, setting, sets, found))]
    others = {unit.pipeline.name: (unit.pipeline, unit.subject.graph) for unit in typed}
    unread = frozenset(name for document in documents if (name := called(document)) not in others)
    for unit in typed:
        unit.subject = replace(unit.subject, others=others, unread=unread)
        unit.tell(_judged(unit.subject, unit.opening.uses, setting, set()))
        _prove(unit, setting)
    flats = {u.pipeline.name: (u.flat, u.graph) for u in typed if u.flat and u.graph and not has_error(u.findings)}
    for unit in typed:
        if unit.plan and all(after.pipeline in flats for after in unit.pipeline.after):
            unit.plan = replace(unit.plan, after=lower.triggers(unit.pipeline.after, flats))
        elif unit.pipeline.after:
            unit.plan = None  # what it starts after has errors, which are told
    return tuple(typed), found


def called(document: tree.Tree) -> str:
    """Return what a document calls itself, however broken it is."""
    metadata = document.get("metadata") if isinstance(document, tree.Mapping) else None
    name = metadata.get("name") if isinstance(metadata, tree.Mapping) else None
    return str(name.value) if isinstance(name, tree.Scalar) else ""


def _typed(
    document: tree.Tree, setting: Setting, sets: Callable[[tree.Mapping], Mapping[str, Json]], found: list[Finding]
) -> Unit | None:
    """Return a document as a pipeline with the graph of its steps, what they use opened."""
    secrets = [*secret.inlined(setting.source, document)]
    unit = _opened(document, setting, sets, found)
    if unit is None:
        found += setting.ignores.sift(secrets, ())[0]
        return None
    for source, documents in unit.opening.read.values():
        secrets += [each for one in documents for each in secret.inlined(source, one)]
    unit.tell(secrets)
    return unit


def _opened(
    document: tree.Tree, setting: Setting, sets: Callable[[tree.Mapping], Mapping[str, Json]], found: list[Finding]
) -> Unit | None:
    if (judged := _no_pipeline(document, setting)) is not None:
        found += judged
        return None
    wrong = [*shape.header(document, "Pipeline")]
    found += wrong
    if has_error(wrong) or not isinstance(document, tree.Mapping):
        return None
    pipeline, more = nested.loaded_pipeline(document, setting.source, setting.world, sets(document))
    if pipeline is None or has_error(more):
        found += more
        return None
    opening = nested.open_all(pipeline, setting.folder, setting.world)
    below = [mark for source, read in opening.read.values() if read for mark in ignore.of_text(source)[0]]
    ignores = ignore.Ignores((*setting.ignores.said, *below)) if below else setting.ignores
    unit = Unit(pipeline, _subject(pipeline, opening.uses, setting), opening, ignores=ignores)
    unit.tell([*more, *opening.findings])
    return unit


def _no_pipeline(document: tree.Tree, setting: Setting) -> list[Finding] | None:
    """Return what is wrong with a step's manifest or a project; None for any other document."""
    kind = document.get("kind") if isinstance(document, tree.Mapping) else None
    if not isinstance(document, tree.Mapping) or not isinstance(kind, tree.Scalar):
        return None
    if kind.value == "Step":
        return [*shape.header(document, "Step"), *nested.described(document, setting.source)[1]]
    if kind.value == "Project":
        wanted = shape.project_schema(setting.settings)
        return [*shape.header(document, "Project"), *shape.shape(without_overlay_nulls(document), wanted)]
    return None


def _subject(pipeline: Pipeline, uses: Mapping[str, nested.Opened], setting: Setting) -> rule.Subject:
    project, environment = setting.project, setting.environment
    around = environment or Environment(name="", loc=pipeline.loc)
    return rule.Subject(
        pipeline=pipeline,
        graph=graph.build(pipeline.steps, nested.interfaces(uses)),
        project=project,
        environment=environment,
        steps=setting.library,
        secrets=_laid(project.secrets, around.secrets, pipeline.secrets),
        configs=_laid(project.configs, around.configs, pipeline.configs),
        elsewhere=_elsewhere(pipeline, project),
        composite=frozenset(name for name, opened in uses.items() if opened.pipeline),
        uses=uses,
        lock=setting.lock,
    )


def _elsewhere(pipeline: Pipeline, project: Project) -> dict[str, tuple[Places, Places]]:
    """Return where secrets and configs lie in each environment."""
    declared = {each.name: each for each in project.environments}
    found: dict[str, tuple[Places, Places]] = {}
    for name in (*declared, *pipeline.environments):
        around = declared.get(name) or Environment(name=name, loc=pipeline.loc)
        secrets, configs = pipeline.places.get(name, ({}, {}))
        found[name] = (_laid(project.secrets, around.secrets, secrets), _laid(project.configs, around.configs, configs))
    return found


def _laid(*places: Places) -> Places:
    """Return where each name lies: what is said last counts, and null removes a name (language rule 6)."""
    laid = {name: said for layer in places for name, said in layer.items()}
    return {name: said for name, said in laid.items() if said}


def _judged(
    subject: rule.Subject, uses: Mapping[str, nested.Opened], setting: Setting, judged: set[tuple[int, str]]
) -> list[Finding]:
    """Return what is wrong with a document, and with those that its steps use: each is judged by itself, and once.

    judged: those that were, by identity and by the configs that are known there.
    """
    found = [*arguments.judge(subject.pipeline, subject.graph), *rule.of_document(subject)]
    for opened in uses.values():
        key = (id(opened), canonical(subject.configs))
        if opened.pipeline and key not in judged:
            judged.add(key)
            inside = _inside(_subject(opened.pipeline, opened.uses, setting), subject)
            found += _judged(inside, opened.uses, setting, judged)
    return found


def _inside(subject: rule.Subject, around: rule.Subject) -> rule.Subject:
    """Return a pipeline used as a step, which looks up what the pipeline around it does: a name has one place in a run.

    What its own environments say as a value stands in it by now.
    """
    elsewhere = {
        name: (around.elsewhere.get(name, places)[0], _valued(around.elsewhere.get(name, places)[1], places[1]))
        for name, places in subject.elsewhere.items()
    }
    configs = _valued(around.configs, subject.configs)
    return replace(subject, secrets=around.secrets, configs=configs, elsewhere=elsewhere)


def _valued(around: Places, own: Places) -> Places:
    return {**around, **{name: place for name, place in own.items() if "value" in place}}


def _prove(unit: Unit, setting: Setting) -> None:
    """Bring in what the pipeline uses, prove its releases on the whole, and plan it if nothing is wrong."""
    subject, uses = unit.subject, unit.opening.uses
    if subject.composite and has_error(unit.findings):
        return  # what is told already would make every route look broken
    unit.flat = flat = flatten.flatten(unit.pipeline, uses, setting.folder)
    is_same = flat.pipeline is unit.pipeline
    unit.graph = subject.graph if is_same else graph.build(flat.pipeline.steps, flat.interfaces, flat.composites)
    whole = replace(subject, pipeline=flat.pipeline, graph=unit.graph)
    attached, missing = arguments.attach(flat, setting.world.read, whole.contents)
    unit.findings += missing
    whole = replace(whole, attached=attached)
    if subject.composite:  # what is handed in meets the steps that take it only here
        unit.tell(arguments.judge(flat.pipeline, unit.graph))
    unit.tell(rule.of_release(whole))
    unit.findings += spread.too_many_waits(unit.graph)
    if not has_error(unit.findings):
        unit.plan = lower.plan(whole, attached)
