"""A pipeline with the pipelines that it uses as steps brought in: one flat list of steps, under dotted names.

`features.clean` is step `clean` of the pipeline that step `features` uses. The rules that prove a release walk the flat
pipeline, so that nothing can hide in a file below; the plan is made of it. Without such steps it is what it was.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pipec.compiler.nested import Opened
from pipec.condition import Condition, Status, both, named, rewritten
from pipec.diagnostics import Loc
from pipec.record import frozen
from pipec.schema.model import Argument, Pipeline, Reference, StepUse, When
from pipec.schema.tree import Scalar
from pipec.steps.interface import MISSING, Interface
from pipec.values import (
    EachRef,
    ItemRef,
    ListOf,
    Literal,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Text,
    Value,
    references,
    substitute,
)
from pipec.values import Reference as ValueReference


@frozen
class Composite:
    """A step that is a pipeline of its own. outputs: what it hands on, in terms of the flat steps."""

    use: StepUse
    interface: Interface
    members: tuple[str, ...]
    outputs: Mapping[str, Value]


@frozen
class Flat:
    """A flat pipeline. interfaces: by flat step.

    folders: where what a step is given is said. homes: where the step itself is described. Both relative to the root.
    """

    pipeline: Pipeline
    interfaces: Mapping[str, Interface]
    composites: Mapping[str, Composite]
    folders: Mapping[str, str]
    homes: Mapping[str, str]
    _work: _Work | None = None
    _outer: _Scope | None = None

    def argument(self, given: Argument) -> Argument:
        """Return an argument that names steps as the document does, in the terms of the flat pipeline."""
        return self._work.argument(given, self._outer, "") if self._work and self._outer else given

    def when(self, when: When) -> When:
        """Return a condition that names steps as the document does, in the terms of the flat pipeline."""
        return self._work.when(when, self._outer, "") if self._work and self._outer else when


def flatten(pipeline: Pipeline, uses: Mapping[str, Opened], folder: str) -> Flat:
    """Return `pipeline` with every pipeline that it uses in its place; what is unknown stays as it is.

    folder: that of its file, relative to the root. Steps may wait for each other in any order, but not in a circle.
    """
    if not any(opened.pipeline for opened in uses.values()) and not any(use.is_many for use in pipeline.steps):
        known = {name: opened.interface for name, opened in uses.items()}
        folders = {use.name: folder for use in pipeline.steps}
        homes = {name: opened.folder for name, opened in uses.items()}
        return Flat(pipeline, known, {}, folders, homes)
    work = _Work(folder)
    outer = _Scope("", {}, {}, {use.name: use for use in pipeline.steps}, uses, folder)
    steps = tuple(flat for use in pipeline.steps for flat in work.bring(use.name, outer))
    outputs = tuple(work.argument(given, outer, "") for given in pipeline.outputs if work.is_there(given.value, outer))
    flat = replace(pipeline, steps=steps, outputs=outputs)
    return Flat(flat, work.interfaces, work.composites, work.folders, work.homes, work, outer)


@frozen
class _Scope:
    """One use of a document: the step that uses it (empty: nobody), what it was given, its defaults and its steps.

    inputs: names of its inputs; what they were given is a location already, where it is one.
    """

    name: str
    given: Mapping[str, Argument]
    defaults: Mapping[str, Value | None]
    steps: Mapping[str, StepUse]
    opened: Mapping[str, Opened]
    folder: str
    inputs: frozenset[str] = frozenset()

    def inside(self, step: str) -> str:
        return f"{self.name}.{step}" if self.name else step

    def is_composite(self, step: str) -> bool:
        opened = self.opened.get(step)
        return bool(opened and opened.pipeline)


class _Work:
    """The flat pipeline as it grows. folder: of the file that is run."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.interfaces: dict[str, Interface] = {}
        self.composites: dict[str, Composite] = {}
        self.folders: dict[str, str] = {}
        self.homes: dict[str, str] = {}
        self.brought: dict[str, tuple[StepUse, ...]] = {}

    def bring(self, name: str, scope: _Scope) -> tuple[StepUse, ...]:
        """Return a step in the terms of the flat pipeline, or all steps of the pipeline that it uses."""
        flat_name = scope.inside(name)
        if flat_name not in self.brought:
            flat = self._rewritten(scope.steps[name], scope)
            opened = scope.opened.get(name)
            if opened and opened.pipeline:
                self.brought[flat_name] = self._inside(flat, opened.pipeline, opened, scope.folder)
            else:
                self.folders[flat_name] = scope.folder
                if opened:
                    self.interfaces[flat_name], self.homes[flat_name] = opened.interface, opened.folder
                self.brought[flat_name] = (flat,)
        return self.brought[flat_name]

    def _inside(self, flat: StepUse, inner: Pipeline, opened: Opened, folder: str) -> tuple[StepUse, ...]:
        """Return the steps of the pipeline that `flat`, said in `folder`, uses; note what it hands on."""
        defaults: dict[str, Value | None] = {
            p.name: Literal(p.default) for p in inner.parameters if p.default is not MISSING
        }
        defaults |= {i.name: None if i.default is None else Literal(i.default) for i in inner.inputs}
        given = {a.name: a if a.folder is not None else replace(a, folder=folder) for a in flat.arguments}
        steps = {step.name: step for step in inner.steps}
        inputs = frozenset(i.name for i in inner.inputs)
        below = _Scope(flat.name, given, defaults, steps, opened.uses, opened.folder, inputs)
        members = tuple(_gated(s, flat, opened.interface) for step in inner.steps for s in self.bring(step.name, below))
        outputs = {
            each.name: self.argument(each, below, "").value
            for each in inner.outputs
            if self.is_there(each.value, below)
        }
        for name in _composites_below(flat.name, opened):
            composite = self.composites[name]
            self.composites[name] = replace(composite, use=_gated(composite.use, flat, opened.interface))
        names = tuple(member.name for member in members)
        self.composites[flat.name] = Composite(flat, opened.interface, names, outputs)
        return members

    def _outputs(self, step: str, scope: _Scope) -> Mapping[str, Value]:
        """Return what a composite step hands on; it is brought in first if it stands further down."""
        self.bring(step, scope)
        return self.composites[scope.inside(step)].outputs

    def _rewritten(self, use: StepUse, scope: _Scope) -> StepUse:
        """Return a step in the terms of the flat pipeline."""
        name = scope.inside(use.name)
        given = (self._placed(each, use, scope) for each in use.arguments if self.is_there(each.value, scope))
        arguments = [self.argument(each, scope, name) for each in given]
        env = tuple(self.argument(given, scope, name) for given in use.env)
        loop = use.for_each
        when = use.when and self.when(use.when, scope, name)
        flat = replace(
            use, name=name, scope=scope.name, arguments=tuple(arguments), env=env, when=when,
            for_each=loop and replace(loop, items=self.argument(loop.items, scope, name)),
            needs=tuple((scope.inside(step), loc) for step, loc in use.needs),
        )  # fmt: skip
        return replace(
            flat, needs=flat.needs + self._whole(use, scope, soft=False), waits=self._whole(use, scope, soft=True)
        )

    def _placed(self, given: Argument, use: StepUse, scope: _Scope) -> Argument:
        """Return an argument, its locations relative to the file that is run: they are said relative to their own."""
        opened = scope.opened.get(use.name)
        parameter = opened.interface.parameter(given.name) if opened else None
        takes = opened and (opened.interface.input(given.name) or (parameter and parameter.location))
        if not takes or not scope.name:
            return given
        outer = _beginning(given, scope)
        folder = scope.folder if outer is None or outer.folder is None else outer.folder
        return replace(given, value=self._location(given.value, scope, folder))

    def _location(self, value: Value, scope: _Scope, folder: str) -> Value:
        """Return a location that was said in `folder`, or the part of it that is known, relative to the file run."""
        match value:
            case Literal(str(path)):
                return Literal(_moved(path, folder, self.folder))
            case Literal(list(items)):
                return Literal([_moved(each, folder, self.folder) for each in items if isinstance(each, str)])
            case ListOf(items):
                return ListOf(tuple(self._location(item, scope, folder) for item in items))
            case Text((start, *rest)):
                return Text((self._location(start, scope, folder), *rest))
            case ParameterRef(name) if name not in scope.given or name not in scope.inputs:
                said = scope.given.get(name)
                known = said.value if said else scope.defaults.get(name)
                if isinstance(known, Literal) and isinstance(known.value, str):
                    at = said.folder if said and said.folder is not None else scope.folder
                    return Literal(_moved(known.value, at, self.folder))
        return value

    def is_there(self, value: Value, scope: _Scope) -> bool:
        """Say whether a value is there in this use of a pipeline: an optional input may be absent."""
        match value:
            case ParameterRef(name) if scope.name:
                return name in scope.given or scope.defaults.get(name, value) is not None
            case OutputRef(task, output) if scope.is_composite(task):
                return output in self._outputs(task, scope)
        return True

    def _without_absent(self, value: Value, scope: _Scope) -> Value:
        """Return a list without the items that are not there."""
        if not isinstance(value, ListOf):
            return value
        return ListOf(tuple(item for item in value.items if self.is_there(item, scope)))

    def _whole(self, use: StepUse, scope: _Scope, *, soft: bool) -> tuple[tuple[str, Loc], ...]:
        """Return the composite steps whose outputs are read: reading one waits for all of its steps.

        soft: those that feed optional inputs, whose steps may have been skipped; else the others.
        """
        opened = scope.opened.get(use.name)
        return tuple(
            (scope.inside(reference.step), reference.loc)
            for reference, where, argument in use.references
            if reference.output and scope.is_composite(reference.step)
            if _is_soft(where, argument, opened.interface if opened else None) is soft
        )

    def argument(self, given: Argument, scope: _Scope, step: str) -> Argument:
        """Return an argument in the terms of the flat pipeline. step: the flat step it is of, for its own matrix."""
        value = substitute(self._without_absent(given.value, scope), self._known(scope, step))
        found = tuple(flat for reference in given.references for flat in self._references(reference, scope))
        node, folder = given.node, given.folder
        if outer := _handed_in(given, scope):
            node, folder = outer.node, outer.folder  # a file that it names is named there
        return replace(given, value=value, references=found, node=node, folder=folder)

    def when(self, when: When, scope: _Scope, step: str) -> When:
        """Return a condition in the terms of the flat pipeline. step: the flat step it is of."""
        asks = when.asks and rewritten(
            when.asks, self._known(scope, step), lambda status: Status(status.state, scope.inside(status.task))
        )
        found = tuple(flat for reference in when.references for flat in self._references(reference, scope))
        return When(asks, when.loc, found)

    def _known(self, scope: _Scope, step: str) -> Callable[[ValueReference], Value | None]:
        def known(reference: ValueReference) -> Value | None:
            match reference:
                case ParameterRef(name) if scope.name:
                    given = scope.given.get(name)
                    return given.value if given else scope.defaults.get(name)
                case OutputRef(task, output) if scope.is_composite(task):
                    return self._outputs(task, scope).get(output)
                case OutputRef(task, output):
                    return OutputRef(scope.inside(task), output)
                case EachRef(task, output):
                    return EachRef(scope.inside(task), output)
                case MatrixRef(axis, ""):
                    return MatrixRef(axis, step)
                case ItemRef(field, ""):
                    return ItemRef(field, step)
            return None

        return known

    def _references(self, reference: Reference, scope: _Scope) -> tuple[Reference, ...]:
        """Return the flat names for a name of an expression; one of a parameter stands for all that its value names."""
        if reference.root in ("parameters", "inputs") and scope.name:
            given = scope.given.get(reference.parts[1])
            return given.references if given else ()
        if reference.root not in ("steps", "status"):
            return (reference,)
        if reference.root == "status" or reference.is_spread or not scope.is_composite(reference.step):
            flat = scope.inside(reference.step)
            return (replace(reference, parts=(reference.root, flat, *reference.parts[2:])),)
        value = self._outputs(reference.step, scope).get(reference.output)
        found = references(value) if value else ()
        return tuple(replace(reference, parts=parts) for ref in found if (parts := _parts(ref)))


