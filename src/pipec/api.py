"""The way through, in order: text, tree, document, graph, findings, plan, files. The one place that knows all stages.

Every stage is a pure function; inside a stage all findings are collected, and the next runs only if there is no error
yet. `check` and `compile_` open the named file and what it names below its project's root, and do nothing else: no
network, no user's code, no environment variable, no clock.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from pipec import __version__, stages
from pipec.answers import Answers, gathered, in_order, undoubled
from pipec.compiler import device, rule, rules
from pipec.compiler.nested import World
from pipec.compiler.plan import After
from pipec.diagnostics import (
    START,
    STDIN,
    Finding,
    Ignored,
    Loc,
    Report,
    Rule,
    Source,
    guess,
    has_error,
    one_line,
    ordered,
)
from pipec.record import frozen
from pipec.schema import check as shape
from pipec.schema import findings as kinds
from pipec.schema import load, tree
from pipec.schema.files import UnreadableError, decoded, folder_of, project_root, read_named
from pipec.schema.ignore import Ignores, of_text, problems, unused
from pipec.schema.model import Environment, Pipeline, Pool, Project
from pipec.schema.origin import Origin, inherited, with_inherited
from pipec.schema.origin import origins as origin_of
from pipec.schema.trigger import in_file
from pipec.stages import Setting, Unit
from pipec.steps import catalog
from pipec.steps.interface import MISSING, Kind
from pipec.surroundings import Place, Surroundings, surroundings
from pipec.targets import airflow, kubeflow
from pipec.targets import findings as target_findings
from pipec.targets.base import Feature, File, Form, Options, Refusal, Support, Target, refusals
from pipec.targets.kubeflow import findings as kubeflow_findings
from pipec.values import Json

TARGETS: Mapping[str, Target] = {target.name: target for target in (kubeflow.TARGET, airflow.TARGET)}
MAX_BYTES = tree.MAX_BYTES


class UsageError(Exception):
    """The call itself cannot be carried out; the message is one line with the next action."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))  # it quotes what was typed


@frozen(kw_only=True)
class Request:
    """What a user asked about one file.

    content: given instead of reading `path` (standard input). environment: its name, or empty. sets: raw `--set` texts.
    target: its name, or None. options: raw `-O` texts. pipeline: of which document; None: all.
    """

    path: Path
    content: bytes | None = None
    environment: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    pipeline: str | None = None
    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)


@frozen(kw_only=True)
class Checked:
    """What is known of a file. root: the project's folder. folder: that of the file.

    layers: what stands behind the document's image and defaults: the environment's and the project's, as written.
    """

    report: Report
    units: tuple[Unit, ...] = ()
    project: Project = Project()
    environment: Environment | None = None
    root: Path = Path()
    folder: Path = Path()
    source: Source | None = None
    layers: tuple[tree.Mapping, ...] = ()

    @property
    def has_error(self) -> bool:
        return has_error(self.report.findings)


def check(request: Request) -> Checked:
    """Take a file all the way to plans, and for a target to its refusals. Raises UsageError."""
    checked, answers = _checked(request)
    if not answers.own or not answers.is_whole:
        return checked
    used = set(answers.used)
    for name in answers.environments:  # what is needed in one of them is not unused
        if all(one.loc in used for one in answers.own):
            return checked
        used |= _checked(replace(request, environment=name, target=None))[1].used
    findings = unused(answers.own, used, _rules())
    report = replace(checked.report, findings=ordered([*checked.report.findings, *findings]))
    return replace(checked, report=report)


