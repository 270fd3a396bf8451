"""What holds for every target that runs tasks as containers somewhere else.

One pod sees neither the disk of who compiled nor that of another pod, has a name, labels and quantities as Kubernetes
writes them, and gets its secrets by name. Both emitters and their judgements read these facts here. Knows no target's
words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from pipec.compiler.plan import Plan, Task, uncacheable
from pipec.condition import named
from pipec.record import frozen
from pipec.steps.command import config_variable, secret_variable
from pipec.steps.interface import Role
from pipec.targets.base import Options
from pipec.values import (
    ConfigRef,
    EachRef,
    Json,
    Literal,
    OutputRef,
    ParameterRef,
    Reference,
    SecretRef,
    Text,
    Value,
    as_text,
    references,
    resolve,
)

WEEK_S = 7 * 24 * 3600  # how long an approval waits where the step says no timeout
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label (RFC 1123): pods and their labels carry names
REVISION = "app.kubernetes.io/version"  # the label of a plan's digest: Kubernetes' recommended one for a revision
COMPONENT = "app.kubernetes.io/component"
OWNER = "pipec-owner"  # the annotation of who keeps a pipeline: a team's name has blanks, which labels have not
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
# In the schema of settings: Airflow renders both names before Kubernetes sees them, so what is no name must not pass.
KUBERNETES_NAME: Mapping[str, Json] = {
    "type": "string",
    "pattern": "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
    "x-expects": "a name of Kubernetes: lower-case letters, digits, `-` and `.`",
}
_ID: Mapping[str, Json] = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}  # 0 is root
# In the schema of settings of every target that makes pods.
POD_SETTINGS: Mapping[str, Json] = {
    "pull_secrets": {
        "type": "array",
        "items": {**KUBERNETES_NAME},
        "description": "Secrets of the namespace by which images are pulled.",
    },
    "pull_policy": {
        "enum": ["Always", "IfNotPresent", "Never"],
        "description": "When images are pulled; by default as Kubernetes does.",
    },
    "run_as_user": {**_ID, "description": "The number of the user that steps run as; by default the image's."},
    "run_as_group": {**_ID, "description": "The number of the group that steps run as; by default the image's."},
}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
GATES = frozenset({Role.VALIDATE, Role.EVALUATE, Role.APPROVE})


@frozen
class Secret:
    """A secret of the cluster, or a config of it, and the variable in which a step finds it."""

    variable: str
    name: str
    key: str


@frozen
class Mount:
    """A volume of the cluster in a step. place: where it is mounted. inside: a folder of the volume, or empty."""

    place: str
    claim: str
    inside: str = ""
    read_only: bool = False


def secrets(task: Task, options: Options) -> tuple[Secret, ...]:
    """Return the cluster's secrets that a task needs; `cluster_secrets` refuses those that are not in a cluster."""
    return _kept(secret_variables(task), options.secrets)


def configs(task: Task, options: Options) -> tuple[Secret, ...]:
    """Return the keys of config maps that a task needs; `cluster_configs` refuses those that are not in a cluster."""
    return _kept(config_variables(task), options.configs)


def _kept(variables: tuple[tuple[str, str], ...], places: Mapping[str, Mapping[str, Json]]) -> tuple[Secret, ...]:
    keys = ((variable, key_of(name, places)) for variable, name in variables)
    return tuple(Secret(variable, *key) for variable, key in keys if key)


def key_of(name: str, places: Mapping[str, Mapping[str, Json]]) -> tuple[str, str] | None:
    """Return the secret or config map of the cluster that keeps a secret or config, and the key in it, if one does."""
    match places.get(name, {}).get("kubernetes"):
        case {"name": str(inside), "key": str(key)}:
            return inside, key
    return None


def mounts(task: Task, options: Options) -> tuple[Mount, ...]:
    """Return the volumes that a task mounts; `cluster_volumes` refuses those that are not in a cluster."""
    found = []
    for place, name in task.volumes:
        match options.volumes.get(name, {}).get("kubernetes"):
            case {"claim": str(claim), **rest}:
                found.append(Mount(place, claim, str(rest.get("sub_path") or ""), bool(rest.get("read_only"))))
    return tuple(found)


def secret_variables(task: Task) -> tuple[tuple[str, str], ...]:
    """Return the variables that carry secrets, each with the project's name of its secret, in order of first use."""
    pairs = [(secret_variable(ref.name), ref.name) for ref in task_references(task) if isinstance(ref, SecretRef)]
    pairs += [(name, value.name) for name, value in task.env if isinstance(value, SecretRef)]
    return tuple(dict.fromkeys(pairs))


def config_variables(task: Task) -> tuple[tuple[str, str], ...]:
    """Return the variables that carry configs known at run time, as `secret_variables` does those of secrets."""
    asked = (*task_references(task), *(named(task.when) if task.when else ()))
    pairs = [(config_variable(ref.name), ref.name) for ref in asked if isinstance(ref, ConfigRef)]
    pairs += [(name, value.name) for name, value in task.env if isinstance(value, ConfigRef)]
    return tuple(dict.fromkeys(pairs))


