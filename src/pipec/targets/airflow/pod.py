"""A task as a pod: what only the Kubernetes operator is told. What all pods of a file share is in `default_args`.

The operator takes dicts for all but volumes, mounts and variables of config maps, which stand in `pod_template_dict`:
a file that made objects of Kubernetes' client would take longer to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipec.compiler.plan import Plan, Task
from pipec.targets.airflow.source import Call, Keywords, Name, Source, templated
from pipec.targets.base import Options
from pipec.targets.cluster import (
    COMPONENT,
    OWNER,
    Mount,
    configs,
    cpu_quantity,
    guard_dollars,
    memory_quantity,
    mounts,
    pod_labels,
    secrets,
    step_labels,
    variables,
)
from pipec.targets.device import resource
from pipec.targets.folder import Folder, folders
from pipec.targets.placement import Placement, placement

STARTUP_S = 900  # pulling an image with torch in it to a fresh GPU machine takes minutes; Airflow's default is 120
NOBODY = 65534
HANDED = "/airflow/xcom"  # where the operator mounts what a task hands on
XCOM = f"{HANDED}/return.json"  # and the file that its side-car reads
_CONFINED: Mapping[str, Source] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_args(plan: Plan, options: Options) -> dict[str, Source]:
    """Return what all pods of a file share, as `default_args`."""
    settings = options.settings
    told = (
        ("namespace", "namespace"),
        ("service_account_name", "service_account"),
        ("image_pull_policy", "pull_policy"),
    )
    shared: dict[str, Source] = {keyword: str(settings[key]) for keyword, key in told if settings.get(key)}
    names = settings.get("pull_secrets")
    if isinstance(names, list | tuple) and names:
        shared["image_pull_secrets"] = ",".join(str(name) for name in names)
    if plan.owner:
        shared["annotations"] = {OWNER: templated(plan.owner)}
    return shared | {
        "name": f"{plan.pipeline}-{{{{ ti.task_id }}}}",  # the operator makes it a name that Kubernetes takes
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": STARTUP_S,
        "deferrable": False,  # a worker sees the container's exit code; a trigger would not
        "security_context": _person(options),
        "container_security_context": _CONFINED,
    }


def _person(options: Options) -> dict[str, Source]:
    named = (("runAsUser", "run_as_user"), ("runAsGroup", "run_as_group"))
    ids = {field: number for field, key in named if isinstance(number := options.settings.get(key), int)}
    return {"runAsNonRoot": True, **ids, "seccompProfile": {"type": "RuntimeDefault"}}


def side_car(options: Options) -> dict[str, Source]:
    """Return what all pods share of which a task hands something on, which a second container then keeps.

    Its image runs as root unless it is told otherwise, and a pod that must not would never start.
    """
    person: dict[str, Source] = {} if options.settings.get("run_as_user") else {"runAsUser": NOBODY}
    return {"xcom_sidecar_container_security_context": {**person, **_CONFINED}}


def pod(task: Task, options: Options, arguments: list[Source], *, has_shared: bool) -> Keywords:
    """Return the operator's keywords. arguments: what the command is called with. has_shared: as in `_template`."""
    resources: dict[str, Source] = {
        "cpu": cpu_quantity(task.resources.cpu),
        "memory": memory_quantity(task.resources.memory_mib),
    }
    if wanted := task.resources.accelerator:
        resources[resource(wanted) or ""] = str(wanted.count)
    place = placement(task, options)
    keywords: list[tuple[str, Source]] = [
        *_labels(task, place),
        ("arguments", arguments),
        ("container_resources", {"requests": resources, "limits": resources}),
        *_where(place),
    ]
    if env := variables(task):
        keywords.append(("env_vars", {name: templated(guard_dollars(value)) for name, value in env.items()}))
    if wanted_secrets := secrets(task, options):
        made = [Call("Secret", plain=("env", s.variable, s.name, s.key)) for s in wanted_secrets]
        keywords.append(("secrets", made))
    if task.timeout_s is not None:
        keywords.append(("active_deadline_seconds", task.timeout_s))  # of the pod: queueing does not count
    return (*keywords, ("pod_template_dict", _template(task, options, has_shared=has_shared)))


def _labels(task: Task, place: Placement) -> Keywords:
    """Return the labels of this pod alone: its step where that is not what Airflow calls the task, and its queue's."""
    own = {key: label for key, label in step_labels(task).items() if label != task.name}
    return (("labels", {**own, **place.labels}),) if own or place.labels else ()


def labels(plan: Plan) -> dict[str, Source]:
    """Return the labels of all pods of a file."""
    return {**pod_labels(plan), COMPONENT: "{{ ti.task_id }}"}


def _where(place: Placement) -> Keywords:
    keywords: list[tuple[str, Source]] = []
    if place.node_selector:
        selected = {templated(key): templated(value) for key, value in place.node_selector.items()}
        keywords.append(("node_selector", selected))
    if place.required:
        # One term: Kubernetes takes a node that any of several terms fits.
        terms = [{"key": r.key, "operator": r.operator, "values": list(r.values)} for r in place.required]
        needed = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
        keywords.append(("affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": needed}}))
    if place.tolerations:
        keywords.append(("tolerations", [_toleration(said) for said in place.tolerations]))
    if place.priority_class:
        keywords.append(("priority_class_name", place.priority_class))
    return tuple(keywords)


def _toleration(said: Mapping[str, Any]) -> dict[str, Source]:
    return {"tolerationSeconds" if key == "seconds" else key: value for key, value in said.items()}


def _template(task: Task, options: Options, *, has_shared: bool) -> dict[str, Source]:
    """Return the pod that the operator lays its own fields over.

    has_shared: whether some task of the file shares memory between processes. All pods then may, so that they are told
    alike; without a limit of its own it ends where the memory of the container does.
    """
    empty, mounted = folders(task, has_shared=has_shared), mounts(task, options)
    names = {claim: f"volume-{n}" for n, claim in enumerate(dict.fromkeys(mount.claim for mount in mounted), 1)}
    container: dict[str, Source] = {"name": "base"}
    if held := configs(task, options):
        container["env"] = [
            {"name": one.variable, "valueFrom": {"configMapKeyRef": {"name": one.name, "key": templated(one.key)}}}
            for one in held
        ]
    container["volumeMounts"] = [
        *({"name": folder.name, "mountPath": folder.place} for folder in empty),
        *(_mount(mount, names[mount.claim]) for mount in mounted),
    ]
    claims: list[Source] = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in names.items()
    ]
    volumes: list[Source] = [*(_volume(folder) for folder in empty), *claims]
    return {"metadata": {"labels": Name("LABELS")}, "spec": {"containers": [container], "volumes": volumes}}


def _volume(folder: Folder) -> dict[str, Source]:
    return {"name": folder.name, "emptyDir": {"medium": "Memory"} if folder.memory_mib else {}}


def _mount(mount: Mount, name: str) -> dict[str, Source]:
    said: dict[str, Source] = {"name": name, "mountPath": templated(mount.place)}
    if mount.inside:
        said["subPath"] = templated(mount.inside)
    return said | ({"readOnly": True} if mount.read_only else {})
