"""What a process says, on its way to a log: whole lines, fit to be read anywhere, and no more than a log can hold.

Knows bytes and descriptors: neither processes nor steps.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from pipec.record import mutable
from pipec.redact import Redactor, redacted
from pipec.tail import LOG_LIMIT, Tail, plain, printable

LINE_LIMIT = 1 << 16  # bytes of one line; container engines cut longer ones themselves, not always between characters
REDRAW_S = 5.0  # between two states of a progress bar: ten a second would fill the log with one bar
_END = 1 << 16  # bytes kept of what is no longer carried, for its last line: more than any secret is long
_BREAK = re.compile(rb"(\r\n|\n|\r(?!\Z))")  # a `\r` at the very end may be half of `\r\n`


def say(line: str) -> None:
    """Print one line to standard error; a closed one is no reason to fail."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


@mutable
class Room:
    """What streams of one log share: how many bytes it still takes, and how many it did not take."""

    n_left: int = LOG_LIMIT
    n_lost: int = 0

    def take(self, n: int) -> bool:
        """Say whether `n` more bytes are carried. Once they are not, none are: a log has no holes."""
        if n <= self.n_left:
            self.n_left -= n
            return True
        self.n_left = 0
        self.n_lost += n
        return False


class Lines:
    """One stream on its way to the descriptor `out`.

    A line that a program draws over (`\\r`) is carried now and then, as a line. What cannot be written is passed over:
    nobody listening is no reason to stop a step.
    """

    def __init__(
        self, out: int, room: Room, secrets: Iterable[str] = (), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._room = room
        self._secrets = tuple(secrets)
        self._redactor = Redactor(self._secrets)
        self._now = now
        self._open = b""  # of a line that has not ended
        self._drawn_at = float("-inf")
        self._drawn_over = b""  # the newest state of a bar that was not carried
        self._end = b""  # of what is no longer carried
        self._tail = Tail()

    def hide(self, secrets: Iterable[str]) -> None:
        """Blot out more secrets from here on."""
        self._secrets = (*self._secrets, *secrets)
        self._write(self._redactor.rest())
        self._redactor = Redactor(self._secrets)

    def feed(self, data: bytes) -> None:
        """Carry what was read. Costs next to nothing where the log is full."""
        if not self._room.n_left:
            self._room.n_lost += len(data)
            self._end = (self._end + data if len(data) < _END else data)[-_END:]
            return
        self._write(self._redactor.feed(data))

    def close(self) -> None:
        """Carry what is left at the end of the stream."""
        rest = self._redactor.rest()
        self._write(rest)
        last = self._open.rstrip(b"\r") or self._drawn_over
        self._open = self._drawn_over = b""
        if last:
            self._line(last)
        if self._end:
            self._tail.feed(redacted(self._end, self._secrets))

    @property
    def last(self) -> str:
        """The last line that said anything, fit to be reported."""
        return printable(self._tail.last)

    def _write(self, data: bytes) -> None:
        *parts, self._open = _BREAK.split(self._open + data)
        for line, end in zip(parts[::2], parts[1::2], strict=True):
            self._redraw(line) if end == b"\r" else self._line(line)
        while len(self._open) > LINE_LIMIT:
            self._line(self._open[:LINE_LIMIT])
            self._open = self._open[LINE_LIMIT:]

    def _redraw(self, line: bytes) -> None:
        if not line.strip():
            return
        self._drawn_over = line
        if self._now() - self._drawn_at >= REDRAW_S:
            self._drawn_at = self._now()
            self._line(line)

    def _line(self, line: bytes) -> None:
        self._drawn_over = b""
        for piece in _pieces(line):
            told = (plain(piece) + "\n").encode()
            self._tail.feed(told)
            if self._room.take(len(told)):
                write_whole(self._out, told)


def _pieces(line: bytes) -> Iterator[bytes]:
    yield line[:LINE_LIMIT]
    for at in range(LINE_LIMIT, len(line), LINE_LIMIT):
        yield line[at : at + LINE_LIMIT]


def write_whole(out: int, data: bytes) -> None:
    """Write all of `data` to a descriptor, waiting for one that does not wait itself; a closed one takes nothing."""
    while data:
        try:
            data = data[os.write(out, data) :]
        except BlockingIOError:
            select.select([], [out], [])
        except OSError:
            return
