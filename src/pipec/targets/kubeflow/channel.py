"""How values come to where they are used: through the inputs and outputs of every DAG on their way.

A task of Kubeflow sees its own DAG only. What lies outside enters as an input of that DAG, what lies inside leaves as
an output of it. Channels are named as kfp's compiler names them, which its local runner needs to answer conditions.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, assert_never

from pipec.compiler.plan import Plan
from pipec.record import frozen, mutable
from pipec.steps.command import FINAL_STATUS, REASON, STATE, input_name
from pipec.steps.interface import Artifact, Kind
from pipec.targets.kubeflow.item import item_kind
from pipec.targets.kubeflow.scope import Dag, Leaf
from pipec.values import (
    ConfigRef,
    EachRef,
    ItemRef,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
)

Spec = dict[str, Any]
TYPES = {
    Kind.STRING: "STRING", Kind.INTEGER: "NUMBER_INTEGER", Kind.NUMBER: "NUMBER_DOUBLE",
    Kind.BOOLEAN: "BOOLEAN", Kind.LIST: "LIST", Kind.OBJECT: "STRUCT",
}  # fmt: skip
TITLES = {Artifact.DATASET: "system.Dataset", Artifact.MODEL: "system.Model", Artifact.METRICS: "system.Metrics"}
# Only as the whole constant of a task's input does the driver replace these.
RUN_FACTS = {"id": "{{$.pipeline_job_uuid}}", "scheduled_at": "{{$.pipeline_job_schedule_time_utc}}"}
OWN_DAG = "{{$.pipeline_task_uuid}}"  # the execution of the DAG that a task is in, and so of one iteration of a loop
_CHANNEL = "pipelinechannel--"


@frozen
class Type:
    """What flows: an artifact or a small value. is_list: a list of them, one for each iteration of a loop.

    is_end: how a DAG ended, which KFP itself tells.
    """

    kind: Artifact | Kind
    is_list: bool = False
    is_end: bool = False

    @property
    def section(self) -> str:
        """The word of IR under which it is declared and given."""
        return "artifacts" if isinstance(self.kind, Artifact) else "parameters"

    @property
    def definition(self) -> Spec:
        """What a component declares of it."""
        if self.is_end:
            return {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}
        if not isinstance(self.kind, Artifact):
            return {"parameterType": "LIST" if self.is_list else TYPES[self.kind]}
        schema = {"schemaTitle": TITLES.get(self.kind, "system.Artifact"), "schemaVersion": "0.0.1"}
        return {"artifactType": schema} | ({"isArtifactList": True} if self.is_list else {})


END = Type(Kind.OBJECT, is_end=True)


@mutable
class Ports:
    """What a DAG takes and gives. inputs: by name, the type and what the DAG's task is given. outputs: likewise."""

    inputs: dict[str, tuple[Type, Spec]] = field(default_factory=dict)
    outputs: dict[str, tuple[Type, Spec]] = field(default_factory=dict)


