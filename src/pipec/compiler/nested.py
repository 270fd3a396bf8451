"""What a pipeline's steps use: names of the library, and files of the project that describe a step or a pipeline.

Files are read through a `World`, so that nothing here knows where they lie. A pipeline that is used as a step becomes
an interface like any other: its inputs, parameters and outputs. What it is made of is brought in by `flatten.py`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from pipec import digest
from pipec.diagnostics import Finding, Note, Source, has_error
from pipec.record import frozen, mutable
from pipec.schema import check, load, manifest, tree
from pipec.schema import findings as kinds
from pipec.schema.files import UnreadableError
from pipec.schema.fold import constants, fold
from pipec.schema.model import Argument, Pipeline, StepUse
from pipec.schema.overlay import without_overlay_nulls
from pipec.steps.interface import Input, Interface, Kind, Output, Parameter
from pipec.values import EachRef, Json, Literal, OutputRef, ParameterRef

MAX_DEPTH = 8
MAX_TASKS = 50_000  # of one pipeline: several times what the engines that run it are known to take
MAX_BYTES = 1 << 20  # of one such file
Catalogue = Callable[[str, str | None], Interface | None]


@frozen
class World:
    """What opening a file needs. read: the text of a file, by the folder that names it (relative to the root) and its
    name, at most so many bytes; raises UnreadableError. shown: what messages call a path relative to the root.
    configs: those whose value is known.
    """

    read: Callable[[str, str, int], str]
    shown: Callable[[str], str]
    catalogue: Catalogue
    environment: str
    configs: Mapping[str, Json]


@frozen
class Opened:
    """What one step uses. pipeline: None for a step of the library or of another language.

    folder: that of the file that describes it, relative to the root. uses: what the pipeline's own steps use, by name.
    n_tasks: how many it becomes, without its own matrix; those of a loop count once.
    """

    interface: Interface
    folder: str = ""
    pipeline: Pipeline | None = None
    uses: Mapping[str, Opened] = field(default_factory=dict)
    n_tasks: int = 1


@mutable
class Opening:
    """Everything that one pipeline uses, by step; steps of which nothing is known are not listed.

    read: the documents of each file that was opened. known: what each of them is to those that use it. A few files that
    use each other many times stand for more tasks than anyone could count, so each is read and typed once.
    """

    uses: dict[str, Opened] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    read: dict[str, tuple[Source, tuple[tree.Tree, ...]]] = field(default_factory=dict)
    known: dict[tuple[str, str, int], Opened | None] = field(default_factory=dict)


def open_all(pipeline: Pipeline, folder: str, world: World) -> Opening:
    """Return what the steps of a pipeline use. folder: that of its file, relative to the root."""
    opening = Opening()
    opening.uses = _open(pipeline, folder, world, opening, ())
    opening.findings += _too_many(pipeline, opening.uses)
    return opening


def _n_tasks(use: StepUse, opened: Opened | None) -> int:
    """Return how many tasks a step becomes; a matrix of a pipeline is a loop."""
    if opened and opened.pipeline:
        return opened.n_tasks
    return len(use.matrix.cells) if use.matrix else 1


def _too_many(pipeline: Pipeline, uses: Mapping[str, Opened]) -> Iterator[Finding]:
    """Find the step with which a pipeline becomes more tasks than an engine could take."""
    total = 0
    for use in pipeline.steps:
        before, total = total, total + _n_tasks(use, uses.get(use.name))
        if before <= MAX_TASKS < total:
            message = f"with `{use.name}` the pipeline has {total:,} tasks, more than {MAX_TASKS:,}"
            yield kinds.TOO_LARGE.at(use.loc, message, help="loop over a list with `for_each`, or split the pipeline")


def _open(
    pipeline: Pipeline, folder: str, world: World, opening: Opening, around: tuple[str, ...]
) -> dict[str, Opened]:
    found: dict[str, Opened] = {}
    for use in pipeline.steps:
        if load.is_file(use.uses):
            opened = _file(use, folder, world, opening, around)
        else:
            interface = world.catalogue(use.uses, use.version)
            opened = Opened(interface) if interface else None
        if opened:
            found[use.name] = opened
    return found


def _file(use: StepUse, folder: str, world: World, opening: Opening, around: tuple[str, ...]) -> Opened | None:
    """Return what a file describes, or None after findings."""
    path = posixpath.normpath(posixpath.join(folder, use.uses))
    if path in around:
        names = " -> ".join(f"`{posixpath.basename(one)}`" for one in (*around[around.index(path) :], path))
        message = f"pipelines use each other: {names}"
        opening.findings.append(kinds.NESTING.at(use.uses_loc, message, help=f"remove step `{use.name}`"))
        return None
    if path not in opening.read:
        try:
            source = Source(world.shown(path), world.read(folder, use.uses, MAX_BYTES))
        except UnreadableError as fault:
            opening.findings.append(kinds.NOT_TEXT.at(use.uses_loc, str(fault)))
            return None
        documents, problems = tree.read(source)
        opening.sources[source.path], opening.read[path] = source, (source, documents)
        opening.findings += problems
    source, documents = opening.read[path]
    if len(documents) > 1:
        message = f"`{use.uses}` holds {len(documents)} documents, and a step uses one"
        opening.findings.append(kinds.WRONG_KIND.at(use.uses_loc, message, help="put each into a file of its own"))
        return None
    if not documents:
        return None
    return _document(use, documents[0], source, world, opening, (*around, path))


def _document(
    use: StepUse, document: tree.Tree, source: Source, world: World, opening: Opening, around: tuple[str, ...]
) -> Opened | None:
    """Return what a document is as a step, or None after findings. around: the files on the way to it, and its own."""
    path = around[-1]
    kind = document.get("kind") if isinstance(document, tree.Mapping) else None
    is_step = isinstance(kind, tree.Scalar) and kind.value == "Step"
    found = [*check.header(document, "Step" if is_step else "Pipeline")]
    if has_error(found) or not isinstance(document, tree.Mapping):
        opening.findings += found
        return None
    if is_step:
        if (path, "", 0) not in opening.known:
            interface, wrong = described(document, source)
            opening.findings += wrong
            opening.known[path, "", 0] = Opened(interface, posixpath.dirname(path)) if interface else None
        return opening.known[path, "", 0]
    if len(around) > MAX_DEPTH:
        message = f"pipelines are nested more than {MAX_DEPTH} deep"
        opening.findings.append(kinds.NESTING.at(use.uses_loc, message, help="move its steps into the pipeline around"))
        return None
    given = _constants(use, document)
    key = (path, digest.canonical(given), len(around))
    if key not in opening.known:
        opening.known[key] = _pipeline(document, source, world, opening, around, given)
    opened = opening.known[key]
    if opened and opened.pipeline:
        opening.findings += _unusable(use, opened.pipeline)
    return opened


def described(document: tree.Mapping, source: Source) -> tuple[Interface | None, list[Finding]]:
    """Return the step that a manifest describes, or None, and what is wrong with it."""
    found = [*check.shape(document, check.schema("step"))]
    if has_error(found):
        return None, found
    interface, wrong = manifest.step(document, source)
    return interface, [*found, *wrong]


def _pipeline(
    document: tree.Mapping, source: Source, world: World, opening: Opening, around: tuple[str, ...],
    given: Mapping[str, Json],
) -> Opened | None:  # fmt: skip
    """Return a pipeline as a step. given: values of its constants."""
    loaded, more = loaded_pipeline(document, source, world, given)
    opening.findings += more
    if loaded is None:
        return None
    folder = posixpath.dirname(around[-1])
    uses = _open(loaded, folder, world, opening, around)
    n_tasks = sum(_n_tasks(use, uses.get(use.name)) for use in loaded.steps)
    return Opened(_interface(loaded, uses), folder, loaded, uses, n_tasks)


def _constants(use: StepUse, document: tree.Mapping) -> dict[str, Json]:
    """Return the values that a step gives to constants of the pipeline it uses, where they are known and fit.

    One that does not fit is told where it is given, like that of any step.
    """
    declared = document.get("parameters")
    found: dict[str, Json] = {}
    for argument in use.arguments:
        body = declared.get(argument.name) if isinstance(declared, tree.Mapping) else None
        is_const = body.get("const") if isinstance(body, tree.Mapping) else None
        schema = load.schema_of(body) if body and isinstance(is_const, tree.Scalar) and is_const.value is True else None
        if isinstance(argument.value, Literal) and schema is not None:
            node = tree.of_json(argument.value.value, argument.node.loc)
            if not any(check.value_problems(argument.name, node, schema)):
                found[argument.name] = argument.value.value
    return found


def loaded_pipeline(
    document: tree.Mapping, source: Source, world: World, sets: Mapping[str, Json]
) -> tuple[Pipeline | None, list[Finding]]:
    """Return a pipeline document in the world's environment: constants folded, shape judged, then typed."""
    folding = fold(document, constants(document, world.environment, sets), source)
    judged = check.shape(without_overlay_nulls(folding.document), check.schema("pipeline"))
    found = [*folding.findings, *(finding for finding in judged if finding.loc not in folding.told)]
    if has_error(found):
        return None, found
    loaded, more = load.pipeline(folding, source, world.environment, sets, world.configs)
    return loaded, [*found, *more]


