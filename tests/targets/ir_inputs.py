"""What a task of a compiled pipeline is given and leaves, as Kubeflow's driver finds it (driver/resolve.go).

Outputs of a task that ended are looked up when they are asked for, down to the container that made them. Knows no
container and no order of tasks.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from ir_values import Fault, Spec, Value, carried, fit, selected


class Status(enum.StrEnum):
    """How a task ended. Skipped: its condition was false. Omitted: what it depends on has not succeeded."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    OMITTED = "omitted"


@dataclass(slots=True)
class Scope:
    """A DAG that runs: what it was given, and how those of its tasks that ended did. path: `root/for-loop-1/2`."""

    path: str
    dag: Spec
    parameters: dict[str, Value]
    artifacts: dict[str, list[Spec]]
    ended: dict[str, Ended] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that ended, as tasks after it see it.

    scope: of a DAG. iterations: of a loop, in order; none where its condition was false, though it then counts as a
    success (argocompiler/dag.go: the condition stands inside of the loop's template).
    """

    status: Status
    parameters: Mapping[str, Value] = field(default_factory=dict)
    artifacts: Mapping[str, list[Spec]] = field(default_factory=dict)
    scope: Scope | None = None
    iterations: tuple[Ended, ...] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the driver knows of a run."""

    run_id: str
    name: str
    scheduled_at: str = "2026-11-23T03:00:00Z"

    def constant(self, text: Value, task: str, dag: str) -> Value:
        """Return what stands for a constant: only as the whole of it does one of these mean something.

        dag: the path of the task's DAG, whose execution has a number.
        """
        known = {
            "{{$.pipeline_job_uuid}}": self.run_id, "{{$.pipeline_job_name}}": self.name,
            "{{$.pipeline_job_resource_name}}": self.name, "{{$.pipeline_task_name}}": task,
            "{{$.pipeline_task_uuid}}": str(crc32(dag.encode())),
            "{{$.pipeline_job_create_time_utc}}": self.scheduled_at,
            "{{$.pipeline_job_schedule_time_utc}}": self.scheduled_at,
        }  # fmt: skip
        return known.get(text, text) if isinstance(text, str) else carried(text)


Inputs = tuple[dict[str, Value], dict[str, list[Spec]]]


def inputs(name: str, task: Spec, component: Spec, scope: Scope, facts: Facts) -> Inputs:
    """Return the parameters and artifacts of a task. Raises Fault where the driver fails."""
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    given = task.get("inputs", {})
    values: dict[str, Value] = {}
    if "dag" in component:
        optional = {key: one for key, one in declared.items() if one.get("isOptional")}
        values = {key: carried(one.get("defaultValue")) for key, one in optional.items()
                  if key not in given.get("parameters", {})}  # fmt: skip
    for key, source in given.get("parameters", {}).items():
        value = _parameter(name, source, task, scope, facts)
        if value is None and "componentInputParameter" in source:
            if not declared.get(key, {}).get("isOptional"):
                raise Fault(f"input parameter {key} is null")
            continue
        _check_literals(key, value, declared.get(key, {}))
        values[key] = value
    artifacts = {key: _artifacts(name, source, scope, task) for key, source in given.get("artifacts", {}).items()}
    return values, artifacts


def conformed(values: dict[str, Value], task: Spec, component: Spec, ignored: str) -> dict[str, Value]:
    """Return the parameters after selectors and types were applied. ignored: one that comes and goes with a loop."""
    found = dict(values)
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        if "parameterExpressionSelector" in source:
            if key not in found:
                raise Fault(f"input parameter {key} has a selector and no value")
            found[key] = selected(found[key], source["parameterExpressionSelector"])
    for key, one in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if key == ignored:
            continue
        if key not in found and not one.get("isOptional"):
            raise Fault(f"input parameter {key} has no value")
        if key in found and not (found[key] is None and one.get("isOptional")):
            found[key] = fit(found[key], one["parameterType"], key)
    return found


def _check_literals(key: str, value: Value, declared: Spec) -> None:
    literals = carried(declared.get("literals", []))
    if literals and value not in literals:
        raise Fault(f"input parameter {key} is none of {literals}")


def _parameter(name: str, source: Spec, task: Spec, scope: Scope, facts: Facts) -> Value:
    match source:
        case {"componentInputParameter": key}:
            if key not in scope.parameters:
                raise Fault(f"{scope.path} has no input parameter {key}")
            return scope.parameters[key]
        case {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}:
            return output_parameter(_producer(name, producer, scope, task), key)
        case {"runtimeValue": {"constant": constant}}:
            return facts.constant(constant, name, scope.path)
        case {"taskFinalStatus": _}:
            return _final_status(task, scope, facts)
    raise Fault(f"an input parameter of {name} has no source")


def _artifacts(name: str, source: Spec, scope: Scope, task: Spec) -> list[Spec]:
    match source:
        case {"componentInputArtifact": key}:
            if key not in scope.artifacts:
                raise Fault(f"{scope.path} has no input artifact {key}")
            return scope.artifacts[key]
        case {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}:
            return output_artifacts(_producer(name, producer, scope, task), key)
    raise Fault(f"an input artifact of {name} has no source")


def _producer(name: str, producer: str, scope: Scope, task: Spec) -> Ended:
    """Return a task that another reads. A backend gives order by `dependentTasks` alone, so all must stand there."""
    if producer not in scope.dag["tasks"]:
        raise Fault(f"{name} reads {producer}, which is no task of {scope.path}")
    if producer not in task.get("dependentTasks", []) and task.get("triggerPolicy", {}).get("strategy") is None:
        raise Fault(f"{name} reads {producer}, for which it does not wait")
    return _ended(scope, producer)


def _ended(scope: Scope, name: str) -> Ended:
    found = scope.ended.get(name)
    if found is None or found.status is Status.OMITTED:
        raise Fault(f"{scope.path}/{name} has not run")
    return found


def _final_status(task: Spec, scope: Scope, facts: Facts) -> Value:
    (guarded, *_) = task["dependentTasks"]
    is_good = _ended(scope, guarded).status is Status.SUCCEEDED
    return {"state": "COMPLETE" if is_good else "FAILED", "pipelineTaskName": guarded,
            "pipelineJobResourceName": facts.name, "error": {}}  # fmt: skip


def output_parameter(ended: Ended, key: str) -> Value:
    """Return an output parameter: of loops the list over all iterations, however deep; None if a container left none.

    A loop without iterations has no outputs at all.
    """
    if ended.iterations is not None:
        _check_iterated(ended)
        return [value for each in ended.iterations for value in _leaves(each, key)]
    if ended.scope is None:
        return ended.parameters.get(key)
    match _declared(ended.scope, "parameters", key):
        case {"valueFromParameter": {"producerSubtask": sub, "outputParameterKey": inner}}:
            return output_parameter(_ended(ended.scope, sub), inner)
        case {"valueFromOneof": {"parameterSelectors": selectors}}:
            one = _first(ended.scope, selectors)
            return output_parameter(_ended(ended.scope, one["producerSubtask"]), one["outputParameterKey"])
    raise Fault(f"{ended.scope.path} does not say where its output {key} comes from")


def _leaves(iteration: Ended, key: str) -> list[Value]:
    found = output_parameter(iteration, key)
    return found if _is_loop_below(iteration, key) else [found]


def _is_loop_below(ended: Ended, key: str) -> bool:
    """Say whether an output is itself that of a loop: its items then join those of the loop around it."""
    if ended.scope is None:
        return ended.iterations is not None
    source = _declared(ended.scope, "parameters", key).get("valueFromParameter")
    return bool(source) and _is_loop_below(ended.scope.ended[source["producerSubtask"]], source["outputParameterKey"])


def output_artifacts(ended: Ended, key: str) -> list[Spec]:
    """Return the artifacts under an output: of loops those of all iterations, in order."""
    if ended.iterations is not None:
        _check_iterated(ended)
        return [one for each in ended.iterations for one in output_artifacts(each, key)]
    if ended.scope is None:
        if key not in ended.artifacts:
            raise Fault(f"there is no output artifact {key}")
        return ended.artifacts[key]
    selectors = _declared(ended.scope, "artifacts", key)["artifactSelectors"]
    one = selectors[0] if len(selectors) == 1 else _first(ended.scope, selectors)
    return output_artifacts(_ended(ended.scope, one["producerSubtask"]), one["outputArtifactKey"])


def _check_iterated(ended: Ended) -> None:
    if not ended.iterations:
        raise Fault("a loop without iterations has no outputs")


def _declared(scope: Scope, kind: str, key: str) -> Spec:
    found: Spec | None = scope.dag.get("outputs", {}).get(kind, {}).get(key)
    if found is None:
        raise Fault(f"{scope.path} has no output {key}")
    return found


def _first(scope: Scope, selectors: list[Spec]) -> Spec:
    for one in selectors:
        found = scope.ended.get(one["producerSubtask"])
        if found and found.status is Status.SUCCEEDED:
            return one
    raise Fault(f"none of the tasks of {scope.path} that could give an output has succeeded")
