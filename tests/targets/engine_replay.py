"""The engine's own run of a plan, with a script in the place of processes, beside a run that a target made of it.

The engine judges, unrolls and concludes as ever; what Kubeflow left out because of a failure, or Airflow by
`fail_fast`, is left out here too, if that is one of the ways in which the two may differ, and anything else that
differs is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fake_container import Given
from scripted import Key, Script

from pipec import digest
from pipec.compiler.plan import Plan, Task
from pipec.condition import named, statuses
from pipec.engine.attempt import Job, Result, Shop
from pipec.engine.conduct import Run
from pipec.engine.crew import Done
from pipec.engine.folder import Folder
from pipec.engine.options import RunOptions, parameters
from pipec.engine.outcome import RunOutcome, State, TaskOutcome
from pipec.engine.process import Stop
from pipec.engine.progress import Silent
from pipec.engine.replay import Replay
from pipec.engine.state import Facts, Place
from pipec.steps import argument
from pipec.steps.declare import CallerError, Refused, StepError, TryAgain
from pipec.steps.interface import Retry
from pipec.values import EachRef, OutputRef, Value, resolve
from pipec.verdict import Fault, resolved

BAD = (State.FAILED, State.REFUSED)


@dataclass(frozen=True, slots=True)
class There:
    """A run of a target. states: of tasks that came to something. fatal: those whose failure stopped others.

    given: what each task got that began. excused: those that may be left out.
    """

    states: Mapping[Key, State]
    fatal: frozenset[Key]
    given: Mapping[Key, Given]
    excused: frozenset[Key] = frozenset()


class _Quiet:
    """A journal that keeps nothing."""

    def append(self, record: Mapping[str, object]) -> Mapping[str, object]:
        return record


class _Store:
    """A store that nothing lies in."""

    def locate(self, address: str) -> Path:
        return Path(address)


@dataclass(slots=True)
class _Crew:
    """Ends tasks at once, as the script says; nothing runs beside anything else."""

    here: Here
    running: dict[str, Task] = field(default_factory=dict)
    jobs: deque[Job] = field(default_factory=deque)

    def fits(self, task: Task) -> bool:
        return True

    def start(self, job: Job) -> None:
        self.running[job.task.name] = job.task
        self.jobs.append(job)

    def wake(self) -> None:
        return

    def report(self, wait_s: float | None = None) -> Done | None:
        if not self.jobs:
            return None
        job = self.jobs.popleft()
        del self.running[job.task.name]
        return Done(job.task.name, self.here.end(job))


class Here:
    """A run of the engine. wrong: what differs from the run there. given: what each task got that began."""

    def __init__(self, plan: Plan, script: Script, there: There, texts: Mapping[str, str]) -> None:
        self.plan, self.script, self.there, self.texts = _patient(plan), script, there, texts
        self.wrong: list[str] = []
        self.left_out: set[str] = set()
        self.given: dict[Key, Given] = {}
        self.edges = dict(_edges(plan.tasks))
        folder = Folder(Path("/nowhere/runs/0b5e"))
        shop = Shop(
            plan=self.plan, place=None, store=_Store(), cache=None, journal=_Quiet(), folder=folder,  # type: ignore[arg-type]
            launcher=None, session=1, approve_as=None, grace_s=1, stop=Stop(),  # type: ignore[arg-type]
        )  # fmt: skip
        options = RunOptions(home=Path("/nowhere"), base=Path("/nowhere"), releases="", jobs=1000)
        facts = Facts(run_id="0b5e", scheduled_at="", parameters=parameters(plan, {}), endings={})
        self.run = Run(shop, options, Silent(), Replay(run_id="0b5e"), facts)
        self.run.crew = _Crew(self)  # type: ignore[assignment]

    def conduct(self) -> RunOutcome:
        """Run to the end, and compare."""
        outcome = self.run.conduct()
        seen = set()
        for task in outcome.tasks:
            if task.is_loop:
                continue
            key = self.key(task.name)
            seen.add(key)
            told = self.there.states.get(key, State.SKIPPED)
            if self._asks_left_out(self.run.tasks[task.name]):
                continue
            if task.state is not told and not (told is State.SKIPPED and self._is_left_out(key, task.name)):
                self.wrong.append(f"{_shown(key)} {task.state} here ({task.reason}) and {told} there")
        for key, state in self.there.states.items():
            if key not in seen and state is not State.SKIPPED:
                self.wrong.append(f"{_shown(key)} {state} there, and is no task here")
        for key in self.given.keys() & self.there.given.keys():
            if not _is_same(self.given[key], self.there.given[key]):
                self.wrong.append(f"{_shown(key)} was given {self.given[key]} here and {self.there.given[key]} there")
        return outcome

    def key(self, name: str) -> Key:
        """Return what the plan calls a task of the run, and the numbers of its iterations."""
        place: Place = self.run.places[name]
        task, numbers = self.plan.tasks[place[0]], []
        for number, at in zip(place[1::2], place[2::2], strict=True):
            assert task.loop
            numbers.append(number)
            task = task.loop.body[at]
        return task.name, tuple(numbers)

    def end(self, job: Job) -> Result:
        """Return how an attempt ends."""
        task, key = job.task, self.key(job.task.name)
        plain = TaskOutcome(
            name=task.name, step=task.step, state=State.SKIPPED, attempts=job.number,
            is_forgiven=task.continue_on_error,
        )  # fmt: skip
        if self.there.states.get(key, State.SKIPPED) is State.SKIPPED:
            if not self._is_left_out(key, task.name):
                self.wrong.append(f"{_shown(key)} runs here and not there")
            self.left_out.add(task.name)
            return Result(outcome=replace(plain, attempts=0, reason="left out there"))
        try:
            values = {name: resolved(value, job.facts) for name, value in task.parameters}
            self.given[key] = Given(
                argument.arguments(task.interface, values), dict(self._read(task, job.facts)), job.facts.outcome
            )
            self.script.end(key).attempt(job.number - 1)
        except TryAgain as fault:
            return Result(outcome=replace(plain, state=State.FAILED, reason=str(fault)), is_retryable=True)
        except Refused as fault:
            return Result(outcome=replace(plain, state=State.REFUSED, reason=str(fault)))
        except (Fault, CallerError, StepError) as fault:
            return Result(outcome=replace(plain, state=State.FAILED, reason=str(fault)))
        end = self.script.end(key)
        return Result(outcome=replace(
            plain, state=State.SUCCEEDED, values=end.values(task.interface),
            artifacts=end.artifacts(task.interface, key),
        ))  # fmt: skip

    def _read(self, task: Task, facts: Facts) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name, values in task.inputs:
            found = tuple(self._digest(one, facts) for value in values for one in facts.present(value))
            if found:
                yield name, found

    def _digest(self, value: Value, facts: Facts) -> str:
        if isinstance(value, OutputRef):
            return facts.endings[value.task].artifacts[value.output].digest
        return digest.of_text(self.texts[str(resolve(value, facts.lookup))])

    def _is_left_out(self, key: Key, name: str) -> bool:
        """Say whether a task may be left out there: on Kubeflow, a failure that it does not follow stopped it."""
        if key in self.there.excused:
            return True
        is_final = self.run.tasks[name].is_final
        stopping = [one for one in self.there.fatal if self._is_final(one) == is_final]
        return bool(stopping) and not any(self._follows(key, one) for one in stopping)

    def _asks_left_out(self, task: Task) -> bool:
        """Say whether a final step asks how a task ended that was left out there: of that, nobody can know."""
        asked = {status.task for status in statuses(task.when)} if task.is_final and task.when else set()
        return not asked.isdisjoint(self.left_out)

    def _is_final(self, key: Key) -> bool:
        tops = {task.name: task for top in self.plan.tasks for task in (top, *_below(top))}
        return tops[key[0]].is_final or any(
            top.is_final and key[0] in {task.name for task in _below(top)} for top in self.plan.tasks
        )

    def _follows(self, key: Key, before: Key) -> bool:
        seen, wanted = set(), [key[0]]
        while wanted:
            for name in self.edges[wanted.pop()] - seen:
                seen.add(name)
                wanted.append(name)
        shared = min(len(key[1]), len(before[1]))
        return before[0] in seen and key[1][:shared] == before[1][:shared]


def _is_same(here: Given, there: Given) -> bool:
    """Say whether two were given the same. How the run went is told there only to those who ask."""
    return here == (replace(there, outcome=here.outcome) if not there.outcome else there)


def _shown(key: Key) -> str:
    return " ".join((key[0], *map(str, key[1])))


def _below(task: Task) -> Iterator[Task]:
    for each in task.loop.body if task.loop else ():
        yield each
        yield from _below(each)


def _edges(tasks: Sequence[Task], around: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """Yield what each task waits for itself; a task in a loop also for what its loop waits for."""
    for task in tasks:
        found = {need.task for need in task.needs} | set(around)
        if task.when:
            found |= {status.task for status in statuses(task.when)}
            found |= {ref.task for ref in named(task.when) if isinstance(ref, OutputRef | EachRef)}
        yield task.name, found
        if task.loop:
            yield from _edges(task.loop.body, frozenset(found - {task.name}))


def _patient(plan: Plan) -> Plan:
    """Return a plan that stops nothing by itself and waits for nothing: what is left out is Kubeflow's to say."""
    groups = tuple(replace(group, fail_fast=False) for group in plan.groups)
    return replace(plan, groups=groups, tasks=tuple(_eager(task) for task in plan.tasks))


def _eager(task: Task) -> Task:
    loop = task.loop and replace(task.loop, fail_fast=False, body=tuple(_eager(each) for each in task.loop.body))
    return replace(task, loop=loop, retry=Retry(attempts=task.retry.attempts, backoff_s=0))
