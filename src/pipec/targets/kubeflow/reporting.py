"""Which tasks must tell how they ended, because Kubeflow would let nothing follow them.

Its edges are hard: what depends on a task that failed or was skipped never starts. Where rules 1 and 2 of the language
say more (soft edges, status functions, `continue_on_error`), the task before such an edge *reports*: it judges by
itself whether it may run, ends well in any case, and leaves its state as an output, on which conditions decide. As few
tasks as possible do so, since Kubeflow's own pages show them all as succeeded. Knows no IR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipec.compiler.plan import Group, Need, Task
from pipec.condition import AllOf, AnyOf, Condition, Not, Status, named, statuses
from pipec.steps.command import Report, ReportedNeed
from pipec.targets.ends import is_firm, may_hold, may_starve, seen, unsure
from pipec.targets.kubeflow.cel import can_say
from pipec.values import OutputRef, references
from pipec.verdict import SKIPPED


def reporting(tasks: Sequence[Task], groups: Iterable[Group] = ()) -> Mapping[str, Task]:
    """Return the tasks of one scope that report, by name, each with the task because of which it does.

    tasks: in an order in which they may run, without those of `finally`. groups: the cells of one that does not fail
    fast report, because a failure would keep Kubeflow from starting any other task.
    """
    patient = {group.name for group in groups if not group.fail_fast}
    known = {task.name: task for task in tasks}
    own = [
        task for task in tasks
        if task.continue_on_error or (task.group and task.group in patient) or may_starve(task, known)
    ]  # fmt: skip
    if not own and not any(_is_loose(task) for task in tasks):
        return {}
    return _Analysis(tasks, own).found


def is_sayable(task: Task) -> bool:
    """Say whether Kubeflow can answer a task's `when` itself.

    A value of a task that may have been skipped is absent then, which is a failure and not false; there, it is some
    value all the same.
    """
    if task.when is None:
        return True
    asked = {status.task for status in statuses(task.when)}
    read = {ref.task for ref in named(task.when) if isinstance(ref, OutputRef)}
    return can_say(task.when) and asked.isdisjoint(read)


def _is_loose(task: Task) -> bool:
    is_asking = task.when is not None and (any(statuses(task.when)) or not is_sayable(task))
    return is_asking or any(need.soft or need.forgiving for need in task.needs)


class _Analysis:
    """The search, until nothing more is found: a task that reports changes what others may be."""

    def __init__(self, tasks: Sequence[Task], own: Sequence[Task]) -> None:
        self.tasks = {task.name: task for task in tasks}
        self.found: dict[str, Task] = {task.name: task for task in own}
        self.before: dict[str, frozenset[str]] = {}  # by any edges
        self.hard: dict[str, frozenset[str]] = {}  # by hard edges only
        for task in tasks:
            needs = [need.task for need in task.needs if need.task in self.tasks]
            firm = [need.task for need in task.needs if need.task in self.tasks and is_firm(need)]
            self.before[task.name] = frozenset(needs).union(*(self.before[name] for name in needs))
            self.hard[task.name] = frozenset(firm).union(*(self.hard[name] for name in firm))
        while self._turn():
            continue

    def _turn(self) -> bool:
        before = len(self.found)
        optional = self._optional()
        for task in self.tasks.values():
            if not is_sayable(task) or _may_lack(task):
                self._add(task.name, task)
            for name in self._loose(task, optional):
                self._add(name, task)
            if task.name in self.found:
                # The last task of a run asks all that report, so each of them must start where nothing fails.
                for need in task.needs:
                    if need.task in optional:
                        self._add(need.task, task)
        return len(self.found) > before

    def _add(self, name: str, because: Task) -> None:
        if name in self.tasks:
            self.found.setdefault(name, because)

    def _optional(self) -> set[str]:
        """Return the tasks that may be left out though nothing fails."""
        found: set[str] = set()
        for task in self.tasks.values():
            if task.name not in self.found and (
                task.when or any(need.task in found or need.task in self.found for need in task.needs)
            ):
                found.add(task.name)
        return found

    def _loose(self, task: Task, optional: set[str]) -> Iterator[str]:
        """Yield the tasks of which `task` must know how they ended."""
        asked = {status.task for status in statuses(task.when)} if task.when else set()
        for name in sorted(asked):
            yield name
            if task.when and may_hold(task.when, name, SKIPPED):
                yield from self._felt(task, name)
        for need in task.needs:
            if need.task not in self.tasks or need.task in asked or not (need.soft or need.forgiving):
                continue
            if need.forgiving:
                yield need.task
                yield from self._felt(task, need.task)
            elif is_firm(need):
                if need.task in optional:
                    yield need.task
            else:
                felt = list(self._felt(task, need.task))
                if felt or need.task in optional:
                    yield from (need.task, *felt)

    def _felt(self, task: Task, producer: str) -> Iterator[str]:
        """Yield what may keep `producer` from running and `task` not: with nothing there, both edges mean the same."""
        yield from sorted(self.before.get(producer, frozenset()) - self.hard[task.name])


def _may_lack(task: Task) -> bool:
    """Say whether a task may run without a value that it reads: that fails it, and there is some value all the same."""
    values = [value for _, value in (*task.parameters, *task.env)]
    read = {ref.task for value in values for ref in references(value) if isinstance(ref, OutputRef)}
    return not unsure(task).isdisjoint(read)


def asked(task: Task, known: Mapping[str, Task], told: Mapping[str, Task]) -> Condition | None:
    """Return what must hold for a task that does not report to run: the states of those before it, then its `when`.

    known: the tasks of its scope by name. told: those of them that report.
    """
    own = {status.task for status in statuses(task.when)} if task.when else set()
    terms: list[Condition] = []
    groups: dict[str, list[Need]] = {}
    for need in task.needs:
        if need.any_of:
            groups.setdefault(need.any_of, []).append(need)
        if need.task in told and need.task not in own:
            terms += _passes(need, is_forgiven=known[need.task].continue_on_error)
    for needs in groups.values():
        if all(need.task in told for need in needs):
            terms.append(AnyOf(tuple(Status("succeeded", need.task) for need in needs)))
    when = seen(task.when, known) if task.when else None
    if when:
        terms += when.terms if isinstance(when, AllOf) and terms else (when,)
    return terms[0] if len(terms) == 1 else AllOf(tuple(terms)) if terms else None


def report(task: Task, told: Mapping[str, Task]) -> Report:
    """Return what a task that reports judges by itself. told: the tasks of its scope that report."""
    needs = (need for need in task.needs if need.task in told)
    return Report(
        tuple(ReportedNeed(need.task, need.soft, need.forgiving, need.any_of) for need in needs),
        task.when,
        task.timeout_s,
    )


def named_in(report: Report) -> frozenset[str]:
    """Return the tasks whose states a report is about."""
    asked = {status.task for status in statuses(report.when)} if report.when else set()
    return frozenset({need.task for need in report.needs} | asked)


def _passes(need: Need, *, is_forgiven: bool) -> Iterator[Condition]:
    """Yield what a need asks of a task's state (rule 1)."""
    if not need.soft and not (need.forgiving and not is_forgiven):
        yield Status("succeeded", need.task)
    elif not need.soft:
        yield Not(Status("skipped", need.task))
    elif not (need.forgiving or is_forgiven):
        yield Not(Status("failed", need.task))
