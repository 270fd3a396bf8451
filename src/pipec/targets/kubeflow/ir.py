"""A plan as a KFP v2 `PipelineSpec`, in plain data.

One component and one executor per task, as kfp's own compiler writes them: shared ones break kfp.local, and two with
equal containers collide in the backend. The order text holds the task's name, so no two containers are equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipec.compiler.plan import Plan, PlanParameter, Task
from pipec.condition import named
from pipec.steps.command import FINAL_STATUS, ITERATION, REASON, STATE, guarded, input_name, reason_name, state_name
from pipec.steps.interface import Kind
from pipec.targets.base import Options
from pipec.targets.cluster import needs_root, reads_world, task_references
from pipec.targets.kubeflow.cel import cel
from pipec.targets.kubeflow.channel import END, OWN_DAG, TYPES, Channels, Type
from pipec.targets.kubeflow.container import container, marks
from pipec.targets.kubeflow.foreign import IDENTITY, identity, imports, written
from pipec.targets.kubeflow.profile import Reads, knows
from pipec.targets.kubeflow.scope import Block, Dag, Leaf
from pipec.values import ConfigRef, EachRef, Literal, OutputRef, ParameterRef, Reference, RunRef, SecretRef

MOUNTED = ("s3://", "gs://", "minio://")  # schemes whose artifacts KFP's launcher mounts as files
RETRY_LONGEST = "3600s"

Spec = dict[str, Any]  # protobuf's JSON form: checked against the protobufs in tests, not by types


def pipeline_spec(plan: Plan, options: Options, root: Dag) -> Spec:
    """Return the whole document. root: what `nest.arrange` returns. Assumes that `refuse` found nothing."""
    info: Spec = {"name": plan.pipeline}
    if plan.description:
        info["description"] = plan.description
    if plan.environment:
        info["displayName"] = f"{plan.pipeline} ({plan.environment})"
    spec: Spec = {
        "pipelineInfo": info,
        "schemaVersion": "2.1.0",
        "sdkVersion": f"pipec-{options.version}" if options.version else "pipec",
    }
    if options.artifacts and options.artifacts.startswith(MOUNTED):
        spec["defaultPipelineRoot"] = options.artifacts
    writer = Writer(plan, options, root)
    leaves = list(root.leaves())
    components = {f"comp-{leaf.label}": writer.component(leaf) for leaf in leaves}
    executors = {f"exec-{leaf.label}": {"container": container(plan, leaf, options)} for leaf in leaves}
    for each in (each for leaf in leaves for each in imports(leaf.task, leaf.label)):
        schema = Type(each.type).definition["artifactType"]
        components[f"comp-{each.name}"], executors[f"exec-{each.name}"] = each.component(schema), each.executor(schema)
    spec["root"] = writer.root(root)
    spec["components"] = components | {f"comp-{dag.label}": writer.dag(dag) for dag in root.dags()}
    spec["deploymentSpec"] = {"executors": executors}
    return spec


class Writer:
    """The components of one pipeline. What a DAG takes and gives is known once all that is in it has asked."""

    def __init__(self, plan: Plan, options: Options, root: Dag) -> None:
        self.plan, self.options, self.channels = plan, options, Channels(plan)
        self.tells_status = knows(options, Reads.FINAL_STATUS)
        self.inputs: dict[int, Spec] = {}  # of every block's task
        self.triggers: dict[int, Spec] = {}
        self.importers: dict[int, Spec] = {}  # of every DAG, as tasks
        self.defined: dict[int, dict[str, Type]] = {}
        self.outputs = {
            name: self.channels.left(root, reference)
            for name, reference in plan.outputs
            if isinstance(reference, OutputRef | EachRef)
        }
        for leaf in root.leaves():
            self._ask(leaf)
        for dag in root.dags():
            self._decide(dag)

    def _ask(self, leaf: Leaf) -> None:
        """Find out how a container is given all that it needs."""
        assert leaf.parent is not None
        types: dict[str, Type] = {}
        given: Spec = {"parameters": {}, "artifacts": {}}
        for name, reference in _wanted(leaf):
            type_, spec = self.channels.given(leaf.parent, reference)
            types[name] = type_
            given[type_.section][name] = spec
        if (needs_root(leaf.task) or leaf.ledger) and leaf.is_repeated:
            types[ITERATION] = Type(Kind.STRING)
            given["parameters"][ITERATION] = {"runtimeValue": {"constant": OWN_DAG}}
        if leaf.task.interface.container:
            types[IDENTITY] = Type(Kind.STRING)
            given["parameters"][IDENTITY] = {"runtimeValue": {"constant": identity(leaf.task)}}
        for each in imports(leaf.task, leaf.label):
            types[each.input], given["artifacts"][each.input] = Type(each.type), each.source()
            leaf.after = sorted({*leaf.after, each.name})
            location: Spec = {}
            if isinstance(each.location, ParameterRef):
                location = self.channels.given(leaf.parent, each.location)[1]
            self.importers.setdefault(id(leaf.parent), {})[each.name] = each.task(location)
        if leaf.ends and self.tells_status:
            types[FINAL_STATUS] = END
            guarded_by = _last(leaf)
            given["parameters"][FINAL_STATUS] = self.channels.status(leaf.parent, guarded_by)
        self.defined[id(leaf)], self.inputs[id(leaf)] = types, _filled(given)

    def _decide(self, dag: Dag) -> None:
        """Find out on what a DAG's condition and loop hang."""
        if dag.condition:
            said = cel(
                dag.condition,
                lambda reference: self.channels.asked(dag, reference),
                lambda task: self.channels.asked(dag, OutputRef(task, STATE))[0],
            )
            self.triggers[id(dag)] = {"triggerPolicy": {"condition": said}}
            for inner in dag.dags():  # kfp hands on what a condition asks to every DAG in it, and so do we
                for reference in named(dag.condition):
                    if isinstance(reference, ParameterRef | OutputRef):
                        self.channels.given(inner, reference)
        if dag.loop and dag.loop.loop:
            loop = dag.loop.loop
            name, items = self.channels.items(dag, loop.items)
            if isinstance(loop.items, Literal):
                items = {"raw": guarded(json.dumps(loop.items.value))}
            found: Spec = {"parameterIterator": {"itemInput": name, "items": items}}
            if loop.max_parallel:
                found["iteratorPolicy"] = {"parallelismLimit": loop.max_parallel}
            self.triggers[id(dag)] = found

    def root(self, root: Dag) -> Spec:
        """Return the pipeline's own component."""
        spec: Spec = {}
        if self.plan.parameters:
            spec["inputDefinitions"] = {"parameters": {p.name: _parameter(p) for p in self.plan.parameters}}
        if self.plan.outputs:
            spec["outputDefinitions"] = _definitions({name: type_ for name, (type_, _) in self.outputs.items()})
        body: Spec = {"tasks": self._tasks(root)}
        if self.plan.outputs:
            body["outputs"] = _outputs(self.outputs)
        return {**spec, "dag": body}

    def component(self, leaf: Leaf) -> Spec:
        """Return the component of a container."""
        spec: Spec = {"executorLabel": f"exec-{leaf.label}"}
        if types := self.defined[id(leaf)]:
            spec["inputDefinitions"] = _definitions(types, _optional(leaf.task))
        outputs = {output.name: Type(output.type) for output in written(leaf.task.interface)}
        if leaf.reports:
            outputs |= {STATE: Type(Kind.STRING), REASON: Type(Kind.STRING)}
        if outputs:
            spec["outputDefinitions"] = _definitions(outputs)
        return spec

    def dag(self, dag: Dag) -> Spec:
        """Return the component of a DAG."""
        ports = self.channels.ports(dag)
        spec: Spec = {}
        if inputs := self.channels.taken(dag):
            spec["inputDefinitions"] = _definitions(inputs)
        if ports.outputs:
            spec["outputDefinitions"] = _definitions({name: type_ for name, (type_, _) in ports.outputs.items()})
        body: Spec = {"tasks": self._tasks(dag)}
        if ports.outputs:
            body["outputs"] = _outputs(ports.outputs)
        return {**spec, "dag": body}

    def _tasks(self, dag: Dag) -> Spec:
        return {block.name: self._task(block) for block in dag.blocks} | self.importers.get(id(dag), {})

    def _task(self, block: Leaf | Dag) -> Spec:
        spec: Spec = {"taskInfo": {"name": block.title}, "componentRef": {"name": f"comp-{block.label}"}}
        if isinstance(block, Leaf):
            spec["cachingOptions"] = {} if _is_fresh(block) else {"enableCache": True}
        elif block.is_pipeline:
            spec["cachingOptions"] = {"enableCache": True}  # as kfp writes it; no DAG is cached itself
        if block.after:
            spec["dependentTasks"] = block.after
        if inputs := self._inputs(block):
            spec["inputs"] = inputs
        if isinstance(block, Leaf):
            return spec | _retry(block, self.options) | _trigger(block)
        return spec | self.triggers.get(id(block), {}) | _trigger(block)

    def _inputs(self, block: Leaf | Dag) -> Spec:
        if isinstance(block, Leaf):
            return self.inputs[id(block)]
        spec: Spec = {"parameters": {}, "artifacts": {}}
        for name, (type_, given) in self.channels.ports(block).inputs.items():
            spec[type_.section][name] = given
        return _filled(spec)


