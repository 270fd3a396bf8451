"""Values as Python source: the only way in which anything becomes part of a DAG file.

`ascii` of checked types, so that no text of a user is ever code, a comment or a name, and the file is pure ASCII; laid
out as a formatter would, so that a generated file can be read in a review.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from pipec.record import frozen

WIDTH = 120  # of a line; long texts are split over lines, after a comma or a space where there is one
_TEMPLATE = re.compile(r"\{[{%#]|\r|\n\Z|\.(sh|bash|env)\Z")


@frozen
class Call:
    """A call of something that the skeleton imports or defines; keywords only, but for `plain`, which comes first."""

    name: str
    keywords: tuple[tuple[str, Source], ...] = ()
    plain: tuple[Source, ...] = ()


@frozen
class Spread:
    """The items of a list that stands before the DAG under this name."""

    name: str


@frozen
class Name:
    """Something that the skeleton imports, by its name."""

    name: str


# Kubernetes rewrites `$(NAME)` and `$$` in arguments, so JSON that a run makes says `$` as an escape.
NO_DOLLAR = ' | tojson | replace("$", "\\\\u0024")'
Source: TypeAlias = "None | bool | int | float | str | Call | Spread | Name | Sequence[Source] | Mapping[str, Source]"
Keywords = tuple[tuple[str, Source], ...]


def seconds(count: int) -> Call:
    """Return a time span as source."""
    return Call("timedelta", (("seconds", count),))


def templated(text: str) -> str:
    """Return `text` so that Airflow's rendering of a templated field gives it back as it was.

    Jinja would read braces, drop a last newline and rewrite carriage returns; operators take what ends in `.sh` for a
    file. A text with any of these becomes one Jinja expression that is a string.
    """
    return "{{ " + jinja(text) + " }}" if _TEMPLATE.search(text) else text


def jinja(text: str) -> str:
    """Return `text` as a string of Jinja's own language, which reads Python's escapes."""
    return _quoted(text)


def write(value: Source, indent: int = 0, taken: int = 0) -> str:
    """Return `value` as source whose later lines stand at `indent`; `taken`: columns used on its first line.

    Raises ValueError at a number that is not finite.
    """
    room = WIDTH - taken - 1  # a comma may follow
    if _least(value) <= room and len(flat := _flat(value)) <= room:
        return flat
    inside = indent + 4
    match value:
        case str():
            return _lines("(", _parts(value, WIDTH - inside), ")", indent)
        case Mapping():
            items = (
                f"{_quoted(key)}: {write(item, inside, inside + len(_quoted(key)) + 2)}," for key, item in value.items()
            )
            return _lines("{", items, "}", indent)
        case Call(name, keywords, plain):
            given = [f"{write(item, inside, inside + 1)}," for item in plain]
            given += [f"{key}={write(item, inside, inside + len(key) + 2)}," for key, item in keywords]
            return _lines(f"{name}(", given, ")", indent)
        case list() | tuple():
            return _lines("[", (f"{write(item, inside, inside + 1)}," for item in value), "]", indent)
        case _:
            return _flat(value)


def _least(value: Source) -> int:
    """Return a width that the flat form has at least, cheaply: it saves writing long calls twice."""
    match value:
        case str():
            return len(value)
        case Call(_, keywords):
            return sum(len(item) for _, item in keywords if isinstance(item, str))
        case list() | tuple():
            return sum(len(item) for item in value if isinstance(item, str))
        case _:
            return 0


def _lines(opening: str, items: Iterable[str], closing: str, indent: int) -> str:
    margin = "\n" + " " * (indent + 4)
    return f"{opening}{''.join(margin + item for item in items)}\n{' ' * indent}{closing}"


def _flat(value: Source) -> str:
    match value:
        case str():
            return _quoted(value)
        case None | bool() | int():
            return repr(value)
        case float():
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(f"{value} cannot be written")
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{_quoted(key)}: {_flat(item)}" for key, item in value.items()) + "}"
        case Spread(name):
            return f"*{name}"
        case Name(name):
            return name
        case Call(name, keywords, plain):
            given = [_flat(item) for item in plain] + [f"{key}={_flat(item)}" for key, item in keywords]
            return f"{name}({', '.join(given)})"
        case _:
            return "[" + ", ".join(_flat(item) for item in value) + "]"


def _quoted(text: str) -> str:
    """Return a string literal in ASCII; with double quotes, as formatters have it, unless that takes more escapes."""
    literal = ascii(text)
    if literal[0] == '"' or text.count('"') > text.count("'"):
        return literal
    return '"' + literal[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _parts(text: str, width: int) -> Iterator[str]:
    """Yield literals at most `width` wide that make up `text`, cut after a comma, a line or a word where possible."""
    start = 0
    while start < len(text):
        end = min(len(text), start + width - 2)
        while len(literal := _quoted(text[start : (cut := _cut(text, start, end))])) > width:
            end = start + max(1, (end - start) * 15 // 16)
        yield literal
        start = cut


def _cut(text: str, start: int, end: int) -> int:
    if end == len(text):
        return end
    for mark, least in (("\n", 0.7), (", ", 0.7), (" ", 0.3)):  # how much of a line is then filled
        found = text.rfind(mark, start, end)
        if found > start + (end - start) * least:
            return found + len(mark)
    return end
