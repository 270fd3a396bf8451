"""What IR has no field for: the Kubernetes platform document, and the files that go beside the pipeline.

Time limits, secrets and pod labels stand in a second YAML document keyed by executor; schedules, namespaces and service
accounts are arguments of whoever starts runs, so they stand in files of their own.
"""

from __future__ import annotations

from typing import Any

from pipec.compiler.plan import Plan, Schedule, Task
from pipec.targets.base import File, Options
from pipec.targets.cluster import GATES, asks_person, labels, secrets, wait_s
from pipec.targets.kubeflow.text import dump

Spec = dict[str, Any]
LONGEST_WAIT_S = 3600  # design.md 3.1.7


def platform_spec(plan: Plan, options: Options) -> Spec:
    """Return the platform document."""
    executors = {f"exec-{task.name}": _executor(plan, task, options) for task in plan.tasks}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _executor(plan: Plan, task: Task, options: Options) -> Spec:
    spec: Spec = {
        "podMetadata": {"labels": labels(plan)},
        "securityContext": {"runAsNonRoot": True},
    }
    if (limit := deadline_s(task)) is not None:
        spec["activeDeadlineSeconds"] = str(limit)
    wanted = secrets(task, options)
    if wanted:
        spec["secretAsEnv"] = [
            {
                "secretName": secret.name,
                "secretNameParameter": {"runtimeValue": {"constant": secret.name}},
                "keyToEnv": [{"secretKey": secret.key, "envVar": secret.variable}],
                "optional": False,
            }
            for secret in wanted
        ]
    return spec


def deadline_s(task: Task) -> int | None:
    """Return how long a task's pod may live: one attempt, or all of a gate's, which the runtime makes in one pod."""
    limit = wait_s(task) if asks_person(task) else task.timeout_s
    if limit is None or task.interface.role not in GATES:
        return limit
    waits: int = sum(min(task.retry.backoff_s * 2**n, LONGEST_WAIT_S) for n in range(task.retry.attempts - 1))
    return limit * task.retry.attempts + waits


def side_files(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<name>.schedule.yaml` and `<name>.run.yaml`, each only if there is something to say in it.

    Their keys are those of kfp.Client's `create_recurring_run` and `create_run_from_pipeline_package`.
    """
    run = {key: value for key, value in sorted(options.settings.items()) if value}
    files = []
    if plan.schedules:
        body = [_recurring(plan, number, schedule, run) for number, schedule in enumerate(plan.schedules, 1)]
        files.append(File(f"{plan.pipeline}.schedule.yaml", dump({"recurring_runs": body})))
    if run:
        files.append(File(f"{plan.pipeline}.run.yaml", dump({"run": run})))
    return tuple(files)


def _recurring(plan: Plan, number: int, schedule: Schedule, run: Spec) -> Spec:
    return {
        "job_name": plan.pipeline if number == 1 else f"{plan.pipeline}-{number}",
        "pipeline_package_path": f"{plan.pipeline}.yaml",
        "cron_expression": f"0 {schedule.cron}",  # six fields, seconds first
        "max_concurrency": plan.concurrency.maximum if plan.concurrency else 10,
        "no_catchup": not schedule.catchup,
        "enabled": True,
        **run,
    }
