"""The loop that turns a plan into a run: who starts when, who is tried again, who waits, and when it is over.

One thread judges, journals and reports; attempts run on threads of their own and hand their results back. Correct
rather than fast: every change of state is on disk before anything is done because of it.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipec.compiler.plan import Plan, Task
from pipec.engine import files, lock, signals
from pipec.engine.attempt import Job, Result, Shop, perform
from pipec.engine.cache import Cache
from pipec.engine.call import Place
from pipec.engine.folder import Folder, find, folders, moment, new_run_id
from pipec.engine.journal import Journal, read
from pipec.engine.options import RunOptions, check, parameters
from pipec.engine.outcome import EngineError, RunOutcome, State, TaskOutcome
from pipec.engine.process import Stop, end_family
from pipec.engine.progress import Progress
from pipec.engine.replay import Replay, apply, replay, session_record, stands
from pipec.engine.state import Facts, Fail, Frontier, Ready, Skip, judge, outcome_of
from pipec.engine.store import Store
from pipec.engine.summary import summarize
from pipec.values import Json, OutputRef

TICK_S = 0.2  # between looks at the clock, the screen and the decisions while tasks run
LONGEST_WAIT_S = 3600.0  # between attempts (rule 7)


def run(plan: Plan, options: RunOptions, progress: Progress) -> RunOutcome:
    """Run `plan` to its end, or as far as it goes, and return what came of it.

    Raises EngineError if the run cannot begin, or its journal cannot be written; what was finished is kept then too.
    """
    check(plan, options)
    try:
        options = replace(options, home=options.home.absolute(), base=options.base.absolute())
        folder = _folder(plan, options)
    except OSError as fault:
        raise EngineError(f"{fault.filename or options.home} cannot be used: {fault.strerror}") from fault
    with lock.hold(folder.lock, folder.run_id):
        journal = Journal(folder.journal)
        try:
            return _go_on(plan, options, progress, folder, journal)
        finally:
            journal.close()


def _go_on(plan: Plan, options: RunOptions, progress: Progress, folder: Folder, journal: Journal) -> RunOutcome:
    """Run what the journal does not say is finished: of a new run that is everything."""
    earlier = replay(folder.run_id, journal.records)
    declared = {parameter.name for parameter in plan.parameters}
    given = {name: value for name, value in earlier.given.items() if name in declared} | dict(options.parameters)
    known = parameters(plan, given)
    _clear(folder)
    apply(earlier, journal.append(session_record(plan, earlier, given, options.scheduled_at or moment(), moment())))
    facts = Facts(run_id=folder.run_id, scheduled_at=earlier.scheduled_at, parameters=known, endings={})
    return _Run(_shop(plan, options, folder, journal, earlier), options, progress, earlier, facts).conduct()


def _shop(plan: Plan, options: RunOptions, folder: Folder, journal: Journal, earlier: Replay) -> Shop:
    store = Store(options.home / "artifacts")
    place = Place(
        base=options.base, releases=options.releases, secrets=options.secrets, wait_s=options.wait_s,
        triggers=options.triggers or None,
    )  # fmt: skip
    return Shop(
        plan=plan, place=place, store=store, cache=Cache(options.home / "cache", store), journal=journal,
        folder=folder, launcher=options.launcher, session=earlier.n_sessions, approve_as=options.approve_as,
        grace_s=options.grace_s, stop=Stop(), shown=dict(earlier.shown),
    )  # fmt: skip


def _folder(plan: Plan, options: RunOptions) -> Folder:
    """Return the folder of a new run, or of the one to resume. Raises EngineError and OSError."""
    if options.resume is None:
        folder = Folder(options.home / "runs" / new_run_id(datetime.now(UTC)))
    elif options.resume == "latest":
        found = next((each for each in folders(options.home) if _pipeline(each) == plan.pipeline), None)
        if found is None:
            raise EngineError(f"pipeline `{plan.pipeline}` has no run to resume in {options.home}")
        folder = found
    else:
        folder = find(options.home, options.resume)
        if _pipeline(folder) not in (plan.pipeline, ""):
            raise EngineError(f"run {folder.run_id} is of pipeline `{_pipeline(folder)}`, not of `{plan.pipeline}`")
    for each in (folder.work, folder.logs, folder.path / "decisions"):
        files.make_folder(each)
    return folder


def _pipeline(folder: Folder) -> str:
    return replay(folder.run_id, read(folder.journal)[:1]).pipeline


def _clear(folder: Folder) -> None:
    """End what an engine that was killed left running, then remove its unfinished work: never two writers."""
    if not end_family(f"{folder.work}/"):
        raise EngineError(f"a process of an earlier attempt of run {folder.run_id} does not end: end it by hand")
    try:
        files.remove(folder.work)
        files.make_folder(folder.work)
    except OSError as fault:
        raise EngineError(f"{fault.filename} cannot be removed: {fault.strerror}") from fault


@dataclass(frozen=True, slots=True)
class _Began:
    """A process is being started; not told of work that is kept or cached."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class _Done:
    """An attempt is over. fault: what it raised."""

    name: str
    result: Result
    fault: BaseException | None = None


