"""One task as a call of an operator: what a container is called with, and what pods and Docker containers share.

What all tasks of a file share goes into the DAG's `default_args`; what Jinja could read is made safe here.
"""

from __future__ import annotations

from pipec.compiler.plan import Plan, Task, order
from pipec.steps.command import order_text
from pipec.targets.airflow.approval import decision
from pipec.targets.airflow.docker import docker, docker_args, is_docker
from pipec.targets.airflow.pod import pod, pod_args
from pipec.targets.airflow.source import NO_DOLLAR, Call, Keywords, Source, seconds, templated
from pipec.targets.base import Options
from pipec.targets.cluster import asks_person, labels, task_references
from pipec.values import ParameterRef, RunRef

FINAL = [1, 2, 3]  # a bug, the caller's arguments, a no: design.md 3.1.7 tries 75, 137 and lost machines again
LONGEST_WAIT_S = 3600  # design.md 3.1.7
RUN_ID = "{{ run_id }}"
PARAMETERS = "{{ params" + NO_DOLLAR + " }}"
SCHEDULED_AT = '{{ dag_run.run_after.strftime("%Y-%m-%dT%H:%M:%SZ") }}'  # as Kubeflow writes it


def default_args(plan: Plan, options: Options) -> dict[str, Source]:
    """Return what all operators of the file share. Keys that an operator does not know pass it by."""
    settings = options.settings
    shared: dict[str, Source] = {"owner": plan.owner} if plan.owner else {}
    shared |= {key: str(settings[key]) for key in ("pool",) if settings.get(key)}
    shared |= {"retries": 0, "skip_on_exit_code": FINAL, "labels": dict(labels(plan))}
    if image := shared_image(plan):
        shared["image"] = templated(image)
    return shared | (docker_args(options) if is_docker(options) else pod_args(options))


def shared_image(plan: Plan) -> str | None:
    """Return the image of all tasks, or None if they differ."""
    images = {task.image for task in plan.tasks}
    return next(iter(images)) if len(images) == 1 else None


def _image(task: Task, shared: str | None) -> Keywords:
    return () if shared else (("image", templated(task.image or "")),)


def step(plan: Plan, task: Task, options: Options, shared: str | None) -> Call:
    """Return the operator that runs a task's container; `shared`: the image that `default_args` says, if any."""
    given: Keywords = (("task_id", task.name), *_documented(task))
    called = arguments(plan, task, options)
    place = docker(task, options, called) if is_docker(options) else pod(plan, task, options, called)
    return Call("Step", (*given, *_image(task, shared), *place, *_retried(task)))


def _documented(task: Task) -> Keywords:
    return (("doc", task.description),) if task.description else ()


def _retried(task: Task) -> Keywords:
    if task.retry.attempts <= 1:
        return ()
    return (
        ("retries", task.retry.attempts - 1),
        ("retry_delay", seconds(task.retry.backoff_s)),
        ("retry_exponential_backoff", True),
        ("max_retry_delay", seconds(LONGEST_WAIT_S)),
    )


def arguments(plan: Plan, task: Task, options: Options) -> list[Source]:
    """Return what `pipec-step` is called with, fit for a templated field."""
    root = templated(options.artifacts or "")
    given: list[Source] = [templated(task.interface.name), "--order", order_text(order(plan, task, cache=True))]
    given += ["--root", root, "--run", RUN_ID]
    references = task_references(task)
    if any(isinstance(reference, ParameterRef) for reference in references):
        given += ["--parameters", PARAMETERS]
    if RunRef("date") in references or RunRef("scheduled_at") in references:
        given += ["--scheduled-at", SCHEDULED_AT]
    if asks_person(task):
        given += ["--decision", decision(task, options)]
    return given
