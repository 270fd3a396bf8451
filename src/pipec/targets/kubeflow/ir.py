"""A plan as a KFP v2 `PipelineSpec`, in plain data.

One component and one executor per task, as kfp's own compiler writes them: shared ones break kfp.local, and two with
equal containers collide in the backend. The order text holds the task's name, so no two
containers are equal.
"""

from __future__ import annotations

import json
from typing import Any

from pipec.compiler.plan import Plan, PlanParameter, Task
from pipec.steps.command import input_name
from pipec.steps.interface import Artifact, Kind
from pipec.targets.base import Options
from pipec.targets.cluster import GATES, needs_root, reads_world, task_references
from pipec.targets.kubeflow.container import container
from pipec.values import ConfigRef, OutputRef, ParameterRef, Reference, RunRef, SecretRef

TYPES = {
    Kind.STRING: "STRING", Kind.INTEGER: "NUMBER_INTEGER", Kind.NUMBER: "NUMBER_DOUBLE",
    Kind.BOOLEAN: "BOOLEAN", Kind.LIST: "LIST", Kind.OBJECT: "STRUCT",
}  # fmt: skip
TITLES = {Artifact.DATASET: "system.Dataset", Artifact.MODEL: "system.Model", Artifact.METRICS: "system.Metrics"}
# Only as the whole constant of a task's input does the driver replace these.
RUN_FACTS = {"run-id": "{{$.pipeline_job_uuid}}", "run-scheduled_at": "{{$.pipeline_job_schedule_time_utc}}"}
MOUNTED = ("s3://", "gs://", "minio://")  # schemes whose artifacts KFP's launcher mounts as files
RETRY_LONGEST = "3600s"

References = tuple[Reference, ...]
Spec = dict[str, Any]  # protobuf's JSON form: checked against the protobufs in tests, not by types


def pipeline_spec(plan: Plan, options: Options) -> Spec:
    """Return the whole document. Assumes that `refuse` found nothing."""
    tasks = {task.name: task for task in plan.tasks}
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
    references = {task.name: task_references(task) for task in plan.tasks}
    spec["root"] = _root(plan, tasks, references)
    kinds = {parameter.name: parameter.kind for parameter in plan.parameters}
    spec["components"] = {
        f"comp-{task.name}": _component(task, references[task.name], tasks, kinds) for task in plan.tasks
    }
    spec["deploymentSpec"] = {
        "executors": {f"exec-{task.name}": {"container": container(plan, task, options)} for task in plan.tasks}
    }
    return spec


def _root(plan: Plan, tasks: dict[str, Task], references: dict[str, References]) -> Spec:
    root: Spec = {}
    if plan.parameters:
        root["inputDefinitions"] = {"parameters": {p.name: _parameter(p) for p in plan.parameters}}
    artifacts: Spec = {}
    values: Spec = {}
    for name, reference in plan.outputs:
        if not isinstance(reference, OutputRef):
            continue
        (artifacts if isinstance(_type(reference, tasks), Artifact) else values)[name] = reference
    if plan.outputs:
        root["outputDefinitions"] = _definitions(
            {name: _type(ref, tasks) for name, ref in (artifacts | values).items()}
        )
    dag: Spec = {"tasks": {task.name: _task(task, references[task.name]) for task in plan.tasks}}
    if plan.outputs:
        dag["outputs"] = _outputs(artifacts, values)
    return {**root, "dag": dag}


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


def _outputs(artifacts: dict[str, OutputRef], values: dict[str, OutputRef]) -> Spec:
    spec: Spec = {}
    if artifacts:
        spec["artifacts"] = {
            name: {"artifactSelectors": [{"producerSubtask": ref.task, "outputArtifactKey": ref.output}]}
            for name, ref in artifacts.items()
        }
    if values:
        spec["parameters"] = {
            name: {"valueFromParameter": {"producerSubtask": ref.task, "outputParameterKey": ref.output}}
            for name, ref in values.items()
        }
    return spec


