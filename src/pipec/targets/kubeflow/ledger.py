"""What tasks leave below the artifact root for the steps of `finally`, which Kubeflow tells next to nothing.

An exit task can read no output of what it waits for, and is told of one state only. So where a final step wants to know
more, every task before it also keeps its result in the run's folder. Knows no IR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipec.compiler.plan import Task
from pipec.steps.command import Ended, Report
from pipec.steps.interface import Container
from pipec.targets.ends import may_starve
from pipec.targets.kubeflow.scope import Dag, Leaf
from pipec.values import OutputRef, RunRef


def reads_end(task: Task, finals: Sequence[Task]) -> bool:
    """Say whether a final step asks how the run ended, how a step did, or what one wrote."""
    own = {each.name for each in finals}
    written = any(isinstance(ref, OutputRef) and ref.task not in own for ref in task.references)
    return task.when is not None or written or RunRef("outcome") in task.references


def keep(guarded: Leaf | Dag, last: Leaf | Dag, tasks: Sequence[Task]) -> None:
    """Let the tasks in `guarded` keep their results, if a step in `last` wants them, and tell that step of them."""
    finals = list(last.leaves())
    named = [leaf.task for leaf in finals]
    wanting = [leaf for leaf in finals if reads_end(leaf.task, named)]
    if not wanting or not isinstance(guarded, Dag):
        return
    alone = {task.name for task in tasks if not task.loop}
    known = {task.name: task for task in tasks}
    for leaf in guarded.leaves():
        if not (leaf.is_verdict or isinstance(leaf.task.interface.container, Container)):
            leaf.ledger = "bad" if leaf.is_repeated else "all"
    ends = tuple(_ended(task, alone, known) for task in tasks if not task.loop)
    inner = {leaf.task.name for leaf in guarded.leaves() if leaf.ledger == "bad"} - alone
    ends += tuple(Ended(name, (), True) for name in sorted(inner))
    forgiven = tuple(sorted(leaf.task.name for leaf in guarded.leaves() if leaf.task.continue_on_error))
    for leaf in wanting:
        leaf.ends, leaf.forgiven = ends, forgiven
        if leaf.task.when:
            leaf.report = Report(when=leaf.task.when)


def forgive(last: Leaf | Dag) -> None:
    """Let final steps that may fail end well in any case."""
    for leaf in last.leaves():
        if leaf.task.continue_on_error:
            leaf.reports, leaf.report = True, Report(when=leaf.task.when, timeout_s=leaf.task.timeout_s)


def _ended(task: Task, alone: set[str], known: Mapping[str, Task]) -> Ended:
    """Return what a final step must know of a task; of a step of one's own image nobody says that it succeeded."""
    is_foreign = isinstance(task.interface.container, Container)
    needs = tuple(need.task for need in task.needs if need.task in alone)
    follows_loop = len(needs) < len(task.needs)  # of a loop nobody says whether it ran
    is_conditional = task.when is not None or is_foreign or follows_loop or may_starve(task, known)
    return Ended(task.name, needs, is_conditional)
