"""The pod of one task, as the Kubernetes platform document says it: who runs where, with what, and for how long.

Fields are those of `KubernetesExecutorConfig`. What a backend does not read is left out only where that means the same;
`profile.refuse_old` stops the rest.
"""

from __future__ import annotations

from typing import Any

from pipec.compiler.plan import Plan, Task
from pipec.steps.command import RUN_ID
from pipec.targets.base import Options
from pipec.targets.cluster import (
    OWNER,
    Mount,
    Secret,
    asks_person,
    configs,
    mounts,
    pod_labels,
    secrets,
    step_labels,
    wait_s,
)
from pipec.targets.folder import folders
from pipec.targets.kubeflow.container import marks
from pipec.targets.kubeflow.profile import Reads, knows
from pipec.targets.kubeflow.scope import Leaf
from pipec.targets.placement import Placement, placement

Spec = dict[str, Any]
LONGEST_WAIT_S = 3600  # design.md 3.1.7
SAYING_S = 60  # for what a step leaves behind, and for saying how it ended
RESERVED = ("/gcs", "/minio", "/s3", "/oci", "/kfp-launcher", "/kfp-workspace")  # where the backend mounts its own


def shared(plan: Plan, options: Options) -> Spec:
    """Return what all pods of a plan have: labels, who they run as, and how their images are pulled."""
    told: Spec = {"labels": pod_labels(plan)}
    if plan.owner:
        told["annotations"] = {OWNER: plan.owner}
    spec: Spec = {"podMetadata": told}
    return spec | _person(options) | _image(options)


def pod(leaf: Leaf, options: Options, common: Spec) -> Spec:
    """Return the settings of a task's pod. common: what `shared` returns."""
    task = leaf.task
    place = placement(task, options)
    own = common["podMetadata"]["labels"] | step_labels(task) | place.labels
    spec: Spec = common | {"podMetadata": common["podMetadata"] | {"labels": own}}
    if (limit := deadline_s(leaf, options)) is not None:
        spec["activeDeadlineSeconds"] = str(limit)
    if marks(leaf, options):  # not as an input, which KFP's cache would key by
        spec["fieldPathAsEnv"] = [{"name": RUN_ID, "fieldPath": "metadata.labels['pipeline/runid']"}]
    if held := secrets(task, options):
        spec["secretAsEnv"] = [_variable(secret, options, "secret") for secret in held]
    if held := configs(task, options):
        spec["configMapAsEnv"] = [_variable(config, options, "configMap") for config in held]
    spec |= _where(place)
    if found := [_claim(mount, options) for mount in mounts(task, options)]:
        spec["pvcMount"] = found
    return spec | {"emptyDirMounts": _folders(task)}


def _where(place: Placement) -> Spec:
    spec: Spec = {}
    if place.node_selector:
        spec["nodeSelector"] = {"labels": dict(place.node_selector)}
    if place.tolerations:
        spec["tolerations"] = [_toleration(dict(said)) for said in place.tolerations]
    if place.required:
        # One term: Kubernetes takes a node that any of several terms fits.
        terms = [{"key": r.key, "operator": r.operator, "values": list(r.values)} for r in place.required]
        spec["nodeAffinity"] = [{"matchExpressions": terms}]
    return spec


def _person(options: Options) -> Spec:
    """Return who the pod runs as. Backends before 2.16 refuse to be told, and run the image's user in any case."""
    if not knows(options, Reads.SECURITY):
        return {}
    named = (("runAsUser", "run_as_user"), ("runAsGroup", "run_as_group"))
    ids = {field: str(options.settings[key]) for field, key in named if options.settings.get(key)}
    return {"securityContext": {**ids, "runAsNonRoot": True}}


def _image(options: Options) -> Spec:
    spec: Spec = {}
    if policy := options.settings.get("pull_policy"):
        spec["imagePullPolicy"] = policy
    names = options.settings.get("pull_secrets")
    if isinstance(names, list | tuple) and names:
        spec["imagePullSecret"] = [
            {"secretName": name} | _named("secretNameParameter", name, options) for name in names
        ]
    return spec


def _named(field: str, name: object, options: Options) -> Spec:
    """Return a name in the form of later backends, beside which the plain one stands for earlier ones."""
    return {field: {"runtimeValue": {"constant": name}}} if knows(options, Reads.NAME_PARAMETERS) else {}


def _variable(held: Secret, options: Options, kind: str) -> Spec:
    spec: Spec = {f"{kind}Name": held.name} | _named(f"{kind}NameParameter", held.name, options)
    spec["keyToEnv"] = [{f"{kind}Key": held.key, "envVar": held.variable}]
    return spec | ({"optional": False} if knows(options, Reads.OPTIONAL) else {})


def _toleration(said: Spec) -> Spec:
    seconds = said.pop("seconds", None)
    return said | ({"tolerationSeconds": str(seconds)} if seconds is not None else {})


def _claim(mount: Mount, options: Options) -> Spec:
    named = _named("pvcNameParameter", mount.claim, options)
    spec: Spec = {"constant": mount.claim} | named | {"mountPath": mount.place}
    return spec | ({"subPath": mount.inside} if mount.inside else {})


def _folders(task: Task) -> list[Spec]:
    """Return the empty folders. (`enabledSharedMemory` is in the protobuf since 2.3, and no backend reads it.)"""
    return [
        {"volumeName": folder.name, "mountPath": folder.place}
        | ({"medium": "Memory", "sizeLimit": f"{folder.memory_mib}Mi"} if folder.memory_mib else {})
        for folder in folders(task)
    ]


def deadline_s(leaf: Leaf, options: Options) -> int | None:
    """Return how long a task's pod may live: one attempt, or all of them, where the runtime makes these in one pod.

    A task that reports ends an attempt itself, and needs a while to say so.
    """
    task = leaf.task
    limit = wait_s(task) if asks_person(task) else task.timeout_s
    if limit is None or task.interface.container or marks(leaf, options):
        return limit
    waits: int = sum(min(task.retry.backoff_s * 2**n, LONGEST_WAIT_S) for n in range(task.retry.attempts - 1))
    return limit * task.retry.attempts + waits + (SAYING_S * task.retry.attempts if leaf.reports else 0)
