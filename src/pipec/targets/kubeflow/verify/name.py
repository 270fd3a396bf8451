"""Names, and what must be in every document at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipec.targets.kubeflow.findings import DOUBTFUL, NAME, SHAPE
from pipec.targets.kubeflow.verify.document import Document, declared
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault, Path, Spec, shown

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_PORT = re.compile(r"[^'\"\[\]{}\\\s][^'\"\[\]{}\\\n]*")  # it stands in placeholders, between `['` and `']`
LONGEST_PIPELINE = 128  # the API server's column
LONGEST_TASK = 128  # of a label's and a pod's name, what the driver adds leaves no more
# Templates of Argo that the backend makes itself.
_RESERVED = re.compile(r"root|entrypoint|system-.*|exit-hook-.*")


def essentials(spec: Spec) -> Iterator[Fault]:
    """Yield what a document lacks, without which nothing of it can be read."""
    version = spec.get("schemaVersion")
    if version != "2.1.0":
        said = f"`schemaVersion` is `{shown(version)}`" if version else "`schemaVersion` is missing"
        path = (*PIPELINE, "schemaVersion") if version else PIPELINE
        yield Fault(SHAPE, path, f"{said}, and the backend takes `2.1.0` alone", "schemaVersion: 2.1.0")
    if "root" not in spec:
        yield Fault(SHAPE, PIPELINE, "the pipeline has no `root`", "root: {dag: {tasks: {...}}}")
    elif "dag" not in spec["root"]:
        yield Fault(SHAPE, (*PIPELINE, "root"), "`root` has no `dag`", "root: {dag: {tasks: {...}}}")
    if not spec.get("pipelineInfo", {}).get("name"):
        yield Fault(SHAPE, (*PIPELINE, "pipelineInfo"), "the pipeline has no name", "pipelineInfo: {name: my-pipeline}")


def names(document: Document) -> Iterator[Fault]:
    """Yield names that Kubernetes or the backend cannot take."""
    yield from _kubernetes_name(
        "the pipeline", document.spec["pipelineInfo"]["name"], LONGEST_PIPELINE, (*PIPELINE, "pipelineInfo", "name")
    )
    for dag in document.dags:
        for task in dag.tasks:
            yield from _kubernetes_name("a task", task, LONGEST_TASK, dag.at(task))
            if (plain := task.removesuffix("-driver")) != task and plain in dag.tasks:
                yield Fault(
                    NAME, dag.at(task), f"the driver of `{plain}` is called `{task}` too", "give the task another name"
                )
    for name, component in document.components.items():
        yield from _component(name, component, (*PIPELINE, "components", name))
    yield from _ports(document.spec["root"], (*PIPELINE, "root"))


def _kubernetes_name(what: str, name: str, longest: int, path: Path) -> Iterator[Fault]:
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        yield Fault(
            NAME,
            path,
            f"{what} cannot be called `{shown(name)}`: Kubernetes takes a-z, 0-9 and `-`, and no `-` at an end",
            f"call it `{near}`" if near else "",
        )
    elif len(name) > longest:
        yield Fault(NAME, path, f"the name of {what} is longer than {longest} characters", "shorten it")


def _component(name: str, component: Spec, path: Path) -> Iterator[Fault]:
    if _RESERVED.fullmatch(name):
        yield Fault(NAME, path, f"the backend has a template `{name}` of its own", f"call the component `comp-{name}`")
    elif not _NAME.fullmatch(name):
        yield from _kubernetes_name("a component", name, LONGEST_TASK, path)
    elif not name.startswith("comp-"):
        yield Fault(
            DOUBTFUL,
            path,
            f"kfp's local runner takes the first five characters of `{name}` for `comp-`",
            f"call the component `comp-{name}`",
        )
    if "executor-logs" in declared(component, "output", "artifacts"):
        yield Fault(
            NAME,
            (*path, "outputDefinitions", "artifacts", "executor-logs"),
            "the launcher keeps its own logs in an artifact `executor-logs`",
            "give the output another name",
        )
    yield from _ports(component, path)


def _ports(component: Spec, path: Path) -> Iterator[Fault]:
    for side in ("input", "output"):
        for kind in ("parameters", "artifacts"):
            for name in declared(component, side, kind):
                if not _PORT.fullmatch(name):
                    at = (*path, f"{side}Definitions", kind, name)
                    yield Fault(
                        NAME, at, f"no placeholder can name the {side} `{shown(name)}`", "use letters, digits and `_`"
                    )
