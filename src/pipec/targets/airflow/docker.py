"""A task as a container of the worker's Docker daemon: what only the Docker operator is told."""

from __future__ import annotations

from pipec.compiler.plan import Task
from pipec.steps.interface import Accelerator
from pipec.targets.airflow.source import Call, Keywords, Source, seconds, templated
from pipec.targets.base import Options
from pipec.targets.cluster import secret_variables, variables


def is_docker(options: Options) -> bool:
    """Say whether tasks run as Docker containers of the worker's daemon rather than as pods."""
    return options.values.get("operator") == "docker"


def docker_args(options: Options) -> dict[str, Source]:
    """Return what all containers of a file share, as `default_args`."""
    shared: dict[str, Source] = {"entrypoint": ["pipec-step"], "mount_tmp_dir": False, "auto_remove": "force"}
    shared["do_xcom_push"] = False  # Docker's would be the last line of the log, whatever that is
    root = options.artifacts or ""
    if "://" not in root:
        place = templated(root)
        shared["mounts"] = [{"source": place, "target": place, "type": "bind"}]
    return shared


def docker(task: Task, options: Options, arguments: list[Source]) -> Keywords:
    """Return the operator's keywords. arguments: what the container's command is called with."""
    keywords: list[tuple[str, Source]] = [
        ("command", arguments),
        ("cpus", task.resources.cpu),
        ("mem_limit", f"{task.resources.memory_mib}m"),
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