def _trigger(block: Block) -> Spec:
    return {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}} if block.is_last else {}


def _retry(leaf: Leaf, options: Options) -> Spec:
    """Return how often KFP starts a pod. Where it would repeat a refusal, the runtime alone tries again."""
    retry = leaf.task.retry
    if retry.attempts == 1 or not (leaf.reports or leaf.task.interface.container or marks(leaf, options)):
        return {}
    policy = {
        "maxRetryCount": retry.attempts - 1,
        "backoffDuration": f"{retry.backoff_s}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": RETRY_LONGEST,
    }
    return {"retryPolicy": policy}


def _is_fresh(leaf: Leaf) -> bool:
    """Say whether KFP's cache may not answer for a task: a failure that was reported is a success to it."""
    return leaf.reports or leaf.is_verdict or bool(leaf.ledger) or bool(leaf.ends) or reads_world(leaf.task)


def _wanted(leaf: Leaf) -> Iterator[tuple[str, Reference]]:
    """Yield what a container is given, by the names of its inputs; facts of the run last, sorted.

    Secrets and configs reach it by its environment.
    """
    found = task_references(leaf.task)
    if leaf.report and leaf.report.when:
        found = tuple(dict.fromkeys((*found, *named(leaf.report.when))))
    for reference in found:
        if not isinstance(reference, SecretRef | ConfigRef | RunRef) and not _is_read_late(leaf, reference):
            yield input_name(reference), reference
    for task in leaf.told:
        yield state_name(task), OutputRef(task, STATE)
        if leaf.is_verdict:
            yield reason_name(task), OutputRef(task, REASON)
    facts = {input_name(ref): ref for ref in found if isinstance(ref, RunRef) and ref != RunRef("outcome")}
    if needs_root(leaf.task) or leaf.ledger or leaf.ends:
        facts["run-id"] = RunRef("id")
    yield from sorted(facts.items())


