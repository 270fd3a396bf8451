"""How many runs of a pipeline go on at once in one home, and what becomes of one too many (`concurrency`).

A run holds one of the files `<home>/slots/<pipeline>/<n>` as `lock.py` holds a run: its process's death frees it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path

from pipec.compiler.plan import Plan
from pipec.engine import files, lock, signals
from pipec.engine.outcome import EngineError, RunOutcome
from pipec.record import mutable

LOOK_S = 0.2  # between looks at the slots while waiting: nothing tells when one becomes free


@mutable
class Slot:
    """A place among the runs that may go on. `handle` is None where their number is not limited."""

    handle: int | None = None

    def name(self, run_id: str) -> None:
        """Say in the slot's file which run it is for: messages of others name it."""
        if self.handle is not None:
            lock.write_identity(self.handle, run_id)


class TurnedAway(Exception):
    """The run does not start. outcome: what is told of it."""

    def __init__(self, outcome: RunOutcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


@contextlib.contextmanager
def taken(plan: Plan, home: Path, run_id: str, note: Callable[[str], None]) -> Iterator[Slot]:
    """Hold a slot for the length of the block, waiting for one if that is what the plan says.

    run_id: of a run that is resumed, or empty. note: is told for whom the run waits. Raises TurnedAway, and EngineError
    if the slots cannot be used.
    """
    if plan.concurrency is None:
        yield Slot()
        return
    try:
        files.make_folder(home / "slots" / plan.pipeline)
    except OSError as fault:
        raise EngineError(f"{fault.filename} cannot be used: {fault.strerror}") from fault
    handle = _Wait(plan, home / "slots" / plan.pipeline, run_id, note).enter()
    try:
        yield Slot(handle)
    finally:
        lock.release(handle)


@mutable
class _Wait:
    """A run in front of the slots. asked: holders that were asked to end. number: of the signal that ends the wait."""

    plan: Plan
    folder: Path
    run_id: str
    note: Callable[[str], None]
    asked: list[lock.Identity] = field(default_factory=list)
    number: int = 0
    woken: threading.Event = field(default_factory=threading.Event)

    def enter(self) -> int:
        """Return the handle of a slot that is held now."""
        assert self.plan.concurrency
        handle, holders = self._try()
        if handle is not None:
            return handle
        if self.plan.concurrency.on_conflict == "skip":
            verb = "go" if len(holders) > 1 else "goes"
            raise TurnedAway(
                self._told("skipped", f"{self._limit()}, and {_who(holders)} {verb} on: nothing was started")
            )
        with signals.handed(self._hear):
            self.note(f"{self._limit()}: waiting for {_who(holders)}")
            while handle is None:
                if self.plan.concurrency.on_conflict == "cancel":
                    self._cancel(holders)
                self.woken.wait(LOOK_S)
                if self.number:
                    raise TurnedAway(
                        self._told("interrupted", f"it had waited for {_who(holders)}: nothing was started")
                    )
                handle, holders = self._try()
        return handle

    def _try(self) -> tuple[int | None, list[lock.Identity]]:
        """Take a slot if fewer runs than may go on do; return it, and who holds one. One process at a time tries."""
        assert self.plan.concurrency
        with _alone(self.folder):
            slots = [self.folder / str(n) for n in range(self.plan.concurrency.maximum)]
            others = [path for path in self.folder.iterdir() if path.name.isdigit() and path not in slots]
            holders = {path: holder for path in (*slots, *others) if (holder := lock.holder(path)) is not None}
            free = [path for path in slots if path not in holders]
            if len(holders) < self.plan.concurrency.maximum and free:
                return lock.grab(free[0], self.run_id), []
            return None, sorted(holders.values(), key=lambda holder: str(holder.get("since", "")))

    def _cancel(self, holders: list[lock.Identity]) -> None:
        """Ask the holder that has been at it longest to end, once."""
        oldest = holders[0] if holders else {}
        pid = oldest.get("pid")
        if oldest in self.asked or not isinstance(pid, int) or not lock.lives(oldest):
            return
        self.asked.append(oldest)
        self.note(f"asking {_who([oldest])} to end")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)

    def _hear(self, number: int) -> None:
        self.number = number
        self.woken.set()

    def _limit(self) -> str:
        assert self.plan.concurrency
        most = self.plan.concurrency.maximum
        return f"pipeline `{self.plan.pipeline}` has at most {most} run{'' if most == 1 else 's'} at once"

    def _told(self, status: str, message: str) -> RunOutcome:
        return RunOutcome(
            run_id=self.run_id, pipeline=self.plan.pipeline, status=status, message=message, signal=self.number
        )


def _who(holders: list[lock.Identity]) -> str:
    """Name the runs that hold the slots."""
    named = [f"run {h['run']} in process {h.get('pid', '?')}" if h.get("run") else f"process {h.get('pid', '?')}"
             for h in holders]  # fmt: skip
    return f"{named[0]}{f' and {len(named) - 1} more' if len(named) > 1 else ''}" if named else "another run"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from looking at the slots meanwhile; held for moments only, and freed by a death."""
    handle = os.open(folder / "door", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: as in `lock.py`
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
