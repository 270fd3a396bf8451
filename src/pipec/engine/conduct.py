"""The loop that turns a plan into a run: who starts when, who is tried again, who waits, and when it is over.

One thread judges, journals and reports; attempts run on threads of their own and hand their results back. Correct
rather than fast: every change of state is on disk before anything is done because of it.
"""

from __future__ import annotations

import time
from bisect import insort
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipec.compiler.plan import Loop, Task
from pipec.engine import signals
from pipec.engine.attempt import Job, Result, Shop
from pipec.engine.crew import Began, Crew, Done
from pipec.engine.folder import moment
from pipec.engine.group import Entry, Groups
from pipec.engine.handed import handed
from pipec.engine.iteration import Unrolled, begin
from pipec.engine.loop import items, unroll
from pipec.engine.options import RunOptions
from pipec.engine.outcome import RunOutcome, State, TaskOutcome, with_loops
from pipec.engine.progress import Progress
from pipec.engine.replay import Replay, stands, unroll_record
from pipec.engine.state import Facts, Frontier, Place, judge, outcome_of
from pipec.engine.summary import summarize
from pipec.values import Value
from pipec.verdict import Fail, Fault, Ready, Skip, Verdict

TICK_S = 0.2  # between looks at the clock, the screen and the decisions while tasks run
LONGEST_WAIT_S = 3600.0  # between attempts (rule 7)


