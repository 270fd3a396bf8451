"""A command as a child of this process: started without a shell, stopped with its parent, heard to its last line."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from pipec.record import frozen
from pipec.tail import Tail, printable

DRAIN_S = 5.0  # for last words; only a stranger that holds the pipe of a child that is gone makes us wait


@frozen
class End:
    """How a command ended. code: as a shell has it, 128 and the signal's number included. signal: its name, or empty.

    last_line: of its standard error, fit to be reported; empty if it said nothing.
    """

    code: int
    signal: str
    last_line: str


def run(argv: Sequence[bytes]) -> End:
    """Run a command to its end. What ends this process by an exception ends the command too. Raises OSError.

    It has this process's folder, environment and standard output; what it says on standard error is passed on.
    """
    tail = Tail()
    process: subprocess.Popen[bytes] | None = None
    try:
        with _held_back(signal.SIGTERM, signal.SIGINT):
            # A group of its own: the command gets one SIGTERM, from here, whoever else was told; and what it leaves
            # behind is found. An engine that kills this process finds the command by what it inherits.
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0)
            pump = threading.Thread(target=_pass_on, args=(process.stderr, tail), daemon=True)
            pump.start()
        _await_end(process.pid)
    except BaseException:
        if process:
            _signal(process.pid, signal.SIGTERM)
            _await_end(process.pid)  # how long it may take is for whoever asked: they can kill
        raise
    finally:
        if process:
            _signal(process.pid, signal.SIGKILL)  # the group: its number is taken until the exit code is asked for
            process.wait()
            pump.join(DRAIN_S)
    code = process.returncode
    return End(code if code >= 0 else 128 - code, _name(-code) if code < 0 else "", printable(tail.last))


@contextmanager
def _held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Deliver signals only afterwards: one that came while a command is started would leave it without a parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # Not a mask: the command would inherit that. A handler of ours ends where another program begins.
    before = {number: signal.signal(number, lambda n, frame: came.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _await_end(pid: int) -> None:
    """Wait until the process has ended; its exit code stays to be read, and so its number is not given to another."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _pass_on(stream: IO[bytes], tail: Tail) -> None:
    """Carry a stream to standard error until its end; nobody listening there is no reason to stop the command."""
    last = b"\n"
    with stream:
        while chunk := os.read(stream.fileno(), 1 << 16):
            tail.feed(chunk)
            last = chunk[-1:]
            _write(chunk)
    if last != b"\n":
        _write(b"\n")  # what this process says next is a line of its own


def _write(data: bytes) -> None:
    with suppress(OSError):
        while data:
            data = data[os.write(2, data) :]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