def _task(task: Task, references: References) -> Spec:
    spec: Spec = {
        "taskInfo": {"name": task.title or task.name},
        "componentRef": {"name": f"comp-{task.name}"},
        "cachingOptions": {} if reads_world(task) else {"enableCache": True},
    }
    if task.needs:
        spec["dependentTasks"] = sorted({need.task for need in task.needs})
    inputs = _task_inputs(task, references)
    if inputs:
        spec["inputs"] = inputs
    if task.retry.attempts > 1 and task.interface.role not in GATES:
        spec["retryPolicy"] = {
            "maxRetryCount": task.retry.attempts - 1,
            "backoffDuration": f"{task.retry.backoff_s}s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": RETRY_LONGEST,
        }
    return spec


def _task_inputs(task: Task, references: References) -> Spec:
    parameters: Spec = {}
    artifacts: Spec = {}
    for reference in references:
        match reference:
            case ParameterRef(name):
                parameters[input_name(reference)] = {"componentInputParameter": name}
            case OutputRef(producer, output) if _is_artifact_input(task, reference):
                artifacts[input_name(reference)] = {
                    "taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": output}
                }
            case OutputRef(producer, output):
                parameters[input_name(reference)] = {
                    "taskOutputParameter": {"producerTask": producer, "outputParameterKey": output}
                }
            case RunRef() | SecretRef() | ConfigRef():
                continue  # facts of the run follow; secrets and configs reach the container by its environment
    for fact in run_facts(task, references):
        parameters[fact] = {"runtimeValue": {"constant": RUN_FACTS[fact]}}
    return {kind: given for kind, given in (("parameters", parameters), ("artifacts", artifacts)) if given}


def run_facts(task: Task, references: References) -> tuple[str, ...]:
    """Return the inputs by which the run's facts enter a task, sorted; an approval is found by the run's id."""
    facts = {input_name(reference) for reference in references if isinstance(reference, RunRef)}
    if needs_root(task):
        facts.add("run-id")
    return tuple(sorted(facts))


def _is_artifact_input(task: Task, reference: OutputRef) -> bool:
    return any(reference in values for _, values in task.inputs)


def _component(task: Task, references: References, tasks: dict[str, Task], kinds: dict[str, Kind]) -> Spec:
    inputs: dict[str, Artifact | Kind] = {}
    optional = _optional(task)
    for reference in references:
        match reference:
            case ParameterRef(name):
                inputs[input_name(reference)] = kinds[name]
            case OutputRef():
                inputs[input_name(reference)] = _type(reference, tasks)
            case RunRef() | SecretRef() | ConfigRef():
                continue
    inputs |= dict.fromkeys(run_facts(task, references), Kind.STRING)
    spec: Spec = {"executorLabel": f"exec-{task.name}"}
    if inputs:
        spec["inputDefinitions"] = _definitions(inputs, optional)
    if task.interface.outputs:
        spec["outputDefinitions"] = _definitions({output.name: output.type for output in task.interface.outputs})
    return spec


def _optional(task: Task) -> frozenset[str]:
    """Return the names of artifact inputs that the step can do without."""
    names = {declared.name for declared in task.interface.inputs if declared.optional}
    listed = [value for name, values in task.inputs if name in names for value in values]
    return frozenset(input_name(value) for value in listed if isinstance(value, OutputRef))


def _definitions(types: dict[str, Artifact | Kind], optional: frozenset[str] = frozenset()) -> Spec:
    artifacts: Spec = {}
    parameters: Spec = {}
    for name, type_ in types.items():
        if isinstance(type_, Artifact):
            schema = {"schemaTitle": TITLES.get(type_, "system.Artifact"), "schemaVersion": "0.0.1"}
            artifacts[name] = {"artifactType": schema} | ({"isOptional": True} if name in optional else {})
        else:
            parameters[name] = {"parameterType": TYPES[type_]}
    return {kind: given for kind, given in (("parameters", parameters), ("artifacts", artifacts)) if given}


def _type(reference: OutputRef, tasks: dict[str, Task]) -> Artifact | Kind:
    output = tasks[reference.task].interface.output(reference.output)
    assert output is not None, f"task {reference.task} has no output {reference.output} (graph should have stopped it)"
    return output.type
