"""What of a plan Airflow cannot say, beyond the table of features: each with its place and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping

from pipec.compiler.plan import Loop, Plan, Task
from pipec.steps.command import ITEMS
from pipec.targets.airflow.approval import decision_id, subject_id, users
from pipec.targets.airflow.asked import COMPARABLE, can_list, can_say
from pipec.targets.airflow.docker import is_docker
from pipec.targets.airflow.event import refuse_after
from pipec.targets.airflow.foreign import refuse_foreign
from pipec.targets.airflow.group import names
from pipec.targets.airflow.operators import is_found
from pipec.targets.airflow.pools import refuse_slots
from pipec.targets.airflow.unfit import refuse_container, refuse_pod
from pipec.targets.airflow.version import refuse_version
from pipec.targets.base import Feature, Options, Refusal, Use, every, inside
from pipec.targets.cluster import approvers, asks_person
from pipec.targets.ends import may_starve
from pipec.targets.judge import judge

_ASSET = re.compile(r"(?![a-z0-9+.-]*://[^/]*@)[!-~]([ -~]{0,1498}[!-~])?")
_NO_ASSET = frozenset({"self", "context"})  # words of Airflow's own
LONGEST_TAG = 100  # Airflow's own bound
# Labels by which the Kubernetes operator finds its own pods again.
_RESERVED = frozenset({"dag_id", "task_id", "run_id", "kubernetes_pod_operator", "try_number", "map_index"})


def refused(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of `plan` Airflow cannot say beyond the table of features."""
    yield from judge(plan, options, "airflow", is_found)
    yield from _root(options)
    yield from refuse_slots(options)
    yield from _triggers(plan)
    yield from refuse_after(plan)
    yield from refuse_version(plan, options)
    for key, value in plan.labels:
        use = Use(Feature.METADATA, None, ("metadata", "labels", key))
        if key in _RESERVED:
            yield Refusal(use, f"airflow labels its pods `{key}` itself", "give the label another name")
        if len(key) + 1 + len(value) > LONGEST_TAG:
            yield Refusal(use, f"airflow shows labels as tags, of {LONGEST_TAG} characters at most", "shorten it")
    known, taken = {task.name: task for task in plan.tasks}, names(plan.tasks)
    for task in plan.tasks:
        if task.loop and f"{task.name}{ITEMS}" in taken:
            use = Use(Feature.LOOP, task.step, ("for_each",))
            yield Refusal(use, f"airflow needs the name `{task.name}{ITEMS}` for its list", "rename that step")
        if asks_person(task):
            yield from _approval(task, options, taken)
        yield from refuse_foreign(plan, task, options, taken)
        yield from _asked(task, known)
    for task in every(plan):
        if not task.loop:  # what a loop asks for is its tasks' to say
            yield from refuse_container(task, options) if is_docker(options) else refuse_pod(task, options)


def _root(options: Options) -> Iterator[Refusal]:
    root = options.artifacts or ""
    use = Use(Feature.ARTIFACTS, None, ())
    if not root:
        yield Refusal(
            use,
            "airflow hands artifacts on below an artifact root, and this environment says none",
            "say `environments.<name>.artifacts: s3://<bucket>/<path>` in pipec.yaml, and compile with `--env <name>`",
        )
    elif "://" not in root and not (is_docker(options) and root.startswith("/")):
        yield Refusal(
            use,
            f"a container cannot see this machine's files, and the artifact root `{root}` is among them",
            "use a URL, such as `s3://<bucket>/<path>`; with `-O operator=docker` also an absolute path",
        )
    elif "$(" in root or "$$" in root:
        yield Refusal(use, "kubernetes would rewrite `$(` or `$$` in the artifact root", "leave them out")


def _triggers(plan: Plan) -> Iterator[Refusal]:
    for number, uri in enumerate(plan.data):
        if not _ASSET.fullmatch(uri) or uri in _NO_ASSET or uri.startswith("airflow:"):
            use = Use(Feature.DATA, None, ("triggers", str(number), "data", "uri"))
            yield Refusal(
                use, f"airflow cannot name an asset `{uri[:60]}`", "write a URL of ASCII letters, without a user"
            )
    for parameter in plan.parameters:
        if plan.data and parameter.is_required and not plan.schedules:  # of schedules, all targets say so
            use = Use(Feature.DATA, None, ("parameters", parameter.name))
            yield Refusal(use, f"nobody gives `{parameter.name}` a value when data starts a run", "give it a default")
    first = plan.schedules[0] if plan.schedules else None
    for number, schedule in enumerate(plan.schedules):
        place = ("triggers", str(number), "schedule")
        if first and schedule.timezone != first.timezone:
            use = Use(Feature.SCHEDULE, None, (*place, "timezone"))
            yield Refusal(use, "airflow gives a pipeline one time zone", f"write `timezone: {first.timezone}`")
        if first and schedule.catchup != first.catchup:
            use = Use(Feature.SCHEDULE, None, (*place, "catchup"))
            word = "true" if first.catchup else "false"
            yield Refusal(use, "airflow catches up on all schedules or on none", f"write `catchup: {word}`")
    if plan.concurrency and plan.concurrency.on_conflict != "queue":
        use = Use(Feature.CONCURRENCY, None, ("concurrency", "on_conflict"))
        yield Refusal(use, "airflow lets a run too many wait", "write `queue`")


def _asked(task: Task, known: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield what Airflow cannot judge before a container starts."""
    asked = [*([task.when] if task.when else []), *(each.when for each in inside(task) if each.when)]
    if not all(can_say(when) for when in asked):
        yield Refusal(
            Use(Feature.WHEN, task.step, ("when",)),
            "airflow's workers cannot answer this condition",
            COMPARABLE,
        )
    if task.loop:
        yield from _loop(task, task.loop)
    if may_starve(task, known):
        yield Refusal(
            Use(Feature.MANY_INPUT, task.step, ("with",)),
            f"airflow would start `{task.step}` though nothing may be left for one of its inputs",
            "read outputs that are always written, or let the step need those that write them",
        )


def _loop(task: Task, loop: Loop) -> Iterator[Refusal]:
    """Yield what of a loop cannot be mapped."""
    use = Use(Feature.LOOP, task.step, ("for_each",))
    if len(loop.body) > 1 or loop.body[0].loop:
        yield Refusal(use, "airflow cannot map a pipeline over a list yet", "loop over single steps")
    if not can_list(loop.items):
        yield Refusal(
            use, "airflow's workers cannot find out this list", "give a parameter, an output or a written list"
        )


def _approval(task: Task, options: Options, taken: Container[str]) -> Iterator[Refusal]:
    for needed, what in ((subject_id(task), "what shows the subject"), (decision_id(task), "the person's task")):
        if needed in taken:
            use = Use(Feature.APPROVAL, task.step, ("uses",))
            yield Refusal(use, f"airflow needs the name `{needed}` for {what}", "rename that step")
    known = users(options)
    missing = [person for person in approvers(task) if person not in known]
    if known and missing:
        yield Refusal(
            Use(Feature.APPROVAL, task.step, ("with",)),
            f"airflow does not know {', '.join(f'`{person}`' for person in missing)}, who may approve",
            "add them to `environments.<name>.airflow.users` in pipec.yaml",
        )
