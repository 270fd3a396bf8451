"""Two processes where one was started: one that works, and one that looks after it and tells how it ended.

What works may be killed at any moment, be deaf to signals, say more than a log holds, or leave others behind; its
parent stays small (it imports nothing of what steps need), so that it is still there. As the first process of a
container it reaps what falls to it. Knows of the work only what `Told` says.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from types import FrameType
from typing import Any, TypeAlias

from pipec.record import frozen, mutable
from pipec.steps import lines, memory, orphan, result
from pipec.steps.declare import StepError, TryAgain
from pipec.steps.lines import Lines, Room, say

GRACE = "PIPEC_GRACE_S"  # seconds between asking a step to end and ending it, where the default does not suit
_GRACE_S = 25.0  # Kubernetes gives a pod 30 s: five are left to tell how it ended
_LINGER_S = 1.0  # helpers of multiprocessing end by themselves soon after their parent: no word about those
_DRAIN_S = 5.0  # for last words; only what cannot be killed makes us wait
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CHUNK = 1 << 16
Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None  # as the signal module has it
KILLED = 128 + signal.SIGKILL


class Told:
    """How the process that works tells its parent which attempt goes on; in a process without one, words to nobody.

    is_last: whether the parent makes no other attempt after this one. handed: what an attempt that went well left for
    whoever has no parent to hand it to.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self.is_last = True
        self.handed: str | None = None

    @property
    def is_alone(self) -> bool:
        """Whether there is no parent."""
        return self._descriptor is None

    def begins(self, title: str, place: str | None, base: str | None, hidden: tuple[str, ...]) -> None:
        """An attempt begins. title: what messages begin with. place: where its result goes.

        hidden: variables of the environment whose values are secrets.
        """
        self._say({"title": title, "place": place, "base": base, "hidden": list(hidden)})

    def ended(self) -> None:
        """The attempt has told its own end."""
        self._say(None)

    def hands(self, text: str) -> None:
        """The attempt went well, and left this to be handed over when nothing can be said after it."""
        self.handed = text
        self._say({"handed": text})

    def _say(self, word: object) -> None:
        if self._descriptor is not None:
            lines.write_whole(self._descriptor, json.dumps(word).encode() + b"\n")


@frozen(kw_only=True)
class End:
    """How the work ended.

    code: as a shell has it; 75 if it took too long. title: what its messages begin with. said: why, where it could not
    say so itself, else empty. last: its own last line. is_told: it has told its end. is_stopped: someone asked it to.
    handed: what it left to be handed over, or None.
    """

    code: int
    title: str
    said: str
    last: str
    is_told: bool
    is_stopped: bool
    handed: str | None = None


@mutable
class _Attempt:
    title: str
    place: str | None = None
    base: str | None = None
    is_told: bool = False
    handed: str | None = None


@mutable
class _Worker:
    """The process that works, as its parent sees it. status: as `waitpid` gives it, once it has ended.

    timeout_s: how long it may take. is_late: it took longer, and was asked to end.
    """

    pid: int
    attempt: _Attempt
    out: Lines
    err: Lines
    open: dict[int, Lines | None] = field(default_factory=dict)  # None: the descriptor of `Told`
    words: bytes = b""
    status: int | None = None
    stopped_by: int = 0
    timeout_s: float | None = None
    is_late: bool = False


def supervise(
    name: str, secrets: tuple[str, ...], timeout_s: float | None = None, settle: Callable[[End], None] | None = None
) -> End | Told:
    """Return twice: in a new process what it tells this one with, and here, when that has ended, how.

    name: what messages begin with before the work says better. secrets: values that no log may show. settle: tells the
    end to whom it concerns, in the place of the result file that the work named, before the log's last line. Signals
    to end are blocked from here on: what is to be told is told, come what may.
    """
    orphan.adopt()
    before = memory.measured()
    if sys.stdout is not None:
        sys.stdout.flush()
    ends = [os.pipe() for _ in range(3)]
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # one that came during the fork would be lost
    parent, pid = os.getpid(), os.fork()
    if not pid:
        return _begin(parent, ends)
    with suppress(OSError):
        os.setpgid(pid, pid)  # both do it: whoever comes first
    for _, write in ends:
        os.close(write)
    room = Room()
    worker = _Worker(pid, _Attempt(name), Lines(1, room, secrets), Lines(2, room, secrets), timeout_s=timeout_s)
    worker.open = dict(zip((read for read, _ in ends), (worker.out, worker.err, None), strict=True))
    with _listening(worker) as selector:
        _watch(worker, selector)
        left = _end_rest(worker, selector)
        _drain(worker, selector)
    return _tell_end(worker, before, [*_about_rest(worker, left), *_about_log(room)], settle)


