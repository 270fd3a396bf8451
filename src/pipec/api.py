"""The way through, in order: text, tree, document, graph, findings, plan, files. The one place that knows all stages.

Every stage is a pure function; inside a stage all findings are collected, and the next runs only if there is no error
yet. `check` and `compile_` open the named file and what it names below its project's root, and do nothing else: no
network, no user's code, no environment variable, no clock.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipec import __version__
from pipec.compiler import arguments, graph, lower, rule, rules
from pipec.compiler.plan import Plan
from pipec.diagnostics import START, Finding, Loc, Report, Rule, Source, guess, has_error, one_line, ordered
from pipec.schema import check as shape
from pipec.schema import findings as kinds
from pipec.schema import load, tree
from pipec.schema.files import PROJECT_FILE, UnreadableError, decoded, folder_of, project_root, read_below, read_named
from pipec.schema.model import Environment, Pipeline, Project
from pipec.schema.overlay import without_overlay_nulls
from pipec.steps import catalog
from pipec.steps.interface import MISSING
from pipec.targets import airflow, kubeflow
from pipec.targets import findings as target_findings
from pipec.targets.base import File, Options, Refusal, Target, refusals
from pipec.values import Json

TARGETS: Mapping[str, Target] = {target.name: target for target in (kubeflow.TARGET, airflow.TARGET)}
STDIN = "<stdin>"
MAX_BYTES = tree.MAX_BYTES


class UsageError(Exception):
    """The call itself cannot be carried out; the message is one line with the next action."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))  # it quotes what was typed


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True)
class Unit:
    """One pipeline of a file, as far as it came. plan: None if there was an error."""

    subject: rule.Subject
    plan: Plan | None = None

    @property
    def pipeline(self) -> Pipeline:
        return self.subject.pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is known of a file. root: the project's folder. folder: that of the file."""

    report: Report
    units: tuple[Unit, ...] = ()
    project: Project = Project()
    environment: Environment | None = None
    root: Path = Path()
    folder: Path = Path()
    source: Source | None = None

    @property
    def has_error(self) -> bool:
        return has_error(self.report.findings)


def check(request: Request) -> Checked:
    """Take a file all the way to plans, and for a target to its refusals. Raises UsageError."""
    shown = STDIN if request.content is not None else request.path.as_posix()
    folder = Path().absolute() if request.content is not None else folder_of(request.path)
    root = project_root(folder)
    try:
        text = read_named(request.path, MAX_BYTES) if request.content is None else decoded(request.content, STDIN)
    except UnreadableError as fault:
        finding = kinds.NOT_TEXT.at(Loc(shown, START), str(fault))
        return Checked(report=Report((finding,)), root=root, folder=folder)
    source = Source(shown, text)
    trees, found = tree.read(source)
    project, environment, project_source, project_found = _project(request, root, folder, shown)
    findings = [*found, *project_found]
    units: list[Unit] = []
    if not has_error(findings):
        wanted = [t for t in trees if request.pipeline in (None, _name(t))]
        if not wanted:
            raise UsageError(f"{shown} holds no pipeline `{request.pipeline}`: {', '.join(map(_name, trees))}")
        for document in wanted:
            unit, more = _unit(request, document, source, project, environment, _reader(root, folder))
            findings += more
            units += [unit] if unit else []
        _known_environment(request, project, units)
        findings += _twice(units)
    report = Report(ordered(findings), tuple(s for s in (source, project_source) if s))
    return Checked(report=report, units=tuple(units), project=project, environment=environment, root=root,
                   folder=folder, source=source)  # fmt: skip


def compile_(request: Request) -> tuple[Checked, tuple[File, ...]]:
    """Return the files of a target, or none where anything is wrong."""
    checked = check(request)
    target = _target(request)
    if checked.has_error:
        return checked, ()
    files: list[File] = []
    for unit in checked.units:
        assert unit.plan is not None, "api.compile_ got a unit without a plan though nothing was wrong"
        files += target.emit(unit.plan, _options(request, target, checked.project, checked.environment, checked.source))
    return checked, tuple(files)


def _unit(
    request: Request,
    document: tree.Tree,
    source: Source,
    project: Project,
    environment: Environment | None,
    read: arguments.Reader,
) -> tuple[Unit | None, list[Finding]]:
    """The stages of one document, in order."""
    found = [*shape.header(document, "Pipeline")]
    if has_error(found) or not isinstance(document, tree.Mapping):
        return None, found
    found += shape.shape(without_overlay_nulls(document), shape.schema("pipeline"))
    if has_error(found):
        return None, found
    pipeline, more = load.pipeline(document, source, request.environment, _sets(request, document))
    found += more
    if has_error(found):
        return None, found
    built = graph.build(pipeline, catalog.find)
    subject = rule.Subject(pipeline, built, project, environment, catalog.names())
    found += [*arguments.judge(pipeline, built), *rule.findings(subject)]
    attached, missing = arguments.attach(pipeline, built, read)
    found += missing
    if has_error(found):
        return Unit(subject), found
    plan = lower.plan(subject, attached)
    if request.target is not None:
        found += _refused(request, pipeline, plan, project, environment, source)
    return Unit(subject, plan), found


