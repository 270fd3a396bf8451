"""Plain data as YAML that every reader understands alike.

PyYAML decides on quotes by YAML 1.1 and writes the text `1e-3` bare; the API server reads YAML 1.2 and would see a
number. Here every text is quoted as JSON quotes it, there are no aliases, and keys keep their order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote_ascii

from pipec.values import Json

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Words that some version of YAML reads as a boolean or as nothing.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_PAIR = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


class Shared(dict[str, Json]):
    """A mapping that many places of a document hold alike: its lines are made once. Nobody may change it."""


Made = dict[tuple[int, str], list[str]]  # the lines of a `Shared` at an indent


def dump(*documents: Json) -> str:
    """Return the documents as one YAML text. Raises ValueError at a number that is not finite."""
    texts = []
    made: Made = {}
    for document in documents:
        lines: list[str] = []
        _write(document, "", "", lines, made)
        texts.append("\n".join(lines) + "\n")
    return "---\n".join(texts)


def _write(value: Json, lead: str, indent: str, lines: list[str], made: Made) -> None:
    """Append the lines of `value`; the first one begins with `lead`, the others are `indent`ed."""
    if isinstance(value, str):
        lines.append(lead + quote(value))
    elif isinstance(value, dict) and value:
        _mapping(value, lead, indent, lines, made)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            _write(item, lead + "- ", indent + "  ", lines, made)
            lead = indent
    else:
        lines.append(lead + _scalar(value))


def _mapping(value: dict[str, Json], lead: str, indent: str, lines: list[str], made: Made) -> None:
    """Append the lines of a mapping that is not empty, as `_write` does.

    A third of an emission is spent here, so texts are written in place rather than by a call each.
    """
    for key, item in value.items():
        name = f"{lead}{_key(key)}:"
        lead = indent
        if isinstance(item, str):
            lines.append(f"{name} {quote(item)}")
        elif not isinstance(item, dict | list | tuple) or not item:
            lines.append(f"{name} {_scalar(item)}")
        elif isinstance(item, Shared):
            lines += (name, *_lines(item, indent + "  ", made))
        elif isinstance(item, dict):
            lines.append(name)
            _mapping(item, indent + "  ", indent + "  ", lines, made)
        else:
            lines.append(name)
            _write(item, indent, indent, lines, made)


def _lines(shared: Shared, indent: str, made: Made) -> list[str]:
    """Return the lines of a mapping at an indent. made: those known, by mappings that live as long as the dump."""
    at = (id(shared), indent)
    if at not in made:
        lines: list[str] = []
        _mapping(shared, indent, indent, lines, made)
        made[at] = lines
    return made[at]


def _scalar(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case {}:
            return "{}"
        case _:
            return "[]"


def _float(value: float) -> str:
    """Return a float that YAML 1.1 and 1.2 both read as one: `1e-05` would be text to 1.1."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value} cannot be written")
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"


@lru_cache(maxsize=4096)
def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else quote(key)


def quote(text: str) -> str:
    """Return `text` in double quotes, ASCII only; beyond U+FFFF as YAML's `\\U`, for YAML knows no surrogate pairs."""
    quoted = quote_ascii(text)
    return _PAIR.sub(lambda found: _joined(found[0]), quoted) if "\\ud" in quoted else quoted


def _joined(pair: str) -> str:
    high, low = int(pair[2:6], 16), int(pair[8:12], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
