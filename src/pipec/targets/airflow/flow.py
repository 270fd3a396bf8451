"""How tasks come to run on Airflow: by its own rule where that means the same, and else by a look at how others ended.

Airflow's default rule is a hard edge: a task runs when all before it have succeeded, and nothing follows one that was
skipped or has failed. Where the language says more (soft edges, status functions, `continue_on_error`), a task is
*judged*: it is started when all before it have ended, and the worker looks at their states before any container starts
(class `Step` of the file). Knows no source text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from pipec.compiler.plan import Need, Plan, Task
from pipec.condition import Condition, both, named, statuses
from pipec.record import frozen
from pipec.targets.base import every
from pipec.targets.ends import is_firm, makes_room, may_starve, seen
from pipec.targets.folder import shared_memory_mib
from pipec.values import EachRef, Literal, OutputRef, RunRef, references
from pipec.verdict import FAILED, SKIPPED


@frozen(kw_only=True)
class Rule:
    """How one task comes to run.

    after: the tasks that it is placed behind, in the plan's order. is_judged: whether it is started whatever became of
    them. needs: of a task that is judged, the ends beside success that let it run, by task. any_of: tasks of which one
    at least must have succeeded, by their step. siblings: the cells of its matrix, one of whose failures stops it.
    when: its condition, in which a failure that is forgiven looks like a skip.
    """

    after: tuple[str, ...] = ()
    is_judged: bool = False
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    any_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    siblings: tuple[str, ...] = ()
    when: Condition | None = None


@frozen(kw_only=True)
class Flow:
    """The rules of a plan. rules: by task. read: tasks whose small outputs a worker reads.

    ending: the tasks whose failure no other task passes on, so that a last one must; empty where every such task is the
    end of its branch. forgiven: those with nothing behind them whose failure must not count. shares_memory: whether the
    processes of some task do, so that all pods are told alike.
    """

    rules: Mapping[str, Rule]
    read: frozenset[str]
    ending: tuple[str, ...] = ()
    forgiven: tuple[str, ...] = ()
    shares_memory: bool = False


def flow(plan: Plan) -> Flow:
    """Return how the tasks of a plan come to run. Assumes that `refuse` found nothing."""
    known = {task.name: task for task in plan.tasks}
    queued = _queued(plan)
    ordinary = [task for task in plan.tasks if not task.is_final]
    judged = _judged(ordinary, known, queued)
    rules = {task.name: _rule(task, known, queued.get(task.name), task.name in judged) for task in ordinary}
    ends = last(ordinary, rules)
    for task in plan.tasks:
        if task.is_final:
            rules[task.name] = _final(task, ends, known, queued.get(task.name))
    asked = [ref for rule in rules.values() if rule.when for ref in named(rule.when)]
    asked += [ref for task in plan.tasks if task.loop for ref in references(task.loop.items)]
    read = frozenset(ref.task for ref in asked if isinstance(ref, OutputRef))
    ending, forgiven = _ending(plan.tasks, rules)
    shares = any(shared_memory_mib(task) for task in every(plan))
    return Flow(rules=rules, read=read, ending=ending, forgiven=forgiven, shares_memory=shares)


def asks_end(task: Task) -> bool:
    """Say whether a step's container must know how the tasks before it ended, because some may have made nothing."""
    is_loose = any(need.soft or need.forgiving for need in task.needs)
    is_asking = task.when is not None and any(statuses(task.when))
    if any(isinstance(ref, EachRef) for ref in task.references):
        return True
    reads = any(isinstance(ref, OutputRef) for ref in task.references) or RunRef("outcome") in task.references
    return reads if task.is_final else is_loose or is_asking


def has_written_items(task: Task) -> bool:
    """Say whether a loop goes over a list that stands in the file: Airflow then knows its length before any run."""
    return task.loop is not None and isinstance(task.loop.items, Literal) and task.loop.items.value != []


@frozen
class _Queue:
    """A cell of a matrix whose cells are counted. before: the cell whose end makes room for it. siblings: as a rule."""

    before: str
    siblings: tuple[str, ...]


def _queued(plan: Plan) -> dict[str, _Queue]:
    """Return the cells that wait for another, so that no more run at once than the matrix says."""
    before, found = makes_room(plan), {}
    for group in plan.groups:
        cells = [task.name for task in plan.tasks if task.group == group.name]
        for name in cells:
            if name in before:
                siblings = tuple(each for each in cells if each != name) if group.fail_fast else ()
                found[name] = _Queue(before[name], siblings)
    return found


