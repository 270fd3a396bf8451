"""What of a plan's flow Kubeflow cannot say, at its place: who runs after whom, how often, and what ends a run.

Apart from `reporting.py` and `nest.py`, which find the way, because this is said to people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from pipec.compiler.plan import Group, Loop, Plan, Task
from pipec.condition import operands, statuses
from pipec.steps.interface import Container, Kind
from pipec.targets.base import Feature, Options, Refusal, Use, every, inside, place_of
from pipec.targets.cluster import asks_person
from pipec.targets.ends import may_run_without
from pipec.targets.judge import is_exact
from pipec.targets.kubeflow.ir import Writer
from pipec.targets.kubeflow.item import item_kinds
from pipec.targets.kubeflow.ledger import reads_end
from pipec.targets.kubeflow.nest import arrange
from pipec.targets.kubeflow.profile import Reads, knows, old
from pipec.targets.kubeflow.reporting import is_sayable, reporting
from pipec.values import EachRef, Gather, ItemRef, Json, ListOf, Literal, OutputRef, RunRef, Value, references


def refuse_flow(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of a plan's conditions, loops and last steps Kubeflow cannot say."""
    found = list(_all(plan, options))
    yield from found
    if not found and not knows(options, Reads.DAG_OUTPUTS):
        yield from _given_out(plan, options)


def _all(plan: Plan, options: Options) -> Iterator[Refusal]:
    body = [task for task in plan.tasks if not task.is_final]
    finals = [task for task in plan.tasks if task.is_final]
    read = _gathered(plan)
    yield from _scope(body, read, plan.groups)
    patient = {group.name for group in plan.groups if not group.fail_fast}
    mute = {task.name: task for task in body if task.loop}
    for task in finals:
        yield from _unknown(task, mute)
        if task.group in patient:
            yield Refusal(
                Use(Feature.MATRIX, task.step, ("matrix", "fail_fast")),
                "kubeflow starts no further cell at the end of a run once one has failed",
                "leave it out, or say `continue_on_error: true`",
            )
        if reads_end(task, finals):
            if not knows(options, Reads.RUN_ID):
                yield old(options, Reads.RUN_ID, Use(Feature.FINALLY, task.step, ()))
            yield from _last(task, options)
        if task.loop:
            yield from _loop(task, task.loop, read)


def _gathered(plan: Plan) -> frozenset[EachRef]:
    """Return what is read of loops, as lists over their iterations."""
    tasks = list(every(plan))
    values: list[Value] = [value for _, value in plan.outputs]
    values += [value for task in tasks if task.loop for _, value in task.loop.outputs]
    found = [ref for task in tasks for ref in (*task.references, *task.asked)]
    found += [ref for value in values for ref in references(value)]
    return frozenset(ref for ref in found if isinstance(ref, EachRef))


