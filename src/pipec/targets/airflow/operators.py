"""One task as calls of Airflow's operators: a pod or a Docker container, and a person where one must decide.

What all tasks of a file share goes into the DAG's `default_args`; what Jinja could read is made safe here.
"""

from __future__ import annotations

from pipec.compiler.plan import Plan, Task, order
from pipec.steps.command import order_text
from pipec.steps.interface import Accelerator
from pipec.targets.airflow.source import Call, Source, jinja, templated
from pipec.targets.base import Options
from pipec.targets.cluster import (
    approvers,
    asks_person,
    cpu_quantity,
    guard_dollars,
    labels,
    memory_quantity,
    secret_variables,
    secrets,
    task_references,
    variables,
    wait_s,
)
from pipec.targets.device import resource
from pipec.values import Literal, ParameterRef, RunRef

FINAL = [1, 2, 3]  # a bug, the caller's arguments, a no: design.md 3.1.7 tries 75, 137 and lost machines again
STARTUP_S = 900  # pulling an image with torch in it to a fresh GPU machine takes minutes; Airflow's default is 120
LONGEST_WAIT_S = 3600  # design.md 3.1.7
# Kubernetes rewrites `$(NAME)` and `$$` in arguments, so JSON that a run makes says `$` as an escape.
_NO_DOLLAR = ' | tojson | replace("$", "\\\\u0024")'
RUN_ID = "{{ run_id }}"
PARAMETERS = "{{ params" + _NO_DOLLAR + " }}"
SCHEDULED_AT = '{{ dag_run.run_after.strftime("%Y-%m-%dT%H:%M:%SZ") }}'  # as Kubeflow writes it

Keywords = tuple[tuple[str, Source], ...]


def is_docker(options: Options) -> bool:
    """Say whether tasks run as Docker containers of the worker's daemon rather than as pods."""
    return options.values.get("operator") == "docker"


