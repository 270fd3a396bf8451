"""A task as a pod: what only the Kubernetes operator is told. What all pods of a file share is in `default_args`."""

from __future__ import annotations

from pipec.compiler.plan import Plan, Task
from pipec.targets.airflow.source import Call, Keywords, Source, templated
from pipec.targets.base import Options
from pipec.targets.cluster import cpu_quantity, guard_dollars, memory_quantity, secrets, variables
from pipec.targets.device import resource

STARTUP_S = 900  # pulling an image with torch in it to a fresh GPU machine takes minutes; Airflow's default is 120


def pod_args(options: Options) -> dict[str, Source]:
    """Return what all pods of a file share, as `default_args`."""
    settings = options.settings
    shared: dict[str, Source] = {}
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


def pod(plan: Plan, task: Task, options: Options, arguments: list[Source]) -> Keywords:
    """Return the operator's keywords. arguments: what the container's command is called with."""
    resources: dict[str, Source] = {
        "cpu": cpu_quantity(task.resources.cpu),
        "memory": memory_quantity(task.resources.memory_mib),
    }
    if wanted := task.resources.accelerator:
        resources[resource(wanted) or ""] = str(wanted.count)
    keywords: list[tuple[str, Source]] = [
        ("name", f"{plan.pipeline}-{task.name}"[:63].rstrip("-")),
        ("arguments", arguments),
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
