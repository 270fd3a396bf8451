"""What each version of Kubeflow's backend reads, so that nothing is written which an older one would drop in silence.

Found in the history of kubeflow/pipelines: the release whose driver, compiler or API server reads a field first. A
backend of another release counts as the nearest one below it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import lru_cache

from pipec.compiler.plan import Plan, Task
from pipec.targets.base import Feature, Options, Refusal, Use, every, place_of
from pipec.targets.cluster import GATES, mounts, needs_root, task_references
from pipec.targets.placement import placement
from pipec.values import EachRef, RunRef

VERSIONS = ("2.17", "2.15", "2.5", "2.3")


class Reads(enum.Enum):
    """Something that backends read from a release on: its name, and that release."""

    PARALLELISM = "parallelism limits", (2, 4)
    RETRY = "retries", (2, 5)
    NAME_PARAMETERS = "names as parameters", (2, 5)  # strict: 2.3 refuses what it does not know in a pod's settings
    RUN_ID = "the run's id", (2, 5)
    DAG_OUTPUTS = "what a DAG gives out", (2, 4)
    COLLECTED = "lists of what the iterations of a loop wrote", (2, 14)
    FINAL_STATUS = "how a run ended, for its last steps", (2, 14)  # without it, results below the artifact root tell
    NODE_AFFINITY = "node affinity", (2, 14)
    OBJECTS = "pipelines as objects of Kubernetes", (2, 14)
    OPTIONAL = "whether a secret must be there", (2, 15)  # 2.5 does not know the field, and means the same without
    SUB_PATH = "a folder inside of a volume", (2, 16)
    SECURITY = "users of pods", (2, 16)
    LITERALS = "the allowed values of a parameter", (2, 16)
    SCHEDULED_AT = "the time a run was scheduled for", (2, 16)


def version(options: Options) -> str:
    """Return the version of the backend that is compiled for."""
    return options.values.get("version", VERSIONS[0])


def knows(options: Options, what: Reads) -> bool:
    """Say whether the backend reads it."""
    return _numbers(version(options)) >= what.value[1]


@lru_cache(maxsize=8)
def _numbers(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def refuse_old(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of a plan the chosen version would drop, or could not read."""
    if not knows(options, Reads.LITERALS):
        for parameter in plan.parameters:
            if "enum" in parameter.schema:
                yield old(
                    options, Reads.LITERALS, Use(Feature.PARAMETERS, None, ("parameters", parameter.name, "enum"))
                )
    if not knows(options, Reads.OBJECTS) and options.values.get("manifests") == "true":
        yield old(options, Reads.OBJECTS, Use(Feature.METADATA, None, ("metadata", "name")))
    if not knows(options, Reads.SECURITY) and (options.settings.keys() & {"run_as_user", "run_as_group"}):
        yield old(options, Reads.SECURITY, Use(Feature.METADATA, None, ("metadata", "name")))
    for task in every(plan):
        yield from _task(task, options)


def _task(task: Task, options: Options) -> Iterator[Refusal]:
    step = task.step
    found = {
        Reads.RETRY: (Feature.RETRY, ("retry",))
        if task.retry.attempts > 1 and task.interface.role not in GATES
        else None,
        Reads.NODE_AFFINITY: (Feature.ACCELERATOR, _affinity(task)) if placement(task, options).required else None,
        Reads.RUN_ID: (Feature.RUN, _run(task, "id")) if needs_root(task) or _run(task, "id") else None,
        Reads.SCHEDULED_AT: (Feature.RUN, at) if (at := _run(task, "scheduled_at", "date")) else None,
        Reads.COLLECTED: (Feature.FAN_IN, place_of(task, *each)) if (each := _each(task)) else None,
        Reads.PARALLELISM: (Feature.LOOP, ("for_each",)) if task.loop and task.loop.max_parallel else None,
    }
    for what, place in found.items():
        if place and not knows(options, what):
            yield old(options, what, Use(place[0], step, place[1]))
    for mount in mounts(task, options):
        if mount.inside and not knows(options, Reads.SUB_PATH):
            yield old(options, Reads.SUB_PATH, Use(Feature.VOLUMES, step, ("volumes", mount.place)))


def _affinity(task: Task) -> tuple[str, ...]:
    wanted = task.resources.accelerator
    return ("resources", "accelerator", "model" if wanted and wanted.model else "memory")


def _each(task: Task) -> list[EachRef]:
    return [reference for reference in task_references(task) if isinstance(reference, EachRef)]


def _run(task: Task, *fields: str) -> tuple[str, ...]:
    """Return where a task asks for a fact of the run, or nothing."""
    return place_of(task, *(RunRef(field) for field in fields))


def old(options: Options, what: Reads, use: Use) -> Refusal:
    """Return the refusal of what the chosen version does not read."""
    name, since = what.value
    newer = next(each for each in reversed(VERSIONS) if _numbers(each) >= since)
    return Refusal(
        use,
        f"kubeflow {version(options)} does not read {name}",
        f"leave it out, or compile with `-O version={newer}`, where the backend is that new",
    )
