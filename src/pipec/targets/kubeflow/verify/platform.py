"""The platform document: what Kubernetes is asked for beside each container, by executor."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipec.targets.kubeflow.findings import FLOW, NAME, PLACEHOLDER, QUANTITY, REFERENCE, SHAPE, WIRING
from pipec.targets.kubeflow.verify.document import Document, declared
from pipec.targets.kubeflow.verify.fault import PLATFORM, Fault, Path, Spec, shown, unknown
from pipec.targets.kubeflow.verify.quantity import amount

# Lists of a configuration that name a thing of the cluster: what it is called in a message, and its fields' stem.
_NAMED = {
    "secretAsVolume": ("secret", "secretName"), "secretAsEnv": ("secret", "secretName"),
    "configMapAsVolume": ("config map", "configMapName"), "configMapAsEnv": ("config map", "configMapName"),
    "imagePullSecret": ("secret", "secretName"), "pvcMount": ("volume claim", "pvcName"),
}  # fmt: skip
_MOUNTED = ("secretAsVolume", "configMapAsVolume", "pvcMount", "genericEphemeralVolume", "emptyDirMounts")
_FROM_KEYS = {"secretAsEnv": "secretKey", "configMapAsEnv": "configMapKey"}
_POLICIES = ("Always", "IfNotPresent", "Never")
_EFFECTS = ("", "NoExecute", "NoSchedule", "PreferNoSchedule")
_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_ACCESS = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_FIELD_PATH = re.compile(r"(metadata|spec|status)\.[A-Za-z]+(\[[^\[\]]*\]|\.[A-Za-z]+)*")
_WORKSPACE = "/kfp-workspace"


def platform(document: Document, spec: Spec) -> Iterator[Fault]:
    """Yield what is wrong with the platform document. spec: of right shape; empty if there is none."""
    for name, one in spec.get("platforms", {}).items():
        path = (*PLATFORM, "platforms", name)
        if name != "kubernetes":
            yield Fault(REFERENCE, path, f"there is no platform `{shown(name)}`", "write `kubernetes`")
            continue
        yield from _run(one.get("pipelineConfig", {}), (*path, "pipelineConfig"))
        for label, executor in one.get("deploymentSpec", {}).get("executors", {}).items():
            at = (*path, "deploymentSpec", "executors", label)
            if label not in document.executors:
                yield unknown(REFERENCE, at, f"there is no executor `{label}`", label, {*document.executors})
                continue
            yield from _executor(label, executor, at)
            yield from _sources(document, label, executor, at)
    yield from _workspace(document, spec)


def _run(config: Spec, path: Path) -> Iterator[Fault]:
    for key in ("activeDeadlineSeconds", "resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"):
        if int(config.get(key, 1)) < 1:
            yield Fault(QUANTITY, (*path, key), f"`{key}` must be at least one second", "remove it for no limit")
    if "workspace" in config and ((size := amount(config["workspace"].get("size", ""))) is None or size <= 0):
        yield Fault(QUANTITY, (*path, "workspace"), "the workspace of a run needs a size", "workspace: {size: 10Gi}")


def _workspace(document: Document, spec: Spec) -> Iterator[Fault]:
    config = spec.get("platforms", {}).get("kubernetes", {}).get("pipelineConfig", {})
    if "workspace" in config:
        return
    for label, executor in document.executors.items():
        container = executor.get("container", {})
        if any("{{$.workspace_path}}" in text for key in ("command", "args") for text in container.get(key, ())):
            at = ("pipeline", "deploymentSpec", "executors", label)
            message = f"`{label}` uses the workspace of a run, and the platform document asks for none"
            yield Fault(PLACEHOLDER, at, message, "platforms.kubernetes.pipelineConfig.workspace: {size: 10Gi}")


def _executor(label: str, spec: Spec, path: Path) -> Iterator[Fault]:
    if "activeDeadlineSeconds" in spec and int(spec["activeDeadlineSeconds"]) < 1:
        at = (*path, "activeDeadlineSeconds")
        yield Fault(QUANTITY, at, f"`{label}` must have at least one second", "remove it for no limit")
    if (policy := spec.get("imagePullPolicy", "Always")) not in _POLICIES:
        message = f"there is no policy `{shown(policy)}` to pull an image by"
        yield unknown(NAME, (*path, "imagePullPolicy"), message, policy, _POLICIES)
    security = spec.get("securityContext", {})
    for key in ("runAsUser", "runAsGroup"):
        least = 1 if key == "runAsUser" else 0
        if int(security.get(key, 1)) < least:
            at = (*path, "securityContext", key)
            yield Fault(FLOW, at, f"`{label}` cannot run as {security[key]}: the backend refuses it", f"{key}: '1000'")
    yield from _named(spec, path)
    yield from _mounts(spec, path)
    yield from _variables(label, spec, path)
    yield from _placement(spec, path)
    yield from _sizes(spec, path)
    for key, what in (("nodeSelector", "labels"), ("podMetadata", "labels")):
        yield from _labels(spec.get(key, {}).get(what, {}), (*path, key, what))


def _named(spec: Spec, path: Path) -> Iterator[Fault]:
    for key, (what, stem) in _NAMED.items():
        for number, item in enumerate(spec.get(key, ())):
            at = (*path, key, number)
            plain = item.get("constant" if key == "pvcMount" else stem)
            source = item.get(f"{stem}Parameter", {})
            constant = source.get("runtimeValue", {}).get("constant")
            if not plain and not source and not item.keys() & {"taskOutputParameter", "componentInputParameter"}:
                example = f"{stem}Parameter: {{runtimeValue: {{constant: ...}}}}"
                yield Fault(SHAPE, at, f"no {what} is named", example)
            elif plain and constant and plain != constant:
                yield Fault(WIRING, at, f"a {what} is named `{plain}` and `{constant}`", "name it once")


def _mounts(spec: Spec, path: Path) -> Iterator[Fault]:
    seen: set[str] = set()
    for key in _MOUNTED:
        for number, item in enumerate(spec.get(key, ())):
            where, at = item.get("mountPath", ""), (*path, key, number)
            if not where:  # one without a `/` at its front is made absolute by the kubelet
                yield Fault(NAME, at, "nothing says where this is mounted", "mountPath: /data")
            elif where == _WORKSPACE or where.startswith(f"{_WORKSPACE}/"):
                yield Fault(NAME, at, f"`{where}` is where the workspace of a run is mounted", "mount it elsewhere")
            elif where in seen:
                yield Fault(NAME, at, f"two things are mounted at `{shown(where)}`", "mount one of them elsewhere")
            seen.add(where)


def _variables(label: str, spec: Spec, path: Path) -> Iterator[Fault]:
    seen: set[str] = set()
    for key, source in _FROM_KEYS.items():
        for number, item in enumerate(spec.get(key, ())):
            if not item.get("keyToEnv"):
                yield Fault(
                    SHAPE,
                    (*path, key, number),
                    "no variable is taken from here",
                    f"keyToEnv: [{{{source}: ..., envVar: ...}}]",
                )
            for place, pair in enumerate(item.get("keyToEnv", ())):
                at = (*path, key, number, "keyToEnv", place)
                if not pair.get(source):
                    yield Fault(SHAPE, at, f"a variable is taken from no `{source}`", f"{source}: ...")
                yield from _variable(label, pair.get("envVar", ""), seen, at)
    for number, item in enumerate(spec.get("fieldPathAsEnv", ())):
        at = (*path, "fieldPathAsEnv", number)
        yield from _variable(label, item.get("name", ""), seen, at)
        if not _FIELD_PATH.fullmatch(item.get("fieldPath", "")):
            yield Fault(NAME, at, f"a pod has no field `{shown(item.get('fieldPath', ''))}`", "such as `metadata.name`")


def _variable(label: str, name: str, seen: set[str], path: Path) -> Iterator[Fault]:
    if not _VARIABLE.fullmatch(name):
        yield Fault(NAME, path, f"no variable can be called `{shown(name)}`", "use letters, digits and `_`")
    elif name in seen:
        yield Fault(NAME, path, f"`{label}` sets the variable `{name}` twice", "keep one")
    seen.add(name)


def _placement(spec: Spec, path: Path) -> Iterator[Fault]:
    for number, item in enumerate(spec.get("tolerations", ())):
        at = (*path, "tolerations", number)
        if item.get("operator", "") not in ("", "Equal", "Exists"):
            message = f"a toleration cannot say `{shown(item['operator'])}`"
            yield unknown(NAME, (*at, "operator"), message, item["operator"], ("Equal", "Exists"))
        elif item.get("operator") == "Exists" and item.get("value"):
            yield Fault(FLOW, at, "a toleration that says `Exists` takes no value", "operator: Equal")
        if item.get("effect", "") not in _EFFECTS:
            message = f"a taint has no effect `{shown(item['effect'])}`"
            yield unknown(NAME, (*at, "effect"), message, item["effect"], _EFFECTS[1:])
    for number, item in enumerate(spec.get("nodeAffinity", ())):
        for key in ("matchExpressions", "matchFields"):
            for place, rule in enumerate(item.get(key, ())):
                if rule.get("operator") not in _OPERATORS:
                    at = (*path, "nodeAffinity", number, key, place)
                    said = rule.get("operator", "")
                    yield unknown(NAME, at, f"a selection cannot say `{shown(said)}`", said, _OPERATORS)
    for key in ("nodeAffinity", "podAffinity"):
        for number, item in enumerate(spec.get(key, ())):
            if not 1 <= int(item.get("weight", 1)) <= 100:
                yield Fault(QUANTITY, (*path, key, number, "weight"), "a weight is from 1 to 100", "weight: 1")


def _sizes(spec: Spec, path: Path) -> Iterator[Fault]:
    wanted = [
        (item, "sizeLimit", (*path, "emptyDirMounts", n)) for n, item in enumerate(spec.get("emptyDirMounts", ()))
    ]
    wanted += [(spec.get("enabledSharedMemory", {}), "size", (*path, "enabledSharedMemory"))]
    for number, item in enumerate(spec.get("genericEphemeralVolume", ())):
        at = (*path, "genericEphemeralVolume", number)
        wanted.append(({"size": "", **item}, "size", at))
        for place, mode in enumerate(item.get("accessModes", ())):
            if mode not in _ACCESS:
                yield unknown(
                    NAME, (*at, "accessModes", place), f"no volume has the mode `{shown(mode)}`", mode, _ACCESS
                )
    for item, key, at in wanted:
        if key in item and ((size := amount(item[key])) is None or size <= 0):
            yield Fault(QUANTITY, at, f"`{shown(item[key])}` is no size", f"{key}: 2Gi")


def _labels(labels: Spec, path: Path) -> Iterator[Fault]:
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            yield Fault(
                NAME, (*path, key), f"no label can be called `{shown(key)}`", "use letters, digits, `-`, `_` and `.`"
            )
        if not _LABEL.fullmatch(value) and "{{$" not in value:
            message = f"the label `{shown(key)}` cannot be `{shown(value)}`"
            yield Fault(NAME, (*path, key), message, "up to 63 letters, digits, `-`, `_` and `.`")


def _sources(document: Document, label: str, spec: Spec, path: Path) -> Iterator[Fault]:
    """Yield names of inputs and tasks in a configuration that are not there where the executor's tasks are."""
    dags = [dag for name in document.labels.get(label, ()) for dag, _ in document.users.get(name, ())]
    for source, at in _found(spec, path) if dags else ():
        if (name := source.get("componentInputParameter")) is not None:
            inputs = {each for dag in dags for each in declared(dag.component, "input", "parameters")}
            if name not in inputs:
                yield unknown(REFERENCE, at, f"there is no input `{name}` where `{label}` runs", name, inputs)
        elif (output := source.get("taskOutputParameter")) is not None:
            name, key = output.get("producerTask", ""), output.get("outputParameterKey", "")
            makers = [document.component_of(dag.tasks[name]) for dag in dags if name in dag.tasks]
            if not makers:
                tasks = {each for dag in dags for each in dag.tasks}
                yield unknown(REFERENCE, at, f"there is no task `{name}` where `{label}` runs", name, tasks)
            elif not any(key in declared(maker, "output", "parameters") for maker in makers):
                made = {each for maker in makers for each in declared(maker, "output", "parameters")}
                yield unknown(REFERENCE, at, f"`{name}` has no output parameter `{key}`", key, made)


def _found(spec: Spec, path: Path) -> Iterator[tuple[Spec, Path]]:
    """Yield what in a configuration may name an input or an output."""
    for key, value in spec.items():
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            at = (*path, key, number) if isinstance(value, list) else (*path, key)
            if not isinstance(item, dict):
                continue
            yield item, at
            for below, source in item.items():
                if isinstance(source, dict):
                    yield source, (*at, below)
