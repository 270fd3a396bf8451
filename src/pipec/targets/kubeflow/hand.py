"""Values that cannot stand in an argument of the user's own image as Kubeflow would write them, and who writes them.

KFP's driver and launcher (2.3 to 2.17) put texts, whole numbers and booleans in as they are, other numbers, lists and
objects in Go's spelling, and judge none of them. So a task of the step library runs before, in the same DAG, and leaves
each value as the text that the engine hands over. Knows no IR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from pipec.compiler.plan import Plan, Task
from pipec.steps.argument import argument_name
from pipec.steps.interface import Artifact, Interface, Kind, Output, Parameter
from pipec.targets.base import every
from pipec.targets.cluster import library_image
from pipec.targets.kubeflow.foreign import parameters_named
from pipec.targets.kubeflow.scope import SMALL, Dag, Leaf, Names
from pipec.values import (
    Attachment,
    ImageFile,
    Literal,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Text,
    Value,
    references,
)

Kinds: TypeAlias = Callable[[Reference], Kind | None]
PLAIN = frozenset({Kind.STRING, Kind.INTEGER, Kind.BOOLEAN})  # what Go spells as the engine does


def tasks_of(plan: Plan) -> dict[str, Task]:
    """Return all tasks of a plan by name, those in loops included."""
    return {task.name: task for task in every(plan)}


def kinds(plan: Plan, tasks: Mapping[str, Task]) -> Kinds:
    """Return what tells the kind of a value known at run time; None of what has to be put together first."""
    given = {parameter.name: parameter.kind for parameter in plan.parameters}

    def kind(reference: Reference) -> Kind | None:
        match reference:
            case ParameterRef(name):
                return given[name]
            case OutputRef(task, output):
                made = tasks[task].interface.output(output)
                return made.type if made and isinstance(made.type, Kind) else Kind.STRING
            case RunRef("id") | RunRef("scheduled_at"):
                return Kind.STRING
            case _:
                return None

    return kind


def stands(parameter: Parameter, value: Value, kind: Kinds) -> bool:
    """Say whether Kubeflow writes a value into an argument as the engine does.

    A value that must be more than of its type is judged before the engine hands it over; Kubeflow would not.
    """
    parts = value.parts if isinstance(value, Text) else (value,)
    if all(isinstance(part, Literal) for part in parts):
        return True
    if parameter.schema.keys() - {"type"}:
        return False
    return all(isinstance(part, Literal) or _kind(part, kind) in PLAIN for part in parts)


def _kind(value: Value, kind: Kinds) -> Kind | None:
    """Return the kind of what is one reference, or None."""
    found = tuple(references(value))
    return kind(found[0]) if found == (value,) else None


def handed(task: Task, kind: Kinds) -> tuple[str, ...]:
    """Return the parameters of a step of the user's own image that a task before it has to find out."""
    if task.interface.container is None:
        return ()
    given = dict(task.parameters)
    named = parameters_named(task, task.interface.container)
    return tuple(p.name for p in named if is_bringable(given[p.name]) and not stands(p, given[p.name], kind))


def is_bringable(value: Value) -> bool:
    """Say whether a task may leave a value to others: no secret, and no file that another image has."""
    return not isinstance(value, ImageFile) and not any(isinstance(ref, SecretRef) for ref in references(value))


def given_by(task: Task, asked: tuple[str, ...], source: str) -> Task:
    """Return a task whose parameters `asked` are what the task `source` left, without those that no argument names."""
    assert task.interface.container is not None, f"{task.name} is a step of the library"
    named = {parameter.name for parameter in parameters_named(task, task.interface.container)}
    kept = tuple((n, _left(n, v, source) if n in asked else v) for n, v in task.parameters if n in named)
    return replace(task, parameters=kept)


def _left(name: str, value: Value, source: str) -> Value:
    made = OutputRef(source, argument_name(name))
    return Text((made, Literal(f"/{value.name}"))) if isinstance(value, Attachment) else made


def prepare(plan: Plan, root: Dag) -> None:
    """Put a task before every step of the user's own image that needs one, into its DAG."""
    tasks = tasks_of(plan)
    image = library_image(tasks.values())
    if image is None or not any(task.interface.container for task in tasks.values()):
        return
    kind = kinds(plan, tasks)
    names = _names(root)
    keeps = any(leaf.ledger for leaf in root.leaves())  # what fails before it started, failed all the same
    for leaf in list(root.leaves()):
        if asked := handed(leaf.task, kind):
            if leaf.is_last:
                _wrap(leaf, names)
            _insert(leaf, _task(leaf.task, asked, image), names, "bad" if keeps and not leaf.task.is_final else "")


def _names(root: Dag) -> Names:
    """Return all labels, and names of tasks; the backend calls the driver of task `x` `x-driver`."""
    dags = [root, *root.dags()]
    taken = {block.label for dag in dags for block in (dag, *dag.blocks)} | {
        name for dag in dags for name in dag.inside
    }
    return Names(taken | {name.removesuffix("-driver") for name in taken})


def _task(task: Task, asked: tuple[str, ...], image: str) -> Task:
    """Return the task that finds the parameters `asked` out; as the one after it does not judge, it fails for it."""
    values = {name: value for name, value in task.parameters if name in asked}
    declared = tuple(replace(each, help="") for each in task.interface.parameters if each.name in asked)
    outputs = tuple(Output(name=argument_name(name), type=_type(values[name])) for name in values)
    interface = Interface(
        name=task.interface.name, version=task.interface.version, summary="", parameters=declared, outputs=outputs
    )
    return Task(
        name=task.name, step=task.step, interface=interface, parameters=tuple(values.items()), image=image,
        resources=SMALL, retry=task.retry,
    )  # fmt: skip


def _type(value: Value) -> Artifact | Kind:
    return Artifact.DIRECTORY if isinstance(value, Attachment) else Kind.STRING


def _wrap(leaf: Leaf, names: Names) -> None:
    """Put a DAG in the place of an exit task, since that can be one task only."""
    around = leaf.parent
    assert around is not None, f"{leaf.name} stands in no DAG"
    dag = Dag(
        name=leaf.name, label=names.take("finally"), title="finally", parent=around, after=leaf.after, is_last=True,
        blocks=[leaf], inside={leaf.task.name: leaf},
    )  # fmt: skip
    around.blocks[around.blocks.index(leaf)] = dag
    around.inside[leaf.task.name] = dag
    leaf.parent, leaf.after, leaf.is_last = dag, [], False


def _insert(leaf: Leaf, task: Task, names: Names, ledger: str) -> None:
    """Put a task that hands values over right before the one that takes them. It knows what that was to be told."""
    dag = leaf.parent
    assert dag is not None, f"{leaf.name} stands in no DAG"
    label = names.take(f"{leaf.label}-hand")
    here = Names(name for block in dag.blocks for name in (block.name, block.name.removesuffix("-driver")))
    before = Leaf(
        name=here.take(f"{leaf.name}-hand"), label=label, title=f"{leaf.title} (arguments)", task=task, is_hand=True,
        parent=dag, after=list(leaf.after), ledger=ledger, ends=leaf.ends, forgiven=leaf.forgiven,
    )  # fmt: skip
    dag.blocks.insert(dag.blocks.index(leaf), before)
    dag.inside[label] = before
    leaf.after, leaf.ends, leaf.forgiven = sorted({*leaf.after, before.name}), (), ()
    leaf.task = given_by(leaf.task, tuple(name for name, _ in task.parameters), label)
