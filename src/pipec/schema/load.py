"""Trees that passed the schema to typed documents. Findings here are about meaning that one document shows alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping as Map
from typing import Any

from pipec.diagnostics import Finding, Loc, Source, guess
from pipec.schema import check
from pipec.schema import findings as kinds
from pipec.schema.expressions import has_expression
from pipec.schema.model import (
    Argument,
    Ask,
    Defaults,
    Environment,
    ParameterUse,
    Pipeline,
    Project,
    ScheduleUse,
    StepUse,
)
from pipec.schema.overlay import environment_of, without_overlay_nulls
from pipec.schema.template import Templates
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, Tree, as_json, read
from pipec.steps.interface import MISSING, Accelerator, Kind, Missing, Retry
from pipec.values import Json

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MEBIBYTES = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
_CONSTRAINTS = (
    "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "items", "properties", "required",
)  # fmt: skip


def seconds(text: str) -> int:
    """Return a duration of the language, such as `5m`, in seconds."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def mebibytes(text: str) -> int:
    """Return an amount of memory of the language, such as `16Gi`, in MiB."""
    return int(text[:-2]) * _MEBIBYTES[text[-2:]]


def project(tree: Mapping, targets: frozenset[str]) -> Project:
    """Return the project that a checked document describes; `targets`: names whose settings environments may hold."""
    body: Any = as_json(tree)
    environments = tree.get("environments")
    entries = environments.entries if isinstance(environments, Mapping) else ()
    return Project(
        name=body["metadata"]["name"],
        owner=body["metadata"].get("owner", ""),
        image=body.get("image"),
        defaults=_defaults(body.get("defaults")),
        roles={name: tuple(people) for name, people in body.get("roles", {}).items()},
        secrets=body.get("secrets", {}),
        environments=tuple(_environment(entry, targets) for entry in entries),
    )


def _environment(entry: Entry, targets: frozenset[str]) -> Environment:
    body: Any = as_json(entry.value) or {}
    production = entry.value.entry("production") if isinstance(entry.value, Mapping) else None
    return Environment(
        name=entry.key,
        loc=entry.key_loc,
        production=body.get("production", False),
        production_loc=production.key_loc if production else None,
        artifacts=body.get("artifacts"),
        image=body.get("image"),
        defaults=_defaults(body.get("defaults")),
        secrets=body.get("secrets", {}),
        settings={name: body[name] for name in sorted(targets) if name in body},
    )


def pipeline(
    document: Mapping, source: Source, environment: str, sets: Map[str, Json]
) -> tuple[Pipeline, tuple[Finding, ...]]:
    """Return a checked document as a pipeline in one environment (empty: none), and what is wrong with it.

    sets: values of `--set`, already of the declared types.
    """
    tree = environment_of(document, environment)
    templates = Templates(source, environment)
    declared, found = _parameters(document, environment, sets)
    steps = tree.get("steps")
    entries = steps.entries if isinstance(steps, Mapping) else ()
    uses = tuple(_step(entry, templates) for entry in entries)
    body: Any = as_json(tree)
    loaded = Pipeline(
        name=body["metadata"]["name"],
        loc=document.loc,
        tree=tree,
        description=body["metadata"].get("description", ""),
        labels=tuple(body["metadata"].get("labels", {}).items()),
        image=body.get("image"),
        defaults=_defaults(body.get("defaults")),
        parameters=declared,
        steps=uses,
        outputs=templates.arguments(tree.get("outputs")),
        schedules=tuple(_schedules(tree)),
        concurrency=_concurrency(body.get("concurrency")),
        environment=environment,
        environments=tuple(body.get("environments", {})),
        overlaid=tuple(_overlaid(document, environment, templates)),
    )
    found += [*templates.findings, *_misplaced(tree), *_unknown_overlays(document)]
    return loaded, tuple(found)


def _parameters(
    document: Mapping, environment: str, sets: Map[str, Json]
) -> tuple[tuple[ParameterUse, ...], list[Finding]]:
    declared = document.get("parameters")
    entries = declared.entries if isinstance(declared, Mapping) else ()
    found: list[Finding] = []
    names = [entry.key for entry in entries]
    for name, given in _overlays(document, "parameters"):
        found += _given_values(name, given, entries, names)
    chosen = {name: given for name, given in _overlays(document, "parameters") if name == environment}
    values = chosen.get(environment)
    uses = [_parameter(entry, values, sets, found) for entry in entries]
    return tuple(uses), found


def _given_values(environment: str, given: Mapping, entries: tuple[Entry, ...], names: list[str]) -> Iterator[Finding]:
    schemas = {entry.key: parameter_schema(as_json(entry.value)) for entry in entries}
    for entry in given.entries:
        if entry.key not in schemas:
            close = guess(entry.key, names)
            message = f"environment `{environment}` gives a value to `{entry.key}`, which is no parameter"
            yield kinds.UNKNOWN_KEY.at(entry.key_loc, message, help=f"did you mean `{close}`?" if close else "")
        else:
            yield from check.value_problems(entry.key, entry.value, schemas[entry.key])


def _parameter(entry: Entry, values: Mapping | None, sets: Map[str, Json], found: list[Finding]) -> ParameterUse:
    body: Any = as_json(entry.value)
    schema, own = declaration(entry, found)
    over = values.entry(entry.key) if values else None
    node = over or own
    default: Json | Missing = sets.get(entry.key, as_json(node.value) if node else MISSING)
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


