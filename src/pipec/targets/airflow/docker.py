"""A task as a container of the worker's Docker daemon: what only the Docker operator is told."""

from __future__ import annotations

from collections.abc import Mapping

from pipec.compiler.plan import Task
from pipec.steps.interface import Accelerator
from pipec.targets.airflow.source import Call, Keywords, Source, seconds, templated
from pipec.targets.base import Options
from pipec.targets.cluster import config_variables, secret_variables, variables
from pipec.targets.folder import shared_memory_mib
from pipec.values import Json


def is_docker(options: Options) -> bool:
    """Say whether tasks run as Docker containers of the worker's daemon rather than as pods."""
    return options.values.get("operator") == "docker"


def docker_args(options: Options) -> dict[str, Source]:
    """Return what all containers of a file share, as `default_args`."""
    settings = options.settings
    shared: dict[str, Source] = {"entrypoint": ["pipec-step"], "mount_tmp_dir": False, "auto_remove": "force"}
    shared["do_xcom_push"] = False  # Docker's would be the last line of the log, whatever that is
    if user := settings.get("run_as_user"):
        shared["user"] = ":".join(str(number) for number in (user, settings.get("run_as_group")) if number)
    if settings.get("pull_policy") == "Always":
        shared["force_pull"] = True
    if root := _root(options):
        shared["mounts"] = root
    return shared


def _root(options: Options) -> list[Source]:
    root = options.artifacts or ""
    return [] if "://" in root else [bind(root, root)]


def bind(source: str, target: str) -> dict[str, Source]:
    """Return the mount of a folder of the worker's machine."""
    return {"source": templated(source), "target": templated(target), "type": "bind"}


def docker(task: Task, options: Options, arguments: list[Source]) -> Keywords:
    """Return the operator's keywords. arguments: what the container's command is called with."""
    keywords: list[tuple[str, Source]] = [
        ("command", arguments),
        ("cpus", task.resources.cpu),
        ("mem_limit", f"{task.resources.memory_mib}m"),
    ]
    if size := shared_memory_mib(task):
        keywords.append(("shm_size", f"{size}m"))
    if wanted := task.resources.accelerator:
        keywords.append(("device_requests", [_devices(wanted)]))
    if task.volumes:
        binds = [bind(folder(options, name), place) for place, name in task.volumes]
        keywords.append(("mounts", [*_root(options), *binds]))
    if env := variables(task):
        keywords.append(("environment", {name: templated(value) for name, value in env.items()}))
    if names := worker_variables(task, options):
        keywords.append(("private_environment", Call("from_worker", plain=(names,))))
    if task.timeout_s is not None:
        keywords.append(("execution_timeout", seconds(task.timeout_s)))
    return tuple(keywords)


def _devices(wanted: Accelerator) -> dict[str, Source]:
    return {"count": wanted.count, "capabilities": [["gpu"]]}


def folder(options: Options, volume: str) -> str:
    """Return the folder of the worker's machine that a volume is, or an empty text where it is none."""
    path = options.volumes.get(volume, {}).get("path")
    return path if isinstance(path, str) and path.startswith("/") else ""


def worker_variables(task: Task, options: Options) -> dict[str, str]:
    """Return, by a step's variable, the worker's variable that holds a secret or config; `refuse` stops other kinds."""
    return _held(secret_variables(task), options.secrets) | _held(config_variables(task), options.configs)


def _held(named: tuple[tuple[str, str], ...], places: Mapping[str, Mapping[str, Json]]) -> dict[str, str]:
    sources = {variable: places.get(name, {}).get("env") for variable, name in named}
    return {variable: source for variable, source in sources.items() if isinstance(source, str)}
