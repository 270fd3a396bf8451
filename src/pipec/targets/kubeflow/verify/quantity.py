"""Amounts, durations and counts, as Kubernetes and the backend read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pipec.targets.kubeflow.findings import DOUBTFUL, QUANTITY
from pipec.targets.kubeflow.verify.fault import Fault, Path, Spec, shown

_QUANTITY = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,3})?")
_SCALES = {"": 1.0, "m": 1e-3, "k": 1e3} | {
    f"{letter}{i}": float((1024 if i else 1000) ** n)
    for n, letter in enumerate("KMGTPE", 1)
    for i in ("i", "")
    if (letter, i) != ("K", "")
}
_CLOSE = 1e-3  # relative: kfp rounds the older fields
_MOST_S = 10**9  # decades; what is longer overflows somewhere
_PLACEHOLDER = "{{$.inputs.parameters["
_SPOKEN = {"cpu": "CPU", "memory": "memory"}
Form = Literal["Cpu", "Memory"]


def amount(text: str) -> float | None:
    """Return what a quantity of Kubernetes comes to; None if it is none."""
    found = _QUANTITY.fullmatch(text)
    if not found:
        return None
    number, suffix = float(found[1]), found[2] or ""
    return number * (_SCALES[suffix] if suffix in _SCALES else float(f"1{suffix}"))


def resources(spec: Spec, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with the resources of a container, in both generations of fields."""
    forms: tuple[tuple[Form, str, float, str], ...] = (("Cpu", "cpu", 1, "500m"), ("Memory", "memory", 1e9, "16Gi"))
    for new, old, unit, example in forms:
        asked: dict[str, float] = {}
        for end in ("Request", "Limit"):
            key = f"resource{new}{end}"
            text = spec.get(key, "")
            if not text or text.startswith(_PLACEHOLDER):
                continue
            if (found := amount(text)) is None or found <= 0:
                yield Fault(
                    QUANTITY, (*path, key), f"`{shown(text)}` is no amount of {_SPOKEN[old]}", f"such as `{example}`"
                )
                continue
            asked[end] = found
            yield from _older(spec, f"{old}{end}", (key, found / unit), path)
        if asked.get("Request", 0) > asked.get("Limit", float("inf")):
            at = (*path, f"resource{new}Request")
            yield Fault(
                QUANTITY, at, f"more {_SPOKEN[old]} is asked for than the limit allows", "ask for as much as the limit"
            )
    if "accelerator" in spec:
        yield from _accelerator(spec["accelerator"], (*path, "accelerator"))


def _older(spec: Spec, key: str, new: tuple[str, float], path: Path) -> Iterator[Fault]:
    """Yield an older field that says something else than the new one; memory stands there in units of 10^9 bytes."""
    name, wanted = new
    said = spec.get(key)
    if said and abs(said - wanted) > _CLOSE * wanted:
        yield Fault(
            QUANTITY,
            (*path, key),
            f"`{key}` says {said:g}, and `{name}` says {wanted:g}: older servers read the first",
            f"{key}: {wanted:g}",
        )


def _accelerator(spec: Spec, path: Path) -> Iterator[Fault]:
    kind, count = spec.get("resourceType", ""), spec.get("resourceCount", "")
    if not (kind or spec.get("type")) or not (count or spec.get("count")):
        yield Fault(QUANTITY, path, "an accelerator needs a kind and a count", "resourceType: nvidia.com/gpu")
        return
    if not count.startswith(_PLACEHOLDER):
        for key in ("resourceCount", "count"):
            said = str(spec.get(key, ""))
            if said and not re.fullmatch(r"[1-9][0-9]*", said):
                yield Fault(QUANTITY, (*path, key), f"`{shown(said)}` is no number of devices", 'such as `"1"`')
        if count and "count" in spec and str(spec["count"]) != count:
            yield Fault(
                QUANTITY, (*path, "count"), f"`count` and `resourceCount` differ: `{spec['count']}` and `{count}`"
            )
    if kind and "type" in spec and spec["type"] != kind:
        yield Fault(QUANTITY, (*path, "type"), f"`type` and `resourceType` differ: `{spec['type']}` and `{kind}`")
    elif kind and "/" not in kind and not kind.startswith(_PLACEHOLDER):
        yield Fault(
            DOUBTFUL, (*path, "resourceType"), f"no device of Kubernetes is called `{kind}`", "such as `nvidia.com/gpu`"
        )


def retry(spec: Spec, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with how a task is tried again."""
    count, factor = int(spec.get("maxRetryCount", 0)), float(spec.get("backoffFactor", 1))
    if count < 0:
        yield Fault(QUANTITY, (*path, "maxRetryCount"), f"a task cannot be tried again {count} times", "at least 0")
    if factor < 0:
        yield Fault(QUANTITY, (*path, "backoffFactor"), f"a wait cannot grow by {factor:g}", "backoffFactor: 2.0")
    for key in ("backoffDuration", "backoffMaxDuration"):
        if key in spec and not 0 <= float(spec[key][:-1]) <= _MOST_S:
            yield Fault(QUANTITY, (*path, key), f"`{shown(spec[key])}` is no time to wait", "such as `30s`")
    first, longest = (float(spec.get(key, "0s")[:-1]) for key in ("backoffDuration", "backoffMaxDuration"))
    if "backoffMaxDuration" in spec and 0 < longest < first:
        at = (*path, "backoffMaxDuration")
        yield Fault(QUANTITY, at, "the longest wait is shorter than the first one", "make it at least as long")


def parallelism(task: Spec, path: Path) -> Iterator[Fault]:
    """Yield a limit of a loop that no loop can keep."""
    limit = int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0))
    at = (*path, "iteratorPolicy", "parallelismLimit")
    if limit < 0:
        yield Fault(QUANTITY, at, f"a loop cannot run {limit} at once", "at least 1")
    elif limit and "parameterIterator" not in task and "artifactIterator" not in task:
        yield Fault(QUANTITY, at, "a limit of parallel runs stands on a task that is no loop", "remove it")
