"""Every pod that the operator builds of an emitted file is one that Kubernetes takes, and is restricted."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import pytest
import test_ir_examples
from airflow_project import USERS, example_project
from needs import missing
from plans import options, wine
from plans import placed as placed_plan
from pod_security import CONTROLS, broken
from test_airflow_foreign import FORMS, scored
from test_airflow_pod import placed
from test_airflow_real import looked_at
from test_airflow_says import EXAMPLES

from pipec.steps.interface import Accelerator, Resources
from pipec.targets.airflow import TARGET
from pipec.values import SecretRef

pytestmark = pytest.mark.airflow
KUBERNETES = "1.34"
SIDE_CAR = "airflow-xcom-sidecar"
Pod = dict[str, Any]


def written(folder: Path, name: str) -> str:
    """Return an example's file for pods of a cluster."""
    project = example_project(folder, name, is_run=False)
    text = (
        f"artifacts: 's3://ml/pipec', secrets: {{publisher: {{kubernetes: {{name: publisher, key: token}}}}}}, "
        f"volumes: {{shared: {{kubernetes: {{claim: shared-rwx}}}}}}, "
        f"airflow: {{namespace: ml, users: {USERS}, workspace: shared}}"
    )
    test_ir_examples.put(folder / "pipec.yaml", r"^  there: .*", f"  there: {{{text}}}")
    for path in folder.glob("*.yaml"):  # a pod sees no file of this machine
        path.write_text(path.read_text(encoding="utf-8").replace(f"file://{folder}", "s3://ml"), encoding="utf-8")
    case = test_ir_examples.CASES[name]
    emitted, errors = replace(project, options={}).compiled(case.file, case.pipeline)
    assert emitted, errors
    return emitted


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pod]:
    """Return every pod of the examples, of a flow with all that a pipeline can say, and of a plan that asks for all."""
    folder = tmp_path_factory.mktemp("dags")
    plans = {"placed": (placed_plan(), placed()), "wine-plan": (wine(), options(settings={"namespace": "ml"}))}
    plans["flow"] = (flows.flow(), options(settings={"namespace": "ml"}))
    own = scored(env=(("KEY", SecretRef("warehouse")),), resources=Resources(accelerator=Accelerator(count=1)))
    plans["own"] = (own, FORMS["pods"])
    for name, (plan, given) in plans.items():
        (file,) = TARGET.emit(replace(plan, pipeline=name), given)
        (folder / file.path).write_text(file.text, encoding="utf-8")
    for name in EXAMPLES:
        text = written(tmp_path_factory.mktemp(name), name)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    found = looked_at(folder, tmp_path_factory.mktemp("airflow"), "airflow_pods.py")
    assert found["errors"] == {}
    pods: dict[str, Pod] = found["pods"]
    assert {name.partition(".")[0] for name in pods} >= set(plans)
    return pods


def test_every_pod_is_one_that_kubernetes_takes(pods: dict[str, Pod]) -> None:
    if not importlib.util.find_spec("kubernetes_validate"):
        missing("kubernetes-validate")
    import kubernetes_validate

    assert len(pods) > 30
    for name, pod in pods.items():
        try:
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as fault:
            pytest.fail(f"{name}: {fault.message}")


def test_every_pod_is_restricted(pods: dict[str, Pod]) -> None:
    assert {name: faults for name, pod in pods.items() if (faults := broken(pod))} == {}


def test_a_side_car_starts_though_its_image_is_root_s(pods: dict[str, Pod]) -> None:
    beside = {name: one for name, pod in pods.items() for one in pod["spec"]["containers"] if one["name"] == SIDE_CAR}
    assert "flow.judge" in beside
    users = {
        name: one["securityContext"].get("runAsUser", pods[name]["spec"]["securityContext"].get("runAsUser"))
        for name, one in beside.items()
    }
    assert {name.startswith("placed."): user for name, user in users.items()} == {True: 10001, False: 65534}


def test_all_that_a_plan_asks_for_arrives_in_its_pod(pods: dict[str, Pod]) -> None:
    pod = pods["placed.train"]
    spec, metadata = pod["spec"], pod["metadata"]
    assert metadata["annotations"] == {"pipec-owner": "ml-platform"}
    assert metadata["labels"].items() >= {
        "app.kubernetes.io/part-of": "placed", "app.kubernetes.io/component": "train",
        "kueue.x-k8s.io/queue-name": "ml", "kueue.x-k8s.io/priority-class": "high", "team": "ml",
    }.items()  # fmt: skip
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"disk": "nvme"}
    assert [one["key"] for one in spec["tolerations"]] == ["nvidia.com/gpu", "spot"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = spec["containers"][0]
    assert [one["mountPath"] for one in container["volumeMounts"]] == ["/tmp", "/work", "/dev/shm", "/scratch"]
    assert [one["name"] for one in container["env"]] == ["PIPEC_CONFIG_TARGET", "WH"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_the_command_of_an_own_image_is_in_its_pod_beside_what_it_shares(pods: dict[str, Pod]) -> None:
    parts = {name: pods[f"own.{name}"]["spec"] for name in ("score-inputs", "score-run", "score")}
    own = parts["score-run"]["containers"][0]
    # Kubernetes takes `$$` for `$`, and then sees no variable.
    assert (own["command"], own["args"]) == (["sh"], ["$$(HOME) {{ x }} $$$$", "/w/2/out.sh"])
    assert own["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert [one["name"] for one in own["env"]] == ["KEY"]
    for spec in parts.values():
        (place,) = (one["name"] for one in spec["containers"][0]["volumeMounts"]
                    if one["mountPath"] == "/pipec-workspace")  # fmt: skip
        (claim,) = (one for one in spec["volumes"] if one["name"] == place)
        assert claim["persistentVolumeClaim"] == {"claimName": "space-rwx"}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_is_told_from_the_others(control: str) -> None:
    """A pod that says nothing breaks those that want something said; a pod that asks for all breaks the rest."""
    bare: Pod = {"spec": {"containers": [{}]}}
    bold = {"privileged": True, "procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}, "runAsUser": 0,
            "appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"user": "root"}}  # fmt: skip
    all_: Pod = {"spec": {
        "hostPID": True, "volumes": [{"name": "a", "hostPath": {}}], "securityContext": {"sysctls": [{"name": "x"}]},
        "containers": [{"securityContext": bold, "ports": [{"hostPort": 1}]}],
    }}  # fmt: skip
    wanted = ["capabilities dropped", "seccomp", "privilege escalation", "running as non-root"]
    assert (broken(bare), control in broken(all_)) == (wanted, True)
