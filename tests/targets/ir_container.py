"""One container of a compiled pipeline as Kubeflow's launcher runs it, with Docker in the place of Kubernetes.

Read from backend/src/v2 of kubeflow/pipelines: component/launcher_v2.go, driver/driver.go (provisionOutputs), driver/
k8s.go. Other than there, the launcher is outside of the container: output parameters lie below the pipeline root and
not in /tmp, the root has no scheme, so that a place is its own path, and memory and processors are not bounded. Knows
neither tasks nor pipec.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ir_values import Fault, Spec, Value, carried, expanded, filled, of_text

USER = "12345"  # nobody that an image knows; a test that is not root runs containers as itself, to read what they write
KILLED = 137
# What of a pod's settings has no meaning on one machine.
_IGNORED = {"podMetadata", "nodeSelector", "tolerations", "nodeAffinity", "podAffinity", "imagePullPolicy",
            "imagePullSecret"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is around a run.

    root: the pipeline root, a folder; containers see it at its own path. shared: other folders that they see so, in
    the place of what a cluster reaches by network. secrets, configs: values by name and key. claims: the folder of
    each volume claim. images: what to take in the place of an image that is named. n_parallel: containers at once.
    """

    root: Path
    shared: tuple[Path, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    n_parallel: int = 3


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended. why: one line, if it was no success. log: what it printed."""

    code: int
    why: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A container as it is to be started. path: of its task. deadline_s: when it is killed, or None."""

    path: str
    image: str
    argv: list[str]
    env: dict[str, str]
    options: list[str]
    deadline_s: float | None


def provisioned(component: Spec, folder: Path) -> Spec:
    """Return the `outputs` of an executor input, all below `folder`."""
    declared = component.get("outputDefinitions", {})
    artifacts = {
        name: {"artifacts": [{"name": name, "uri": str(folder / name), "type": one["artifactType"]}]}
        for name, one in declared.get("artifacts", {}).items()
    }
    parameters = {name: {"outputFile": str(folder / "values" / name)} for name in declared.get("parameters", {})}
    return {"artifacts": artifacts, "parameters": parameters, "outputFile": str(folder / "output_metadata.json")}


def with_defaults(executor_input: Spec, component: Spec) -> Spec:
    """Return the executor input as the launcher completes it: what is not given has the component's default."""
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    defaults = {name: carried(one["defaultValue"]) for name, one in declared.items() if "defaultValue" in one}
    given = executor_input["inputs"]
    return {**executor_input, "inputs": {**given, "parameterValues": defaults | given["parameterValues"]}}


def pod_of(container: Spec, settings: Spec, executor_input: Spec, cluster: Cluster, run_id: str, path: str) -> Pod:
    """Return the pod of a task. settings: of its executor in the platform document. path: of the task in its run."""
    unknown = settings.keys() - _IGNORED - {"secretAsEnv", "configMapAsEnv", "emptyDirMounts", "pvcMount",
                                            "activeDeadlineSeconds", "securityContext", "fieldPathAsEnv"}  # fmt: skip
    assert not unknown, f"the runner does not know {sorted(unknown)} of the platform document"
    env: dict[str, str] = {}
    for one in container.get("env", []):  # Kubernetes expands each by those before it
        env[one["name"]] = expanded(expanded(one["value"], {}), env)  # it was an argument of the driver's pod before
    env |= _kept(settings.get("secretAsEnv", []), "secret", cluster.secrets)
    env |= _kept(settings.get("configMapAsEnv", []), "configMap", cluster.configs)
    labels = {"metadata.labels['pipeline/runid']": run_id}  # which the API server gives every pod of a run
    env |= {one["name"]: labels[one["fieldPath"]] for one in settings.get("fieldPathAsEnv", [])}
    # The launcher and what it is given stand in the pod's own command line, which Kubernetes expands.
    told = json.loads(expanded(json.dumps(executor_input, ensure_ascii=False), env))
    argv = [filled(expanded(one, env), told) for one in (*container.get("command", []), *container.get("args", []))]
    deadline = settings.get("activeDeadlineSeconds")
    return Pod(
        path=path, image=cluster.images.get(container["image"], container["image"]), argv=argv, env=env,
        options=[*_person(settings.get("securityContext", {})), *_mounts(settings, cluster)],
        deadline_s=float(deadline) if deadline is not None else None,
    )  # fmt: skip


def _kept(listed: list[Spec], kind: str, places: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {}
    for one in listed:
        name = one.get(f"{kind}NameParameter", {}).get("runtimeValue", {}).get("constant") or one[f"{kind}Name"]
        for pair in one["keyToEnv"]:
            try:
                found[pair["envVar"]] = places[name][pair[f"{kind}Key"]]
            except KeyError:
                if not one.get("optional"):
                    raise Fault(f"the {kind} {name} has no key {pair[f'{kind}Key']}") from None
    return found


def _person(context: Spec) -> list[str]:
    user = context.get("runAsUser") or (USER if os.getuid() == 0 else str(os.getuid()))
    return [f"--user={user}:{context['runAsGroup']}" if "runAsGroup" in context else f"--user={user}"]


def _mounts(settings: Spec, cluster: Cluster) -> list[str]:
    words = [word for at in (cluster.root, *cluster.shared) for word in ("--volume", f"{at}:{at}")]
    for one in settings.get("emptyDirMounts", []):
        if one["mountPath"] == "/dev/shm":
            words += [f"--shm-size={one.get('sizeLimit', '64Mi').rstrip('i')}"]
        else:
            words += ["--mount", f"type=tmpfs,destination={one['mountPath']},tmpfs-mode=1777"]
    for one in settings.get("pvcMount", []):
        name = one.get("pvcNameParameter", {}).get("runtimeValue", {}).get("constant") or one["constant"]
        if name not in cluster.claims:
            raise Fault(f"there is no volume claim {name}")
        words += ["--volume", f"{cluster.claims[name] / one.get('subPath', '')}:{one['mountPath']}"]
    return words


def run(pod: Pod) -> Exit:
    """Run a container to its end: no right, no network, nothing to be written but what is mounted."""
    name = f"ir-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    words = ["docker", "run", "--rm", "--name", name, "--pull=never", "--read-only", "--cap-drop=ALL",
             "--security-opt=no-new-privileges", "--network=none", "--log-driver=none", *pod.options]  # fmt: skip
    words += [word for variable in pod.env for word in ("--env", variable)]
    words += ["--entrypoint", pod.argv[0], pod.image, *pod.argv[1:]]
    environ = {**os.environ, **pod.env, "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
    ) as process:
        try:
            said = process.communicate(timeout=pod.deadline_s)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            subprocess.run(["docker", "kill", name], capture_output=True, check=False)
            said = process.communicate()[0].decode("utf-8", "replace")
            return Exit(KILLED, "it was active for longer than its deadline", said)
    return Exit(process.returncode, f"exit code {process.returncode}" if process.returncode else "", said)


def prepare(outputs: Spec, folder: Path) -> None:
    """Make the folders that outputs go to, empty: each attempt is a new pod."""
    shutil.rmtree(folder, ignore_errors=True)
    places = [Path(one["outputFile"]) for one in outputs["parameters"].values()]
    places += [Path(one["uri"]) for listed in outputs["artifacts"].values() for one in listed["artifacts"]]
    for parent in {folder, *(place.parent for place in places)}:
        parent.mkdir(parents=True, exist_ok=True)
        parent.chmod(0o777)  # the user of the container is another one


def collected(outputs: Spec, component: Spec) -> tuple[dict[str, Value], dict[str, list[Spec]]]:
    """Return the output parameters and artifacts that a container left. Raises Fault where it left them not as said."""
    told = _executor_output(Path(outputs["outputFile"]))
    declared = component.get("outputDefinitions", {}).get("parameters", {})
    parameters: dict[str, Value] = carried(told.get("parameterValues", {}))
    for name, at in outputs["parameters"].items():
        if name in parameters:
            continue  # the executor output goes first
        try:
            text = Path(at["outputFile"]).read_text(encoding="utf-8")
        except OSError:
            raise Fault(f"output parameter {name} was not written") from None
        parameters[name] = of_text(text, declared[name]["parameterType"])
    artifacts = {
        name: [_merged(listed["artifacts"][0], told.get("artifacts", {}).get(name, {}).get("artifacts", []))]
        for name, listed in outputs["artifacts"].items()
    }
    return parameters, artifacts


def _executor_output(path: Path) -> Spec:
    if not path.exists():
        return {}
    told: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(told, dict) or told.keys() - {"parameterValues", "artifacts", "parameters"}:
        raise Fault("the executor output has fields that are not known")
    return told


def _merged(artifact: Spec, told: list[Spec]) -> Spec:
    said = told[0] if told else {}
    metadata = {**artifact.get("metadata", {}), **carried(said.get("metadata", {}))}
    return {**artifact, "uri": said.get("uri") or artifact["uri"], **({"metadata": metadata} if metadata else {})}