def _judged(tasks: Sequence[Task], known: Mapping[str, Task], queued: Mapping[str, _Queue]) -> frozenset[str]:
    """Return the tasks whose edges mean more than Airflow's default rule says. tasks: in an order to run in."""
    found: set[str] = set()
    before: dict[str, frozenset[str]] = {}  # by any edges
    hard: dict[str, frozenset[str]] = {}  # by those without which a task cannot run
    for task in tasks:
        asked = {status.task for status in statuses(task.when)} if task.when else set()
        needs = [need for need in task.needs if need.task not in asked]
        firm = [need.task for need in needs if is_firm(need)]
        before[task.name] = frozenset(need.task for need in task.needs).union(*(before[n.task] for n in task.needs))
        hard[task.name] = frozenset(firm).union(*(hard[name] for name in firm))
        is_loose = any(known[need.task].loop or _is_felt(need, known, before, hard[task.name], found) for need in needs)
        if asked or is_loose or task.name in queued or may_starve(task, known):
            found.add(task.name)
    return frozenset(found)


def _is_felt(
    need: Need, known: Mapping[str, Task], before: Mapping[str, frozenset[str]], hard: frozenset[str], judged: set[str]
) -> bool:
    """Say whether a need lets its task run where Airflow would not, or must be skipped where Airflow says it failed."""
    producer = known[need.task]
    if need.forgiving or producer.continue_on_error:
        return True
    if not need.soft or (need.task in hard and not need.any_of):
        return False
    return producer.when is not None or need.task in judged or not before[need.task] <= hard


def _rule(task: Task, known: Mapping[str, Task], queue: _Queue | None, is_judged: bool) -> Rule:
    after = dict.fromkeys(need.task for need in task.needs)
    if queue:
        after.setdefault(queue.before)
    when = seen(task.when, known) if task.when else None
    if task.loop:
        inner = task.loop.body[0].when
        when = both(when, seen(inner, known) if inner else None)
    if not is_judged:
        return Rule(after=tuple(after), when=when)
    asked = {status.task for status in statuses(task.when)} if task.when else set()
    needs = [need for need in task.needs if need.task not in asked]
    any_of: dict[str, list[str]] = {}
    for need in needs:
        if need.any_of:
            any_of.setdefault(need.any_of, []).append(need.task)
    return Rule(
        after=tuple(after),
        is_judged=True,
        needs={need.task: _others(need, known[need.task]) for need in needs},
        any_of={step: tuple(cells) for step, cells in any_of.items()},
        siblings=queue.siblings if queue else (),
        when=when,
    )


def _final(task: Task, ends: tuple[str, ...], known: Mapping[str, Task], queue: _Queue | None) -> Rule:
    """Return the rule of a final task. What one final step became keeps its edges among itself (rule 10)."""
    step = task.step.partition(".")[0]
    own = (need for need in task.needs if known[need.task].is_final and known[need.task].step.partition(".")[0] == step)
    rule = _rule(replace(task, needs=tuple(own)), known, queue, is_judged=True)
    return replace(rule, after=(*ends, *rule.after))


def _others(need: Need, producer: Task) -> tuple[str, ...]:
    """Return the ends beside success that let a task run (rule 1). A failure that is forgiven counts as a skip."""
    passed = {SKIPPED} if need.soft else set()
    if need.forgiving and not (producer.continue_on_error and not need.soft):
        passed.add(FAILED)
    if need.soft and producer.continue_on_error:
        passed.add(FAILED)
    return tuple(sorted(passed))


def last(tasks: Sequence[Task], rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return the tasks whose ends together are the end of all.

    A task that is not judged can be over before what it waits for is: Airflow gives it up at the first bad end.
    """
    covered: set[str] = set()
    for task in tasks:
        rule = rules[task.name]
        if rule.is_judged or len(rule.after) == 1:
            covered.update(rule.after)
    return tuple(task.name for task in tasks if task.name not in covered)


def _ending(tasks: Sequence[Task], rules: Mapping[str, Rule]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tasks that a last one must ask, and those that must be followed by one that does not.

    Airflow takes a run for what the tasks at the end of its branches came to: a failure that a task after it has looked
    past would be forgotten. Teardowns, which final tasks are, count neither as an end nor as what follows one.
    """
    followed = {name for task in tasks if not task.is_final for name in rules[task.name].after}
    skipped: set[str] = set()  # those that may be
    told: set[str] = set()
    for task in tasks:
        rule = rules[task.name]
        # Airflow skips a task at the first skip before it, and then never hears of a failure that comes later.
        is_deaf = rule.is_judged or (len(rule.after) > 1 and not skipped.isdisjoint(rule.after))
        if not is_deaf and not task.continue_on_error:
            told.update(rule.after)
        if rule.is_judged or rule.when or not skipped.isdisjoint(rule.after):
            skipped.add(task.name)
    counted = [task for task in tasks if not task.continue_on_error and task.name not in told]
    ends = {task.name for task in tasks if not task.is_final and task.name not in followed}
    forgiven = tuple(task.name for task in tasks if task.continue_on_error and task.name in ends)
    if not forgiven and all(task.name in ends for task in counted):
        return (), ()
    return tuple(task.name for task in counted), forgiven