class Channels:
    """The channels of one pipeline; they come to be as they are asked for."""

    def __init__(self, plan: Plan) -> None:
        self.kinds = {parameter.name: parameter.kind for parameter in plan.parameters}
        self._ports: dict[int, Ports] = {}

    def ports(self, dag: Dag) -> Ports:
        """Return what is known of a DAG's borders so far."""
        return self._ports.setdefault(id(dag), Ports())

    def given(self, dag: Dag, reference: Reference) -> tuple[Type, Spec]:
        """Return the type of what is referred to, and how a task of `dag` says that it is given it."""
        match reference:
            case ParameterRef(name):
                if dag.parent is None:
                    return Type(self.kinds[name]), {"componentInputParameter": name}
                return self._entered(dag, reference, _CHANNEL + name)
            case RunRef(name):
                return Type(Kind.STRING), {"runtimeValue": {"constant": RUN_FACTS[_fact(name)]}}
            case OutputRef(task, output) | EachRef(task, output):
                block = dag.inside.get(task)
                if block is None:
                    return self._entered(dag, reference, f"{_CHANNEL}{_plain(task)}--{output}")
                type_, key = self._left(block, reference)
                made = {"producerTask": block.name, f"output{_word(type_)}Key": key}
                return type_, {f"taskOutput{_word(type_)}": made}
            case ItemRef(name, loop):
                return self._item(dag, name, loop)
            case SecretRef() | ConfigRef() | MatrixRef():
                raise AssertionError(f"channel.given got {reference}, which flows through no DAG")
            case _:
                assert_never(reference)

    def left(self, dag: Dag, reference: OutputRef | EachRef) -> tuple[Type, Spec]:
        """Return the type of what a DAG gives out, and how it says so; `dag` is the one that has it inside."""
        child = dag.inside[reference.task]
        type_, key = self._left(child, reference)
        if type_.section == "artifacts":
            return type_, {"artifactSelectors": [{"producerSubtask": child.name, "outputArtifactKey": key}]}
        return type_, {"valueFromParameter": {"producerSubtask": child.name, "outputParameterKey": key}}

    def asked(self, dag: Dag, reference: Reference) -> tuple[str, Kind]:
        """Return under which name a DAG is given what its condition asks, and as what."""
        assert dag.parent is not None, "the root has no condition"
        name = _CHANNEL + input_name(reference)
        if isinstance(reference, ItemRef | RunRef):
            self.ports(dag).inputs[name] = self.given(dag.parent, reference)
        else:
            _, spec = self.given(dag, reference)
            name = spec["componentInputParameter"]
        kind = self.ports(dag).inputs[name][0].kind
        assert isinstance(kind, Kind), f"a condition asks {reference}, which is an artifact"
        return name, kind

    def taken(self, dag: Dag) -> dict[str, Type]:
        """Return all that a DAG takes, its item included."""
        found = {name: type_ for name, (type_, _) in self.ports(dag).inputs.items()}
        if dag.loop:
            found[_item_channel(dag.loop.step)] = Type(item_kind(dag.loop))
        return found

    def status(self, dag: Dag, guarded: str) -> Spec:
        """Return how a task of `dag` says that it is given how the DAG `guarded` ended."""
        if dag.parent is None:
            return {"taskFinalStatus": {"producerTask": guarded}}
        self.ports(dag).inputs[FINAL_STATUS] = (END, self.status(dag.parent, guarded))
        return {"componentInputParameter": FINAL_STATUS}

    def items(self, dag: Dag, value: Value) -> tuple[str, Spec]:
        """Return what a loop's DAG calls its item, and where it takes its items from."""
        assert dag.loop and dag.parent, "channel.items got a DAG that is no loop"
        name = _item_channel(dag.loop.step)
        if not isinstance(value, ParameterRef | OutputRef | EachRef | ItemRef):
            return name, {}
        type_, spec = self.given(dag.parent, value)
        channel = f"{name}s"
        self.ports(dag).inputs[channel] = (type_, spec)
        return name, {"inputParameter": channel}

    def _entered(self, dag: Dag, reference: Reference, channel: str) -> tuple[Type, Spec]:
        """Return what comes from outside of a DAG, which takes it as an input."""
        assert dag.parent is not None, f"channel got {reference}, which no task of the plan writes"
        inputs = self.ports(dag).inputs
        if channel not in inputs:
            inputs[channel] = self.given(dag.parent, reference)
        type_ = inputs[channel][0]
        return type_, {f"componentInput{_word(type_)}": channel}

    def _left(self, block: Leaf | Dag, reference: OutputRef | EachRef) -> tuple[Type, str]:
        """Return what a block gives out, and under which key."""
        if isinstance(block, Leaf):
            return _output(block, reference.output), reference.output
        inner = _inner(block, reference)
        type_, made = self.left(block, inner)
        type_ = Type(type_.kind, is_list=type_.is_list or block.loop is not None)
        name = f"{_CHANNEL}{_plain(inner.task)}--{inner.output}"
        self.ports(block).outputs[name] = (type_, made)
        return type_, name

    def _item(self, dag: Dag, name: str, loop: str) -> tuple[Type, Spec]:
        """Return the item of a loop, or a field of it, cut out by the one expression that kfp writes itself."""
        around = dag
        while around.loop is None or around.loop.step != loop:
            assert around.parent is not None, f"channel got an item of `{loop}` outside of it"
            around = around.parent
        channel, kind = _item_channel(loop), item_kind(around.loop)
        inner = dag
        while inner is not around:
            assert inner.parent is not None
            self.ports(inner).inputs[channel] = (Type(kind), {"componentInputParameter": channel})
            inner = inner.parent
        spec: Spec = {"componentInputParameter": channel}
        if name:
            spec["parameterExpressionSelector"] = f'parseJson(string_value)["{name}"]'
            return Type(item_kind(around.loop, name)), spec
        return Type(kind), spec


def _inner(dag: Dag, reference: OutputRef | EachRef) -> OutputRef | EachRef:
    """Return what a reference from outside means inside of a DAG: of a loop, what each iteration leaves."""
    if dag.loop is None or dag.loop.loop is None or not isinstance(reference, EachRef):
        return reference
    value = dict(dag.loop.loop.outputs)[reference.output]
    assert isinstance(value, OutputRef | EachRef), f"a loop gives out {value} (refuse should have stopped it)"
    return value


def _output(leaf: Leaf, name: str) -> Type:
    if name in (STATE, REASON):
        return Type(Kind.STRING)
    output = leaf.task.interface.output(name)
    assert output is not None, f"task {leaf.task.name} has no output {name} (graph should have stopped it)"
    return Type(output.type)


def _word(type_: Type) -> str:
    return "Artifact" if type_.section == "artifacts" else "Parameter"


def _fact(name: str) -> str:
    return "scheduled_at" if name == "date" else name  # the date is cut from it


def _item_channel(loop: str) -> str:
    return f"{_CHANNEL}{_plain(loop)}-item"


def _plain(name: str) -> str:
    return name.replace(".", "-")