def _unusable(use: StepUse, pipeline: Pipeline) -> Iterator[Finding]:
    final = next((step for step in pipeline.steps if step.is_final), None)
    if final:
        message = f"`{use.uses}` has `finally`, and a pipeline used as a step cannot: its run goes on"
        yield kinds.NESTING.at(use.uses_loc, message, help=f"move `{final.name}` to the pipeline that is run")
    for argument in use.arguments:
        parameter = pipeline.parameter(argument.name)
        if parameter and parameter.is_const and not isinstance(argument.value, Literal):
            message = f"`{argument.name}` is const in `{use.uses}`, and what is given here only a run knows"
            note = Note("it is declared here", parameter.loc)
            yield kinds.NOT_CONSTANT.at(argument.node.loc, message, help="give a value, or a `const` parameter",
                                        notes=[note])  # fmt: skip


def _interface(pipeline: Pipeline, uses: Mapping[str, Opened]) -> Interface:
    """Return a pipeline as the step that it can be used as."""
    return Interface(
        name=pipeline.name,
        version="1",
        summary=pipeline.description,
        inputs=tuple(
            Input(name=i.name, type=i.type, optional=i.optional or i.default is not None, help=i.description)
            for i in pipeline.inputs
        ),
        parameters=tuple(
            Parameter(name=p.name, kind=p.kind, schema=p.schema, default=p.default, help=p.description)
            for p in pipeline.parameters
        ),
        outputs=tuple(output for given in pipeline.outputs if (output := _output(given, pipeline, uses))),
    )


def _output(given: Argument, pipeline: Pipeline, uses: Mapping[str, Opened]) -> Output | None:
    """Return what an output of a pipeline is to those that use it; None where that is told as a mistake."""
    match given.value:
        case OutputRef(step, output):
            written = uses[step].interface.output(output) if step in uses else None
            return Output(name=given.name, type=written.type, optional=written.optional) if written else None
        case EachRef(step, output):
            written = uses[step].interface.output(output) if step in uses else None
            is_small = written is not None and isinstance(written.type, Kind)
            return Output(name=given.name, type=Kind.LIST) if is_small else None
        case ParameterRef(name):
            artifact, parameter = pipeline.input(name), pipeline.parameter(name)
            if artifact:
                may_lack = artifact.optional and artifact.default is None
                return Output(name=given.name, type=artifact.type, same_as=name, optional=may_lack)
            return Output(name=given.name, type=parameter.kind) if parameter else None
        case Literal(value):
            return Output(name=given.name, type=Kind.of(value)) if given.references else None
    return None


def interfaces(uses: Mapping[str, Opened]) -> dict[str, Interface]:
    """Return the interface of each step."""
    return {name: opened.interface for name, opened in uses.items()}