class Run:
    """One engine's share of a run. Its fields change on one thread only."""

    def __init__(self, shop: Shop, options: RunOptions, progress: Progress, earlier: Replay, facts: Facts) -> None:
        self.shop, self.options, self.progress = shop, options, progress
        self.plan, self.folder, self.journal = shop.plan, shop.folder, shop.journal
        self.tasks: dict[str, Task] = {}
        self.places: dict[str, Place] = {}
        self.earlier = {name: ending for name, ending in earlier.endings.items() if stands(ending)}
        self.refused = {name for name, ending in self.earlier.items() if ending.state is State.REFUSED}
        self.begun = set(earlier.begun)
        self.attempts = dict(earlier.attempts)
        self.endings: dict[str, TaskOutcome] = {}
        self.groups = Groups(self.plan.groups)
        self.loops: dict[str, Unrolled] = {}
        self.inside: dict[str, tuple[Unrolled, int]] = {}  # by task, the loop and which iteration of it
        self.left: dict[str, tuple[Mapping[str, Value], ...]] = {}
        self.facts = replace(facts, endings=self.endings, loops=self.left)
        listed = [((place,), task) for place, task in enumerate(self.plan.tasks)]
        self.frontier = Frontier(listed)
        for place, task in listed:
            self._list(place, task)
        self.crew = Crew(shop)
        self.ready: list[Entry] = []  # sorted
        self.due: dict[str, float] = {}  # when the next attempt comes, by the clock that never jumps
        self.was_decided: dict[str, bool] = {}  # whether there was a decision when the task was started
        self.changed: set[str] = set()
        self.concluded: str | None = None  # how the run went, once all but its final tasks have ended
        self.n_started = 0
        self.has_worked = False
        self.signals: list[int] = []

    def conduct(self) -> RunOutcome:
        """Run everything that can run."""
        self.progress.begin(self.folder.run_id, len(self.plan.tasks))
        with signals.handed(self._hear):
            try:
                self._judge(self.frontier.first())
                while self._is_busy():
                    self._launch()
                    self._take()
                    self._heed()
                    self.progress.tick()
            finally:
                self._stop_workers()
        return self._finish()

    def _list(self, place: Place, task: Task) -> None:
        self.tasks[task.name], self.places[task.name] = task, place
        if task.name in self.refused:
            self.groups.doubt(place, task)

    def _is_busy(self) -> bool:
        self._unpark()
        return bool(self.crew.running or (not self.signals and (self.ready or self.due)))

    # What may start

    def _judge(self, names: list[str]) -> None:
        """Decide what becomes of tasks whose needs have ended, and of all that this decides in turn."""
        todo = deque(names)
        while todo:
            task = self.tasks[todo.popleft()]
            match self._verdict(task):
                case Ready() if task.loop:
                    todo += self._unroll(task, task.loop)
                case Ready():
                    self._queue(task.name)
                case Skip(reason):
                    todo += self._settle(self._plain(task, State.SKIPPED, reason))
                case Fail(reason):
                    todo += self._settle(self._plain(task, State.FAILED, reason))

    def _verdict(self, task: Task) -> Verdict:
        verdict = judge(task, self._facts(task))
        if isinstance(verdict, Skip):
            return verdict
        if reason := self._stopped(task):
            return Skip(reason)
        loop, number = self.inside.get(task.name, (None, 0))
        fault = loop.iterations[number].faults.get(task.name) if loop else None
        return Fail(fault) if fault else verdict

    def _stopped(self, task: Task) -> str:
        """Return why `task`, which nobody has started, must not start any more, or an empty text (`fail_fast`)."""
        if task.name in self.begun:
            return ""
        if reason := self.groups.stopped(self.places[task.name], task):
            return reason
        return next((loop.stopped for loop, n in self._around(task.name) if loop.stopped and n not in loop.begun), "")

    def _around(self, name: str) -> Iterator[tuple[Unrolled, int]]:
        """Yield the loops that a task is in, and which iteration it belongs to, from the inside out."""
        while found := self.inside.get(name):
            yield found
            name = found[0].task.name

    def _queue(self, name: str) -> None:
        insort(self.ready, (self.places[name], name))

    def _facts(self, task: Task) -> Facts:
        """What a task may know: a final one also how the run went."""
        if not task.is_final:
            return self.facts
        if self.concluded is None:
            self.concluded = outcome_of(self.endings[t.name] for t in self.plan.tasks if not t.is_final)
        return replace(self.facts, outcome=self.concluded)

    def _plain(self, task: Task, state: State, reason: str) -> TaskOutcome:
        return TaskOutcome(
            name=task.name, step=task.step, state=state, reason=reason, is_forgiven=task.continue_on_error,
            is_loop=task.loop is not None,
        )  # fmt: skip

    def _launch(self) -> None:
        """Start what is ready, in the plan's order, while there are hands and cores for it."""
        now = time.monotonic()
        for name in [name for name, when in self.due.items() if when <= now]:
            del self.due[name]
            self._queue(name)
        for place, name in list(self.ready):
            if self.signals or len(self.crew.running) >= self.options.jobs:
                return
            task = self.tasks[name]
            if self.crew.fits(task):
                self.ready.remove((place, name))
                if not self.groups.holds(place, task, has_begun=name in self.begun):
                    self._start(task)

    def _start(self, task: Task) -> None:
        name = task.name
        self.n_started += 1
        self.groups.start(self.places[name], task)
        self.begun.add(name)
        self.was_decided[name] = bool(self.options.approve_as) or self.folder.decision(name).exists()
        is_stale = task.is_final and self.has_worked  # what concludes a run comes after all else
        earlier = None if is_stale else self.earlier.pop(name, None)
        for loop, at in self._around(name):
            loop.begun.add(at)
            loop.is_new |= earlier is None
        job = Job(
            task=task, number=self.attempts.get(name, 0) + 1, serial=self.n_started, follows=self._follows(task),
            earlier=earlier, facts=self._facts(task),  # what it may look up has ended, and no longer changes
        )  # fmt: skip
        self.crew.start(job)

    def _follows(self, task: Task) -> str:
        """Return a task that was done anew and before this one, or an empty text."""
        changed = next((need.task for need in task.needs if need.task in self.changed), "")
        return changed or next((loop.follows for loop, _ in self._around(task.name) if loop.follows), "")

    # What has ended

    def _take(self) -> None:
        """Wait for an attempt to end or for time to pass, and act on it."""
        wait_s = TICK_S
        if not self.crew.running and self.due:
            wait_s = min(TICK_S, max(0.0, min(self.due.values()) - time.monotonic()))
        match self.crew.report(wait_s):
            case Began(name, attempt):
                self.progress.started(name, attempt)
            case Done(name, result, fault):
                if fault:
                    raise fault
                self._requeue(self.groups.rest(self.places[name], self.tasks[name]))
                self._weigh(self.tasks[name], result)

    def _weigh(self, task: Task, result: Result) -> None:
        """Decide between an end and a further attempt."""
        if result.again:
            self.progress.note(f"`{task.name}` is done again: {result.again}")
        if result.is_changed:
            self.changed.add(task.name)
        outcome = result.outcome
        if outcome is None:
            return  # the run is stopping; this attempt does not count
        if result.is_retryable and outcome.attempts < task.retry.attempts:
            self._retry(task, outcome)
            return
        self._judge(self._settle(outcome))

    def _retry(self, task: Task, outcome: TaskOutcome) -> None:
        wait_s = min(float(task.retry.backoff_s) * 2 ** (outcome.attempts - 1), LONGEST_WAIT_S)
        self.attempts[task.name] = outcome.attempts
        self.journal.append({
            "type": "attempt", "task": task.name, "attempt": outcome.attempts, "reason": outcome.reason,
            "log": outcome.log, "wait_s": wait_s,
        })  # fmt: skip
        self.progress.retrying(task.name, outcome.reason, wait_s)
        self.due[task.name] = time.monotonic() + wait_s

    def _settle(self, outcome: TaskOutcome) -> list[str]:
        """Write an end down; return the tasks that it lets be judged."""
        name, task = outcome.name, self.tasks[outcome.name]
        loop, number = self.inside.get(name, (None, 0))
        outcome = replace(outcome, carrier=loop.task.name if loop else "")
        if name in self.loops or not outcome.is_kept:
            self.journal.append({"type": "end", "at": moment(), "outcome": outcome.record()})
        if name not in self.loops and not outcome.is_kept:
            self.has_worked |= outcome.state is not State.SKIPPED
        if any(need.task in self.changed for need in task.needs):
            self.changed.add(name)
        self.endings[name] = outcome
        self.attempts.pop(name, None)
        self.progress.ended(outcome)
        if outcome.state is State.PARKED:
            return []
        self.was_decided.pop(name, None)
        freed = self.frontier.end(name)
        was_stopped = self.groups.stopped(self.places[name], task)
        self._requeue(self.groups.end(self.places[name], task, outcome))
        if not was_stopped and self.groups.stopped(self.places[name], task):
            freed += self._sweep()
        return freed + (self._go_round(loop, number, outcome) if loop else [])

    def _requeue(self, entries: list[Entry]) -> None:
        for entry in entries:
            insort(self.ready, entry)

    def _sweep(self) -> list[str]:
        """Skip what is ready and must not start any more; return the tasks that this lets be judged."""
        swept = [(name, reason) for _, name in self.ready if (reason := self._stopped(self.tasks[name]))]
        gone = {name for name, _ in swept}
        self.ready = [entry for entry in self.ready if entry[1] not in gone]
        return [
            freed
            for name, reason in swept
            for freed in self._settle(self._plain(self.tasks[name], State.SKIPPED, reason))
        ]

    # Loops

    def _unroll(self, task: Task, loop: Loop) -> list[str]:
        """Make the iterations of a loop; return their tasks that can be judged."""
        try:
            iterations = unroll(task, items(loop, self._facts(task)))
        except Fault as fault:
            return self._settle(self._plain(task, State.FAILED, str(fault)))
        begun = begin(task, self.places[task.name], iterations, self.refused, self._follows(task))
        self.loops[task.name] = begun
        self.left[task.name] = tuple(each.outputs for each in iterations)
        self.journal.append(unroll_record(task.name, [each.tasks for each in iterations]))
        self.progress.unrolled(task.name, len(iterations), sum(begun.n_open))
        for number in range(len(iterations)):
            for place, each in begun.tasks(number):
                self.inside[each.name] = (begun, number)
                self._list(place, each)
                if each.name in self.begun:
                    for around, at in self._around(each.name):
                        around.begun.add(at)
        return self._let_in(begun) if iterations else self._close(begun)

    def _let_in(self, loop: Unrolled) -> list[str]:
        return [freed for number in loop.let_in() for freed in self.frontier.add(list(loop.tasks(number)))]

    def _go_round(self, loop: Unrolled, number: int, outcome: TaskOutcome) -> list[str]:
        """Act on the end of a task of an iteration; return the tasks that this lets be judged."""
        freed = self._sweep() if loop.end(number, outcome) else []
        if loop.task.name in self.endings:
            return freed  # what was swept was the rest of it
        return freed + (self._close(loop) if loop.is_over else self._let_in(loop))

    def _close(self, loop: Unrolled) -> list[str]:
        outcome, is_changed = loop.outcome(self.endings, self.changed)
        if is_changed or (loop.is_new and loop.task.name in self.earlier):
            self.changed.add(loop.task.name)
        return self._settle(outcome)

    def _unpark(self) -> None:
        """Give parked tasks another turn whose decision has come since they were started."""
        for name, was_decided in list(self.was_decided.items()):
            if name in self.endings and not was_decided and self.folder.decision(name).exists():
                del self.endings[name], self.was_decided[name]
                self._queue(name)

    # How it ends

    def _hear(self, number: int) -> None:
        """Note a signal. It comes in the middle of anything on the main thread, so it only leaves word."""
        self.signals.append(number)
        self.crew.wake()

    def _heed(self) -> None:
        """Act on signals: the first asks what runs to end, the second ends it."""
        if self.signals:
            self.shop.stop.gently.set()
        if len(self.signals) > 1:
            self.shop.stop.now.set()

    def _stop_workers(self) -> None:
        """End what still runs; after an ordinary run that is nothing."""
        if self.crew.running:
            self.shop.stop.gently.set()
        while self.crew.running:
            self._heed()
            self.crew.report()

    def _finish(self) -> RunOutcome:
        tasks = with_loops([self._stand(self.tasks[name]) for name in sorted(self.tasks, key=self.places.__getitem__)])
        is_cut = bool(self.signals) and any(task.state is State.WAITING for task in tasks)
        status = "interrupted" if is_cut else outcome_of(task for task in tasks if not task.carrier)
        outcome = RunOutcome(
            run_id=self.folder.run_id, pipeline=self.plan.pipeline, status=status, tasks=tasks,
            outputs=dict(handed(self.plan, self.facts, self.shop.store)), signal=self.signals[0] if is_cut else 0,
            message=summarize(status, tasks, self.folder.path, self.options.file, self.options.flags),
        )  # fmt: skip
        self.journal.append({
            "type": "finish", "at": moment(), "status": status, "message": outcome.message, "signal": outcome.signal,
            "outputs": dict(outcome.outputs),
        })  # fmt: skip
        self.progress.finish(outcome)
        return outcome

    def _stand(self, task: Task) -> TaskOutcome:
        loop, _ = self.inside.get(task.name, (None, 0))
        return self.endings.get(task.name) or replace(
            self._plain(task, State.WAITING, ""), attempts=self.attempts.get(task.name, 0),
            carrier=loop.task.name if loop else "",
        )  # fmt: skip