def _checked(request: Request) -> tuple[Checked, Answers]:
    shown = STDIN if request.content is not None else request.path.as_posix()
    folder = Path().absolute() if request.content is not None else folder_of(request.path)
    root = project_root(folder)
    try:
        text = (
            read_named(root, folder, request.path, MAX_BYTES)
            if request.content is None
            else decoded(request.content, STDIN)
        )
    except UnreadableError as fault:
        finding = kinds.NOT_TEXT.at(Loc(shown, START), str(fault))
        return Checked(report=Report((finding,)), root=root, folder=folder), Answers()
    source = Source(shown, text)
    trees, found = tree.read(source)
    place = Place(root, folder.relative_to(root).as_posix(), posixpath.dirname(shown))
    settings = {name: target.settings for name, target in request.targets.items()}
    around = surroundings(place, request.environment, settings)
    findings = [*found, *around.findings]
    units: tuple[Unit, ...] = ()
    answers, ignored = Answers(), list[Ignored]()
    if not has_error(findings):
        if request.pipeline is not None and request.pipeline not in map(_name, trees):
            raise UsageError(f"{shown} holds no pipeline `{request.pipeline}`: {', '.join(map(_name, trees))}")
        world = _world(request, around, place)
        said, wrong = of_text(source)
        answered = Ignores((*said, *around.ignores))
        findings, ignored = answered.sift(findings, ())
        ignored += around.ignored
        setting = Setting(source, around.project, around.environment, world, place.folder, catalog.names(), settings,
                          answered, around.lock)  # fmt: skip
        units, more = stages.units(trees, setting, lambda document: _sets(request, document))
        findings += [*more, *_twice(units), *wrong, *problems(answered.said, _rules() if answered.said else {})]
        answers = gathered(answered, shown, len(trees), units, around.project, request.environment, ignored)
        _known_environment(request, around.project, units)
        _known_sets(request, units)
        units = _wanted(request, units)
        for unit in units:
            findings += unit.findings
            ignored += unit.ignored
            if request.target is not None and unit.plan:
                findings += _refused(request, unit, around.environment, source, units)
    sources = [source, around.source, around.lock_source, *(s for unit in units for s in unit.opening.sources.values())]
    report = Report(ordered(dict.fromkeys(undoubled(findings))), tuple(s for s in sources if s), in_order(ignored))
    checked = Checked(report=report, units=units, project=around.project, environment=around.environment, root=root,
                      folder=folder, source=source, layers=around.layers)  # fmt: skip
    return checked, answers


def _world(request: Request, around: Surroundings, place: Place) -> World:
    configs = {**around.project.configs, **(around.environment.configs if around.environment else {})}
    known = {name: said["value"] for name, said in configs.items() if "value" in said}
    return World(place.read, place.show, catalog.find, request.environment, known)


