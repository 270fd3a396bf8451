"""Tree against JSON Schema, told in the user's words.

The schemas describe the shape of documents (draft 2020-12); what a step takes is judged by its own interface's schema,
one argument at a time, so that cost stays linear. A schema may say how to name its wish (`x-expects`), under which code
(`x-rule`), what to do instead of a key that it does not have (`x-absent`), and where its documents hold expressions
(`x-expressions`); the validator's own words never reach a user.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipec.diagnostics import Finding, Loc, Rule, bounded, guess, suggest
from pipec.schema import findings as kinds
from pipec.schema import tree as yaml
from pipec.schema.expressions import has_expression
from pipec.schema.judge import Problem, document_problems, schema_fault
from pipec.schema.judge import value_problems as problems_of
from pipec.schema.pattern import PatternError, is_found
from pipec.schema.pattern import check as check_pattern
from pipec.values import Json

API_VERSION = "pipec/v1alpha1"
_TYPES = {
    "object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "`true` or `false`", "null": "nothing",
}  # fmt: skip
PLACES = (
    "`with`, `env`, `for_each`, `when`, `outputs` and a trigger's `parameters`"  # of a pipeline that hold expressions
)
_RULES = {rule.code: rule for rule in kinds.RULES}


@cache
def schema(kind: str) -> Mapping[str, Any]:
    """Return the JSON Schema of `pipeline`, `project` or `step` documents."""
    text = (Path(__file__).parent / f"{kind}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def project_schema(settings: Mapping[str, Mapping[str, Json]]) -> Mapping[str, Any]:
    """Return the schema of projects in which environments may also hold the settings of these targets."""
    base = schema("project")
    environment = base["$defs"]["environment"]
    grown = {**environment, "properties": {**environment["properties"], **settings}}
    return {**base, "$defs": {**base["$defs"], "environment": grown}}


def header(tree: yaml.Tree, kind: str) -> Iterator[Finding]:
    """Find out whether a document is one of `kind` in a version that is read here."""
    if not isinstance(tree, yaml.Mapping):
        yield kinds.WRONG_KIND.at(
            _start(tree.loc),
            f"a {kind.lower()} is a mapping, with `apiVersion` and `kind`",
            help=f"begin with `apiVersion: {API_VERSION}` and `kind: {kind}`",
        )
        return
    for key, wanted in (("apiVersion", API_VERSION), ("kind", kind)):
        entry = tree.entry(key)
        if entry is None:
            yield kinds.WRONG_KIND.at(_start(tree.loc), f"`{key}` is missing", help=f"add `{key}: {wanted}`")
        elif not (isinstance(entry.value, yaml.Scalar) and entry.value.value == wanted):
            seen = _shown(yaml.as_json(entry.value)) or "something else"
            yield kinds.WRONG_KIND.at(entry.value.loc, f"`{key}` is {seen}, and `{wanted}` is read here",
                                      help=f"write `{key}: {wanted}`")  # fmt: skip


def shape(tree: yaml.Tree, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what in a tree differs from a document schema."""
    places = wanted.get("x-expressions", PLACES)
    problems = document_problems(yaml.as_json(tree), wanted)
    yield from bounded(finding for error in problems for finding in _document_finding(tree, error, places))


def value_problems(
    name: str, tree: yaml.Tree, wanted: Mapping[str, Any], rule: Rule = kinds.WRONG_VALUE
) -> Iterator[Finding]:
    """Find what in the value of parameter `name` differs from its schema; expressions inside are judged by type."""
    yield from bounded(_value_problems(name, tree, wanted, rule))


def _value_problems(name: str, tree: yaml.Tree, wanted: Mapping[str, Any], rule: Rule) -> Iterator[Finding]:
    problems = list(problems_of(yaml.as_json(tree), wanted))
    told = {problem.path for problem in problems if problem.keyword != "anyOf"}
    for error in problems:
        entry, node = _locate(tree, error.path)
        if error.keyword == "anyOf" and error.path in told:
            continue  # what is misspelt is missing too
        if isinstance(node, yaml.Scalar) and isinstance(node.value, str) and has_expression(node.value):
            continue
        label = ".".join([name, *(str(part) for part in error.path)])
        yield from _value_finding(label, node, entry.key_loc if entry else node.loc, error, rule)


def misplaced(loc: Loc, places: str = PLACES) -> Finding:
    """Return the finding about an expression that nothing would read. places: where the document may hold some."""
    where = f"expressions stand in {places} only"
    return kinds.MISPLACED_EXPRESSION.at(loc, "an expression is not read here", help=where)