def default_args(plan: Plan, options: Options) -> dict[str, Source]:
    """Return what all operators of the file share. Keys that an operator does not know pass it by."""
    settings = options.settings
    shared: dict[str, Source] = {"owner": plan.owner} if plan.owner else {}
    shared |= {key: str(settings[key]) for key in ("pool",) if settings.get(key)}
    shared |= {"retries": 0, "skip_on_exit_code": FINAL, "labels": dict(labels(plan))}
    if image := shared_image(plan):
        shared["image"] = templated(image)
    if is_docker(options):
        shared |= {"entrypoint": ["pipec-step"], "mount_tmp_dir": False, "auto_remove": "force"}
        root = options.artifacts or ""
        if "://" not in root:
            place = templated(root)
            shared["mounts"] = [{"source": place, "target": place, "type": "bind"}]
        return shared
    if settings.get("namespace"):
        shared["namespace"] = str(settings["namespace"])
    if settings.get("service_account"):
        shared["service_account_name"] = str(settings["service_account"])
    return shared | {
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": STARTUP_S,
        "deferrable": False,  # a worker sees the container's exit code; a trigger would not
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def shared_image(plan: Plan) -> str | None:
    """Return the image of all tasks, or None if they differ."""
    images = {task.image for task in plan.tasks}
    return next(iter(images)) if len(images) == 1 else None


def _image(task: Task, shared: str | None) -> Keywords:
    return () if shared else (("image", templated(task.image or "")),)


def step(plan: Plan, task: Task, options: Options, shared: str | None) -> Call:
    """Return the operator that runs a task's container; `shared`: the image that `default_args` says, if any."""
    given: Keywords = (("task_id", task.name), *_documented(task))
    place = (_docker if is_docker(options) else _pod)(plan, task, options, shared)
    return Call("Step", (*given, *place, *_retried(task)))


def _documented(task: Task) -> Keywords:
    return (("doc", task.description),) if task.description else ()


def _pod(plan: Plan, task: Task, options: Options, shared: str | None) -> Keywords:
    resources: dict[str, Source] = {
        "cpu": cpu_quantity(task.resources.cpu),
        "memory": memory_quantity(task.resources.memory_mib),
    }
    if wanted := task.resources.accelerator:
        resources[resource(wanted) or ""] = str(wanted.count)
    keywords: list[tuple[str, Source]] = [
        ("name", f"{plan.pipeline}-{task.name}"[:63].rstrip("-")),
        *_image(task, shared),
        ("arguments", arguments(plan, task, options)),
        ("container_resources", {"requests": resources, "limits": resources}),
    ]
    if env := variables(task):
        keywords.append(("env_vars", {name: templated(guard_dollars(value)) for name, value in env.items()}))
    if wanted_secrets := secrets(task, options):
        made = [Call("Secret", plain=("env", s.variable, s.name, s.key)) for s in wanted_secrets]
        keywords.append(("secrets", made))
    if task.timeout_s is not None:
        keywords.append(("active_deadline_seconds", task.timeout_s))  # of the pod: queueing does not count
    return tuple(keywords)


def _docker(plan: Plan, task: Task, options: Options, shared: str | None) -> Keywords:
    keywords: list[tuple[str, Source]] = [
        *_image(task, shared),
        ("command", arguments(plan, task, options)),
        ("cpus", task.resources.cpu),
        ("mem_limit", f"{task.resources.memory_mib}m"),
        ("do_xcom_push", False),  # Docker's would be the last line of the log
    ]
    if wanted := task.resources.accelerator:
        keywords.append(("device_requests", [_devices(wanted)]))
    if env := variables(task):
        keywords.append(("environment", {name: templated(value) for name, value in env.items()}))
    if names := worker_secrets(task, options):
        keywords.append(("private_environment", Call("from_worker", plain=(names,))))
    if task.timeout_s is not None:
        keywords.append(("execution_timeout", seconds(task.timeout_s)))
    return tuple(keywords)


def _devices(wanted: Accelerator) -> dict[str, Source]:
    return {"count": wanted.count, "capabilities": [["gpu"]]}


def worker_secrets(task: Task, options: Options) -> dict[str, str]:
    """Return, by a step's variable, the worker's variable that holds the secret; `refuse` stops any other kind."""
    named = {variable: options.secrets.get(name, {}).get("env") for variable, name in secret_variables(task)}
    return {variable: source for variable, source in named.items() if isinstance(source, str)}


def seconds(count: int) -> Call:
    """Return a time span as source."""
    return Call("timedelta", (("seconds", count),))


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


def decision_id(task: Task) -> str:
    """Return the id of the human half of an approval."""
    return f"{task.name}-decision"


def decision(task: Task, options: Options) -> str:
    """Return the template that turns a person's answer into the decision document that the step reads.

    An Airflow user is a person of the project by the environment's `users`. Without that table, or where anyone may
    decide, the user's own name counts; else an unknown user is nobody, and the step refuses.
    """
    answer = f"ti.xcom_pull(task_ids={jinja(decision_id(task))})"
    known = users(options)
    if known:
        pairs = ", ".join(f"{jinja(number)}: {jinja(person)}" for person, number in known.items())
        otherwise = '""' if approvers(task) else "answer.responded_by_user.name"
        person = f"{{{pairs}}}.get(answer.responded_by_user.id, {otherwise})"
    else:
        person = "answer.responded_by_user.name"
    return (
        f"{{% set answer = {answer} %}}"
        '{"format_version": "1.0", '
        '"decision": "{{ "approve" if answer.chosen_options == ["Approve"] else "reject" }}", '
        f'"by": {{{{ {person}{_NO_DOLLAR} }}}}, '
        '"at": {{ answer.responded_at | string | replace(" ", "T") | tojson }}}'
    )


def users(options: Options) -> dict[str, str]:
    """Return the ids of Airflow's users by person, sorted."""
    table = options.settings.get("users")
    return {str(person): str(number) for person, number in sorted(table.items())} if isinstance(table, dict) else {}


def human(plan: Plan, task: Task, options: Options) -> Call:
    """Return the task in which a person decides; it waits without a worker and skips the rest at a no.

    At least one retry: Airflow 3.3 can lose an answer given within a second of asking, and then asks again.
    """
    about = f"{plan.pipeline} ({plan.environment})" if plan.environment else plan.pipeline
    named = approvers(task)
    message = dict(task.parameters).get("message")
    asked = message.value if isinstance(message, Literal) and isinstance(message.value, str) else ""
    body = asked or task.description or "The steps before this one say what is released."
    known = users(options)
    keywords: list[tuple[str, Source]] = [
        ("task_id", decision_id(task)),
        ("subject", templated(f"{task.name}: release of {about}")),
        ("body", templated(f"{body}\n\nWho may decide: {', '.join(named)}." if named else body)),
        ("response_timeout", seconds(wait_s(task))),
    ]
    assigned = [{"id": known[person], "name": person} for person in named if person in known]
    if assigned:
        keywords.append(("assigned_users", assigned))
    keywords += [("retries", max(1, task.retry.attempts - 1)), ("retry_delay", seconds(task.retry.backoff_s))]
    return Call("ApprovalOperator", tuple(keywords))
