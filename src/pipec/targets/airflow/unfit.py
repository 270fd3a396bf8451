"""What a task asks for that no pod, or no container of the worker's daemon, can be told by Airflow's operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipec.compiler.plan import Task
from pipec.steps.interface import Accelerator
from pipec.targets.airflow.docker import folder, worker_variables
from pipec.targets.airflow.pod import HANDED
from pipec.targets.base import Feature, Options, Refusal, Use, place_of
from pipec.targets.cluster import VARIABLE, config_variables, mounts, secret_variables
from pipec.targets.device import resource
from pipec.targets.judge import cluster_configs, cluster_secrets, cluster_volumes, secret_use
from pipec.targets.placement import refuse_placement
from pipec.values import ConfigRef


def refuse_pod(task: Task, options: Options) -> Iterator[Refusal]:
    """Yield what of a task no pod can be told."""
    yield from cluster_secrets(task, options, "airflow")
    yield from cluster_configs(task, options, "airflow")
    yield from cluster_volumes(task, options, "airflow")
    yield from refuse_placement(task, options, "airflow", has_priority=True)
    for variable, name in secret_variables(task):
        if variable != variable.upper():
            use = secret_use(task, name)
            yield Refusal(use, f"airflow would write `{variable}` in capitals", f"name it `{variable.upper()}`")
    for mount in mounts(task, options):
        if mount.place == HANDED or mount.place.startswith(f"{HANDED}/"):
            use = Use(Feature.VOLUMES, task.step, ("volumes", mount.place))
            yield Refusal(use, f"airflow keeps `{mount.place}` for itself", "mount it elsewhere")


def refuse_container(task: Task, options: Options) -> Iterator[Refusal]:
    """Yield what of a task no container of the worker's daemon can be told."""
    yield from _variables(task, options)
    for mount, name in task.volumes:
        if not folder(options, name):
            yield Refusal(
                Use(Feature.VOLUMES, task.step, ("volumes", mount)),
                f"volume `{name}` is no folder of the worker's machine, which docker could mount",
                f"say `volumes: {{{name}: {{path: /<folder>}}}}` in the environment",
            )
    pool: Mapping[str, Any] = options.pools.get(task.resources.pool or "", {})
    if task.resources.pool and set(pool) != {"accelerator"}:
        yield Refusal(
            Use(Feature.POOL, task.step, ("resources", "pool")),
            f"docker runs on the worker's own machine, and cannot look for pool `{task.resources.pool}`",
            "leave it out, or compile for kubernetes",
        )
    if wanted := task.resources.accelerator:
        yield from _device(task, wanted, pool.get("accelerator", {}))


def _device(task: Task, wanted: Accelerator, there: Mapping[str, Any]) -> Iterator[Refusal]:
    """Yield what docker cannot say of a device. there: what the pool says that the machine has."""
    if resource(wanted) not in (None, "nvidia.com/gpu"):
        use = Use(Feature.ACCELERATOR, task.step, ("resources", "accelerator", "vendor"))
        yield Refusal(use, "docker gives a container the GPUs of vendor nvidia only", "compile for kubernetes")
    has_model = (wanted.model or "").lower() in ("", str(there.get("model") or "").lower())
    has_memory = (wanted.memory_mib or 0) <= (there.get("memory_mib") or 0)
    for name, is_known in (("model", has_model), ("memory", has_memory)):
        if not is_known:
            use = Use(Feature.ACCELERATOR, task.step, ("resources", "accelerator", name))
            yield Refusal(
                use, f"docker cannot choose a device by its {name}", "leave it out, or name a pool that has it"
            )


def _variables(task: Task, options: Options) -> Iterator[Refusal]:
    held = worker_variables(task, options)
    uses = [("secret", variable, name, secret_use(task, name)) for variable, name in secret_variables(task)]
    for variable, name in config_variables(task):
        uses.append(("config", variable, name, Use(Feature.CONFIGS, task.step, place_of(task, ConfigRef(name)))))
    for kind, variable, name, use in uses:
        if not VARIABLE.fullmatch(held.get(variable, "")):
            yield Refusal(
                use,
                f"{kind} `{name}` is not in a variable of the worker, where docker could take it from",
                f"say `{kind}s: {{{name}: {{env: <VARIABLE>}}}}` in pipec.yaml",
            )