def declaration(entry: Entry, found: list[Finding]) -> tuple[dict[str, Json], Entry | None]:
    """Return the schema of a declared parameter, and its default; adds what is wrong with either to `found`."""
    schema = parameter_schema(as_json(entry.value))
    if problem := check.schema_problem(schema):
        found.append(
            kinds.WRONG_VALUE.at(entry.key_loc, f"the constraints of `{entry.key}` are not a schema: {problem}")
        )
        schema = {"type": schema["type"]}
    own = entry.value.entry("default") if isinstance(entry.value, Mapping) else None
    if own is not None:
        found.extend(check.value_problems(entry.key, own.value, schema))
    return schema, own


def parameter_schema(body: Any) -> dict[str, Json]:
    constraints = {key: body[key] for key in _CONSTRAINTS if key in body}
    return {"type": Kind(body["type"]).json_type, **constraints}


def _step(entry: Entry, templates: Templates) -> StepUse:
    node = entry.value
    assert isinstance(node, Mapping), "load._step got a step that is no mapping (check.shape should have stopped it)"
    body: Any = {e.key: as_json(e.value) for e in node.entries if e.key not in ("with", "env", "when", "needs")}
    name, _, version = str(body["uses"]).partition("@")
    uses, when = node.get("uses"), node.get("when")
    return StepUse(
        name=entry.key,
        loc=entry.key_loc,
        uses=name,
        version=version or None,
        uses_loc=uses.loc if uses else entry.key_loc,
        arguments=templates.arguments(node.get("with")),
        needs=_needs(node.get("needs")),
        when=templates.condition(when) if when else None,
        ask=ask(body.get("resources")),
        retry=_retry(body.get("retry")),
        timeout_s=seconds(body["timeout"]) if "timeout" in body else None,
        cache=body.get("cache", True),
        env=templates.arguments(node.get("env")),
        image=body.get("image"),
        continue_on_error=body.get("continue_on_error", False),
        description=body.get("description", ""),
    )


def _needs(node: Tree | None) -> tuple[tuple[str, Loc], ...]:
    items = node.items if isinstance(node, Sequence) else ()
    return tuple((str(item.value), item.loc) for item in items if isinstance(item, Scalar))


def ask(body: Any) -> Ask:
    """Return what a `resources` mapping asks for."""
    if not body:
        return Ask()
    memory = body.get("memory")
    return Ask(
        cpu=float(body["cpu"]) if "cpu" in body else None,
        memory_mib=mebibytes(memory) if memory else None,
        accelerator=_accelerator(body["accelerator"]) if "accelerator" in body else None,
        machines=body.get("machines"),
        pool=body.get("pool"),
    )


def _accelerator(body: Any) -> Accelerator:
    return Accelerator(
        kind=body.get("kind", "gpu"),
        count=body.get("count", 1),
        vendor=body.get("vendor"),
        model=body.get("model"),
        memory_mib=mebibytes(body["memory"]) if "memory" in body else None,
    )


def _retry(body: Any) -> Retry | None:
    if body is None:
        return None
    backoff = seconds(body["backoff"]) if "backoff" in body else Retry().backoff_s
    return Retry(attempts=body.get("attempts", 1), backoff_s=backoff)


def _defaults(body: Any) -> Defaults:
    if not body:
        return Defaults()
    asked = ask(body["resources"]) if "resources" in body else None
    return Defaults(_retry(body.get("retry")), seconds(body["timeout"]) if "timeout" in body else None, asked)


def _schedules(tree: Mapping) -> Iterator[ScheduleUse]:
    triggers = tree.get("triggers")
    for item in triggers.items if isinstance(triggers, Sequence) else ():
        schedule = item.get("schedule") if isinstance(item, Mapping) else None
        if schedule is None:
            continue
        body: Any = as_json(schedule)
        yield ScheduleUse(body["cron"], body.get("timezone", "UTC"), body.get("catchup", False), schedule.loc)


def _concurrency(body: Any) -> tuple[int, str] | None:
    return (body.get("max", 1), body.get("on_conflict", "queue")) if body else None


def _misplaced(tree: Mapping) -> list[Finding]:
    read: list[Tree] = [value for value in (tree.get("outputs"), tree.get("environments")) if value]
    steps = tree.get("steps")
    for entry in steps.entries if isinstance(steps, Mapping) else ():
        if isinstance(entry.value, Mapping):
            read += [part for key in ("with", "env", "when") if (part := entry.value.get(key))]
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
            case Scalar(str(text)) if has_expression(text):
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


def _overlaid(document: Mapping, chosen: str, templates: Templates) -> Iterator[tuple[str, tuple[Argument, ...]]]:
    """Yield what environments that were not chosen give to steps: whoever merges it should know that it is right."""
    for name, given in _overlays(without_overlay_nulls(document), "steps"):
        for entry in given.entries if name != chosen else ():
            if isinstance(entry.value, Mapping):
                yield entry.key, templates.arguments(entry.value.get("with"))


def _unknown_overlays(document: Mapping) -> Iterator[Finding]:
    """Find steps that an environment changes and the pipeline does not have, and those that it would remove."""
    steps = document.get("steps")
    known = {entry.key for entry in steps.entries} if isinstance(steps, Mapping) else set()
    for name, given in _overlays(document, "steps"):
        for entry in given.entries:
            if entry.key not in known:
                close = guess(entry.key, known)
                message = f"environment `{name}` changes step `{entry.key}`, which the pipeline does not have"
                yield kinds.UNKNOWN_KEY.at(entry.key_loc, message, help=f"did you mean `{close}`?" if close else "")
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