class _Run:
    """One engine's share of a run. Its fields change on one thread only."""

    def __init__(self, shop: Shop, options: RunOptions, progress: Progress, earlier: Replay, facts: Facts) -> None:
        self.shop, self.options, self.progress = shop, options, progress
        self.plan, self.folder, self.journal = shop.plan, shop.folder, shop.journal
        self.index = {task.name: n for n, task in enumerate(self.plan.tasks)}
        self.tasks = {task.name: task for task in self.plan.tasks}
        self.earlier = {name: ending for name, ending in earlier.endings.items() if stands(ending)}
        self.attempts = dict(earlier.attempts)
        self.endings: dict[str, TaskOutcome] = {}
        self.facts = replace(facts, endings=self.endings)
        self.frontier = Frontier(self.plan)
        self.events: queue.SimpleQueue[_Began | _Done | None] = queue.SimpleQueue()
        self.ready: list[int] = []  # places in the plan, sorted
        self.due: dict[str, float] = {}  # when the next attempt comes, by the clock that never jumps
        self.running: dict[str, float] = {}  # the cores each uses
        self.was_decided: dict[str, bool] = {}  # whether there was a decision when the task was started
        self.changed: set[str] = set()
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

    def _is_busy(self) -> bool:
        self._unpark()
        return bool(self.running or (not self.signals and (self.ready or self.due)))

    # What may start

    def _judge(self, names: list[str]) -> None:
        """Decide what becomes of tasks whose needs have ended, and of all that this decides in turn."""
        todo = deque(names)
        while todo:
            task = self.tasks[todo.popleft()]
            match judge(task, self._facts(task)):
                case Ready():
                    self._queue(task.name)
                case Skip(reason):
                    todo += self._settle(self._plain(task, State.SKIPPED, reason))
                case Fail(reason):
                    todo += self._settle(self._plain(task, State.FAILED, reason))

    def _queue(self, name: str) -> None:
        insort(self.ready, self.index[name])

    def _facts(self, task: Task) -> Facts:
        """What a task may know: a final one also how the run went."""
        if not task.is_final:
            return self.facts
        return replace(self.facts, outcome=outcome_of(self.endings[t.name] for t in self.plan.tasks if not t.is_final))

    def _plain(self, task: Task, state: State, reason: str) -> TaskOutcome:
        return TaskOutcome(
            name=task.name, step=task.step, state=state, reason=reason, is_forgiven=task.continue_on_error
        )

    def _launch(self) -> None:
        """Start what is ready, in the plan's order, while there are hands and cores for it."""
        now = time.monotonic()
        for name in [name for name, when in self.due.items() if when <= now]:
            del self.due[name]
            self._queue(name)
        for place in list(self.ready):
            if self.signals or len(self.running) >= self.options.jobs:
                return
            if self._fits(self.plan.tasks[place]):
                self.ready.remove(place)
                self._start(self.plan.tasks[place])

    def _fits(self, task: Task) -> bool:
        """Say whether the machine has room; a task larger than the machine fits when it is alone."""
        if not self.running:
            return True
        # How many devices there are is for the step to find out, so those who want one take turns.
        if task.resources.accelerator and any(self.tasks[name].resources.accelerator for name in self.running):
            return False
        return sum(self.running.values()) + task.resources.cpu <= (os.cpu_count() or 1)

    def _start(self, task: Task) -> None:
        name = task.name
        self.n_started += 1
        self.running[name] = task.resources.cpu
        self.was_decided[name] = bool(self.options.approve_as) or self.folder.decision(name).exists()
        follows = next((need.task for need in task.needs if need.task in self.changed), "")
        is_stale = task.is_final and self.has_worked  # what concludes a run comes after all else
        needed = {need.task for need in task.needs}
        number = self.attempts.get(name, 0) + 1
        job = Job(
            task=task, number=number, serial=self.n_started, follows=follows,
            facts=replace(self._facts(task), endings={n: self.endings[n] for n in needed}),
            earlier=None if is_stale else self.earlier.pop(name, None),
            begin=lambda: self.events.put(_Began(name, number)),
        )  # fmt: skip
        threading.Thread(target=self._work, args=(job,), daemon=True).start()

    def _work(self, job: Job) -> None:
        try:
            self.events.put(_Done(job.task.name, perform(self.shop, job)))
        except BaseException as fault:
            self.events.put(_Done(job.task.name, Result(), fault))

    # What has ended

    def _take(self) -> None:
        """Wait for an attempt to end or for time to pass, and act on it."""
        wait_s = TICK_S
        if not self.running and self.due:
            wait_s = min(TICK_S, max(0.0, min(self.due.values()) - time.monotonic()))
        try:
            event = self.events.get(timeout=wait_s)
        except queue.Empty:
            return
        match event:
            case _Began(name, attempt):
                self.progress.started(name, attempt)
            case _Done(name, result, fault):
                del self.running[name]
                if fault:
                    raise fault
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
        name = outcome.name
        if not outcome.is_kept:
            self.journal.append({"type": "end", "at": moment(), "outcome": outcome.record()})
            self.has_worked |= outcome.state is not State.SKIPPED
        if any(need.task in self.changed for need in self.tasks[name].needs):
            self.changed.add(name)
        self.endings[name] = outcome
        self.attempts.pop(name, None)
        self.progress.ended(outcome)
        if outcome.state is State.PARKED:
            return []
        self.was_decided.pop(name, None)
        return self.frontier.end(name)

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
        self.events.put(None)

    def _heed(self) -> None:
        """Act on signals: the first asks what runs to end, the second ends it."""
        if self.signals:
            self.shop.stop.gently.set()
        if len(self.signals) > 1:
            self.shop.stop.now.set()

    def _stop_workers(self) -> None:
        """End what still runs; after an ordinary run that is nothing."""
        if self.running:
            self.shop.stop.gently.set()
        while self.running:
            self._heed()
            event = self.events.get()
            if isinstance(event, _Done):
                self.running.pop(event.name, None)

    def _finish(self) -> RunOutcome:
        tasks = tuple(self._stand(task) for task in self.plan.tasks)
        is_cut = bool(self.signals) and any(task.state is State.WAITING for task in tasks)
        status = "interrupted" if is_cut else outcome_of(tasks)
        outcome = RunOutcome(
            run_id=self.folder.run_id, pipeline=self.plan.pipeline, status=status, tasks=tasks,
            outputs=dict(self._outputs()), signal=self.signals[0] if is_cut else 0,
            message=summarize(status, tasks, self.folder.path, self.options.file, self.options.flags),
        )  # fmt: skip
        self.journal.append({
            "type": "finish", "at": moment(), "status": status, "message": outcome.message, "signal": outcome.signal,
            "outputs": dict(outcome.outputs),
        })  # fmt: skip
        self.progress.finish(outcome)
        return outcome

    def _stand(self, task: Task) -> TaskOutcome:
        return self.endings.get(task.name) or replace(
            self._plain(task, State.WAITING, ""), attempts=self.attempts.get(task.name, 0)
        )

    def _outputs(self) -> Iterator[tuple[str, Json]]:
        """The pipeline's outputs, without those whose step left nothing."""
        for name, reference in self.plan.outputs:
            if not isinstance(reference, OutputRef):
                yield name, self.facts.parameters.get(reference.name)
                continue
            ending = self.endings.get(reference.task)
            if ending and reference.output in ending.values:
                yield name, ending.values[reference.output]
            elif ending and (stored := ending.artifacts.get(reference.output)):
                place = self.shop.store.locate(stored.digest)
                yield name, {"type": stored.type, "digest": stored.digest, "path": str(place)}
