"""Where a step's pod may run: what an environment says of the pool, and what the step asks of its device.

Kubernetes' words for it, shared by the targets that make pods: node labels, taints, and the labels by which Kueue reads
a queue and a priority. Knows no target's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipec.compiler.plan import Task
from pipec.record import frozen
from pipec.steps.interface import Accelerator
from pipec.targets.base import Feature, Options, Refusal, Use
from pipec.targets.cluster import LABEL
from pipec.targets.device import Requirement, has_labels, requirements

QUEUE = "kueue.x-k8s.io/queue-name"  # Kueue reads both from a pod's labels (its documentation, "Plain Pods")
PRIORITY = "kueue.x-k8s.io/priority-class"
MOST_SECONDS = 2**63 - 1  # Kubernetes keeps them as an int64
_WORD = re.compile(r"[A-Za-z0-9./_-]*")


@frozen(kw_only=True)
class Placement:
    """Where a pod may run.

    tolerations: with the language's keys. labels: of the pod, for who admits it. priority_class: Kubernetes' own, where
    no queue reads the priority from a label.
    """

    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    labels: Mapping[str, str]
    required: tuple[Requirement, ...]
    priority_class: str = ""


_ANYWHERE = Placement(node_selector={}, tolerations=(), labels={}, required=())


def placement(task: Task, options: Options) -> Placement:
    """Return where a task's pod may run; `refuse_placement` stops what is not said by it."""
    if not task.resources.pool and not task.resources.accelerator:
        return _ANYWHERE
    pool = _pool(task, options)
    labels = {}
    if queue := pool.get("queue"):
        labels[QUEUE] = queue
        if priority := pool.get("priority"):
            labels[PRIORITY] = priority
    wanted = _unsettled(task, pool)
    required = list(requirements(wanted)) if wanted else []
    # One name needs no affinity, which backends before 2.14 do not read.
    plain = {r.key: r.values[0] for r in required if r.operator == "In" and len(r.values) == 1}
    return Placement(
        node_selector={**pool.get("node_selector", {}), **plain},
        tolerations=tuple(pool.get("tolerations", ())),
        labels=labels,
        required=tuple(r for r in required if r.key not in plain),
        priority_class="" if queue else pool.get("priority", ""),
    )


def _pool(task: Task, options: Options) -> Mapping[str, Any]:
    return options.pools.get(task.resources.pool or "", {})


def _unsettled(task: Task, pool: Mapping[str, Any]) -> Accelerator | None:
    """Return the device of a task without what its pool answers for: one that selects nodes knows what they have.

    Not every cluster has the vendor's labels, so they are asked for only where nothing else says it.
    """
    wanted = task.resources.accelerator
    if wanted is None or not pool.get("node_selector"):
        return wanted
    there: Mapping[str, Any] = pool.get("accelerator", {})
    model, memory = str(there.get("model") or "").lower(), there.get("memory_mib") or 0
    return replace(
        wanted,
        model=wanted.model if (wanted.model or "").lower() != model else None,
        memory_mib=wanted.memory_mib if (wanted.memory_mib or 0) > memory else None,
    )


def refuse_placement(task: Task, options: Options, target: str, *, has_priority: bool = False) -> Iterator[Refusal]:
    """Yield what of a task's placement no pod of `target` can say. has_priority: whether one can have its class."""
    if task.resources.pool:
        pool = _pool(task, options)
        yield from _refuse_pool(task, task.resources.pool, pool, target)
        if pool.get("priority") and not pool.get("queue") and not has_priority:
            yield Refusal(
                Use(Feature.POOL, task.step, ("resources", "pool")),
                f"{target} cannot give a pod the priority class that pool `{task.resources.pool}` names",
                "name a `queue` of Kueue beside it, which reads its priority from a label, or leave `priority` out",
            )
    wanted = _unsettled(task, _pool(task, options))
    for name, value in (("model", wanted.model), ("memory", wanted.memory_mib)) if wanted else ():
        if value and wanted and not has_labels(wanted, name):
            said = f"model: {value}" if name == "model" else f"memory: {wanted.memory_mib}Mi"
            yield Refusal(
                Use(Feature.ACCELERATOR, task.step, ("resources", "accelerator", name)),
                f"{target} does not know by which label nodes tell the {name} of this {wanted.kind}",
                f"say `pools: {{<pool>: {{accelerator: {{{said}}}, node_selector: {{...}}}}}}` in pipec.yaml, "
                "and `pool: <pool>` here",
            )


def _refuse_pool(task: Task, name: str, pool: Mapping[str, Any], target: str) -> Iterator[Refusal]:
    use = Use(Feature.POOL, task.step, ("resources", "pool"))
    told = {key for key in pool if key != "accelerator"}
    if not told and not (task.resources.accelerator and pool.get("accelerator")):
        yield Refusal(
            use,
            f"nothing says where the machines of pool `{name}` are",
            f"say `environments: {{<name>: {{pools: {{{name}: {{node_selector: {{...}}}}}}}}}}` in pipec.yaml",
        )
    if pool.get("queue") and any(len(str(pool.get(key, ""))) > 63 for key in ("queue", "priority")):
        yield Refusal(use, f"the queue or priority of pool `{name}` is too long for a label", "use 63 letters at most")
    for key, value in pool.get("node_selector", {}).items():
        if value and not LABEL.fullmatch(value):
            yield Refusal(use, f"pool `{name}` selects by `{key}: {value}`, which no label can be", "name a label")
    for toleration in pool.get("tolerations", ()):
        yield from _refuse_toleration(use, name, toleration)


def _refuse_toleration(use: Use, name: str, toleration: Mapping[str, Any]) -> Iterator[Refusal]:
    operator, seconds = toleration.get("operator", "Equal"), toleration.get("seconds")
    odd = [text for at in ("key", "value") if not _WORD.fullmatch(text := toleration.get(at, ""))]
    if odd:
        yield Refusal(use, f"pool `{name}` tolerates `{odd[0]}`, which no taint can be", "name a taint")
    if operator == "Equal" and not toleration.get("key"):
        yield Refusal(use, f"pool `{name}` tolerates a taint without a `key`", "name its key, or say `Exists`")
    if operator == "Exists" and toleration.get("value"):
        yield Refusal(use, f"pool `{name}` tolerates any value and names one", "leave `value` or `Exists` out")
    if seconds is not None and (seconds > MOST_SECONDS or toleration.get("effect") != "NoExecute"):
        yield Refusal(
            use, f"pool `{name}` counts seconds that no taint has", "say `effect: NoExecute` beside `seconds`"
        )