def variables(task: Task) -> dict[str, str]:
    """Return the task's plain environment variables; `judge` refuses values that are not known yet."""
    return {name: as_text(resolve(value, _unknown)) for name, value in task.env if not any(references(value))}


def _unknown(reference: object) -> None:
    raise AssertionError(f"{reference} has no value at compile time")


def guard_dollars(text: str) -> str:
    """Return `text` so that Kubernetes' expansion of `$(NAME)` and `$$` in variables gives it back as it was."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def task_references(task: Task) -> tuple[Reference, ...]:
    """Return what the call refers to (parameters and inputs, not variables), each once, in order of first use."""
    values = [value for _, value in task.parameters]
    values += [value for _, listed in task.inputs for value in listed]
    return tuple(dict.fromkeys(ref for value in values for ref in references(value)))


def locations(task: Task) -> Iterator[tuple[str, Value]]:
    """Yield every location that a task reads by itself, with the name of the input or parameter it is given to."""
    for name, listed in task.inputs:
        for value in listed:
            if not isinstance(value, OutputRef | EachRef):
                yield name, value
    for name, value in task.parameters:
        declared = task.interface.parameter(name)
        if declared and declared.location:
            yield name, value


def is_relative(value: Value, defaults: Mapping[str, object]) -> bool:
    """Say whether a location begins on the disk of whoever compiled; a parameter counts as its default."""
    match value:
        case Literal(str(text)):
            return text != "" and "://" not in text and not text.startswith("/")
        case ParameterRef(name):
            return is_relative(Literal(str(defaults.get(name) or "")), defaults)
        case Text((first, *_)):
            return is_relative(first, defaults)
        case _:
            return False


def reads_world(task: Task) -> bool:
    """Say whether a task's result hangs on more than its arguments and artifacts, so that no cache may answer for it.

    Beside what holds everywhere: the content of a location, a volume or a config map may change under an equal name,
    and no cluster's cache looks.
    """
    return bool(uncacheable(task) or task.volumes or config_variables(task)) or any(True for _ in locations(task))


def asks_person(task: Task) -> bool:
    """Say whether a person decides in this step; with `mode: automatic` the gates of its evidence do."""
    return task.interface.role is Role.APPROVE and ("mode", Literal("automatic")) not in task.parameters


def approvers(task: Task) -> tuple[str, ...]:
    """Return the people whom an approval step lists, in order; empty if it lists none."""
    people = {parameter.name for parameter in task.interface.parameters if parameter.people}
    named = [value.value for name, value in task.parameters if name in people and isinstance(value, Literal)]
    listed = [person for value in named if isinstance(value, list | tuple) for person in value]
    return tuple(dict.fromkeys(person for person in listed if isinstance(person, str)))


def wait_s(task: Task) -> int:
    """Return how long an approval waits for its people."""
    return task.timeout_s if task.timeout_s is not None else WEEK_S


def needs_root(task: Task) -> bool:
    """Say whether a step reads or writes below the artifact root beside its own artifacts: decisions and releases.

    A step of the user's own image knows of neither, whatever its role.
    """
    if task.interface.container:
        return False
    return task.interface.rooted or task.interface.role in (Role.APPROVE, Role.DEPLOY)


def library_image(tasks: Iterable[Task]) -> str | None:
    """Return the image of the first task of the step library, or None where there is none."""
    return next((task.image for task in tasks if task.image and not (task.interface.container or task.loop)), None)


def step_labels(task: Task) -> dict[str, str]:
    """Return the labels that tell a step's pods from those of others."""
    return {COMPONENT: _label(task.step)}


def revision(plan: Plan) -> str:
    """Return the plan's digest as a label carries it: its first 16 digits, by which two plans are told apart."""
    return plan.digest.removeprefix("sha256:")[:16]


def pod_labels(plan: Plan) -> dict[str, str]:
    """Return the labels of a pipeline's pods: Kubernetes' recommended ones, the user's, and the plan's revision."""
    return labels(plan) | {REVISION: revision(plan)}


def labels(plan: Plan) -> dict[str, str]:
    """Return the labels that stay the same when the plan changes: Kubernetes' recommended ones, then the user's."""
    own = {
        "app.kubernetes.io/managed-by": "pipec",
        "app.kubernetes.io/part-of": plan.pipeline,
    }
    if plan.environment:
        own["app.kubernetes.io/instance"] = plan.environment
    return {**{key: _label(value) for key, value in own.items()}, **dict(sorted(plan.labels))}


@lru_cache(maxsize=4096)
def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:63].strip("-._")


def cpu_quantity(cpu: float) -> str:
    """Return cores as Kubernetes writes them: `2`, or `500m` where they are not whole."""
    return str(int(cpu)) if cpu == int(cpu) else f"{max(1, round(cpu * 1000))}m"  # `0m` would ask for nothing


def memory_quantity(memory_mib: int) -> str:
    """Return MiB as Kubernetes writes them: `16Gi`, or `1536Mi` where they are not whole GiB."""
    return f"{memory_mib // 1024}Gi" if memory_mib % 1024 == 0 else f"{memory_mib}Mi"
