"""Values whose content may be known only while a pipeline runs, and what they become then.

The compiler puts them into plans, targets and engine carry them as JSON, the step runtime resolves them: so a value
means the same wherever a plan runs. They stand below the plan (design.md puts `Value` there) because the step runtime,
which must not know plans, resolves them too. Knows nothing of YAML, plans or targets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, assert_never

from pipec.record import frozen

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"


@frozen
class Literal:
    """A value known at compile time."""

    value: Json


@frozen
class ParameterRef:
    """The pipeline's parameter `name`, as this run was given it."""

    name: str


@frozen
class OutputRef:
    """What task `task` wrote as `output`: an artifact or a small value."""

    task: str
    output: str


@frozen
class SecretRef:
    """The secret `name`. Never resolved outside the process that uses it."""

    name: str


@frozen
class ConfigRef:
    """The config `name` of the environment, where its value is not known before the run. Not secret."""

    name: str


@frozen
class RunRef:
    """A fact of the run: `id`, `date`, `scheduled_at` or `outcome`."""

    field: str


@frozen
class ItemRef:
    """The item that an iteration of `loop` is about, or its field `field`. loop: the step's name, as plans have it."""

    field: str = ""
    loop: str = ""


@frozen
class MatrixRef:
    """The value of an axis in one cell of the matrix of `step`. A plan has none: its cells are known."""

    axis: str
    step: str = ""


@frozen
class EachRef:
    """What the iterations of loop `task` wrote as `output`: a list, in their order, without those that wrote none."""

    task: str
    output: str


@frozen
class Attachment:
    """A small text file that travels by content. name: its last path part, for messages and suffix."""

    name: str
    text: str


@frozen
class ImageFile:
    """A file that does not travel: it lies in the step's image. path: below the folder of the team's files there."""

    path: str
    digest: str


@frozen
class Text:
    """Parts joined into one text: strings raw, numbers and booleans as JSON."""

    parts: tuple[Value, ...]


@frozen
class ListOf:
    """A list in which some item is not known yet."""

    items: tuple[Value, ...]


@frozen
class Gather:
    """The list of those items that are there: what the cells of a matrix wrote, without the cells that failed."""

    items: tuple[Value, ...]


@frozen
class ObjectOf:
    """An object in which some field is not known yet."""

    fields: tuple[tuple[str, Value], ...]


Reference: TypeAlias = ParameterRef | OutputRef | SecretRef | ConfigRef | RunRef | ItemRef | MatrixRef | EachRef
Value: TypeAlias = Literal | Reference | Attachment | ImageFile | Text | ListOf | Gather | ObjectOf


class Absent(LookupError):
    """Raised by a lookup, and so by `resolve`, when a reference has no value in this run."""


def references(value: Value) -> Iterator[Reference]:
    """Yield every reference in `value`, in the order of the text."""
    match value:
        case Text(parts) | ListOf(parts) | Gather(parts):
            for part in parts:
                yield from references(part)
        case ObjectOf(fields):
            for _, part in fields:
                yield from references(part)
        case Literal() | Attachment() | ImageFile():
            return
        case _:
            yield value


def resolve(value: Value, lookup: Callable[[Reference], Json]) -> Json:
    """Return what `value` is in a run that `lookup` knows.

    A single reference keeps its type. Raises what `lookup` raises, and TypeError where a list, an object or null stands
    inside a longer text. An attachment becomes `{"name", "text"}`, a file of the image `{"path", "digest"}`:
    the runtime makes them files.
    """
    match value:
        case Literal(known):
            return known
        case Attachment(name, text):
            return {"name": name, "text": text}
        case ImageFile(path, digest):
            return {"path": path, "digest": digest}
        case Text(parts):
            return "".join(as_text(resolve(part, lookup)) for part in parts)
        case ListOf(items):
            return [resolve(item, lookup) for item in items]
        case Gather(items):
            return list(_present(items, lookup))
        case ObjectOf(fields):
            return {name: resolve(item, lookup) for name, item in fields}
        case _:
            return lookup(value)


def _present(items: tuple[Value, ...], lookup: Callable[[Reference], Json]) -> Iterator[Json]:
    for item in items:
        try:
            yield resolve(item, lookup)
        except Absent:
            continue


def substitute(value: Value, known: Callable[[Reference], Value | None]) -> Value:
    """Return `value` with other values in the places of its references, plain where all of it is known.

    known: the value that stands for a reference, or None where it stays. A text that becomes part of a text is merged
    with it; what cannot stand in a text is left there for `resolve` to tell.
    """
    match value:
        case Literal() | Attachment() | ImageFile():
            return value
        case Text(parts):
            return _text([substitute(part, known) for part in parts])
        case ListOf(items):
            found = tuple(substitute(item, known) for item in items)
            return Literal([i.value for i in found if isinstance(i, Literal)]) if _plain(found) else ListOf(found)
        case Gather(items):
            return Gather(tuple(substitute(item, known) for item in items))
        case ObjectOf(fields):
            names, below = [name for name, _ in fields], tuple(substitute(item, known) for _, item in fields)
            if _plain(below):
                return Literal({n: i.value for n, i in zip(names, below, strict=True) if isinstance(i, Literal)})
            return ObjectOf(tuple(zip(names, below, strict=True)))
        case _:
            other = known(value)
            return value if other is None else other