def heard() -> list[signal.Signals]:
    """Return the signals that ask a step to end: all but what whoever started it lets pass it by (`nohup`)."""
    return [n for n in _STOPS if n is signal.SIGTERM or signal.getsignal(n) is not signal.SIG_IGN]


def hear(handlers: Mapping[int, Handler]) -> dict[int, Handler]:
    """Take signals by these handlers from now on, those that waited too; return the handlers before."""
    before: dict[int, Handler] = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    return before


def _begin(parent: int, ends: list[tuple[int, int]]) -> Told:
    """Make this new process the one that works: in a group of its own, heard by its parent."""
    os.setpgid(0, 0)
    (_, out), (_, err), (_, control) = ends
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    for descriptor in (nothing, out, err, *(read for read, _ in ends)):
        os.close(descriptor)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # a pipe would hold lines back until there are many
    orphan.end_with_parent(parent)
    return Told(control)  # signals wait until `hear` is ready for them


@contextmanager
def _listening(worker: _Worker) -> Iterator[selectors.DefaultSelector]:
    """Hand signals on, and give a selector that wakes at output, at words and when a child has ended."""
    awake, alarm = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(alarm, False)
    selector = selectors.DefaultSelector()
    for descriptor in worker.open:
        selector.register(descriptor, selectors.EVENT_READ)
    selector.register(awake, selectors.EVENT_READ)

    # In handlers rather than in the loop: that may be held by a log which nobody reads.
    def forward(number: int, frame: FrameType | None) -> None:
        if not worker.stopped_by:
            worker.stopped_by = number
            signal.setitimer(signal.ITIMER_REAL, _grace_s())
        _signal(worker, number)

    def alert(number: int, frame: FrameType | None) -> None:
        if worker.stopped_by or worker.is_late:
            _signal(worker, signal.SIGKILL)
            return
        worker.is_late = True
        signal.setitimer(signal.ITIMER_REAL, _grace_s())
        _signal(worker, signal.SIGTERM)

    waker = signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    before = hear(
        {
            signal.SIGALRM: alert,
            signal.SIGCHLD: lambda *_: None,  # without one, nothing wakes us
            **dict.fromkeys(heard(), forward),
        }
    )
    if worker.timeout_s:
        signal.setitimer(signal.ITIMER_REAL, worker.timeout_s)
    try:
        yield selector
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(waker)
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # the end is told, come what may
        for number, handler in before.items():
            signal.signal(number, handler)
        selector.close()
        os.close(awake)
        os.close(alarm)


def _grace_s() -> float:
    try:
        return max(0.001, float(os.environ.get(GRACE, _GRACE_S)))
    except ValueError:
        return _GRACE_S


def _signal(worker: _Worker, number: int) -> None:
    if worker.status is None:  # its number is taken until then
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, number)


def _watch(worker: _Worker, selector: selectors.DefaultSelector) -> None:
    while worker.status is None:
        _turn(worker, selector, 1.0)
        _reap(worker)


def _turn(worker: _Worker, selector: selectors.DefaultSelector, wait_s: float) -> None:
    """Take in what there is, words before output: they may say what must not be shown."""
    ready = {key.fd for key, _ in selector.select(wait_s)}
    for descriptor in sorted(ready, key=lambda each: worker.open.get(each) is not None):
        data = _read(descriptor)
        if descriptor not in worker.open:
            continue
        if not data:
            selector.unregister(descriptor)
            os.close(descriptor)
            del worker.open[descriptor]
        elif (stream := worker.open[descriptor]) is not None:
            stream.feed(data)
        else:
            _hear(worker, data)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""


def _hear(worker: _Worker, data: bytes) -> None:
    *words, worker.words = (worker.words + data).split(b"\n")
    for word in map(json.loads, words):
        if word is None:
            worker.attempt.is_told = True
            continue
        if "handed" in word:
            worker.attempt.handed = word["handed"]
            continue
        worker.attempt = _Attempt(word["title"], word["place"], word["base"])
        hidden = [os.environ[name] for name in word["hidden"] if name in os.environ]
        if hidden:
            worker.out.hide(hidden)
            worker.err.hide(hidden)


