"""From a loop and its list to the tasks of its iterations (rule 9), as pure functions.

What the plan cannot list is made here while a run goes on; from then on these tasks are like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from pipec.compiler.plan import Loop, Task
from pipec.condition import Condition, Status, rewritten
from pipec.engine.state import Facts
from pipec.record import frozen
from pipec.values import EachRef, ItemRef, Json, Literal, OutputRef, Reference, Value, substitute
from pipec.verdict import Fault, kind, of_item, resolved, shown

MOST_ITEMS = 1000  # a longer list is rather one step that reads it all: every item costs a process
Known = Callable[[Reference], Value | None]


@frozen(kw_only=True)
class Iteration:
    """What a loop does for one item. tasks: in an order in which they may run.

    outputs: what it leaves, as references to them. faults: by name of a task, why it can have no values.
    """

    tasks: tuple[Task, ...]
    outputs: Mapping[str, Value] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


def leaves(tasks: Iterable[Task]) -> Iterator[Task]:
    """Yield every task that becomes a process: those of loops' bodies instead of the loops."""
    for task in tasks:
        if task.loop:
            yield from leaves(task.loop.body)
        else:
            yield task


def items(loop: Loop, facts: Facts) -> Sequence[Json]:
    """Return the list that a loop goes over. Raises Fault if it is none, or too long."""
    try:
        found = resolved(loop.items, facts)
    except Fault as fault:
        raise Fault(f"`for_each`: {fault}") from fault
    if not isinstance(found, list | tuple):
        raise Fault(f"`for_each` needs a list, and {shown(found)} is {kind(found)}")
    if len(found) > MOST_ITEMS:
        raise Fault(f"`for_each` got {len(found)} items, and goes over {MOST_ITEMS} at most: give it a shorter list")
    return found


def unroll(task: Task, found: Sequence[Json]) -> tuple[Iteration, ...]:
    """Return the iterations of a loop's task over the items that it found."""
    assert task.loop, f"loop.unroll got `{task.name}`, which is no loop"
    return tuple(_iteration(task, task.loop, number, item) for number, item in enumerate(found))


def _iteration(carrier: Task, loop: Loop, number: int, item: Json) -> Iteration:
    name = f"{carrier.name}-{number}"

    def renamed(old: str) -> str:
        is_inside = old == carrier.name or old.startswith(f"{carrier.name}.")
        return name + old[len(carrier.name) :] if is_inside else old

    def moved(reference: Reference) -> Value | None:
        match reference:
            case OutputRef(task, output):
                return OutputRef(renamed(task), output)
            case EachRef(task, output):
                return EachRef(renamed(task), output)
        return None

    def known(reference: Reference) -> Value | None:
        if isinstance(reference, ItemRef) and reference.loop == carrier.step:
            return Literal(of_item(item, reference.field, number))
        return moved(reference)

    tasks, faults = [], {}
    for task in loop.body:
        try:
            made = _instance(task, renamed, moved, known)
        except Fault as fault:
            made = _instance(replace(task, when=None, inputs=()), renamed, moved, moved)
            faults[made.name] = str(fault)
        tasks.append(replace(made, is_final=carrier.is_final))
    outputs = {output: substitute(value, moved) for output, value in loop.outputs}
    return Iteration(tasks=tuple(tasks), outputs=outputs, faults=faults)


def _instance(task: Task, renamed: Callable[[str], str], moved: Known, known: Known) -> Task:
    """Return a task of a body as one iteration has it.

    moved: where references point now. known: the same, and what the item of this loop is; a loop inside has its own.
    """
    loop = task.loop and Loop(
        items=substitute(task.loop.items, known),
        body=tuple(_instance(inner, renamed, moved, known) for inner in task.loop.body),
        outputs=tuple((name, substitute(value, moved)) for name, value in task.loop.outputs),
        max_parallel=task.loop.max_parallel,
        fail_fast=task.loop.fail_fast,
    )
    return replace(
        task,
        name=renamed(task.name),
        parameters=tuple((name, substitute(value, known)) for name, value in task.parameters),
        inputs=tuple((name, tuple(substitute(value, known) for value in values)) for name, values in task.inputs),
        needs=tuple(replace(n, task=renamed(n.task), any_of=renamed(n.any_of)) for n in task.needs),
        when=task.when and _asked(task.when, renamed, known),
        env=tuple((name, substitute(value, known)) for name, value in task.env),
        loop=loop,
    )


def _asked(condition: Condition, renamed: Callable[[str], str], known: Known) -> Condition:
    return rewritten(condition, known, lambda status: Status(status.state, renamed(status.task)))
