"""One process from start to end: its whole family, its time, its words and its exit code. Knows no plan and no run.

A process marks its family through an inherited environment variable, so that what it leaves behind is found even in
other process groups, and even by a later engine after this one was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import IO

from pipec.record import frozen
from pipec.redact import Redactor
from pipec.steps.command import ATTEMPT
from pipec.tail import LOG_LIMIT, Tail, printable

MARK = ATTEMPT  # the environment variable; its value names the attempt
GRACE_S = 10.0  # between asking to end and ending: what Kubernetes' users expect of a checkpoint on SIGTERM is more
DRAIN_S = 5.0  # for the last words of a process that is gone; only a stranger holding its pipe makes us wait


@frozen
class Stop:
    """How a run's end reaches its processes. gently: end them; now: without the grace that is due."""

    gently: threading.Event = field(default_factory=threading.Event)
    now: threading.Event = field(default_factory=threading.Event)


@frozen(kw_only=True)
class Execution:
    """What to run. mark: the attempt's name for `MARK`. secrets: values that must not reach the log."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    log: Path
    mark: str
    timeout_s: float | None = None
    grace_s: float = GRACE_S
    secrets: tuple[str, ...] = ()


@frozen(kw_only=True)
class Exit:
    """How it ended. code: negative: the signal's number. cut: `timeout`, `stop`, or empty if it ended by itself.

    last_line: the last line of its standard error, fit to print. n_lost: bytes of output that the log does not hold.
    """

    code: int
    cut: str
    last_line: str
    duration_s: float
    n_lost: int


def execute(execution: Execution, stop: Stop) -> Exit:
    """Run a process to its end, and leave none of its family behind. Raises OSError if it cannot be started."""
    started = time.monotonic()
    log = _Log(execution.log)
    process = subprocess.Popen(
        execution.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=execution.folder,
        env={**execution.environ, MARK: execution.mark}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout and process.stderr
    tail = Tail()
    pumps = [
        _pump(process.stdout, log, Redactor(execution.secrets), None),
        _pump(process.stderr, log, Redactor(execution.secrets), tail),
    ]
    cut = _await_end(process.pid, execution, stop)
    _kill_group(process.pid)  # its number is still taken: nobody has asked for its exit code yet
    code = process.wait()
    duration_s = time.monotonic() - started
    end_family(execution.mark)
    for pump in pumps:
        pump.join(DRAIN_S)
    log.close()
    return Exit(code=code, cut=cut, last_line=printable(tail.last), duration_s=duration_s, n_lost=log.n_lost)


def _await_end(pid: int, execution: Execution, stop: Stop) -> str:
    """Wait until the process has ended, ending it at its deadline or when the run stops; say which."""
    deadline = time.monotonic() + execution.timeout_s if execution.timeout_s else None
    for _ in _until_ended(pid, stop.gently):
        if stop.gently.is_set():
            _end(pid, execution.grace_s, stop)
            return "stop"
        if deadline is not None and time.monotonic() >= deadline:
            _end(pid, execution.grace_s, stop)
            return "timeout"
    return ""


def _end(pid: int, grace_s: float, stop: Stop) -> None:
    """Ask the process group to end, and after the grace make it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for _ in _until_ended(pid, stop.now):
        if stop.now.is_set() or time.monotonic() >= deadline:
            _kill_group(pid)
            break
    for _ in _until_ended(pid, None):
        pass


def _until_ended(pid: int, wake: threading.Event | None) -> Iterator[None]:
    """Yield now and then, and at once when `wake` is set, until the process has ended; its exit code stays to be read.

    Not `Popen.wait`: that frees the number, and with it the right to signal the group.
    """
    pause = 0.001
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if wake is None or wake.is_set():
            time.sleep(pause)
        else:
            wake.wait(pause)
        pause = min(pause * 2, 0.05)
        yield


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def family(mark: str) -> list[int]:
    """Return the processes of the attempt `mark`, or of every attempt below it if it ends in `/`. Linux; else none."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = place.read_bytes().split(b"\0")
        except OSError:
            continue  # another user's, or gone
        if any(entry.startswith(wanted) if mark.endswith("/") else entry == wanted for entry in entries):
            found.append(int(place.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def end_family(mark: str, within_s: float = DRAIN_S) -> bool:
    """Kill what `family` finds until nothing is left; say whether that was so in time."""
    deadline = time.monotonic() + within_s
    while left := family(mark):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _pump(stream: IO[bytes], log: _Log, redactor: Redactor, tail: Tail | None) -> threading.Thread:
    """Carry a stream to the log on a thread of its own: a process must never wait for its reader."""

    def carry() -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                take(redactor.feed(chunk))
            take(redactor.rest())

    def take(data: bytes) -> None:
        log.write(data)
        if tail:
            tail.feed(data)

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    return thread


class _Log:
    """A file of bounded size that never fails its writer: what it cannot hold is counted."""

    def __init__(self, path: Path) -> None:
        self.n_lost = 0
        self._room = LOG_LIMIT
        self._lock = threading.Lock()
        self._stream = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        with self._lock:
            kept = data[: self._room]
            self._room -= len(kept)
            self.n_lost += len(data) - len(kept)
            try:
                if kept:
                    self._stream.write(kept)
            except (OSError, ValueError):
                self.n_lost += len(kept)

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self.n_lost:
                self._stream.write(f"\n[{self.n_lost} more bytes were not kept]\n".encode())
            self._stream.close()