def _reap(worker: _Worker) -> None:
    """Take leave of every child that has ended, orphans that fell to us too."""
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            _, status = os.waitpid(ended.si_pid, 0)
            if ended.si_pid == worker.pid:
                worker.status = status


def _end_rest(worker: _Worker, selector: selectors.DefaultSelector) -> set[str]:
    """End what the step left behind; return the names of the programs that did not end by themselves."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    begun = time.monotonic()
    named: set[str] = set()
    while not orphan.is_alone() and time.monotonic() - begun < _LINGER_S + _DRAIN_S:
        if worker.stopped_by or time.monotonic() - begun >= _LINGER_S:
            left = orphan.children()
            named |= set(left.values())
            orphan.kill(left)
        _turn(worker, selector, 0.02)
        _reap(worker)
    return named


def _drain(worker: _Worker, selector: selectors.DefaultSelector) -> None:
    deadline = time.monotonic() + _DRAIN_S
    while worker.open and time.monotonic() < deadline:
        _turn(worker, selector, 0.05)
    worker.out.close()
    worker.err.close()


def _about_rest(worker: _Worker, names: set[str]) -> Iterator[str]:
    if names and not worker.stopped_by:
        shown = ", ".join(f"`{name}`" for name in sorted(names))
        yield f"{worker.attempt.title}: the step left {shown} running, now ended: let it wait for what it starts"


def _about_log(room: Room) -> Iterator[str]:
    if room.n_lost:
        yield f"[{room.n_lost} more bytes were not kept]"


def _tell_end(
    worker: _Worker, before: memory.Memory | None, notes: list[str], settle: Callable[[End], None] | None
) -> End:
    """Say how the work ended where it could not say so itself, in the log and in the result; return it."""
    assert worker.status is not None, "a worker is told of once it has ended"
    code, message = _meaning(worker, os.waitstatus_to_exitcode(worker.status), before)
    for note in notes:
        say(note)
    end = End(
        code=code, title=worker.attempt.title, said=message, last=worker.err.last,
        is_told=worker.attempt.is_told, is_stopped=bool(worker.stopped_by), handed=worker.attempt.handed,
    )  # fmt: skip
    if settle:
        settle(end)
    elif message:
        _tell_result(worker.attempt, message)
    elif code and code == 128 + worker.stopped_by and not worker.attempt.is_told:
        _tell_result(worker.attempt, "it was stopped before it was done: run it again")  # it has said so in the log
    if message:
        say(f"{worker.attempt.title}: {message}")
    if notes and not message and worker.err.last:
        say(worker.err.last)  # what it said last is the cause, so it stays the last line
    return end


def _meaning(worker: _Worker, code: int, before: memory.Memory | None) -> tuple[int, str]:
    """Return the exit code as a shell has it, and what to say where the work itself did not.

    A child of the step that was killed for memory makes the step fail in many ways: the kernel's count says it.
    """
    if code and worker.is_late and not worker.stopped_by:
        longest = f"{worker.timeout_s:g} s"
        return TryAgain.exit_code, f"it took longer than its timeout of {longest}: give it a longer `timeout`"
    now = memory.measured()
    if before and now and now.n_kills > before.n_kills and code in (1, KILLED, -signal.SIGKILL):
        limit = f"it may use {now.limit_mib} MiB" if now.limit_mib else "the machine had no more"
        return KILLED, f"it was killed, out of memory: {limit}: give it more under `resources`, or less to do"
    if code == -signal.SIGKILL and worker.stopped_by:
        return KILLED, "it was asked to stop, and was killed when it did not: run it again"
    if code == -signal.SIGKILL:
        return KILLED, "it was killed by someone (SIGKILL), not for memory that is counted here: run it again"
    if code < 0 and worker.stopped_by == -code:
        return 128 - code, "it was stopped before it was done: run it again"
    if code < 0:
        name = _name(-code)
        return 128 - code, f"it was ended by {name}: set PIPEC_DEBUG=1 to see where, or run it again"
    return code, ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tell_result(attempt: _Attempt, message: str) -> None:
    try:
        result.write(attempt.place, result.text("failed", message), attempt.base)
    except (StepError, OSError) as fault:
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        say(f"{attempt.title}: the result could not be written either: {why.lower()}")
