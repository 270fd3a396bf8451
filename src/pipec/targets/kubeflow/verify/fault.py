"""What is wrong with a compiled pipeline, as a value, and what checks share. Knows no file and no position."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pipec.diagnostics import Rule, suggest
from pipec.record import frozen

Spec = dict[str, Any]  # a message in its JSON form; `shape` has held it against the table before anything else reads it
Path = tuple[str | int, ...]

PIPELINE: Path = ("pipeline",)
PLATFORM: Path = ("platform",)
MAX_SHOWN = 60  # characters of a value in a message


@frozen
class Fault:
    """One thing that is wrong. path: from `pipeline` or `platform` through keys and indices to what should change."""

    rule: Rule
    path: Path
    message: str
    help: str = ""


def unknown(rule: Rule, path: Path, message: str, word: str, known: Iterable[str]) -> Fault:
    """Return a fault about a name that is not among `known`, with the nearest of them."""
    return Fault(rule, path, message, suggest(word, known))


def shown(value: object) -> str:
    """Return a value as JSON would have it, in short."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text.replace("`", "'") or " "
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
