"""Trees that passed the schema to typed pipelines. Findings here are about meaning that one document shows alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import replace
from typing import Any

from pipec.diagnostics import Finding, Loc, Source, bounded, suggest
from pipec.schema import check, part
from pipec.schema import findings as kinds
from pipec.schema.expressions import has_expression
from pipec.schema.fold import EXPRESSIVE, Folding, constants
from pipec.schema.matrix import for_each, matrix
from pipec.schema.model import (
    AfterUse,
    Defaults,
    InputUse,
    Overlaid,
    ParameterUse,
    Pipeline,
    ScheduleUse,
    StepUse,
    VolumeUse,
)
from pipec.schema.overlay import environment_of, without_overlay_nulls
from pipec.schema.template import Templates
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, Tree, as_json, read
from pipec.schema.trigger import triggers
from pipec.steps.interface import MISSING, Artifact, Kind, Missing
from pipec.values import Json

LOCATION: dict[str, Json] = {"type": "string", "minLength": 1}  # what an input of a pipeline is given
_CONSTRAINTS = (
    "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "items", "properties", "required",
)  # fmt: skip


def pipeline(
    folding: Folding, source: Source, environment: str, sets: Map[str, Json], configs: Map[str, Json]
) -> tuple[Pipeline, tuple[Finding, ...]]:
    """Return a checked document as a pipeline in one environment (empty: none), and what is wrong with it.

    folding: the document, with what must be known at once in its place. sets: values of `--set`, already of the
    declared types. configs: those whose value is known.
    """
    document = folding.document
    tree = environment_of(document, environment)
    declared, inputs, found = _parameters(document, environment, sets)
    known = _known_configs(document, environment, configs)
    templates = Templates(source, environment, constants(document, environment, sets), known)
    body: Any = {e.key: as_json(e.value) for e in tree.entries if e.key in _PLAIN}
    defaults = replace(part.defaults(body.get("defaults")), image=body.get("image"))
    uses = tuple(
        _step(entry, templates, defaults, found, is_final=section == "finally")
        for section in ("steps", "finally")
        for entry in _entries(tree.get(section))
    )
    over: Any = body.get("environments", {}).get(environment) or {}
    after = tuple(_after(node, Templates(source, environment), found) for node in triggers(tree, "after"))
    overlaid = tuple(_overlaid(document, environment, sets, source, found))
    loaded = Pipeline(
        name=body["metadata"]["name"],
        loc=document.loc,
        tree=tree,
        document=document,
        description=body["metadata"].get("description", ""),
        labels=tuple(body["metadata"].get("labels", {}).items()),
        parameters=declared,
        inputs=inputs,
        steps=uses,
        outputs=templates.arguments(tree.get("outputs")),
        schedules=tuple(_schedule(node) for node in triggers(tree, "schedule")),
        after=after,
        data=tuple(_data(node) for node in triggers(tree, "data")),
        secrets=over.get("secrets") or {},
        configs=over.get("configs") or {},
        folded=frozenset(folding.used),
        concurrency=_concurrency(body.get("concurrency")),
        environment=environment,
        environments=tuple(body.get("environments", {})),
        overlaid=overlaid,
        places=part.places(body.get("environments", {})),
    )
    searches = (templates.findings, _misplaced(tree), _unknown_overlays(document), _twice(tree))
    found += [finding for search in searches for finding in bounded(search)]
    return loaded, tuple(found)


_PLAIN = ("metadata", "image", "defaults", "concurrency", "environments")


def _entries(node: Tree | None) -> tuple[Entry, ...]:
    return node.entries if isinstance(node, Mapping) else ()


def _known_configs(document: Mapping, environment: str, around: Map[str, Json]) -> dict[str, Json]:
    """Return the configs whose value is known: what the document says for an environment, before those around it."""
    given = dict(_overlays(document, "configs")).get(environment)
    body: Any = as_json(given) if given else {}
    kept = {name: value for name, value in around.items() if name not in body}
    return kept | {name: said["value"] for name, said in body.items() if said and "value" in said}


def _parameters(
    document: Mapping, environment: str, sets: Map[str, Json]
) -> tuple[tuple[ParameterUse, ...], tuple[InputUse, ...], list[Finding]]:
    """Return the parameters and the inputs of a document with the values in force: to who gives them they are one."""
    found: list[Finding] = []
    declared, inputs = _entries(document.get("parameters")), _entries(document.get("inputs"))
    held = {entry.key: declaration(entry, found) for entry in declared}
    schemas = held | {entry.key: LOCATION for entry in inputs}
    for name, given in _overlays(document, "parameters"):
        found += bounded(_given_values(name, given, schemas))
    values = dict(_overlays(document, "parameters")).get(environment)
    uses = tuple(_parameter(entry, held[entry.key], values, sets, found) for entry in declared)
    return uses, tuple(_input(entry, values, sets) for entry in inputs), found


def _given_values(environment: str, given: Mapping, schemas: Map[str, dict[str, Json]]) -> Iterator[Finding]:
    for entry in given.entries:
        if entry.key not in schemas:
            message = f"environment `{environment}` gives a value to `{entry.key}`, which is no parameter"
            yield kinds.UNKNOWN_KEY.at(entry.key_loc, message, help=suggest(entry.key, schemas))
        else:
            yield from check.value_problems(entry.key, entry.value, schemas[entry.key])


def _parameter(
    entry: Entry, schema: dict[str, Json], values: Mapping | None, sets: Map[str, Json], found: list[Finding]
) -> ParameterUse:
    body: Any = as_json(entry.value)
    node = (values.entry(entry.key) if values else None) or _default(entry)
    default: Json | Missing = sets.get(entry.key, as_json(node.value) if node else MISSING)
    if body.get("const", False) and default is MISSING:
        message = f"`{entry.key}` is const, and has no value when the pipeline is compiled"
        found.append(kinds.NOT_CONSTANT.at(entry.key_loc, message, help="add `default: ...`"))
    return ParameterUse(
        name=entry.key,
        loc=entry.key_loc,
        kind=Kind(body["type"]),
        schema=schema,
        default=default,
        default_loc=node.value.loc if node else None,
        is_const=body.get("const", False),
        description=body.get("description", ""),
    )


def declaration(entry: Entry, found: list[Finding]) -> dict[str, Json]:
    """Return the schema of a declared parameter; adds what is wrong with it, or with the default, to `found`."""
    schema = _parameter_schema(as_json(entry.value))
    if problem := check.schema_problem(schema):
        message = f"the constraints of `{entry.key}` cannot be held to: {problem}"
        found.append(kinds.WRONG_VALUE.at(entry.key_loc, message, help="constraints are those of JSON Schema"))
        schema = {"type": schema["type"]}
    if own := _default(entry):
        found.extend(check.value_problems(entry.key, own.value, schema))
    return schema


def _default(entry: Entry) -> Entry | None:
    return entry.value.entry("default") if isinstance(entry.value, Mapping) else None


def schema_of(node: Tree) -> dict[str, Json] | None:
    """Return the schema of a declaration that nobody has judged yet, or None if it is broken."""
    body = as_json(node)
    if not (isinstance(body, dict) and body.get("type") in list(Kind)):
        return None
    schema = _parameter_schema(body)
    return None if check.schema_problem(schema) else schema


def _parameter_schema(body: Any) -> dict[str, Json]:
    constraints = {key: body[key] for key in _CONSTRAINTS if key in body}
    return {"type": Kind(body["type"]).json_type, **constraints}


def _input(entry: Entry, values: Mapping | None, sets: Map[str, Json]) -> InputUse:
    body: Any = as_json(entry.value)
    node = (values.get(entry.key) if values else None) or (
        entry.value.get("default") if isinstance(entry.value, Mapping) else None
    )
    given = sets.get(entry.key, as_json(node) if node else None)
    return InputUse(
        name=entry.key,
        loc=entry.key_loc,
        type=Artifact(body["type"]),
        optional=body.get("optional", False),
        default=None if given is None else str(given),
        default_loc=node.loc if node else None,
        is_personal=body.get("personal", False),
        description=body.get("description", ""),
    )


_READ_APART = ("with", "env", "when", "needs", "matrix", "for_each", "volumes")


def _step(entry: Entry, templates: Templates, defaults: Defaults, found: list[Finding], *, is_final: bool) -> StepUse:
    node = entry.value
    assert isinstance(node, Mapping), "load._step got a step that is no mapping (check.shape should have stopped it)"
    body: Any = {e.key: as_json(e.value) for e in node.entries if e.key not in _READ_APART}
    parts = {e.key: e for e in node.entries if e.key in _READ_APART}
    name, version = _named(str(body["uses"]))
    uses, when = node.get("uses"), node.get("when")
    if "matrix" in parts and "for_each" in parts:
        message = f"step `{entry.key}` has a matrix and a loop"
        help_text = "put one of them into a pipeline of its own, and use that as a step"
        found.append(kinds.BAD_MATRIX.at(parts["for_each"].key_loc, message, help=help_text))
    return StepUse(
        name=entry.key,
        loc=entry.key_loc,
        uses=name,
        version=version,
        uses_loc=uses.loc if uses else entry.key_loc,
        arguments=templates.arguments(node.get("with")),
        needs=_needs(node.get("needs")),
        when=templates.condition(when) if when else None,
        ask=part.ask(body.get("resources")),
        retry=part.retry(body.get("retry")),
        timeout_s=part.seconds(body["timeout"]) if "timeout" in body else None,
        cache=body.get("cache", True),
        env=templates.arguments(node.get("env")),
        image=body.get("image"),
        continue_on_error=body.get("continue_on_error", False),
        description=body.get("description", ""),
        matrix=matrix(parts["matrix"], found) if "matrix" in parts else None,
        for_each=for_each(parts["for_each"], templates) if "for_each" in parts else None,
        volumes=tuple(VolumeUse(e.key, str(as_json(e.value)), e.value.loc) for e in _entries(node.get("volumes"))),
        is_final=is_final,
        defaults=defaults,
    )


def _named(uses: str) -> tuple[str, str | None]:
    """Return what a step uses, and the version it pins, if any; a path may hold an `@`."""
    if is_file(uses):
        return uses, None
    name, _, version = uses.partition("@")
    return name, version or None


def is_file(uses: str) -> bool:
    """Say whether a step uses a file of the project rather than a name of the library."""
    return uses.startswith(("./", "../")) or uses.endswith((".yaml", ".yml"))


def _needs(node: Tree | None) -> tuple[tuple[str, Loc], ...]:
    items = node.items if isinstance(node, Sequence) else ()
    return tuple((str(item.value), item.loc) for item in items if isinstance(item, Scalar))


def _schedule(node: Mapping) -> ScheduleUse:
    body: Any = as_json(node)
    said = node.get("cron")
    loc = said.loc if said else node.loc
    zone = node.get("timezone")
    place = zone.loc if zone else loc
    return ScheduleUse(body["cron"], body.get("timezone", "UTC"), body.get("catchup", False), loc, place)


def _after(node: Mapping, templates: Templates, found: list[Finding]) -> AfterUse:
    body: Any = {e.key: as_json(e.value) for e in node.entries if e.key not in ("when", "parameters")}
    pipeline, step, when = node.get("pipeline"), node.get("step"), node.get("when")
    use = AfterUse(
        loc=node.loc,
        pipeline=body["pipeline"],
        pipeline_loc=pipeline.loc if pipeline else node.loc,
        step=body.get("step", ""),
        step_loc=step.loc if step else None,
        outcome=body.get("outcome", "succeeded"),
        when=templates.condition(when) if when else None,
        parameters=templates.arguments(node.get("parameters")),
        cooldown_s=part.seconds(body["cooldown"]) if "cooldown" in body else 0,
    )
    found += templates.findings
    return use


def _data(node: Mapping) -> tuple[str, Loc]:
    uri = node.get("uri")
    return str(as_json(uri)) if uri else "", uri.loc if uri else node.loc


def _concurrency(body: Any) -> tuple[int, str] | None:
    return (body.get("max", 1), body.get("on_conflict", "queue")) if body else None


def _twice(tree: Mapping) -> Iterator[Finding]:
    """Find names that two things of one kind have: steps and `finally`, parameters and inputs."""
    for one, other, what in (("steps", "finally", "steps"), ("parameters", "inputs", "a parameter and an input")):
        known = {entry.key for entry in _entries(tree.get(one))}
        for entry in _entries(tree.get(other)):
            if entry.key in known:
                yield kinds.BAD_NAME.at(entry.key_loc, f"{what} share the name `{entry.key}`", help="rename one")


def _misplaced(tree: Mapping) -> list[Finding]:
    read: list[Tree] = [value for value in (tree.get("outputs"), tree.get("environments")) if value]
    for entry in (*_entries(tree.get("steps")), *_entries(tree.get("finally"))):
        if isinstance(entry.value, Mapping):
            read += [below.value for below in entry.value.entries if below.key in EXPRESSIVE]
    for node in triggers(tree, "after"):
        read += [value for value in (node.get("when"), node.get("parameters")) if value]
    return stray(tree, frozenset(id(node) for node in read))


def stray(tree: Tree, skip: frozenset[int], places: str = check.PLACES) -> list[Finding]:
    """Find every `${{` outside of the subtrees in `skip` (by identity): there it would be plain text.

    places: where the document may hold expressions, for messages.
    """
    found: list[Finding] = []
    stack: list[Tree] = [tree]
    while stack:
        node = stack.pop()
        if id(node) in skip:
            continue
        match node:
            case Scalar(str(text)) if has_expression(text) and not node.is_plain:
                found.append(check.misplaced(node.loc, places))
            case Sequence(items):
                stack.extend(items)
            case Mapping(entries):
                stack.extend(entry.value for entry in entries)
    return found


def _overlays(document: Mapping, section: str) -> Iterator[tuple[str, Mapping]]:
    """Yield each environment's name and what it says under `section`."""
    environments = document.get("environments")
    for entry in environments.entries if isinstance(environments, Mapping) else ():
        given = entry.value.get(section) if isinstance(entry.value, Mapping) else None
        if isinstance(given, Mapping):
            yield entry.key, given


