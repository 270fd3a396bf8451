"""A `kind: Step` document to the interface of a step in any language.

What is left to say after the schema: whether the arguments name what is declared, and whether a run could keep to it.
Knows nothing of files; who finds a manifest reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from pipec.diagnostics import Finding, Loc, Note, Source, guess, suggest
from pipec.schema import check, load
from pipec.schema import findings as kinds
from pipec.schema.expressions import ExpressionError, Path, parse_template
from pipec.schema.part import ask
from pipec.schema.place import Places
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, Tree, as_json
from pipec.steps.interface import (
    MISSING,
    Artifact,
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Output,
    Parameter,
    Resources,
    Role,
    Slot,
    Word,
    Words,
)

PLACES = "`args`"
ROOTS = {"inputs": "input", "outputs": "output", "parameters": "parameter"}


def step(tree: Mapping, source: Source) -> tuple[Interface | None, tuple[Finding, ...]]:
    """Return the interface that a manifest declares, or None, and what is wrong with it.

    tree: a document that `check.header` and `check.shape` found nothing against.
    """
    found: list[Finding] = []
    interface = _interface(tree, found)
    arguments = _Arguments(source, interface)
    image = tree.get("image")
    container = Container(
        command=arguments.command(tree.get("command")),
        args=arguments.all(tree.get("args")),
        image=str(as_json(image)) if image else None,
    )
    found += [*_clashes(tree), *_outputs(tree, interface), *_devices(tree, interface), *arguments.found]
    found += _unnamed(tree, interface, container)
    read = [part for part in (tree.get("command"), tree.get("args")) if part]
    found += load.stray(tree, frozenset(id(node) for node in read), PLACES)
    return None if found else replace(interface, container=container), tuple(found)


def _interface(tree: Mapping, found: list[Finding]) -> Interface:
    """Return what the manifest declares, but for its container."""
    body: Any = as_json(tree)
    asked = ask(body.get("resources"))
    given = {each.name: value for each in fields(asked) if (value := getattr(asked, each.name)) is not None}
    return Interface(
        name=body["metadata"]["name"],
        version=body["metadata"]["version"],
        summary=body["metadata"].get("description", ""),
        role=Role(body["role"]) if "role" in body else None,
        inputs=tuple(_input(name, each) for name, each in body.get("inputs", {}).items()),
        outputs=tuple(_output(name, each) for name, each in body.get("outputs", {}).items()),
        parameters=tuple(_parameter(entry, found) for entry in _entries(tree, "parameters")),
        resources=Resources(**given),
        accelerators=tuple(body.get("accelerators", ())),
        distributed=body.get("distributed", False),
        needs_accelerator=body.get("needs_accelerator", False),
    )


def _input(name: str, body: Any) -> Input:
    return Input(
        name=name, type=Artifact(body["type"]), optional=body.get("optional", False), many=body.get("many", False),
        fits=body.get("fits", False), help=body.get("description", ""),
    )  # fmt: skip


def _output(name: str, body: Any) -> Output:
    kind = Kind(body["type"]) if body["type"] in list(Kind) else Artifact(body["type"])
    return Output(
        name=name, type=kind, split=body.get("split"), same_as=body.get("same_as"),
        optional=body.get("optional", False), personal=body.get("personal", False), help=body.get("description", ""),
    )  # fmt: skip


def _parameter(entry: Entry, found: list[Finding]) -> Parameter:
    body: Any = as_json(entry.value)
    schema = load.declaration(entry, found)
    if body.get("path") and body["type"] != Kind.STRING:
        message = f"`{entry.key}` names a file, so its type is `string`"
        found.append(kinds.BAD_DECLARATION.at(_place(entry, "type"), message, help="write `type: string`"))
    return Parameter(
        name=entry.key, kind=Kind(body["type"]), schema=schema, default=body.get("default", MISSING),
        unit=body.get("unit", ""), path=body.get("path", False), help=body.get("description", ""),
    )  # fmt: skip


def _clashes(tree: Mapping) -> Iterator[Finding]:
    first = {entry.key: entry.key_loc for entry in _entries(tree, "inputs")}
    for entry in _entries(tree, "parameters"):
        if entry.key in first:
            note = Note(f"the input `{entry.key}`", first[entry.key])
            yield kinds.BAD_DECLARATION.at(
                entry.key_loc, f"`{entry.key}` is an input and a parameter, and `with` could not tell them apart",
                help="rename one of them", notes=[note],
            )  # fmt: skip


def _outputs(tree: Mapping, interface: Interface) -> Iterator[Finding]:
    for entry in _entries(tree, "outputs"):
        output = interface.output(entry.key)
        assert output is not None, "manifest._outputs got an output that _interface did not read"
        if output.optional and isinstance(output.type, Kind):
            yield kinds.BAD_DECLARATION.at(
                _place(entry, "optional"), f"`{output.name}` is a small value, and those are always written",
                help="remove `optional`",
            )  # fmt: skip
        if output.split and output.type is not Dataset:
            yield kinds.BAD_DECLARATION.at(
                _place(entry, "split"), f"only a Dataset can be split, and `{output.name}` is of type {output.type}",
                help="remove `split`",
            )  # fmt: skip
        if output.same_as:
            yield from _passed(_place(entry, "same_as"), output, output.same_as, interface)


def _passed(loc: Loc, output: Output, name: str, interface: Interface) -> Iterator[Finding]:
    source = interface.input(name)
    if source is None:
        known = [each.name for each in interface.inputs if each.type is output.type]
        yield kinds.BAD_DECLARATION.at(loc, f"there is no input `{name}` to pass on", help=_hint(name, known))
    elif source.type is not output.type:
        message = f"`{output.name}` is of type {output.type}, but input `{name}` is of type {source.type}"
        yield kinds.BAD_DECLARATION.at(loc, message, help=f"write `type: {source.type}`")
    elif source.many:
        message = f"input `{name}` is a list of artifacts, and `{output.name}` is one"
        yield kinds.BAD_DECLARATION.at(loc, message, help=f"remove `many` from `{name}`, or write the output")
    elif source.optional and not output.optional:
        message = f"input `{name}` may be absent, and `{output.name}` with it"
        yield kinds.BAD_DECLARATION.at(loc, message, help=f"declare `{output.name}` with `optional: true`")


def _devices(tree: Mapping, interface: Interface) -> Iterator[Finding]:
    accelerator = interface.resources.accelerator
    resources = tree.entry("resources")
    if accelerator and resources and accelerator.kind not in interface.accelerators:
        loc = _place(resources, "accelerator")
        message = f"the step asks for `{accelerator.kind}`, but does not say that it can use one"
        yield kinds.BAD_DECLARATION.at(loc, message, help=f"add `accelerators: [{accelerator.kind}]`")
    needs = tree.entry("needs_accelerator")
    if needs and interface.needs_accelerator and not interface.accelerators:
        message = "the step needs an accelerator, but does not say which kinds it can use"
        yield kinds.BAD_DECLARATION.at(needs.value.loc, message, help="add `accelerators: [gpu]`")
    if interface.resources.machines > 1 and resources and not interface.distributed:
        loc = _place(resources, "machines")
        message = "the step asks for several machines, but does not say that its program finds its peers on them"
        yield kinds.BAD_DECLARATION.at(loc, message, help="add `distributed: true`, or leave `machines` out")


def _unnamed(tree: Mapping, interface: Interface, container: Container) -> Iterator[Finding]:
    named = {slot.name for argument in container.args for slot in argument.slots if slot.root == "outputs"}
    for entry in _entries(tree, "outputs"):
        output = interface.output(entry.key)
        if output and not output.same_as and output.name not in named:
            yield kinds.BAD_DECLARATION.at(
                entry.key_loc, f"no argument names output `{output.name}`, and so the command cannot write it",
                help=f"add `${{{{ outputs.{output.name} }}}}` to `args`",
            )  # fmt: skip


class _Arguments:
    """Reads the command and its arguments. found: what cannot be read, in the order met."""

    def __init__(self, source: Source, interface: Interface) -> None:
        self.interface = interface
        self.found: list[Finding] = []
        self._place = Places(source).of

    def command(self, tree: Tree | None) -> tuple[str, ...]:
        """Return the texts of a command, in which no expression stands."""
        words = [(node, self._parts(node)) for node in _texts(tree)]
        for node, parts in words:
            for path in parts:
                if isinstance(path, Path):
                    self.found.append(check.misplaced(self._at(node, path), PLACES))
        return tuple("".join(part for part in parts if isinstance(part, str)) for _, parts in words)

    def all(self, tree: Tree | None) -> tuple[Words, ...]:
        """Return the arguments that a list of texts and lists of texts stands for."""
        items = tree.items if isinstance(tree, Sequence) else ()
        return tuple(self._argument(node) for node in items)

    def _argument(self, node: Tree) -> Words:
        if isinstance(node, Sequence):
            return Words(tuple(self._word(each, is_group=True) for each in _texts(node)), is_group=True)
        return Words(tuple(self._word(each, is_group=False) for each in _texts(node)))

    def _parts(self, node: Scalar) -> tuple[str | Path, ...]:
        try:
            return parse_template(str(node.value))
        except ExpressionError as fault:
            at = self._place(node.loc, str(node.value), fault.start, fault.end)
            self.found.append(kinds.EXPRESSION.at(at, fault.message, help=fault.help))
            return ()

    def _word(self, node: Scalar, *, is_group: bool) -> Word:
        parts = self._parts(node)
        word: list[str | Slot] = []
        for part in parts:
            if isinstance(part, str):
                word.append(part)
                continue
            at = self._at(node, part)
            slot = self._slot(part, at)
            if slot:
                word.append(slot)
                self.found += self._unfit(slot, at, is_group=is_group, is_whole=len(parts) == 1)
        return tuple(word)

    def _slot(self, path: Path, at: Loc) -> Slot | None:
        """Return what a dotted name stands for; a finding and None if the step does not declare it."""
        root, *rest = path.parts
        if root not in ROOTS:
            self.found.append(_foreign_root(root, at))
            return None
        if len(rest) != 1:
            self.found.append(kinds.EXPRESSION.at(at, f"`{path}` names no value", help=f"the form is `{root}.NAME`"))
            return None
        listed: dict[str, tuple[Input | Output | Parameter, ...]] = {
            "inputs": self.interface.inputs, "outputs": self.interface.outputs,
            "parameters": self.interface.parameters,
        }  # fmt: skip
        known = [each.name for each in listed[root]]
        if rest[0] not in known:
            message = f"the step has no {ROOTS[root]} `{rest[0]}`"
            self.found.append(kinds.BAD_ARGUMENT.at(at, message, help=_hint(rest[0], known)))
            return None
        return Slot(root, rest[0])

    def _unfit(self, slot: Slot, at: Loc, *, is_group: bool, is_whole: bool) -> Iterator[Finding]:
        """Find why what a slot stands for does not fit where it stands."""
        match slot.root:
            case "inputs" if (given := self.interface.input(slot.name)) is not None:
                if given.optional and not is_group:
                    yield kinds.BAD_ARGUMENT.at(
                        at, f"input `{slot.name}` may be absent, and then nothing could stand here",
                        help=f"write a list, which is dropped whole: "
                        f"`[--{slot.name.replace('_', '-')}, \"${{{{ inputs.{slot.name} }}}}\"]`",
                    )  # fmt: skip
                if given.many and not is_whole:
                    message = f"input `{slot.name}` is a list of paths, which does not fit into a longer text"
                    yield kinds.BAD_ARGUMENT.at(at, message, help="alone in an argument it becomes one for each path")
            case "outputs" if (output := self.interface.output(slot.name)) is not None and output.same_as:
                message = f"output `{slot.name}` is input `{output.same_as}` passed on: the command does not write it"
                yield kinds.BAD_ARGUMENT.at(at, message, help="remove the argument")
            case "parameters" if (parameter := self.interface.parameter(slot.name)) is not None:
                if parameter.kind in (Kind.LIST, Kind.OBJECT) and not is_whole:
                    message = f"parameter `{slot.name}` is of type {parameter.kind}, which has no form in a longer text"
                    yield kinds.BAD_ARGUMENT.at(at, message, help="alone in an argument it is written as JSON")

    def _at(self, node: Scalar, path: Path) -> Loc:
        return self._place(node.loc, str(node.value), path.start, path.end)


def _foreign_root(root: str, at: Loc) -> Finding:
    known = ", ".join(f"`{name}`" for name in ROOTS)
    if root == "secrets":
        advice = "give it under `env` where the step is used: it must not stand in an argument list"
        return kinds.EXPRESSION.at(at, "a secret does not reach a step by its arguments", help=advice)
    close = guess(root, ROOTS)
    hint = f"did you mean `{close}`? " if close else ""
    return kinds.EXPRESSION.at(at, f"an argument cannot name `{root}`", help=f"{hint}known: {known}")


def _hint(name: str, known: list[str]) -> str:
    return suggest(name, known, "declared:")


def _entries(tree: Mapping, section: str) -> tuple[Entry, ...]:
    below = tree.get(section)
    return below.entries if isinstance(below, Mapping) else ()


def _texts(tree: Tree | None) -> tuple[Scalar, ...]:
    items = tree.items if isinstance(tree, Sequence) else (tree,)
    return tuple(item for item in items if isinstance(item, Scalar))


def _place(entry: Entry, key: str) -> Loc:
    """Return the place of the value under `key` in what an entry holds, or of the entry's own key."""
    value = entry.value.get(key) if isinstance(entry.value, Mapping) else None
    return value.loc if value else entry.key_loc
