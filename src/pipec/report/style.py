"""How text meets a terminal: colours of its basic palette, and nothing in it that a terminal would act upon."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Role(StrEnum):
    """What a piece of text is for. The value: its Select Graphic Rendition parameters (ECMA-48, 8.3.117)."""

    ERROR = "1;31"
    WARNING = "1;33"
    MESSAGE = "1"
    FRAME = "34"
    NOTE = "36"
    HELP = "32"


Paint = Callable[[str, Role], str]


def painter(*, is_colored: bool) -> Paint:
    """Return what colours a piece of text, or leaves it as it is."""
    return _colored if is_colored else _plain


def _colored(text: str, role: Role) -> str:
    return f"\x1b[{role}m{text}\x1b[0m" if text else ""


def _plain(text: str, role: Role) -> str:
    return text


PLAIN: Paint = painter(is_colored=False)


def visible(text: str) -> str:
    """Return a text of which no character moves a cursor, ends a line or turns its direction; each stays one wide.

    What is quoted comes from a file that a stranger may have written, and is printed to terminals and logs. A half of
    a surrogate pair, which stands for a byte of a path that is no UTF-8, could not be printed at all.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


_UNKNOWN = "\ufffd"
_VISIBLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code != 0x09},  # the control pictures of Unicode
    0x7F: "\u2421",
    **dict.fromkeys((*range(0x80, 0xA0), 0x2028, 0x2029), _UNKNOWN),
    **dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), _UNKNOWN),  # direction
    **dict.fromkeys(range(0xD800, 0xE000), _UNKNOWN),
}
