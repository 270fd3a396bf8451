"""The container of one task, as an executor of IR: image, command, arguments, variables, resources."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from pipec.compiler.plan import ONCE, Plan, order
from pipec.steps.carried import interface_as_json
from pipec.steps.command import order_text
from pipec.steps.interface import Resources
from pipec.targets.base import Options
from pipec.targets.cluster import (
    GATES,
    asks_person,
    cpu_quantity,
    guard_dollars,
    memory_quantity,
    needs_root,
    variables,
    wait_s,
)
from pipec.targets.device import resource
from pipec.targets.kubeflow.foreign import TASK, foreign_arguments
from pipec.targets.kubeflow.scope import Leaf
from pipec.targets.kubeflow.text import Shared

Spec = dict[str, Any]


def container(plan: Plan, leaf: Leaf, options: Options) -> Spec:
    """Return what runs in a task's pod."""
    task = leaf.task
    own, env = task.interface.container, variables(task)
    if own is None:
        given = _verdict(leaf) if leaf.is_verdict else arguments(plan, leaf, options)
        spec: Spec = {"image": task.image, "command": ["pipec-step"], "args": given}
    else:
        spec = {"image": task.image, "command": list(own.command), "args": foreign_arguments(task, own)}
        env = {TASK: task.name, **env}
    if env:
        # Neither KFP nor its launcher replaces anything here, but Kubernetes does (`$(NAME)`), and twice: the container
        # is an argument of the driver's pod before it is a pod itself.
        guarded = {name: guard_dollars(guard_dollars(value)) for name, value in env.items()}
        spec["env"] = [{"name": name, "value": value} for name, value in guarded.items()]
    spec["resources"] = _resources(task.resources)
    return spec


def arguments(plan: Plan, leaf: Leaf, options: Options) -> list[str]:
    """Return what `pipec-step` is called with; `{{$}}` becomes the executor input in the launcher."""
    task = leaf.task
    wait = wait_s(task) if asks_person(task) else 0
    notes = marks(leaf, options)
    retry = ONCE if notes else task.retry
    keeps = bool(options.artifacts) and bool(leaf.reports or leaf.ledger)  # KFP's own cache does not answer for these
    written = order(
        plan, task, wait_s=wait, retry=retry, cache=keeps, report=leaf.report, ledger=leaf.ledger, ends=leaf.ends,
        forgiven=leaf.forgiven, marks=task.retry.attempts - 1 if notes else 0,
    )  # fmt: skip
    if leaf.is_hand:
        written = replace(written, foreign=interface_as_json(task.interface))
    given = [*(["--hand"] if leaf.is_hand else []), task.interface.name, "--order", order_text(written)]
    if options.artifacts and (needs_root(task) or keeps or leaf.ends or notes):
        given += ["--root", options.artifacts]
    return [*given, "--executor-input", "{{$}}"]


def marks(leaf: Leaf, options: Options) -> bool:
    """Say whether KFP may start a step's pod again: an attempt that ended for good is noted, so none follows it.

    Without an artifact root there is no place for that, and a gate is never asked twice: these try again in their pod.
    """
    task = leaf.task
    is_plain = not (leaf.reports or task.interface.container or task.interface.role in GATES or leaf.ledger == "bad")
    return is_plain and task.retry.attempts > 1 and bool(options.artifacts)


def _verdict(leaf: Leaf) -> list[str]:
    """Return the arguments of the task that fails a run; its name makes it another container than that of a loop."""
    return ["--verdict", leaf.label, "--executor-input", "{{$}}"]


@lru_cache(maxsize=256)
def _resources(resources: Resources) -> Shared:
    """Return both generations of fields: servers before 2.4 read numbers only, later ones prefer the text."""
    cpu, memory = cpu_quantity(resources.cpu), memory_quantity(resources.memory_mib)
    gigabytes = resources.memory_mib * 2**20 / 1e9  # the old field's unit
    spec: Spec = {
        "resourceCpuRequest": cpu, "resourceCpuLimit": cpu,
        "resourceMemoryRequest": memory, "resourceMemoryLimit": memory,
        "cpuRequest": float(resources.cpu), "cpuLimit": float(resources.cpu),
        "memoryRequest": gigabytes, "memoryLimit": gigabytes,
    }  # fmt: skip
    if wanted := resources.accelerator:
        kind, count = resource(wanted) or "", str(wanted.count)
        spec["accelerator"] = {"resourceType": kind, "resourceCount": count, "type": kind, "count": count}
    return Shared(spec)