def _project(
    request: Request, root: Path, folder: Path, shown: str
) -> tuple[Project, Environment | None, Source | None, list[Finding]]:
    """Read `pipec.yaml` at the root, if there is one."""
    if not (root / PROJECT_FILE).is_file():
        return Project(), None, None, []
    up = [".."] * len(folder.relative_to(root).parts)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(shown), *up, PROJECT_FILE))
    try:
        source = Source(path, read_below(root, "", PROJECT_FILE, tree.MAX_BYTES))
    except UnreadableError as fault:
        return Project(), None, None, [kinds.NOT_TEXT.at(Loc(path, START), str(fault))]
    documents, problems = tree.read(source)
    found = list(problems)
    if found:
        return Project(), None, source, found
    found += shape.header(documents[0], "Project")
    document = documents[0]
    settings = {name: target.settings for name, target in request.targets.items()}
    if not found and isinstance(document, tree.Mapping):
        document = without_overlay_nulls(document)
        found += shape.shape(document, shape.project_schema(settings))
    if len(documents) > 1:
        found.append(kinds.WRONG_KIND.at(documents[1].loc, "a project is one document"))
    if has_error(found) or not isinstance(document, tree.Mapping):
        return Project(), None, source, found
    project = load.project(document, frozenset(request.targets))
    return project, project.environment(request.environment), source, found


def _reader(root: Path, folder: Path) -> arguments.Reader:
    below = folder.relative_to(root).as_posix()

    def read(loc: Loc, name: str, limit: int) -> str:
        return read_below(root, below, name, limit)

    return read


def _refused(
    request: Request,
    pipeline: Pipeline,
    plan: Plan,
    project: Project,
    environment: Environment | None,
    source: Source,
) -> Iterator[Finding]:
    """Find what the chosen target cannot say, at the place that says it."""
    target = _target(request)
    for refusal in refusals(target, plan, _options(request, target, project, environment, source)):
        yield _placed(refusal, pipeline)


def _placed(refusal: Refusal, pipeline: Pipeline) -> Finding:
    step, path = refusal.use.step, refusal.use.field
    loc = pipeline.locate(*(("steps", step, *path) if step else path))
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
        if allowed and value not in allowed:
            raise UsageError(f"option `{name}` of {target.name} cannot be `{value}`; allowed: {', '.join(allowed)}")
    return target


def _options(
    request: Request, target: Target, project: Project, environment: Environment | None, source: Source | None
) -> Options:
    return Options(
        artifacts=environment.artifacts if environment else None,
        settings=environment.settings.get(target.name, {}) if environment else {},
        values=request.options,
        secrets=project.secrets_in(environment),
        source=source.text if source else "",
        version=__version__,
    )


def _sets(request: Request, document: tree.Mapping) -> dict[str, Json]:
    """Return `--set` values by the types that the document declares. Raises UsageError."""
    declared = document.get("parameters")
    entries = {e.key: e.value for e in declared.entries} if isinstance(declared, tree.Mapping) else {}
    return {name: _set(name, text, entries) for name, text in request.sets.items()}


def _set(name: str, text: str, entries: Mapping[str, tree.Tree]) -> Json:
    if name not in entries:
        close = guess(name, entries)
        raise UsageError(f"--set: there is no parameter `{name}`" + (f"; did you mean `{close}`?" if close else ""))
    declaration = tree.as_json(entries[name])
    assert isinstance(declaration, dict), "api._set got a parameter that is no mapping (shape should have told it)"
    try:
        node = load.typed_set(name, text, str(declaration["type"]))
    except ValueError as fault:
        raise UsageError(f"--set: {fault}") from None
    for problem in shape.value_problems(name, node, load.parameter_schema(declaration)):
        raise UsageError(f"--set: {problem.message}")
    return tree.as_json(node)


def _known_environment(request: Request, project: Project, units: list[Unit]) -> None:
    known = {e.name for e in project.environments} | {name for u in units for name in u.pipeline.environments}
    if request.environment and units and request.environment not in known:
        listed = ", ".join(sorted(known)) or "none is declared"
        raise UsageError(f"there is no environment `{request.environment}`; known: {listed}")


def _twice(units: list[Unit]) -> Iterator[Finding]:
    seen: dict[str, Unit] = {}
    for unit in units:
        if unit.pipeline.name in seen:
            loc = unit.pipeline.locate("metadata", "name")
            yield kinds.BAD_NAME.at(loc, f"two pipelines of this file are called `{unit.pipeline.name}`")
        seen[unit.pipeline.name] = unit


def _name(document: tree.Tree) -> str:
    metadata = document.get("metadata") if isinstance(document, tree.Mapping) else None
    name = metadata.get("name") if isinstance(metadata, tree.Mapping) else None
    return str(name.value) if isinstance(name, tree.Scalar) else "(unnamed)"


def resolved(pipeline: Pipeline) -> Json:
    """Return a pipeline's document as it is in its environment: overlays laid, parameters with the values in force."""
    body = tree.as_json(pipeline.tree)
    assert isinstance(body, dict), "api.resolved got a pipeline that is no mapping"
    body.pop("environments", None)
    for parameter in pipeline.parameters:
        if parameter.default is not MISSING:
            body["parameters"][parameter.name]["default"] = parameter.default
    return body


def explained() -> tuple[Rule, ...]:
    """Return every kind of finding there is, by code."""
    assert rules.__all__, "importing the rules fills the registry"
    found = [*kinds.RULES, *(registered.rule for registered in rule.REGISTRY), *target_findings.RULES]
    return tuple(sorted(found, key=lambda one: one.code))
