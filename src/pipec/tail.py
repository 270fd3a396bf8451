"""What a process said last, as one line that is fit to be reported.

Below engine and steps because both start processes of others, and must report their last words alike.
"""

from __future__ import annotations

import re

LOG_LIMIT = 8 << 20  # bytes of a log kept: enough for a long training, small beside any data
LINE_LIMIT = 500  # characters of a last line that are reported
_ANSI = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


def printable(text: bytes | str) -> str:
    """Return one line that no terminal obeys: no control characters, no escape sequences, not too long."""
    line = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = _ANSI.sub("", line)
    line = " ".join("".join(char if char.isprintable() else " " for char in line).split())
    return line if len(line) <= LINE_LIMIT else line[: LINE_LIMIT - 3] + "..."


def plain(line: bytes) -> str:
    """Return a line of any bytes as text that no terminal obeys; unlike `printable`, with its spaces as they are."""
    text = _ANSI.sub("", line.decode("utf-8", "replace"))
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\t" else " " for c in text)


class Tail:
    """The last line of a stream that says anything, whatever the lengths of its lines."""

    def __init__(self) -> None:
        self.last = b""
        self._is_open = False

    def feed(self, data: bytes) -> None:
        for n, line in enumerate(data.replace(b"\r", b"\n").split(b"\n")):  # a progress bar returns to write again
            if n:
                self._is_open = False
            if self._is_open:
                self.last = (self.last + line)[: 4 * LINE_LIMIT]
            elif line.strip():
                self.last, self._is_open = line[: 4 * LINE_LIMIT], True