def _unknown(task: Task, mute: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield what a final step asks of loops, which leave no word of themselves. mute: the loops by name."""
    asked = {status.task for status in statuses(task.when)} if task.when else set()
    for name in sorted(asked & mute.keys()):
        yield Refusal(
            Use(Feature.STATUS, task.step, ("when",)),
            f"kubeflow cannot tell `{task.step}` how `{mute[name].step}` ended: it loops over a list, and tells nobody",
            "ask `run.outcome`, or a step of the library that comes after it",
        )
    for reference in task.references:
        if isinstance(reference, EachRef) and reference.task in mute:
            yield Refusal(
                Use(Feature.FAN_IN, task.step, place_of(task, reference) or ()),
                f"kubeflow cannot give `{task.step}` what `{mute[reference.task].step}` left: it loops over a list",
                "read it in a step before the end, and let that one write a report",
            )


def _scope(tasks: Sequence[Task], read: frozenset[EachRef], groups: Sequence[Group] = ()) -> Iterator[Refusal]:
    told = reporting(tasks, groups)
    for name, because in told.items():
        task = next(task for task in tasks if task.name == name)
        what = "loops over a list" if task.loop else "runs in your own image"
        if task.loop or isinstance(task.interface.container, Container):
            yield _mute(task, because, what)
    for task in tasks:
        yield from _condition(task)
        if isinstance(task.interface.container, Container):
            yield from _fixed(task, told)
        if task.loop:
            yield from _loop(task, task.loop, read)
            yield from _after_nothing(task, task.loop, tasks)


def _after_nothing(task: Task, loop: Loop, tasks: Sequence[Task]) -> Iterator[Refusal]:
    """Yield who waits for a loop that is skipped where all its iterations are: to Kubeflow, it went well."""
    if not _optional(loop) >= {each.name for each in loop.body}:
        return
    for other in tasks:
        if any(need.task == task.name and not need.soft for need in other.needs):
            yield Refusal(
                Use(Feature.LOOP, task.step, ("for_each",)),
                f"kubeflow cannot skip `{other.step}` where every iteration of `{task.step}` is skipped",
                f"let a step of `{task.step}` run in every iteration, or let `{other.step}` not wait for it",
            )


def _optional(loop: Loop) -> set[str]:
    """Return the tasks that an iteration may go without, though nothing fails in it."""
    told = reporting(loop.body)
    found = {each.name for each in loop.body if each.when or each.name in told}
    for each in loop.body:
        if any(need.task in found for need in each.needs):
            found.add(each.name)
    return found


def _given_out(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what leaves a DAG, for versions that see into no DAG from outside."""
    root = arrange(plan)
    if not any(True for _ in root.dags()):
        return
    channels = Writer(plan, options, root).channels
    for dag in root.dags():
        if channels.ports(dag).outputs:
            task = dag.loop or next(dag.leaves()).task
            feature = Feature.PIPELINE_STEP if "." in task.step else Feature.WHEN if dag.condition else Feature.STATUS
            yield old(options, Reads.DAG_OUTPUTS, Use(feature, task.step, ()))


def _mute(task: Task, because: Task, what: str) -> Refusal:
    """Return the refusal of a task that would have to tell how it ended, and cannot."""
    if because is task:
        use = Use(Feature.WHEN, task.step, ("when",))
        if task.continue_on_error:
            use = Use(Feature.CONTINUE_ON_ERROR, task.step, ("continue_on_error",))
        elif task.group:
            use = Use(Feature.MATRIX, task.step, ("matrix", "fail_fast"))
        return Refusal(
            use,
            f"kubeflow cannot go on without `{task.step}`: it {what}, and tells nobody how it ended",
            "leave it out, or do it in a step of the library",
        )
    is_asked = because.when is not None and any(status.task == task.name for status in statuses(because.when))
    read = next((ref for ref in because.references if getattr(ref, "task", "") == task.name), None)
    place = ("when",) if is_asked else place_of(because, read) if read else ()
    use = Use(Feature.STATUS if is_asked else Feature.OPTIONAL_INPUT, because.step, place)
    return Refusal(
        use,
        f"kubeflow cannot run `{because.step}` by how `{task.step}` ended: that {what}, and tells nobody",
        f"let `{because.step}` need a step of the library after `{task.step}`",
    )


def _fixed(task: Task, told: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield the inputs of a step of one's own image that may be absent: its arguments are made before that is known."""
    loose = {need.task for need in task.needs if need.soft and need.task in told}
    for name, values in task.inputs:
        for value in values:
            if isinstance(value, OutputRef) and value.task in loose:
                yield Refusal(
                    Use(Feature.OPTIONAL_INPUT, task.step, ("with", name)),
                    f"kubeflow cannot drop the arguments for `{name}` where `{value.task}` was skipped",
                    "leave the input out, or read it in a step of the library",
                )


def _condition(task: Task) -> Iterator[Refusal]:
    """Yield what no condition of Kubeflow holds exactly."""
    if task.when is None:
        return
    use = Use(Feature.WHEN, task.step, ("when",))
    if not all(is_exact(value.value) for value in operands(task.when) if isinstance(value, Literal)):
        yield Refusal(use, "kubeflow keeps numbers as doubles, exact up to 2^53 - 1", "compare with a smaller number")
    if task.loop and not is_sayable(task):
        yield Refusal(
            use,
            f"kubeflow cannot answer this for all of `{task.step}` at once",
            "ask in a step before the loop, and let `when` ask its output",
        )


def _loop(task: Task, loop: Loop, read: frozenset[EachRef]) -> Iterator[Refusal]:
    use = partial(Use, Feature.LOOP, task.step)
    here = ("for_each",)
    if not loop.fail_fast:
        yield Refusal(
            use((*here, "fail_fast")),
            "kubeflow cannot go on without the iterations of a loop that failed",
            "leave it out: one failed iteration then fails the run",
        )
    if isinstance(loop.items, ListOf) or (
        not isinstance(loop.items, Literal) and tuple(references(loop.items)) != (loop.items,)
    ):
        yield Refusal(
            use(here),
            "kubeflow cannot loop over a list that is partly known",
            "give the whole list as a parameter, or let a step write it",
        )
    if isinstance(loop.items, ItemRef) and loop.items.field:
        yield Refusal(
            use(here),
            f"kubeflow cannot loop over `{loop.items.field}` of an item: each iteration would look for it again",
            "let the items of the outer loop be the lists themselves",
        )
    if isinstance(loop.items, Gather):
        yield Refusal(use(here), "kubeflow cannot loop over what several tasks wrote", "let a step make it one list")
    yield from _items(task, loop)
    yield from _entered(task, loop)
    for name in dict.fromkeys(ref.field for ref in _item_references(task)):
        if len(item_kinds(task, name)) > 1:
            what = f"the field `{name}` of its items" if name else "its items"
            kinds = " and ".join(f"`{kind}`" for kind in item_kinds(task, name))
            yield Refusal(
                use(here),
                f"kubeflow needs {what} to be of one type, and they are {kinds}",
                "write them alike, or use a step that takes the whole list",
            )
    yield from _body(task, loop, read)
    yield from _scope(loop.body, read)


def _entered(task: Task, loop: Loop) -> Iterator[Refusal]:
    """Yield whose end a loop asks, and what its iterations need all the same: each of them would have to ask again."""
    asked = {status.task for status in statuses(task.when)} if task.when else set()
    hard = {need.task: each for each in loop.body for need in each.needs if not (need.soft or need.forgiving)}
    for name in sorted(asked & hard.keys()):
        if task.when and may_run_without(task.when, name):
            yield Refusal(
                Use(Feature.WHEN, task.step, ("when",)),
                f"kubeflow cannot start `{task.step}` where `{name}` has not succeeded: its iterations need that",
                f"say `succeeded({name})`, or leave the status function out",
            )


def _items(task: Task, loop: Loop) -> Iterator[Refusal]:
    if not isinstance(loop.items, Literal):
        return
    use = Use(Feature.LOOP, task.step, ("for_each",))
    if not is_exact(loop.items.value):
        yield Refusal(use, "kubeflow keeps numbers as doubles, exact up to 2^53 - 1", "write it as text")
    if _has_null(loop.items.value):
        yield Refusal(use, "kubeflow knows no item that is `null`", "leave it out")


def _has_null(items: Json) -> bool:
    return isinstance(items, list | tuple) and any(item is None for item in items)


def _item_references(task: Task) -> Iterator[ItemRef]:
    for each in inside(task):
        for reference in (*each.references, *each.asked):
            if isinstance(reference, ItemRef) and reference.loop == task.step:
                yield reference


def _body(task: Task, loop: Loop, read: frozenset[EachRef]) -> Iterator[Refusal]:
    """Yield what iterations cannot do, and lists that would have gaps in them."""
    for each in loop.body:
        if asks_person(each):
            use = Use(Feature.APPROVAL, each.step, ("uses",))
            yield Refusal(use, "kubeflow cannot ask a person in a loop", "ask once, before or after it")
    optional = _optional(loop)
    for name, value in loop.outputs:
        if EachRef(task.name, name) not in read:
            continue
        if isinstance(value, Gather) or _is_list_of_lists(value, loop, task):
            use = Use(Feature.FAN_IN, task.step, ("for_each",))
            yield Refusal(use, f"kubeflow cannot give out lists of lists: `{name}`", "let a step join them")
        elif isinstance(value, OutputRef | EachRef) and value.task in optional:
            use = Use(Feature.FAN_IN, task.step, ("for_each",))
            yield Refusal(
                use,
                f"kubeflow cannot leave out of a list what an iteration did not write: `{name}`",
                f"let `{value.task}` run in every iteration",
            )


def _is_list_of_lists(value: object, loop: Loop, task: Task) -> bool:
    """Say whether small values would be gathered twice; Kubeflow makes them one list."""
    if not isinstance(value, EachRef):
        return False
    output = task.interface.output(value.output)
    return output is None or isinstance(output.type, Kind)


def _last(task: Task, options: Options) -> Iterator[Refusal]:
    """Yield what a final step wants to know, where nobody keeps it."""
    place = place_of(task, RunRef("outcome")) or (("when",) if task.when else ())
    if not options.artifacts:
        yield Refusal(
            Use(Feature.FINALLY, task.step, place),
            f"kubeflow tells `{task.step}` nothing of how the run ended, and there is no place to look it up",
            "say `artifacts: s3://<bucket>/<path>` in the environment: steps leave their results there",
        )
    if task.loop and task.when:
        yield Refusal(
            Use(Feature.WHEN, task.step, ("when",)),
            f"kubeflow cannot ask for all of `{task.step}` at once how the run ended",
            "leave out `when`, or the loop",
        )
