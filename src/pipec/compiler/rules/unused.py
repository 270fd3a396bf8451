"""`PIPE207`, `PIPE213` to `PIPE215`: what is declared, made or repeated, and nobody asks for.

All are warnings, and each looks for a reader in every environment: what only another one reads is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from pipec.compiler.nested import Opened
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import mentions
from pipec.compiler.rules.names import named
from pipec.diagnostics import Finding, Rule, Severity
from pipec.digest import canonical
from pipec.schema import tree
from pipec.schema.model import MatrixUse, Pipeline, StepUse
from pipec.steps.interface import Dataset, Endpoint, Interface, Model, Role
from pipec.values import Json, Literal, SecretRef, references

_NAME = re.compile(r"\b(steps|parameters|inputs|secrets|configs)\.([a-z][a-z0-9_-]*)")
_READING = ("steps", "finally", "outputs", "environments")  # sections of a document whose expressions are its own


@rule("PIPE207", "unused-parameter", severity=Severity.WARNING)
def unused_parameter(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A parameter that nothing reads.

    Why: whoever sets it expects that something changes.

    Bad:
        parameters: {epochs: {type: integer, default: 10}}
        steps: {train: {uses: train, with: {epochs: 20}}}

    Fix:
        steps: {train: {uses: train, with: {epochs: "${{ parameters.epochs }}"}}}
    """
    pipeline = subject.pipeline
    read = {ref.parts[1] for ref in named(subject) if ref.root in ("parameters", "inputs")} | pipeline.folded
    declared = [("parameters", each.name, each.loc) for each in pipeline.parameters]
    declared += [("inputs", each.name, each.loc) for each in pipeline.inputs]
    unread = [each for each in declared if each[1] not in read]
    if unread:
        written = _written((pipeline,)) if pipeline.environment else set()
        elsewhere = {name for root, name in written | _asked(subject) if root in ("parameters", "inputs")}
        unread = [each for each in unread if each[1] not in elsewhere]
    for root, name, loc in unread:
        help_text = f"remove it, or write `${{{{ {root}.{name} }}}}` where it is wanted"
        yield rule.at(loc, f"nothing reads the {root[:-1]} `{name}`", help=help_text)