def _wanted(request: Request, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """Return the pipeline that was asked for with those that it may start after, in the file's order; or all.

    Where a target's file of it must say what starts after it, that comes too.
    """
    if request.pipeline is None:
        return units
    by_name = {unit.pipeline.name: unit for unit in units}
    todo, wanted = [request.pipeline], set[str]()
    while todo:
        name = todo.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            todo += [after.pipeline for after in by_name[name].pipeline.after]
    if request.target and _target(request).features.get(Feature.AFTER, Support.REFUSED) is not Support.REFUSED:
        wanted |= {u.pipeline.name for u in units if any(a.pipeline == request.pipeline for a in u.pipeline.after)}
    return tuple(unit for unit in units if unit.pipeline.name in wanted)


def compile_(request: Request) -> tuple[Checked, tuple[File, ...]]:
    """Return the files of a target, or none where anything is wrong."""
    checked = check(request)
    target = _target(request)
    if checked.has_error:
        return checked, ()
    if not checked.units:
        raise UsageError(f"{request.path.as_posix()} holds no pipeline, so there is nothing to compile")
    files: list[File] = []
    found: list[Finding] = []
    for unit in checked.units:
        if request.pipeline not in (None, unit.pipeline.name):
            continue
        assert unit.plan is not None, "api.compile_ got a unit without a plan though nothing was wrong"
        options = _options(request, target, checked.environment, checked.source, unit, checked.units)
        made = target.emit(unit.plan, options)
        loc = unit.pipeline.locate("metadata", "name")
        found += (each.rule.at(loc, each.message, help=each.help) for each in target.judge_files(made, options))
        files += made
    report = replace(checked.report, findings=ordered([*checked.report.findings, *found]))
    return replace(checked, report=report), () if has_error(found) else tuple(files)


def _refused(
    request: Request, unit: Unit, environment: Environment | None, source: Source, units: tuple[Unit, ...]
) -> Iterator[Finding]:
    """Find what the chosen target cannot say, at the place that says it."""
    target = _target(request)
    assert unit.plan is not None, "api._refused got a unit without a plan"
    for refusal in refusals(target, unit.plan, _options(request, target, environment, source, unit, units)):
        yield _placed(refusal, unit.pipeline)


def _placed(refusal: Refusal, pipeline: Pipeline) -> Finding:
    step, path = refusal.use.step, refusal.use.field
    # A step of a pipeline that is used as one stands in another file: the step that uses it is the place here.
    outer, _, below = (step or "").partition(".")
    section = "finally" if any(use.is_final and use.name == outer for use in pipeline.steps) else "steps"
    loc = pipeline.locate(
        *((section, outer, *(("uses",) if below else path)) if step else in_file(path, pipeline.tree))
    )
    if loc.span == pipeline.loc.span:  # the document as a whole: point at its name, not at all of its lines
        loc = pipeline.locate("metadata", "name")
    return target_findings.UNSUPPORTED.at(loc, refusal.message, help=refusal.help)


def _target(request: Request) -> Target:
    target = request.targets.get(request.target or "")
    if target is None:
        known = ", ".join(sorted(request.targets))
        raise UsageError(f"there is no target `{request.target}`; known: {known}")
    for name, value in request.options.items():
        if name not in target.options:
            known = ", ".join(sorted(target.options)) or "none"
            raise UsageError(f"{target.name} has no option `{name}`; known: {known}")
        allowed = target.options[name]
        fits = re.fullmatch(allowed.pattern, value) if isinstance(allowed, Form) else not allowed or value in allowed
        if not fits:
            told = allowed.told if isinstance(allowed, Form) else ", ".join(allowed)
            raise UsageError(f"option `{name}` of {target.name} cannot be `{value}`; allowed: {told}")
    return target


def _options(
    request: Request, target: Target, environment: Environment | None, source: Source | None, unit: Unit,
    units: tuple[Unit, ...],
) -> Options:  # fmt: skip
    return Options(
        artifacts=environment.artifacts if environment else None,
        settings=environment.settings.get(target.name, {}) if environment else {},
        values=request.options,
        secrets=unit.subject.secrets,
        configs=unit.subject.configs,
        volumes=environment.volumes if environment else {},
        pools={name: _pool(pool) for name, pool in unit.subject.project.pools_in(environment).items()},
        source=source.text if source else "",
        image=unit.subject.usual_image,
        version=__version__,
        contents=unit.subject.lock.contents,
        listeners=dict(_listeners(unit.pipeline.name, units)),
    )


def _listeners(pipeline: str, units: tuple[Unit, ...]) -> Iterator[tuple[str, tuple[After, ...]]]:
    """Yield the pipelines that may start after one, with their triggers."""
    for unit in units:
        if unit.plan and any(after.pipeline == pipeline for after in unit.plan.after):
            yield unit.pipeline.name, unit.plan.after


def _pool(pool: Pool) -> Mapping[str, Json]:
    """Return where a pool's machines are, with what is said of their devices."""
    there = pool.accelerator
    return {
        **pool.placement,
        **({"accelerator": {"model": there.model, "memory_mib": there.memory_mib}} if there else {}),
    }


def _sets(request: Request, document: tree.Mapping) -> dict[str, Json]:
    """Return `--set` values by the types that the document declares; of a broken declaration, none. Raises UsageError.

    Of a file with several pipelines, each takes the values that it has a parameter or an input for.
    """
    return {name: _set(name, text, *held) for name, text in request.sets.items() if (held := _held(document, name))}


def _held(document: tree.Mapping, name: str) -> tuple[Kind, Mapping[str, Json]] | None:
    """Return the type of a parameter and the schema of its values; of an input, which is given as a location, its."""
    inputs, parameters = document.get("inputs"), document.get("parameters")
    if isinstance(inputs, tree.Mapping) and isinstance(inputs.get(name), tree.Mapping):
        return Kind.STRING, load.LOCATION
    body = parameters.get(name) if isinstance(parameters, tree.Mapping) else None
    schema = load.schema_of(body) if body else None
    given = tree.as_json(body) if schema and body else None
    return (Kind(given["type"]), schema) if schema and isinstance(given, dict) else None


def _set(name: str, text: str, kind: Kind, schema: Mapping[str, Json]) -> Json:
    try:
        node = load.typed_set(name, text, kind)
    except ValueError as fault:
        raise UsageError(f"--set: {fault}") from None
    for problem in shape.value_problems(name, node, schema):
        raise UsageError(f"--set: {problem.message}")
    return tree.as_json(node)


def _known_sets(request: Request, units: tuple[Unit, ...]) -> None:
    """Raise UsageError at a `--set` that no pipeline asked for can take."""
    wanted = [unit.pipeline for unit in units if request.pipeline in (None, unit.pipeline.name)]
    known = {each.name for one in wanted for each in one.parameters} | {i.name for one in wanted for i in one.inputs}
    for name in request.sets if wanted else ():
        if name not in known:
            close = guess(name, known)
            raise UsageError(f"--set: there is no parameter `{name}`" + (f"; did you mean `{close}`?" if close else ""))


def _known_environment(request: Request, project: Project, units: tuple[Unit, ...]) -> None:
    known = {e.name for e in project.environments} | {name for u in units for name in u.pipeline.environments}
    if request.environment and units and request.environment not in known:
        listed = ", ".join(sorted(known)) or "none is declared"
        raise UsageError(f"there is no environment `{request.environment}`; known: {listed}")


def _twice(units: tuple[Unit, ...]) -> Iterator[Finding]:
    seen: dict[str, Unit] = {}
    for unit in units:
        if unit.pipeline.name in seen:
            loc = unit.pipeline.locate("metadata", "name")
            yield kinds.BAD_NAME.at(loc, f"two pipelines of this file are called `{unit.pipeline.name}`")
        seen[unit.pipeline.name] = unit


def _name(document: tree.Tree) -> str:
    return stages.called(document) or "(unnamed)"


def resolved(checked: Checked, unit: Unit) -> Json:
    """Return a pipeline's document as it is in its environment: overlays laid, parameters with the values in force.

    Image and defaults are those in force too, wherever they were said.
    """
    body = tree.as_json(unit.pipeline.tree)
    assert isinstance(body, dict), "api.resolved got a pipeline that is no mapping"
    body.pop("environments", None)
    for parameter in unit.pipeline.parameters:
        if parameter.default is not MISSING:
            body["parameters"][parameter.name]["default"] = parameter.default
    for declared in unit.pipeline.inputs:
        if declared.default is not None:
            body["inputs"][declared.name]["default"] = declared.default
    head = {key: body.pop(key) for key in ("$schema", "apiVersion", "kind", "metadata") if key in body}
    return {**head, **with_inherited(body, unit.pipeline.tree, checked.layers)}


def origins(checked: Checked, unit: Unit, request: Request) -> tuple[tuple[str, str], ...]:
    """Return each value of `resolved` that its document does not say itself, with where it comes from."""
    found = [*inherited(unit.pipeline.tree, checked.layers), *origin_of(unit.pipeline, frozenset(request.sets))]
    return tuple((".".join(origin.path), _told(origin)) for origin in found)


def _told(origin: Origin) -> str:
    if origin.loc is None:
        return "--set"
    where = f"{origin.loc.path}:{origin.loc.span.line}:{origin.loc.span.column}"
    return f"{where} (removed)" if origin.is_removed else where


def _rules() -> dict[str, Rule]:
    """Return the kinds of findings about documents, by code: of what others compiled, nothing is answered for there."""
    return {rule.code: rule for rule in explained() if rule not in kubeflow_findings.RULES}


def devices() -> tuple[device.Device, ...]:
    """Return the models of accelerators of which the rules about resources know the memory."""
    return device.listed()


def explained() -> tuple[Rule, ...]:
    """Return every kind of finding there is, by code."""
    assert rules.__all__, "importing the rules fills the registry"
    found = [*kinds.RULES, *(registered.rule for registered in rule.REGISTRY), *target_findings.RULES,
             *kubeflow_findings.RULES]  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.code))
