"""What of a plan Kubeflow cannot say, beyond the table of features: each with its place and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from pipec.compiler.plan import Plan, Schedule, Task
from pipec.targets.base import Feature, Options, Refusal, Use, every
from pipec.targets.cluster import NAME, mounts, needs_root
from pipec.targets.judge import cluster_configs, cluster_secrets, cluster_volumes, is_exact, judge
from pipec.targets.kubeflow.flow import refuse_flow
from pipec.targets.kubeflow.hand import tasks_of
from pipec.targets.kubeflow.ir import described
from pipec.targets.kubeflow.pod import RESERVED
from pipec.targets.kubeflow.profile import refuse_old
from pipec.targets.kubeflow.unfit import refuse_foreign, refuse_passed
from pipec.targets.placement import refuse_placement
from pipec.values import Json, Literal, ParameterRef

MOST_SCHEDULED = 10  # the API server's own bound on max_concurrency
# What neither KFP (placeholders, `[[CurrentTime]]`) nor Argo nor Kubernetes may find in a value that they carry.
_TEMPLATE = re.compile(r"\{\{|\[\[|\$\(|\$\$")

_OWN = "kubeflow would read `{{`, `[[`, `$(` or `$$` here as its own"


def refused(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of `plan` Kubeflow cannot say beyond the table of features."""
    yield from judge(plan, options, "kubeflow")
    yield from _root(plan, options)
    yield from _defaults(plan)
    yield from _triggers(plan)
    yield from _groups(plan)
    yield from refuse_flow(plan, options)
    yield from refuse_old(plan, options)
    yield from refuse_passed(plan)
    tasks = tasks_of(plan)
    for task in tasks.values():
        yield from cluster_secrets(task, options, "kubeflow")
        yield from cluster_configs(task, options, "kubeflow")
        yield from cluster_volumes(task, options, "kubeflow")
        yield from _mounts(task, options)
        yield from refuse_foreign(plan, task, tasks)
        yield from refuse_placement(task, options, "kubeflow")
        if task.name.endswith("-driver") and task.name.removesuffix("-driver") in tasks:
            yield Refusal(
                Use(Feature.METADATA, task.step, ()),
                f"kubeflow names the driver of `{task.name.removesuffix('-driver')}` so",
                "give the step another name",
            )
    for name, reference in plan.outputs:
        if isinstance(reference, ParameterRef | Literal):
            use = Use(Feature.OUTPUTS, None, ("outputs", name))
            yield Refusal(use, f"kubeflow cannot give `{name}` out: it is a parameter", "give out a step's output")


def _mounts(task: Task, options: Options) -> Iterator[Refusal]:
    """Yield the volumes that the backend cannot mount as the environment has them: it names a volume by its claim."""
    seen: set[str] = set()
    for mount in mounts(task, options):
        use = Use(Feature.VOLUMES, task.step, ("volumes", mount.place))
        if mount.read_only:
            yield Refusal(use, "kubeflow cannot mount a volume for reading alone", "leave `read_only` out")
        if not NAME.fullmatch(mount.claim):
            yield Refusal(use, f"kubeflow cannot mount the claim `{mount.claim}`", "name it with a-z, 0-9 and `-`")
        if mount.claim in seen:
            yield Refusal(use, f"kubeflow mounts the claim `{mount.claim}` in one place of a step", "mount it once")
        if any(mount.place.rstrip("/") == at or mount.place.startswith(f"{at}/") for at in RESERVED):
            yield Refusal(use, f"kubeflow keeps `{mount.place}` for itself", "mount it elsewhere")
        seen.add(mount.claim)


def _root(plan: Plan, options: Options) -> Iterator[Refusal]:
    for task in plan.tasks:
        if needs_root(task) and "://" not in (options.artifacts or ""):
            yield Refusal(
                Use(Feature.ARTIFACTS, task.step, ()),
                f"`{task.step}` keeps decisions and releases under the artifact root, and this environment says none"
                if not options.artifacts
                else f"a container cannot see this machine's files, and the artifact root `{options.artifacts}` is one",
                "say `environments.<name>.artifacts: s3://<bucket>/<path>` in pipec.yaml",
            )
    if options.artifacts and _TEMPLATE.search(options.artifacts):
        yield Refusal(Use(Feature.ARTIFACTS, None, ()), "the artifact root must not hold `{{` or `$(`")


