"""A pipeline document whose shape is right, as what the checks walk over: graphs of tasks, components, executors.

Reads the document and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from pipec.record import frozen
from pipec.targets.kubeflow.verify.fault import PIPELINE, Path, Spec

T = TypeVar("T")
COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"
_OLD_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE", "STRING": "STRING"}


@frozen
class Dag:
    """One graph of tasks. name: of its component; `root` for the pipeline itself. path: to the component."""

    name: str
    path: Path
    component: Spec

    @property
    def tasks(self) -> Mapping[str, Spec]:
        found: Mapping[str, Spec] = self.component["dag"].get("tasks", {})
        return found

    @property
    def title(self) -> str:
        return "the pipeline" if self.name == "root" else f"`{self.name}`"

    def at(self, task: str, *below: str | int) -> Path:
        return (*self.path, "dag", "tasks", task, *below)


@frozen
class Document:
    """The pipeline document.

    users: by component, the tasks that run it, each with its graph. labels: by executor, the components that it runs.
    """

    spec: Spec
    components: Mapping[str, Spec]
    executors: Mapping[str, Spec]
    dags: tuple[Dag, ...]
    users: Mapping[str, tuple[tuple[Dag, str], ...]]
    labels: Mapping[str, tuple[str, ...]]

    def component_of(self, task: Spec) -> Spec:
        """Return the component that a task runs, or one of nothing where there is none."""
        found: Spec = self.components.get(task.get("componentRef", {}).get("name", ""), {})
        return found

    def executor_of(self, component: Spec) -> Spec:
        found: Spec = self.executors.get(component.get("executorLabel", ""), {})
        return found


def document(spec: Spec) -> Document:
    """Return a document of right shape as what checks walk over."""
    components: Mapping[str, Spec] = spec.get("components", {})
    places = [("root", (*PIPELINE, "root"), spec.get("root", {}))]
    places += [(name, (*PIPELINE, "components", name), body) for name, body in components.items()]
    dags = tuple(Dag(name, path, body) for name, path, body in places if "dag" in body)
    users: dict[str, list[tuple[Dag, str]]] = {}
    for dag in dags:
        for name, task in dag.tasks.items():
            users.setdefault(task.get("componentRef", {}).get("name", ""), []).append((dag, name))
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    labels: dict[str, list[str]] = {}
    for name, body in components.items():
        labels.setdefault(body.get("executorLabel", ""), []).append(name)
    return Document(spec, components, executors, dags, _settled(users), _settled(labels))


def _settled(listed: dict[str, list[T]]) -> dict[str, tuple[T, ...]]:
    return {name: tuple(items) for name, items in listed.items()}


def declared(component: Spec, side: str, kind: str) -> Mapping[str, Spec]:
    """Return what a component declares. side: `input` or `output`. kind: `parameters` or `artifacts`."""
    found: Mapping[str, Spec] = component.get(f"{side}Definitions", {}).get(kind, {})
    return found


def type_of(parameter: Spec) -> str:
    """Return the type of a declared parameter, whichever generation says it; empty if none does."""
    type_: str = parameter.get("parameterType", "") or _OLD_TYPES.get(parameter.get("type", ""), "")
    return type_


def title_of(artifact: Spec) -> str:
    """Return the kind of a declared artifact, as `system.Model`."""
    title: str = artifact.get("artifactType", {}).get("schemaTitle", "system.Artifact")
    return title


def given(task: Spec, kind: str) -> Mapping[str, Spec]:
    """Return the inputs that a task is given."""
    found: Mapping[str, Spec] = task.get("inputs", {}).get(kind, {})
    return found


def item_input(task: Spec) -> str:
    """Return the input that takes each item of a loop; empty if the task is none."""
    loop = task.get("parameterIterator") or task.get("artifactIterator") or {}
    name: str = loop.get("itemInput", "")
    return name


def is_exit(task: Spec) -> bool:
    """Say whether a task runs however the others ended."""
    return bool(task.get("triggerPolicy", {}).get("strategy") == COMPLETED)


def producers(task: Spec) -> Iterator[str]:
    """Yield the tasks that a task reads outputs of."""
    for source in given(task, "parameters").values():
        if "taskOutputParameter" in source:
            yield source["taskOutputParameter"].get("producerTask", "")
    for source in given(task, "artifacts").values():
        if "taskOutputArtifact" in source:
            yield source["taskOutputArtifact"].get("producerTask", "")


def awaited(task: Spec) -> set[str]:
    """Return the tasks that a task waits for: the backend adds those it reads to those it names."""
    return {*task.get("dependentTasks", ()), *producers(task)}
