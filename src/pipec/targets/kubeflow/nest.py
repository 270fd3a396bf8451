"""From a plan's tasks to nested DAGs, wherever that means the same; where it would not, tasks stand beside each other.

A step with `when`, and all that can only run after it, share a DAG with that condition. The steps of a pipeline that is
used as a step share one, unless somebody outside hangs on a step in it that may be left out alone. Knows no IR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipec.compiler.plan import Need, Plan, Task
from pipec.condition import AllOf, Condition
from pipec.steps.interface import Interface
from pipec.targets.ends import makes_room
from pipec.targets.kubeflow.hand import prepare
from pipec.targets.kubeflow.ledger import forgive, keep
from pipec.targets.kubeflow.reporting import asked, named_in, report, reporting
from pipec.targets.kubeflow.scope import SMALL, Dag, Leaf, Names, Unit, fill, is_flat, labels, leaf

DEEPEST = 5  # conditions within conditions; what is deeper stands beside them
VERDICT = Interface(name="verdict", version="1", summary="Fail the run if a task that reports has failed")


def arrange(plan: Plan) -> Dag:
    """Return the root: all that a plan runs, each task in its DAG."""
    root = _arranged(plan)
    prepare(plan, root)
    return root


def _arranged(plan: Plan) -> Dag:
    root = Dag(name="root", label="root", title="")
    queued = {name: frozenset({before}) for name, before in makes_room(plan).items()}
    if is_flat(plan):
        waits = {task.name: _needs(task) | queued.get(task.name, frozenset()) for task in plan.tasks}
        fill(root, [Unit(leaf(t, t.name, t.name), frozenset({t.name}), waits[t.name]) for t in plan.tasks])
        return root
    names = Names()
    work = _Work(plan, labels(plan, names), names, queued)
    body = [task for task in plan.tasks if not task.is_final]
    finals = [task for task in plan.tasks if task.is_final]
    here = Names(task.name for task in finals)
    units = work.guarded(body, "", here, "exit-handler-1" if finals else "")
    if not finals:
        fill(root, units)
        return root
    last = work.finals(finals, here, units[0].block.name)
    fill(root, units + last)
    keep(units[0].block, last[0].block, body)
    forgive(last[0].block)
    return root


def _needs(task: Task) -> frozenset[str]:
    return frozenset(need.task for need in task.needs)


class _Work:
    """What all scopes of one plan share.

    labels: of the tasks that become containers. names: labels taken. queued: what cells wait for beside their needs.
    """

    def __init__(
        self, plan: Plan, labels: Mapping[str, str], names: Names, queued: Mapping[str, frozenset[str]]
    ) -> None:
        self.groups, self.labels, self.names, self.queued = plan.groups, labels, names, queued

    def guarded(self, tasks: Sequence[Task], prefix: str, here: Names, around: str = "") -> list[Unit]:
        """Return the units of a scope; where tasks report, one around all of them and the verdict on them.

        here: the names taken beside them. around: that of a DAG which is around them in any case, or empty.
        """
        told = reporting(tasks, self.groups)
        units = self.scope(tasks, prefix, told)
        judged = sorted(task.name for task in tasks if task.name in told and not task.continue_on_error)
        if not around and not judged:
            return units
        name = here.take(around or "all")
        dag = Dag(name=name, label=self.names.take(name), title=name)
        fill(dag, units)
        whole = Unit(dag, frozenset(task.name for task in tasks), frozenset(n for unit in units for n in unit.needs))
        if not judged:
            return [whole]
        first = next(task for task in tasks if task.name in told)
        verdict = Task(
            name="verdict", step=first.step, interface=VERDICT, image=first.image, cache=False,
            resources=SMALL,
        )  # fmt: skip
        last = Leaf(
            name=here.take("verdict"), label=self.names.take("verdict"), title="verdict", task=verdict,
            told=tuple(judged), is_verdict=True, after=[name],
        )  # fmt: skip
        return [whole, Unit(last, frozenset(), frozenset())]

    def finals(self, tasks: Sequence[Task], here: Names, guarded: str) -> list[Unit]:
        """Return what runs at the end, however the DAG `guarded` ended: one exit task, for no more are told apart."""
        known = {task.name: task for task in tasks}
        units = self.scope([replace(task, when=None) for task in tasks], "", {})
        alone = {task.name: task for task in tasks if not task.loop}  # what is in a loop may be called like it
        for block in [each for unit in units for each in unit.block.leaves()]:
            block.task = alone.get(block.task.name, block.task)  # what it asks in `when`, it asks itself
        # Nor is a loop: the hook that an exit task becomes would lose it.
        if len(units) > 1 or (isinstance(units[0].block, Dag) and units[0].block.loop):
            name = here.take("finally")
            dag = Dag(name=name, label=self.names.take(name), title="finally")
            fill(dag, units)
            units = [Unit(dag, frozenset(known), frozenset())]
        units[0].block.is_last = True
        units[0].block.after = [guarded]
        units[0].needs = frozenset()
        return units

    def scope(self, tasks: Sequence[Task], prefix: str, told: Mapping[str, Task]) -> list[Unit]:
        """Return the units that tasks become. prefix: of the names of all that stand inside of another step."""
        known = {task.name: task for task in tasks}
        within = {t.name: t.name.removeprefix(prefix).partition(".")[0] for t in tasks if "." in t.name[len(prefix) :]}
        members: dict[str, list[Task]] = {}
        for task in tasks:
            if task.name in within:
                members.setdefault(within[task.name], []).append(task)
        nested = {name: found for name, found in members.items() if is_closed(found, tasks, told)}
        here = Names(self._name(t, prefix) for t in tasks if within.get(t.name) not in nested)
        units, done = [], set()
        for task in tasks:
            name = within.get(task.name, "")
            if name not in nested:
                units.append(self._unit(task, prefix, known, told, here))
            elif name not in done:
                done.add(name)
                units.append(self._pipeline(here.take(name), f"{prefix}{name}.", nested[name], known, told))
        return self._grouped(units, here, 0) if any(unit.condition for unit in units) else units

    def _name(self, task: Task, prefix: str) -> str:
        if task.loop:
            return f"for-loop-{task.name.removeprefix(prefix).replace('.', '-')}"
        return self.labels[task.name] if not prefix else task.name.removeprefix(prefix).replace(".", "-")

    def _leaf(self, task: Task, prefix: str, known: Mapping[str, Task], told: Mapping[str, Task]) -> Leaf:
        block = leaf(task, self.labels[task.name], self._name(task, prefix))
        if task.name in told:
            block.reports, block.report = True, report(task, told)
            block.told = tuple(sorted(named_in(block.report)))
            block.forgiven = tuple(name for name in block.told if known[name].continue_on_error)
        return block

    def _unit(self, task: Task, prefix: str, known: Mapping[str, Task], told: Mapping[str, Task], here: Names) -> Unit:
        condition = None if task.name in told else asked(task, known, told)
        names, needs = frozenset({task.name}), _needs(task) | self.queued.get(task.name, frozenset())
        if task.loop is None:
            return Unit(self._leaf(task, prefix, known, told), names, needs, condition)
        name = self._name(task, prefix)
        dag = Dag(name=name, label=self.names.take(name), title=task.title or task.name, loop=task)
        fill(dag, self.guarded(task.loop.body, f"{task.name}.", Names()))
        return Unit(dag, names, needs, condition)

    def _pipeline(
        self, name: str, prefix: str, members: list[Task], known: Mapping[str, Task], told: Mapping[str, Task]
    ) -> Unit:
        """Return the DAG of a pipeline that is used as a step. What all of its steps ask, the DAG asks once."""
        own = {task.name for task in members}
        common = shared(members)
        bare = [replace(task, when=rest(task.when, common)) for task in members] if common else members
        needs = {need.task: need for task in members for need in task.needs if need.task not in own}
        firm = {need.task: need for task in members for need in task.needs if need.task in needs and not need.soft}
        outer = replace(members[0], needs=tuple((needs | firm).values()), when=common)
        dag = Dag(name=name, label=self.names.take(name), title=name, is_pipeline=True)
        fill(dag, self.scope(bare, prefix, {}))
        return Unit(dag, frozenset(own), frozenset(needs), asked(outer, known, told))

    def _grouped(self, units: Sequence[Unit], here: Names, depth: int) -> list[Unit]:
        """Return the units with a DAG around each one that has a condition, and all that can only run after it."""
        found: list[Unit] = []
        taken: set[int] = set()
        for unit in units:
            if id(unit) in taken:
                continue
            if unit.condition is None:
                found.append(unit)
                continue
            group = _followers(unit, units) if depth < DEEPEST else [unit]
            taken |= {id(each) for each in group}
            name = here.take(f"condition-{unit.block.name}")
            dag = Dag(name=name, label=self.names.take(name), title=name, condition=unit.condition)
            names = frozenset(each for member in group for each in member.names)
            needs = frozenset(each for member in group for each in member.needs) - names
            unit.condition = None
            fill(dag, self._grouped(group, here, depth + 1))
            found.append(Unit(dag, names, needs))
        return found


def _followers(unit: Unit, units: Sequence[Unit]) -> list[Unit]:
    """Return a unit and all that run after it, in order, or the unit alone, if these wait for more than it does."""
    around = {name for each in units for name in each.names}
    before = _before(unit, units)
    names, group = set(unit.names), [unit]
    for each in units[units.index(unit) + 1 :]:
        if each.needs.isdisjoint(names):
            continue
        if not each.needs & around <= names | before:
            return [unit]
        group.append(each)
        names |= each.names
    return group


def _before(unit: Unit, units: Sequence[Unit]) -> set[str]:
    """Return the tasks that have run when `unit` does."""
    wanted: set[str] = set(unit.needs)
    found: set[str] = set()
    for each in reversed(units[: units.index(unit)]):
        if not each.names.isdisjoint(wanted):
            wanted |= each.needs
            found |= each.names
    return found


def is_closed(members: Sequence[Task], tasks: Sequence[Task], told: Mapping[str, Task]) -> bool:
    """Say whether the steps of a pipeline that is used as a step may share a DAG.

    All must wait for the same outside; nobody outside may stand between them, or hang on one that may be left out
    alone; and none may report, for its state is asked beside it.
    """
    names = {task.name for task in members}
    outside = {need.task for task in members for need in task.needs} - names
    between = [task for task in tasks if task.name in outside]
    if names & told.keys() or any(_runs_after(task, names, tasks) for task in between):
        return False
    if any(not (_needs(task) & names) and not outside <= _needs(task) for task in members):
        return False
    common = shared(members)
    optional: set[str] = set()
    for task in members:
        if rest(task.when, common) or _needs(task) & optional:
            optional.add(task.name)
    hanging = [need for task in tasks if task.name not in names for need in task.needs if need.task in names]
    return not hanging or (len(optional) < len(names) and not any(_hangs(need, optional) for need in hanging))


def _hangs(need: Need, optional: set[str]) -> bool:
    return need.task in optional and not (need.soft and need.any_of)


def _runs_after(task: Task, names: set[str], tasks: Sequence[Task]) -> bool:
    """Say whether a task waits for one of `names`, directly or not."""
    known = {each.name: each for each in tasks}
    seen, wanted = set(), [task.name]
    while wanted:
        name = wanted.pop()
        if name in names:
            return True
        if name not in seen and name in known:
            seen.add(name)
            wanted += _needs(known[name])
    return False


def shared(members: Sequence[Task]) -> Condition | None:
    """Return what all of these tasks ask before anything of their own, or None."""
    first = members[0].when
    if first is None:
        return None
    for common in (first, first.terms[0]) if isinstance(first, AllOf) else (first,):
        if all(task.when == common or _leads(task.when, common) for task in members):
            return common
    return None


def _leads(when: Condition | None, common: Condition) -> bool:
    return isinstance(when, AllOf) and when.terms[0] == common


def rest(when: Condition | None, common: Condition | None) -> Condition | None:
    """Return what a task asks beside `common`."""
    if common is None or when is None or when == common:
        return None if when == common else when
    assert isinstance(when, AllOf), "nest.rest got a condition that `shared` did not find to begin with another"
    return when.terms[1] if len(when.terms) == 2 else AllOf(when.terms[1:])
