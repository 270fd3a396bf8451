"""Whether a JSON value is of a declared kind: asked of what users give and of what steps report."""

from __future__ import annotations

import math

from pipec.steps.interface import Kind
from pipec.values import Json


def is_a(kind: Kind, value: Json) -> bool:
    """Say whether `value` is of `kind`: true and false are no numbers, and a number is finite."""
    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case Kind.LIST:
            return isinstance(value, list | tuple)
        case Kind.OBJECT:
            return isinstance(value, dict)
