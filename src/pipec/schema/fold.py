"""What must be known when a pipeline is compiled, put in its place before the document's shape is judged.

`resources` and `matrix` may name `const` parameters. Folding them on the tree lets the schema judge the value where the
expression stands, and keeps every later stage free of resources that are not numbers yet. The escape `$${{` is undone
here too, wherever no expression is read.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import field

from pipec.diagnostics import Finding, Loc, Source, suggest
from pipec.record import mutable
from pipec.schema import findings as kinds
from pipec.schema.expressions import ExpressionError, Path, has_expression, parse_template
from pipec.schema.place import Places
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, Tree, as_json, of_json
from pipec.values import Json

EXPRESSIVE = frozenset({"with", "env", "when", "for_each"})  # of a step: where run-time expressions are read
_OF_STEP = frozenset({"resources", "matrix"})


@mutable
class Folding:
    """A document with its constants in their places.

    used: the parameters whose value was put somewhere. told: the scalars that something was found about.
    """

    document: Mapping
    places: Places
    findings: list[Finding] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    told: set[Loc] = field(default_factory=set)

    def tell(self, node: Scalar, finding: Finding) -> None:
        self.findings.append(finding)
        self.told.add(node.loc)


def fold(document: Mapping, constants: Map[str, Json], source: Source) -> Folding:
    """Return the document with the value of every `const` parameter in the places that must be known at once."""
    folding = Folding(document, Places(source))
    declared = document.get("parameters")
    known = {entry.key for entry in declared.entries} if isinstance(declared, Mapping) else set()

    def put(node: Scalar) -> Tree:
        return _constant(node, constants, known, folding)

    folding.document = _mapping(document, lambda entry: _section(entry, put))
    return folding


def _section(entry: Entry, put: Callable[[Scalar], Tree]) -> Tree:
    match entry.key:
        case "steps" | "finally":
            return _each(entry.value, lambda step: _each(step.value, lambda below: _of_step(below, put)))
        case "defaults":
            return _each(entry.value, lambda below: _of_step(below, put))
        case "environments":
            return _each(entry.value, lambda over: _each(over.value, lambda below: _section(below, put)))
        case "outputs" | "triggers":
            return entry.value
    return _plain(entry.value)


def _of_step(entry: Entry, put: Callable[[Scalar], Tree]) -> Tree:
    if entry.key in _OF_STEP:
        return _scalars(entry.value, put)
    return entry.value if entry.key in EXPRESSIVE else _plain(entry.value)


def _plain(tree: Tree) -> Tree:
    """Return a tree in which escaped expressions are plain text; others stay, to be told as misplaced."""
    return _scalars(tree, _unescaped)


def _unescaped(node: Scalar) -> Tree:
    try:
        parts = parse_template(str(node.value))
    except ExpressionError:
        return node
    if any(not isinstance(part, str) for part in parts):
        return node
    return Scalar("".join(part for part in parts if isinstance(part, str)), node.loc, is_quoted=True, is_plain=True)


def _constant(node: Scalar, constants: Map[str, Json], known: set[str], folding: Folding) -> Tree:
    text = str(node.value)
    try:
        parts = parse_template(text)
    except ExpressionError as fault:
        at = folding.places.of(node.loc, text, fault.start, fault.end)
        folding.tell(node, kinds.EXPRESSION.at(at, fault.message, help=fault.help))
        return node
    match parts:
        case (Path(("parameters", name), start, end),):
            loc = folding.places.of(node.loc, text, start, end)
        case _ if not any(isinstance(part, Path) for part in parts):
            return _unescaped(node)
        case _:
            message = "a value that must be known when the pipeline is compiled is one `const` parameter, alone"
            help_text = "write the value, or `${{ parameters.NAME }}`"
            folding.tell(node, kinds.NOT_CONSTANT.at(node.loc, message, help=help_text))
            return Scalar(None, node.loc)
    folding.used.add(name)
    if name in constants:
        return of_json(constants[name], node.loc)
    if name in known:
        message = f"`{name}` is not known when the pipeline is compiled"
        advice = f"add `const: true` to the declaration of `{name}`, and a `default` if it has none"
        folding.tell(node, kinds.NOT_CONSTANT.at(loc, message, help=advice))
    else:
        folding.tell(node, kinds.NOT_CONSTANT.at(loc, f"there is no parameter `{name}`", help=suggest(name, known)))
    return Scalar(None, node.loc)


def _each(tree: Tree, change: Callable[[Entry], Tree]) -> Tree:
    return _mapping(tree, change) if isinstance(tree, Mapping) else tree


def _mapping(tree: Mapping, change: Callable[[Entry], Tree]) -> Mapping:
    """Return a mapping with changed values; itself if nothing has changed, so that a large document costs little."""
    entries = [(entry, change(entry)) for entry in tree.entries]
    if all(entry.value is value for entry, value in entries):
        return tree
    return Mapping(tuple(Entry(entry.key, entry.key_loc, value) for entry, value in entries), tree.loc)


def _scalars(tree: Tree, put: Callable[[Scalar], Tree]) -> Tree:
    """Return a tree in which every text with an expression, or an escaped one, is what `put` makes of it."""
    match tree:
        case Scalar(str(text)):
            return put(tree) if has_expression(text) else tree
        case Scalar():
            return tree
        case Sequence(items):
            changed = tuple(_scalars(item, put) for item in items)
            same = all(old is new for old, new in zip(items, changed, strict=True))
            return tree if same else Sequence(changed, tree.loc)
        case Mapping():
            return _mapping(tree, lambda entry: _scalars(entry.value, put))


def constants(document: Mapping, environment: str, sets: Map[str, Json]) -> dict[str, Json]:
    """Return the values of the `const` parameters of a document in one environment.

    sets: values that count before those of the document. Runs before the shape is judged, so it believes nothing.
    """
    declared, values = document.get("parameters"), document
    for key in ("environments", environment, "parameters"):
        below = values.get(key)
        values = below if isinstance(below, Mapping) else Mapping((), document.loc)
    found: dict[str, Json] = {}
    for entry in declared.entries if isinstance(declared, Mapping) else ():
        body = entry.value
        is_const = body.get("const") if isinstance(body, Mapping) else None
        if not (isinstance(body, Mapping) and isinstance(is_const, Scalar) and is_const.value is True):
            continue
        node = values.get(entry.key) or body.get("default")
        if entry.key in sets:
            found[entry.key] = sets[entry.key]
        elif node is not None:
            found[entry.key] = as_json(_plain(node))
    return found