def _is_read_late(leaf: Leaf, reference: Reference) -> bool:
    """Say whether a final step finds what is referred to in the run's folder."""
    return bool(leaf.ends) and isinstance(reference, OutputRef) and any(e.task == reference.task for e in leaf.ends)


def _last(leaf: Leaf) -> str:
    """Return the block whose end a final step waits for."""
    block: Block = leaf
    while not block.is_last:
        assert block.parent is not None, f"{leaf.name} is told of an end, and is in no `finally`"
        block = block.parent
    return block.after[0]


def _parameter(parameter: PlanParameter) -> Spec:
    spec: Spec = {"parameterType": TYPES[parameter.kind]}
    if not parameter.is_required:
        spec |= {"defaultValue": parameter.default, "isOptional": True}
    if told := described(parameter):
        spec["description"] = told
    if "enum" in parameter.schema:
        spec["literals"] = parameter.schema["enum"]
    return spec


def described(parameter: PlanParameter) -> str:
    """Return what people who start a run read of a parameter: IR has no field for what it must be, but its values."""
    bounds = {key: value for key, value in parameter.schema.items() if key not in ("type", "enum", "description")}
    told = ", ".join(f"{key}: {json.dumps(value)}" for key, value in bounds.items())
    return " ".join(part for part in (parameter.description, f"({told})" if told else "") if part)


def _optional(task: Task) -> frozenset[str]:
    """Return the names of artifact inputs that the step can do without."""
    names = {declared.name for declared in task.interface.inputs if declared.optional}
    listed = [value for name, values in task.inputs if name in names for value in values]
    return frozenset(input_name(value) for value in listed if isinstance(value, OutputRef | EachRef))


def _definitions(types: dict[str, Type], optional: frozenset[str] = frozenset()) -> Spec:
    spec: dict[str, Spec] = {"parameters": {}, "artifacts": {}}
    for name, type_ in types.items():
        spec[type_.section][name] = type_.definition | ({"isOptional": True} if name in optional else {})
    return _filled(spec)


def _outputs(ports: dict[str, tuple[Type, Spec]]) -> Spec:
    """Return what a DAG gives out, under the words of IR for artifacts and parameters."""
    spec: dict[str, Spec] = {"artifacts": {}, "parameters": {}}
    for name, (type_, given) in ports.items():
        spec[type_.section][name] = given
    return _filled(spec)


def _filled(sections: Spec) -> Spec:
    return {section: found for section, found in sections.items() if found}