@rule("PIPE213", "unused-output", severity=Severity.WARNING)
def unused_output(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step makes data or a model that nobody uses, in a pipeline whose outputs say what it is for.

    Why: it costs time and money, and most often a step further down reads the wrong thing. Steps that judge, tell or
    change something are there for that; a pipeline without `outputs` may end with what it makes.

    Bad:
        steps:
          clean: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
          train: {uses: train, with: {data: "${{ steps.ingest.data }}", target: y}}
        outputs: {model: "${{ steps.train.model }}"}

    Fix:
        train: {uses: train, with: {data: "${{ steps.clean.train }}", target: y}}
    """
    pipeline = subject.pipeline
    if not pipeline.outputs:
        return
    used = {reference.step for reference in named(subject)} | {name for use in pipeline.steps for name, _ in use.needs}
    idle = [use for use in pipeline.steps if use.name not in used and _only_makes(subject.graph.interfaces, use)]
    if idle:
        used = {name for root, name in _written((pipeline,)) | _asked(subject) if root == "steps"}
    for use in idle:
        if use.name not in used:
            made = next(o for o in subject.graph.interfaces[use.name].outputs if o.type in (Dataset, Model))
            yield rule.at(use.loc, f"nobody uses what `{use.name}` makes",
                          help=f"read `steps.{use.name}.{made.name}`, hand it on under `outputs`, "
                          "or remove the step")  # fmt: skip


def _only_makes(interfaces: Mapping[str, Interface], use: StepUse) -> bool:
    """Say whether a step is there for data or a model that it makes, and for nothing else.

    A container of the user's may do more than it declares; reports and figures are read by people.
    """
    interface = interfaces.get(use.name)
    if interface is None or use.is_final or interface.container or interface.role or interface.world:
        return False
    return not interface.rooted and any(output.type in (Dataset, Model) for output in interface.outputs)


@rule("PIPE214", "unused-secret", severity=Severity.WARNING)
def unused_secret(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A pipeline says where a secret or a config lies, and nothing in it reads that.

    Why: a name that is placed and never read is most often a misspelt one, and the step then gets another's value. What
    `pipec.yaml` says is for all pipelines and may wait for its reader.

    Bad:
        environments: {prod: {secrets: {tokn: {kubernetes: {name: publisher, key: token}}}}}
        steps: {publish: {uses: ./publish.yaml, env: {TOKEN: "${{ secrets.token }}"}}}

    Fix:
        environments: {prod: {secrets: {token: {kubernetes: {name: publisher, key: token}}}}}
    """
    said = list(_placed(subject.pipeline))
    if not said:
        return
    read = _written([subject.pipeline, *_inside(subject.uses)])
    for environment, section, entry in said:
        if (section, entry.key) not in read:
            message = f"environment `{environment}` places the {section[:-1]} `{entry.key}`, and nothing reads it"
            advice = f"remove it, or write `${{{{ {section}.{entry.key} }}}}` where it is wanted"
            yield rule.at(entry.key_loc, message, help=advice)


def _placed(pipeline: Pipeline) -> Iterator[tuple[str, str, tree.Entry]]:
    """Yield the secrets and configs that the document's environments place, with environment and section."""
    environments = pipeline.document.get("environments")
    for environment in environments.entries if isinstance(environments, tree.Mapping) else ():
        for section in ("secrets", "configs"):
            said = environment.value.get(section) if isinstance(environment.value, tree.Mapping) else None
            for entry in said.entries if isinstance(said, tree.Mapping) else ():
                if isinstance(entry.value, tree.Mapping):  # null takes one away
                    yield environment.key, section, entry


def _inside(uses: Mapping[str, Opened]) -> Iterator[Pipeline]:
    """Yield the pipelines that steps use, at any depth, each once: a name is looked up where the run was started."""
    seen: set[int] = set()
    stack = list(uses.values())
    while stack:
        opened = stack.pop()
        if opened.pipeline and id(opened) not in seen:
            seen.add(id(opened))
            stack.extend(opened.uses.values())
            yield opened.pipeline


def _written(pipelines: Iterable[Pipeline]) -> set[tuple[str, str]]:
    """Return what texts of some documents name, as root and name, whichever environment lies over them.

    Any text that looks like a name counts: a name too many keeps a warning back, and one too few gives a false one.
    """
    return _names(node for one in pipelines for section in _READING if (node := one.document.get(section)))


def _asked(subject: Subject) -> set[tuple[str, str]]:
    """Return what the triggers of the file's other pipelines name of a run of this one that ended, as root and name."""
    own = subject.pipeline.name
    found: set[tuple[str, str]] = set()
    for other, _ in subject.others.values():
        for after in _afters(other) if other.name != own else ():
            pipeline, step = after.get("pipeline"), after.get("step")
            if isinstance(pipeline, tree.Scalar) and pipeline.value == own:
                found |= _names([after])
                found |= {("steps", str(step.value))} if isinstance(step, tree.Scalar) else set()
    return found


def _afters(pipeline: Pipeline) -> Iterator[tree.Mapping]:
    """Yield what the `after` triggers of a document say, those of its environments included."""
    environments = pipeline.document.get("environments")
    over = [entry.value for entry in environments.entries] if isinstance(environments, tree.Mapping) else []
    for said in (pipeline.document, *over):
        triggers = said.get("triggers") if isinstance(said, tree.Mapping) else None
        for item in triggers.items if isinstance(triggers, tree.Sequence) else ():
            after = item.get("after") if isinstance(item, tree.Mapping) else None
            if isinstance(after, tree.Mapping):
                yield after


def _names(nodes: Iterable[tree.Tree]) -> set[tuple[str, str]]:
    """Return what looks like a name in the texts of some trees, as root and name."""
    found: set[tuple[str, str]] = set()
    stack = list(nodes)
    while stack:
        match stack.pop():
            case tree.Scalar(str(text)):
                found.update((root, name) for root, name in _NAME.findall(text))
            case tree.Sequence(items):
                stack.extend(items)
            case tree.Mapping(entries):
                stack.extend(entry.value for entry in entries)
    return found


@rule("PIPE215", "unused-item", severity=Severity.WARNING)
def unused_item(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The cells of a matrix, or the items of a loop, all do the same work, because nothing reads what differs.

    Why: equal work has equal results: it is paid for several times, and the cache may answer one by another. Where the
    work is meant to be repeated, as with a program that draws its own random numbers, `cache: false` says so.

    Bad:
        train: {uses: train, matrix: {axes: {seed: [1, 2]}}, with: {data: "${{ steps.split.train }}", target: y}}

    Fix:
        train:
          uses: train
          matrix: {axes: {seed: [1, 2]}}
          with: {data: "${{ steps.split.train }}", target: y, seed: "${{ matrix.seed }}"}
    """
    read: dict[str, set[str]] = {}  # by step: axes, and `` for the item of a loop
    for use, reference, where, _ in mentions(subject):
        if reference.root in ("item", "matrix") and where != "for_each":
            read.setdefault(use.name, set()).add(reference.parts[1] if reference.root == "matrix" else "")
    known: dict[int, bool] = {}
    for use in subject.pipeline.steps:
        if not use.is_many or not _is_repeatable(use, subject.uses.get(use.name), known):
            continue
        where = f"a step of `{use.uses}`" if use.name in subject.composite else "the step"
        meant = f"or say `cache: false` in {where} if the work is to be repeated"
        names = read.get(use.name, set())
        if use.for_each and "" not in names and _goes_round(use.for_each.items.value):
            message = f"nothing of `{use.name}` reads `item`, so every iteration does the same"
            help_text = f"write `${{{{ item }}}}` where it is wanted, {meant}"
            yield rule.at(use.for_each.items.node.loc, message, help=help_text)
        for axis in _idle_axes(use.matrix, names) if use.matrix else ():
            loc = subject.pipeline.locate("finally" if use.is_final else "steps", use.name, "matrix", "axes", axis)
            message = f"nothing of `{use.name}` reads `matrix.{axis}`, so cells that differ in it alone do the same"
            yield rule.at(loc, message, help=f"write `${{{{ matrix.{axis} }}}}` where it is wanted, {meant}")


def _goes_round(items: object) -> bool:
    """Say whether a loop may have more than one iteration."""
    return not (isinstance(items, Literal) and isinstance(items.value, list) and len(items.value) < 2)


def _idle_axes(matrix: MatrixUse, read: set[str]) -> list[str]:
    """Return the axes that nothing reads, and in which cells differ that are alike in all that is read."""
    unread = [at for at, axis in enumerate(matrix.axes) if axis not in read]
    first: dict[str, tuple[Json, ...]] = {}
    idle: dict[int, None] = {}
    for cell in matrix.cells if unread else ():
        seen = [value for axis, value in zip(matrix.axes, cell, strict=True) if axis in read]
        alike = first.setdefault(canonical(seen), cell)
        idle |= dict.fromkeys(at for at in unread if alike[at] != cell[at])
    return [matrix.axes[at] for at in sorted(idle)]


def _is_repeatable(use: StepUse, opened: Opened | None, known: dict[int, bool]) -> bool:
    """Say whether a step does equal work for equal inputs, so that the cache may answer for it (language rule 15).

    known: what was found of pipelines that are used as steps, by identity.
    """
    if opened is None or use.is_final:
        return False
    if opened.pipeline is None:
        return _is_pure(use, opened.interface)
    if id(opened) not in known:
        known[id(opened)] = all(
            _is_repeatable(step, opened.uses.get(step.name), known) for step in opened.pipeline.steps
        )
    return known[id(opened)]


def _is_pure(use: StepUse, interface: Interface) -> bool:
    given = (*use.arguments, *use.env)
    return (
        use.cache
        and not use.volumes
        and bool(interface.outputs)
        and not (interface.world or interface.rooted or interface.role in (Role.APPROVE, Role.DEPLOY))
        and not any(declared.type is Endpoint for declared in interface.inputs)
        and not any(isinstance(ref, SecretRef) for argument in given for ref in references(argument.value))
    )