def _composites_below(name: str, opened: Opened) -> Iterator[str]:
    """Yield the steps below a step that are pipelines of their own."""
    for step, inner in opened.uses.items():
        if inner.pipeline:
            yield f"{name}.{step}"
            yield from _composites_below(f"{name}.{step}", inner)


def _moved(path: str, folder: str, base: str) -> str:
    """Return a location that was said in `folder`, or its beginning, as one to be read in `base`."""
    way = posixpath.relpath(folder or ".", base or ".")
    if way == "." or not path or path.startswith("/") or "://" in path:
        return path
    return f"{way}/{path.removeprefix('./')}"


def _parts(reference: ValueReference) -> tuple[str, ...]:
    match reference:
        case OutputRef(task, output):
            return ("steps", task, output)
        case EachRef(task, output):
            return ("steps", task, "*", output)
        case ParameterRef(name):
            return ("parameters", name)
    return ()


def _handed_in(given: Argument, scope: _Scope) -> Argument | None:
    """Return what the step around was given, where an argument hands on just that; a constant is a value by now."""
    return _beginning(given, scope) if len(given.references) == 1 and given.references[0].whole else None


def _beginning(given: Argument, scope: _Scope) -> Argument | None:
    """Return what the step around was given, where an argument begins with that."""
    if not (isinstance(given.node, Scalar) and str(given.node.value).startswith("${{") and given.references):
        return None
    root, *names = given.references[0].parts
    return scope.given.get(names[0]) if root in ("parameters", "inputs") else None