def _overlaid(
    document: Mapping, chosen: str, sets: Map[str, Json], source: Source, found: list[Finding]
) -> Iterator[Overlaid]:
    """Yield what environments that were not chosen give to steps: whoever merges it should know that it is right.

    Each is read by its own values: a constant of the chosen one says nothing about another.
    """
    for name, given in _overlays(without_overlay_nulls(document), "steps"):
        if name == chosen:
            continue
        templates = Templates(source, name, constants(document, name, sets), is_chosen=False)
        for entry in given.entries:
            for field in ("with", "env") if isinstance(entry.value, Mapping) else ():
                if said := _below(entry, field):
                    yield Overlaid(entry.key, field, templates.arguments(said))
        found += templates.findings


def _below(entry: Entry, key: str) -> Tree | None:
    return entry.value.get(key) if isinstance(entry.value, Mapping) else None


def _unknown_overlays(document: Mapping) -> Iterator[Finding]:
    """Find steps that an environment changes and the pipeline does not have, and those that it would remove."""
    known = {entry.key for key in ("steps", "finally") for entry in _entries(document.get(key))}
    for name, given in _overlays(document, "steps"):
        for entry in given.entries:
            if entry.key not in known:
                message = f"environment `{name}` changes step `{entry.key}`, which the pipeline does not have"
                yield kinds.UNKNOWN_KEY.at(entry.key_loc, message, help=suggest(entry.key, known))
            elif not isinstance(entry.value, Mapping):
                message = f"environment `{name}` removes step `{entry.key}`; every environment has the same steps"
                yield kinds.WRONG_SHAPE.at(entry.key_loc, message, help="say what differs, such as `with`")


def typed_set(name: str, text: str, pipeline_kind: str) -> Tree:
    """Return the value of `--set name=text` for a parameter of a kind; ValueError says what was expected.

    It passes the same reader as a document, so that nothing enters this way that a file could not say.
    """
    try:
        value = text if pipeline_kind == Kind.STRING else json.loads(text)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        raise ValueError(f"parameter `{name}` is of type {pipeline_kind}, and `{text}` is not one in JSON") from None
    documents, found = read(Source("--set", written))
    if found:
        raise ValueError(f"parameter `{name}`: {found[0].message}")
    return documents[0]
