"""What a plain scalar means: YAML 1.2's core schema (section 10.3.2), and what is told of a text on the way."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from pipec.diagnostics import Rule
from pipec.schema import findings as kinds

Leaf: TypeAlias = None | bool | int | float | str
Told: TypeAlias = tuple[Rule, str, str]  # a kind of finding, its message and its help

MAX_INTEGER = 2**53 - 1  # beyond it, JSON readers and both engines round in silence
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# What a reader of YAML 1.1 takes for another value: booleans, octal, base 60, digits in groups, binary (its type
# repository). Not `y` and `n`, which hardly a reader takes for booleans, nor dates, which are texts to people.
_OTHER_IN_1_1 = re.compile(
    r"(?i:yes|no|on|off)|[-+]?0[0-9]+|[-+]?[0-9]+(?::[0-5]?[0-9])+|[-+]?[0-9]+(?:_+[0-9]+)+|[-+]?0b[01_]+"
)
_CONSTANTS: dict[str, None | bool] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def resolve(text: str) -> tuple[Leaf, list[Told]]:
    """Return what a plain scalar stands for, and what is to be told of it."""
    told = [_told_apart(text)] if _OTHER_IN_1_1.fullmatch(text) else []
    if text in _CONSTANTS:
        return _CONSTANTS[text], told
    if _INTEGER.fullmatch(text):
        return _integer(text, told)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number, told
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        advice = f'write it in quotes if it is text: `"{_short(text)}"`'
        told.append((kinds.NUMBER, f"`{_short(text)}` is not a finite number", advice))
    return text, told


def _told_apart(text: str) -> Told:
    is_number = bool(_INTEGER.fullmatch(text)) and len(text) <= 20
    here = f"the number {int(text)}" if is_number else "text"
    advice = (
        f"write `{int(text)}`, or in quotes if it is text" if is_number else f'write it in quotes: `"{_short(text)}"`'
    )
    message = f"`{_short(text)}` is {here} here, and something else to a reader of YAML 1.1"
    return kinds.TWO_READINGS, message, advice


def _integer(text: str, told: list[Told]) -> tuple[int, list[Told]]:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text, base) if len(text) <= 20 else MAX_INTEGER + 1
    if abs(number) <= MAX_INTEGER:
        return number, told
    message = f"the integer `{_short(text)}` cannot be carried exactly: its size is above {MAX_INTEGER}"
    return 0, [*told, (kinds.NUMBER, message, f'write it as text: `"{_short(text)}"`')]


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:20] + "..."
