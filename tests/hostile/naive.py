"""What a careless command line does: the control that the cage is not blind."""

from __future__ import annotations

import re


def main(arguments: list[str]) -> int:
    """Work, remember or fail too much, or answer."""
    match arguments[0]:
        case "works":
            re.search("^(a+)+$", "a" * 40 + "!")
        case "remembers":
            return len([bytearray(1 << 20) for _ in range(400)]) - 399
        case "fails":
            raise ValueError("nobody caught this")
    return 1
