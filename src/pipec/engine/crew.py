"""The threads on which attempts run, and how they report to the one that decides."""

from __future__ import annotations

import os
import queue
import threading
from dataclasses import replace

from pipec.compiler.plan import Task
from pipec.engine.attempt import Job, Result, Shop, perform
from pipec.record import frozen


@frozen
class Began:
    """A process is being started; not told of work that is kept or cached."""

    name: str
    attempt: int


@frozen
class Done:
    """An attempt is over. fault: what it raised."""

    name: str
    result: Result
    fault: BaseException | None = None


class Crew:
    """The attempts under way. running: their tasks, by name; changes on the deciding thread only."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._events: queue.SimpleQueue[Began | Done | None] = queue.SimpleQueue()
        self.running: dict[str, Task] = {}

    def fits(self, task: Task) -> bool:
        """Say whether the machine has room; a task larger than the machine fits when it is alone."""
        if not self.running:
            return True
        # How many devices there are is for the step to find out, so those who want one take turns.
        if task.resources.accelerator and any(other.resources.accelerator for other in self.running.values()):
            return False
        return sum(other.resources.cpu for other in self.running.values()) + task.resources.cpu <= (os.cpu_count() or 1)

    def start(self, job: Job) -> None:
        """Make an attempt on a thread of its own."""
        self.running[job.task.name] = job.task
        told = replace(job, begin=lambda: self._events.put(Began(job.task.name, job.number)))
        threading.Thread(target=self._work, args=(told,), daemon=True).start()

    def _work(self, job: Job) -> None:
        try:
            self._events.put(Done(job.task.name, perform(self._shop, job)))
        except BaseException as fault:
            self._events.put(Done(job.task.name, Result(), fault))

    def wake(self) -> None:
        """Let `report` return now; may be called in the middle of anything, such as a signal's handler."""
        self._events.put(None)

    def report(self, wait_s: float | None = None) -> Began | Done | None:
        """Return the next thing that happened, or None if nothing did in time."""
        try:
            event = self._events.get(timeout=wait_s)
        except queue.Empty:
            return None
        if isinstance(event, Done):
            del self.running[event.name]
        return event
