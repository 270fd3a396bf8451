"""Airflow 3.1 and later: one readable DAG file per pipeline, importing Airflow and its providers only.

Tasks are pods, or containers of the worker's Docker daemon with `-O operator=docker`. The table below is what README
shows; where a word of the language is emitted only in part, `refuse` says which part is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipec.compiler.plan import Plan, Task
from pipec.targets.airflow.approval import decision_id, users
from pipec.targets.airflow.dag import dag_file
from pipec.targets.airflow.docker import is_docker, worker_secrets
from pipec.targets.base import Feature, File, Options, Refusal, Support, Target, Use
from pipec.targets.cluster import KUBERNETES_NAME, VARIABLE, approvers, asks_person, secret_variables
from pipec.targets.device import resource
from pipec.targets.judge import cluster_secrets, judge, secret_use, soft_edges, unchosen, unlisted
from pipec.values import EachRef, Json

FEATURES = {
    Feature.PARAMETERS: Support.EMITTED,
    Feature.NEEDS: Support.EMITTED,
    Feature.WHEN: Support.REFUSED,
    Feature.STATUS: Support.REFUSED,
    Feature.OPTIONAL_INPUT: Support.EMITTED,  # soft edges that could be felt are refused one by one
    Feature.MANY_INPUT: Support.REFUSED,
    Feature.LOCATION_INPUT: Support.EMITTED,
    Feature.ENV: Support.EMITTED,
    Feature.SECRETS: Support.EMITTED,
    Feature.CONFIGS: Support.REFUSED,  # those with a value are known when compiled, and need nothing here
    Feature.RUN: Support.EMITTED,
    # Exit codes 1, 2 and 3 are listed in the operator's `skip_on_exit_code`, and the file's one class turns that skip
    # into a failure without retry. Anything else is Airflow's own retry.
    Feature.RETRY: Support.EMITTED,
    Feature.TIMEOUT: Support.EMITTED,
    Feature.CACHE: Support.EMITTED,  # the runtime keeps a cache below the artifact root: Airflow has none
    Feature.CONTINUE_ON_ERROR: Support.REFUSED,
    Feature.FINALLY: Support.REFUSED,
    Feature.MATRIX: Support.REFUSED,
    Feature.LOOP: Support.REFUSED,
    Feature.FAN_IN: Support.REFUSED,
    Feature.PIPELINE_STEP: Support.REFUSED,
    Feature.ACCELERATOR: Support.EMITTED,
    Feature.MACHINES: Support.REFUSED,
    Feature.POOL: Support.REFUSED,
    Feature.VOLUMES: Support.REFUSED,
    Feature.FOREIGN_IMAGE: Support.REFUSED,
    Feature.OUTPUTS: Support.EMULATED,  # the DAG's page says where a run leaves them
    Feature.SCHEDULE: Support.EMITTED,
    Feature.AFTER: Support.REFUSED,
    Feature.DATA: Support.REFUSED,
    Feature.CONCURRENCY: Support.EMITTED,
    Feature.APPROVAL: Support.EMITTED,  # a human task, then the step, which seals the answer
    Feature.IMAGE: Support.EMITTED,
    Feature.ARTIFACTS: Support.EMITTED,
    Feature.METADATA: Support.EMITTED,
}
SETTINGS: Mapping[str, Json] = {
    "type": "object",
    "description": "How runs of this environment are placed by Airflow.",
    "additionalProperties": False,
    "properties": {
        "namespace": {**KUBERNETES_NAME, "description": "The namespace of the pods."},
        "service_account": {**KUBERNETES_NAME, "description": "The service account that pods run as."},
        "pool": {"type": "string", "description": "The Airflow pool that tasks take their slots from."},
        "users": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The id of each person's Airflow user, for approvals.",
        },
    },
}
OPTIONS = {"operator": ("kubernetes", "docker")}
LONGEST_TAG = 100  # Airflow's own bound
# Labels by which the Kubernetes operator finds its own pods again.
_RESERVED = frozenset({"dag_id", "task_id", "run_id", "kubernetes_pod_operator", "try_number", "map_index"})


def emit(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<pipeline>.py`. Assumes that `refuse` found nothing."""
    return (File(f"{plan.pipeline}.py", dag_file(plan, options)),)


def refuse(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of `plan` Airflow cannot say beyond the table of features."""
    yield from judge(plan, options, "airflow")
    yield from soft_edges(plan, "airflow")
    yield from (unlisted(name, "airflow") for name, handed in plan.outputs if isinstance(handed, EachRef))
    yield from _root(options)
    yield from _triggers(plan)
    for key, value in plan.labels:
        use = Use(Feature.METADATA, None, ("metadata", "labels", key))
        if key in _RESERVED:
            yield Refusal(use, f"airflow labels its pods `{key}` itself", "give the label another name")
        if len(key) + 1 + len(value) > LONGEST_TAG:
            yield Refusal(use, f"airflow shows labels as tags, of {LONGEST_TAG} characters at most", "shorten it")
    names = {task.name for task in plan.tasks}
    for task in plan.tasks:
        yield from _worker_secrets(task, options) if is_docker(options) else _pod_secrets(task, options)
        if asks_person(task):
            yield from _approval(task, options, names)
        yield from unchosen(task, "airflow")
        accelerator = task.resources.accelerator
        if is_docker(options) and accelerator and resource(accelerator) not in (None, "nvidia.com/gpu"):
            use = Use(Feature.ACCELERATOR, task.step, ("resources", "accelerator", "vendor"))
            yield Refusal(use, "docker gives a container the GPUs of vendor nvidia only", "compile for kubernetes")


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


def _worker_secrets(task: Task, options: Options) -> Iterator[Refusal]:
    held = worker_secrets(task, options)
    for variable, name in secret_variables(task):
        if not VARIABLE.fullmatch(held.get(variable, "")):
            yield Refusal(
                secret_use(task, name),
                f"secret `{name}` is not in a variable of the worker, where docker could take it from",
                f"say `secrets: {{{name}: {{env: <VARIABLE>}}}}` in pipec.yaml",
            )


def _pod_secrets(task: Task, options: Options) -> Iterator[Refusal]:
    yield from cluster_secrets(task, options, "airflow")
    for variable, name in secret_variables(task):
        if variable != variable.upper():
            use = secret_use(task, name)
            yield Refusal(use, f"airflow would write `{variable}` in capitals", f"name it `{variable.upper()}`")


def _approval(task: Task, options: Options, names: set[str]) -> Iterator[Refusal]:
    if decision_id(task) in names:
        use = Use(Feature.APPROVAL, task.step, ("uses",))
        yield Refusal(use, f"airflow needs the name `{decision_id(task)}` for the person's task", "rename that step")
    known = users(options)
    missing = [person for person in approvers(task) if person not in known]
    if known and missing:
        yield Refusal(
            Use(Feature.APPROVAL, task.step, ("with",)),
            f"airflow does not know {', '.join(f'`{person}`' for person in missing)}, who may approve",
            "add them to `environments.<name>.airflow.users` in pipec.yaml",
        )


TARGET = Target(name="airflow", features=FEATURES, settings=SETTINGS, emit=emit, options=OPTIONS, refuse=refuse)