def _plain(values: tuple[Value, ...]) -> bool:
    return all(isinstance(value, Literal) for value in values)


def _text(parts: list[Value]) -> Value:
    """Return a text of these parts: flat, what is known of it joined, and plain if that is all of it."""
    flat: list[Value] = []
    for part in parts:
        flat += part.parts if isinstance(part, Text) else (part,)
    joined: list[Value] = []
    for part in flat:
        known = _known_text(part)
        before = _known_text(joined[-1]) if joined else None
        if known is not None and before is not None:
            joined[-1] = Literal(before + known)
        elif known != "":
            joined.append(part if known is None else Literal(known))
    if len(joined) == 1 and _known_text(joined[0]) is not None:
        return joined[0]
    return Text(tuple(joined)) if joined else Literal("")


def _known_text(part: Value) -> str | None:
    """Return what a part is in a text, or None where that is not known, or is no text."""
    if not isinstance(part, Literal):
        return None
    try:
        return as_text(part.value)
    except TypeError:
        return None


def as_text(value: Json) -> str:
    """Return a scalar as it stands inside a longer text; TypeError for null, lists and objects.

    A whole number is written without a point, whatever its type: Kubeflow carries every number as a double, so `3`
    may arrive as `3.0`, and the text must be the same on every engine.
    """
    match value:
        case str():
            return value
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            raise TypeError("only text, numbers and booleans can stand inside a longer text")


def encode(value: Value) -> Json:
    """Return `value` as JSON: itself if it is known, else an object with one key that begins with `$`.

    Known objects that look like such a key are wrapped as `{"$literal": ...}`, so `decode(encode(v))` equals `v`.
    """
    match value:
        case Literal(known):
            return {"$literal": known} if _looks_encoded(known) else known
        case ParameterRef(name):
            return {"$parameter": name}
        case OutputRef(task, output):
            return {"$output": [task, output]}
        case SecretRef(name):
            return {"$secret": name}
        case ConfigRef(name):
            return {"$config": name}
        case RunRef(field):
            return {"$run": field}
        case ItemRef(field, loop):
            return {"$item": [field, loop]}
        case MatrixRef(axis, step):
            return {"$matrix": [axis, step]}
        case EachRef(task, output):
            return {"$each": [task, output]}
        case Gather(items):
            return {"$gather": [encode(item) for item in items]}
        case Attachment(name, text):
            return {"$file": [name, text]}
        case ImageFile(path, digest):
            return {"$image_file": [path, digest]}
        case Text(parts):
            return {"$text": [encode(part) for part in parts]}
        case ListOf(items):
            return {"$list": [encode(item) for item in items]}
        case ObjectOf(fields):
            return {"$object": [[name, encode(item)] for name, item in fields]}
        case _:
            assert_never(value)


def decode(encoded: Json) -> Value:
    """Return the value that `encode` wrote. Raises ValueError at a form it never writes."""
    if not (isinstance(encoded, Mapping) and len(encoded) == 1):
        return Literal(encoded)
    ((key, body),) = encoded.items()
    match key, body:
        case "$literal", _:
            return Literal(body)
        case "$parameter", str():
            return ParameterRef(body)
        case "$secret", str():
            return SecretRef(body)
        case "$config", str():
            return ConfigRef(body)
        case "$run", str():
            return RunRef(body)
        case "$item", [str(field), str(loop)]:
            return ItemRef(field, loop)
        case "$matrix", [str(axis), str(step)]:
            return MatrixRef(axis, step)
        case "$each", [str(task), str(output)]:
            return EachRef(task, output)
        case "$gather", list():
            return Gather(tuple(decode(part) for part in body))
        case "$output", [str(task), str(output)]:
            return OutputRef(task, output)
        case "$file", [str(name), str(text)]:
            return Attachment(name, text)
        case "$image_file", [str(path), str(digest)]:
            return ImageFile(path, digest)
        case "$text", list():
            return Text(tuple(decode(part) for part in body))
        case "$list", list():
            return ListOf(tuple(decode(part) for part in body))
        case "$object", list():
            return ObjectOf(tuple((str(pair[0]), decode(pair[1])) for pair in body))
    if key.startswith("$"):
        raise ValueError(f"`{key}` is not a form of value that this version knows")
    return Literal(encoded)


def _looks_encoded(value: Json) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith("$")