def _gated(step: StepUse, around: StepUse, interface: Interface) -> StepUse:
    """Return a step of a pipeline that waits for what the step around it waits for, and asks what that asks.

    What feeds an optional input of the pipeline may have been skipped, but must not have failed (language rule 1).
    """
    sources: dict[bool, list[tuple[str, Loc]]] = {False: [], True: []}
    for reference, where, argument in around.references:
        if reference.step and where != "when":
            sources[_is_soft(where, argument, interface)].append((reference.step, reference.loc))
    when = step.when
    asked = around.when.asks if around.when else None
    if around.when and (not around.is_many or (asked and is_about(asked, around.name))):
        own = when
        asks = both(asked, own.asks if own else None)
        when = When(asks, around.when.loc, around.when.references + (own.references if own else ()))
    return replace(
        step, when=when, needs=(*step.needs, *around.needs, *sources[False]),
        waits=(*step.waits, *around.waits, *sources[True]),
        continue_on_error=step.continue_on_error or around.continue_on_error, is_final=around.is_final,
    )  # fmt: skip


def _is_soft(where: str, argument: Argument | None, interface: Interface | None) -> bool:
    """Say whether a reference feeds an optional input, so that its step may have been skipped."""
    declared = interface.input(argument.name) if interface and argument and where == "with" else None
    return bool(declared and declared.is_soft)


def is_about(asks: Condition, step: str) -> bool:
    """Say whether a condition asks about the item, or the cell, of one step's loop or matrix."""
    return any(
        (isinstance(ref, ItemRef) and ref.loop == step) or (isinstance(ref, MatrixRef) and ref.step == step)
        for ref in named(asks)
    )