def _defaults(plan: Plan) -> Iterator[Refusal]:
    for parameter in plan.parameters:
        place = Use(Feature.PARAMETERS, None, ("parameters", parameter.name, "default"))
        if not is_exact(parameter.schema.get("enum", ())):
            use = Use(Feature.PARAMETERS, None, ("parameters", parameter.name, "enum"))
            yield Refusal(
                use, "kubeflow keeps numbers as doubles and would change one of these", "give them as strings"
            )
        if not is_exact(parameter.default):
            yield Refusal(place, "kubeflow keeps numbers as doubles and would change this one", "give it as a string")
        elif any(_TEMPLATE.search(text) for text in _texts(parameter.default)):
            yield Refusal(place, _OWN, "leave them out")
        listed = any(_TEMPLATE.search(text) for text in _texts(parameter.schema.get("enum", ())))
        for name, holds in (("enum", listed), ("description", "{{" in described(parameter))):
            if holds:  # both stand in an argument of the root's driver, which Argo fills in
                yield Refusal(
                    Use(Feature.PARAMETERS, None, ("parameters", parameter.name, name)), _OWN, "leave them out"
                )


def _groups(plan: Plan) -> Iterator[Refusal]:
    """Yield what counts cells of a matrix that may be skipped one by one: those behind them would never start."""
    counted = {group.name for group in plan.groups if group.max_parallel is not None}
    told: set[str] = set()
    for task in every(plan):
        if task.group in counted and task.when and task.step not in told:
            told.add(task.step)
            yield Refusal(
                Use(Feature.MATRIX, task.step, ("matrix", "max_parallel")),
                "kubeflow cannot count how many cells of a matrix run at once where some may be skipped",
                "leave out `max_parallel`, or `when`",
            )


def _texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield key
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)


def _triggers(plan: Plan) -> Iterator[Refusal]:
    for number, schedule in enumerate(plan.schedules):
        at = partial(Use, Feature.SCHEDULE, None)
        place = ("triggers", str(number), "schedule")
        if _is_cron(schedule) and schedule.in_utc is None:
            yield Refusal(
                at((*place, "timezone")),
                f"kubeflow's schedules run in UTC, and no one schedule there comes when `{schedule.cron}` does in "
                f"`{schedule.timezone}`",
                "write the hours in UTC and `timezone: UTC`",
            )
        if not _is_cron(schedule):
            yield Refusal(
                at((*place, "cron")),
                f"kubeflow cannot read the schedule `{schedule.cron}`",
                "write five fields of numbers, names, `*`, `,`, `-` and `/`; Sunday is 0",
            )
    if not plan.concurrency:
        return
    at = partial(Use, Feature.CONCURRENCY, None)
    if plan.concurrency.on_conflict != "queue":
        yield Refusal(at(("concurrency", "on_conflict")), "kubeflow lets a run too many wait", "write `queue`")
    if plan.concurrency.maximum > MOST_SCHEDULED:
        yield Refusal(at(("concurrency", "max")), "kubeflow counts up to 10 runs at once", f"write {MOST_SCHEDULED}")
    if not plan.schedules:
        yield Refusal(at(("concurrency",)), "kubeflow counts scheduled runs only", "add a schedule, or leave it out")


def _is_cron(schedule: Schedule) -> bool:
    """Say whether robfig/cron, which KFP uses, reads the five fields as everybody else does: its Sunday is 0 only."""
    fields = schedule.cron.split()
    plain = all(re.fullmatch(r"[0-9A-Za-z*/,-]+", field) for field in fields)
    return len(fields) == 5 and plain and "7" not in re.split(r"[,/-]", fields[4])
