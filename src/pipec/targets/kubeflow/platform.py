"""What IR has no field for: the Kubernetes platform document, and the files that go beside the pipeline.

The pods' settings stand in a second YAML document keyed by executor; schedules, namespaces and service accounts are
arguments of whoever starts runs, so they stand in files of their own.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pipec.compiler.plan import Plan, Schedule
from pipec.targets.base import File, Options
from pipec.targets.kubeflow.pod import pod, shared
from pipec.targets.kubeflow.scope import Dag
from pipec.targets.kubeflow.settings import of_runs
from pipec.targets.kubeflow.text import dump

Spec = dict[str, Any]
API = "pipelines.kubeflow.org/v2beta1"


def platform_spec(plan: Plan, options: Options, root: Dag) -> Spec:
    """Return the platform document. root: what `nest.arrange` returns."""
    common = shared(plan, options)
    executors = {f"exec-{leaf.label}": pod(leaf, options, common) for leaf in root.leaves()}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def side_files(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<name>.schedule.yaml` and `<name>.run.yaml`, each only if there is something to say in it.

    Their keys are those of kfp.Client's `create_recurring_run` and `create_run_from_pipeline_package`.
    """
    run = of_runs(options)
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
        "cron_expression": f"0 {schedule.in_utc}",  # six fields, seconds first
        "max_concurrency": plan.concurrency.maximum if plan.concurrency else 10,
        "no_catchup": not schedule.catchup,
        "enabled": True,
        **run,
    }


def manifests(plan: Plan, options: Options, spec: Spec, platform: Spec, text: str) -> File:
    """Return `<name>.manifests.yaml`: the pipeline and one version of it as objects of Kubernetes.

    A version cannot be changed, so its name follows from what it says: the same file twice is the same version.
    text: the two documents, as they are written.
    """
    name = f"{plan.pipeline}-{hashlib.sha256(text.encode('ascii')).hexdigest()[:12]}"
    meta: Spec = dict(shared(plan, options)["podMetadata"])
    if namespace := options.settings.get("namespace"):
        meta["namespace"] = namespace
    info: Spec = {"description": plan.description} if plan.description else {}
    shown: Spec = {"displayName": spec["pipelineInfo"].get("displayName", plan.pipeline)} | info
    version: Spec = {
        "displayName": name,
        **info,
        "pipelineName": plan.pipeline,
        "pipelineSpec": spec,
        "platformSpec": platform,
    }
    pipeline: Spec = {"apiVersion": API, "kind": "Pipeline", "metadata": {"name": plan.pipeline, **meta}, "spec": shown}
    one: Spec = {"apiVersion": API, "kind": "PipelineVersion", "metadata": {"name": name, **meta}, "spec": version}
    return File(f"{plan.pipeline}.manifests.yaml", dump(pipeline, one))
