"""Calls that the tests of placement on Kubeflow share: a plan emitted, its pods, and what is refused of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import plans
import yaml

from pipec.compiler.plan import Plan
from pipec.steps.interface import Accelerator, Resources, Retry
from pipec.targets.base import Options, refusals
from pipec.targets.kubeflow import TARGET
from pipec.values import Literal


def placed(**fields: object) -> Options:
    return plans.options(**{**plans.PLACES, **fields})


def emitted(plan: Plan, options: Options) -> dict[str, str]:
    assert list(refusals(TARGET, plan, options)) == []
    return {file.path: file.text for file in TARGET.emit(plan, options)}


def pods(plan: Plan, options: Options) -> dict[str, Any]:
    _, platform = yaml.safe_load_all(emitted(plan, options)[f"{plan.pipeline}.yaml"])
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): config for name, config in executors.items()}


def places(plan: Plan, options: Options) -> list[tuple[str, str]]:
    return [(r.use.step or "", ".".join(r.use.field)) for r in refusals(TARGET, plan, options)]


def with_train(**fields: object) -> Plan:
    return changed(plans.placed(), "train", **fields)


def changed(plan: Plan, name: str, **fields: object) -> Plan:
    tasks = (replace(t, **fields) if t.name == name else t for t in plan.tasks)  # type: ignore[arg-type]
    return replace(plan, tasks=tuple(tasks))


def asking(accelerator: Accelerator | None, pool: str | None = None) -> Plan:
    return with_train(resources=Resources(cpu=4, memory_mib=16384, accelerator=accelerator, pool=pool))


def small() -> Plan:
    """The placed plan, with all left out that an old backend does not read."""
    plan = plans.placed()
    plan = replace(plan, tasks=tuple(t for t in plan.tasks if t.name != "approve"), parameters=plan.parameters[:1])
    plan = changed(plan, "ingest", retry=Retry(attempts=1))
    train = plan.task("train")
    parameters = tuple((name, Literal("") if name == "note" else value) for name, value in train.parameters)
    return changed(plan, "train", parameters=parameters, resources=replace(train.resources, accelerator=None))


def plain(**fields: object) -> Options:
    """Options that every version reads."""
    settings = {"pull_secrets": ["registry"], "pull_policy": "Always"}
    volumes = {"scratch": {"kubernetes": {"claim": "scratch-rwx"}}}
    return placed(**{"settings": settings, "volumes": volumes, **fields})