def schema_problem(wanted: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a JSON Schema that a user wrote, or None."""
    try:
        for text in _patterns(wanted):
            check_pattern(text)
    except PatternError as fault:
        return f"`pattern` {fault}"
    problem = schema_fault(wanted, plain_schema())
    if problem is None:
        return None
    key = next((part for part in reversed(problem.path) if isinstance(part, str)), "")
    types = problem.bound if isinstance(problem.bound, list) else [problem.bound]
    needs = " or ".join(_TYPES.get(str(name), "another form") for name in types)
    return f"`{key}` needs {needs if problem.keyword == 'type' else 'another form'}"


@cache
def plain_schema() -> Mapping[str, Any]:
    """Return the schema of schemas that surely are some: what a pipeline may declare, with no field required twice."""
    value = schema("pipeline")["$defs"]["value"]
    fields = value["properties"]
    plain = {**value, "properties": {**fields, "required": {**fields["required"], "uniqueItems": True}}}
    return {**plain, "$defs": {"value": plain}}


def _patterns(wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield the patterns of a user's schema, wherever in it."""
    pattern, fields = wanted.get("pattern"), wanted.get("properties")
    if isinstance(pattern, str):
        yield pattern
    for below in (wanted.get("items"), *(fields.values() if isinstance(fields, Mapping) else ())):
        if isinstance(below, Mapping):
            yield from _patterns(below)


def _document_finding(tree: yaml.Tree, error: Problem, places: str) -> Iterator[Finding]:
    entry, node = _locate(tree, error.path)
    label = next((part for part in reversed(error.path) if isinstance(part, str)), "the document")
    match error.keyword:
        case "additionalProperties" if isinstance(node, yaml.Mapping):
            yield from _unknown_keys(node, error)
        case "required":
            yield from _missing_keys(tree, node, error, entry)
        case "const":
            return  # told by header()
        case _ if isinstance(error.instance, str) and has_expression(error.instance) and not error.names:
            yield misplaced(node.loc, places)
        case _ if error.names:
            yield from _bad_key(node, error)
        case _:
            yield from _value_finding(label, node, entry.key_loc if entry else node.loc, error, kinds.NOT_ALLOWED)


def _unknown_keys(node: yaml.Mapping, error: Problem) -> Iterator[Finding]:
    known = sorted(error.schema.get("properties", {}))
    for entry in node.entries:
        if entry.key in known:
            continue
        if absent := error.schema.get("x-absent", {}).get(entry.key):
            yield kinds.UNKNOWN_KEY.at(entry.key_loc, f"there is no key `{entry.key}` here", help=absent)
            continue
        close = guess(entry.key, known)
        hint = f"did you mean `{close}`? " if close else ""
        listed = ", ".join(f"`{key}`" for key in known if not key.startswith("$"))
        yield kinds.UNKNOWN_KEY.at(entry.key_loc, f"there is no key `{entry.key}` here", help=f"{hint}known: {listed}")


def _missing_keys(tree: yaml.Tree, node: yaml.Tree, error: Problem, entry: yaml.Entry | None) -> Iterator[Finding]:
    if not isinstance(node, yaml.Mapping):
        return
    present = {found.key for found in node.entries}
    missing = [key for key in error.bound if key not in present]
    for key in missing:
        if node is tree and key in ("apiVersion", "kind"):
            continue  # told by header()
        where = f"`{entry.key}`" if entry else "the document"
        loc = entry.key_loc if entry else _start(node.loc)
        yield kinds.MISSING_KEY.at(loc, f"{where} has no `{key}`", help=f"add `{key}: ...`")


def _bad_key(node: yaml.Tree, error: Problem) -> Iterator[Finding]:
    if not isinstance(node, yaml.Mapping):
        return
    rule = _RULES.get(error.schema.get("x-rule", ""), kinds.BAD_NAME)
    entry = node.entry(str(error.instance))
    if entry:
        near = mended(entry.key, error.bound) if error.keyword == "pattern" else ""
        advice = f"call it `{near}`" if near and node.entry(near) is None else ""
        yield rule.at(entry.key_loc, f"`{entry.key}` is not {error.schema.get('x-expects', 'a name')}", help=advice)


def _value_finding(label: str, node: yaml.Tree, key_loc: Loc, error: Problem, rule: Rule) -> Iterator[Finding]:
    wanted = error.schema
    seen = _shown(error.instance)
    match error.keyword:
        case "type":
            yield _type_finding(label, node, error)
        case "additionalProperties" if isinstance(node, yaml.Mapping):
            yield from _unknown_keys(node, error)
        case "required":
            yield from _missing_keys(node, node, error, yaml.Entry(label, key_loc, node))
        case "anyOf" if all(list(one) == ["required"] for one in error.bound):
            keys = [f"`{key}`" for one in error.bound for key in one["required"]]
            yield kinds.MISSING_KEY.at(node.loc, f"`{label}` needs {_either(keys)}", help=f"add {keys[0][:-1]}: ...`")
        case "enum":
            advice = suggest(str(error.instance), [_plain(choice) for choice in error.bound], "allowed:")
            yield rule.at(node.loc, f"`{label}` cannot be {seen or 'this'}", help=advice)
        case "pattern":
            expects = wanted.get("x-expects", f"text of the form `{error.bound}`")
            named = _RULES.get(wanted.get("x-rule", ""), rule)
            advice = f"write `{near}`" if (near := mended(error.instance, error.bound)) else ""
            yield named.at(node.loc, f"`{label}` needs {expects}, not {seen}", help=advice)
        case _:
            yield rule.at(node.loc, f"`{label}` {_bound(error)}" + (f", not {seen}" if seen else ""))


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def mended(said: Json, pattern: str) -> str:
    """Return what fits a pattern and was likely meant: `Wine_Quality`, `16GB`, `1 h` and `90` are nearly right."""
    text = _plain(said).strip() if isinstance(said, str | int) and not isinstance(said, bool) else ""
    if not 0 < len(text) <= 60:
        return ""
    close = re.sub(r"\s+", "", text)
    tries = [close, re.sub(r"(?i)^(\d+)([kmgt])i?b?$", lambda found: f"{found[1]}{found[2].upper()}i", close)]
    tries += [f"{close}s"] if close.isdecimal() else []
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    for joint in "-_":
        word = re.sub(r"[^a-z0-9]+", joint, plain).strip(joint)
        tries += [word[:40].rstrip(joint)] if word else []
    try:
        return next((each for each in tries if is_found(pattern, each)), "")
    except PatternError:  # one of pipec's own that looks around: what a user declares was refused before
        return ""


# What a `minX` or a `maxX` of JSON Schema counts: one, and more of them.
_COUNTED = {"Length": ("character", "characters"), "Items": ("item", "items"), "Properties": ("entry", "entries")}


def _bound(error: Problem) -> str:
    bound = error.bound
    words = {
        "minimum": f"must be at least {bound}", "maximum": f"must be at most {bound}",
        "exclusiveMinimum": f"must be above {bound}", "exclusiveMaximum": f"must be below {bound}",
        "uniqueItems": "must name each item once",
    }  # fmt: skip
    if counted := _COUNTED.get(error.keyword[3:]):
        return f"must have at {'least' if error.keyword.startswith('min') else 'most'} {bound} {counted[bound != 1]}"
    return words.get(error.keyword, "has another form than its declaration wants")


def _type_finding(label: str, node: yaml.Tree, error: Problem) -> Finding:
    types = error.bound if isinstance(error.bound, list) else [error.bound]
    wanted = error.schema.get("x-expects") or " or ".join(_TYPES[name] for name in types)
    text_for_number = isinstance(error.instance, str) and {"number", "integer", "boolean"} & set(types)
    rule = kinds.TEXT_FOR_NUMBER if text_for_number and "string" not in types else kinds.WRONG_SHAPE
    return rule.at(node.loc, f"`{label}` needs {wanted}, but {_described(error.instance)}", help=_repair(error, types))


def _repair(error: Problem, types: Iterable[str]) -> str:
    text = error.instance
    if isinstance(text, str) and "boolean" in types and text.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"write `{'true' if text.lower() in ('yes', 'on', 'true') else 'false'}`"
    if isinstance(text, str) and {"number", "integer"} & set(types):
        try:
            return f"write `{json.loads(text.replace('_', ''))}` without quotes"
        except ValueError:
            return ""
    if "string" in types and isinstance(text, bool | int | float):
        pattern = error.schema.get("pattern", "")
        near = mended(text, pattern) if pattern else ""
        return f"write `{near}`" if near and not near.isdecimal() else f'write `"{_plain(text)}"`'
    if "array" in types and not isinstance(text, dict | list):
        return f"write `[{_plain(text)}]`"
    return ""


def _described(value: Json) -> str:
    match value:
        case None:
            return "nothing stands here"
        case bool():
            return f"`{json.dumps(value)}` is a boolean"
        case int() | float():
            return f"`{value}` is a number"
        case str():
            return f"{_shown(value)} is text" if value else "an empty text stands here"
        case Mapping():
            return "a mapping stands here"
        case _:
            return "a list stands here"


def _shown(value: Json) -> str:
    if isinstance(value, str | bool | int | float):
        text = _plain(value)
        return f"`{text if len(text) <= 60 else text[:57] + '...'}`" if text else "an empty text"
    return "nothing" if value is None else ""


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _start(loc: Loc) -> Loc:
    line, column = loc.span[:2]
    return Loc(loc.path, loc.span._replace(end_line=line, end_column=column + 1))


def _locate(tree: yaml.Tree, path: Iterable[str | int]) -> tuple[yaml.Entry | None, yaml.Tree]:
    """Return the node at a path of keys and indices, and the last mapping entry on the way to it."""
    entry, node = None, tree
    for part in path:
        match node:
            case yaml.Mapping():
                entry = node.entry(str(part))
                if entry is None:
                    return entry, node
                node = entry.value
            case yaml.Sequence(items):
                node = items[int(part)]
            case _:
                return entry, node
    return entry, node
