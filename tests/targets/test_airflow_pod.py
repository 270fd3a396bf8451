"""Pods and containers of Airflow as the file says them: where they run, and what they see."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import placing
import plans
import pytest
from placing import asking, with_train
from test_airflow import docker, emitted, messages, tasks_of

from pipec.steps.interface import Accelerator
from pipec.targets.base import Options

USERS = {"users": {"ana@example.org": "12"}}
POOL: dict[str, Any] = plans.PLACES["pools"]["fast"]  # type: ignore[index]
IN_CLUSTER = {"kubernetes": {"name": "site", "key": "region"}}


def placed(**fields: object) -> Options:
    given = placing.placed(**fields)
    settings = {key: value for key, value in given.settings.items() if key != "experiment"}
    return replace(given, settings={**settings, **USERS})


def worker(**fields: object) -> Options:
    """Options of a worker's machine that has all that the placed plan asks for."""
    there: dict[str, object] = {
        "configs": {"region": {"env": "REGION"}, "target": {"env": "TARGET"}},
        "volumes": {"scratch": {"path": "/mnt/scratch"}},
        "pools": {"fast": {"accelerator": {"kind": "gpu", "model": "A100", "memory_mib": 81920}}},
    }
    return docker(**{**there, **fields})


def test_a_pool_says_where_a_pod_runs() -> None:
    train = tasks_of(emitted(plans.placed(), placed()))["train"]
    assert train["node_selector"] == {"disk": "nvme"}
    (term,) = train["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(one["key"], one["operator"]) for one in term["matchExpressions"]] == [
        ("nvidia.com/gpu.product", "In"), ("nvidia.com/gpu.memory", "Gt"),
    ]  # fmt: skip
    assert train["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
    ]
    assert train["labels"] == {
        "kueue.x-k8s.io/queue-name": "ml",
        "kueue.x-k8s.io/priority-class": "high",
    }
    assert "priority_class_name" not in train


def test_a_priority_without_a_queue_is_the_pod_s_class() -> None:
    options = placed(pools={"fast": {key: value for key, value in POOL.items() if key != "queue"}})
    train = tasks_of(emitted(plans.placed(), options))["train"]
    assert (train["priority_class_name"], "labels" in train) == ("high", False)


def test_volumes_configs_and_shared_memory_stand_in_the_pod_s_template() -> None:
    key = {"configMapKeyRef": {"name": "site", "key": "target"}}
    assert tasks_of(emitted(plans.placed(), placed()))["train"]["pod_template_dict"]["spec"] == {
        "containers": [{
            "name": "base",
            "env": [{"name": "PIPEC_CONFIG_TARGET", "valueFrom": key}],
            "volumeMounts": [
                {"name": "pipec-tmp", "mountPath": "/tmp"},
                {"name": "pipec-work", "mountPath": "/work"},
                {"name": "pipec-shm", "mountPath": "/dev/shm"},
                {"name": "volume-1", "mountPath": "/scratch", "subPath": "wine"},
            ],
        }],
        "volumes": [
            {"name": "pipec-tmp", "emptyDir": {}},
            {"name": "pipec-work", "emptyDir": {}},
            {"name": "pipec-shm", "emptyDir": {"medium": "Memory"}},
            {"name": "volume-1", "persistentVolumeClaim": {"claimName": "scratch-rwx"}},
        ],
    }  # fmt: skip


def test_a_claim_mounted_twice_for_reading_is_one_volume() -> None:
    plan = with_train(volumes=(("/a", "scratch"), ("/b", "scratch")))
    options = placed(volumes={"scratch": {"kubernetes": {"claim": "c", "read_only": True}}})
    spec = tasks_of(emitted(plan, options))["train"]["pod_template_dict"]["spec"]
    assert spec["containers"][0]["volumeMounts"][-2:] == [
        {"name": "volume-1", "mountPath": "/a", "readOnly": True},
        {"name": "volume-1", "mountPath": "/b", "readOnly": True},
    ]
    assert spec["volumes"][-1] == {"name": "volume-1", "persistentVolumeClaim": {"claimName": "c"}}


def test_pods_that_are_alike_share_a_template_by_name() -> None:
    text = emitted(plans.placed(), placed())
    names = re.findall(r"^(POD\w*) = ", text, re.MULTILINE)
    assert names == ["POD", "POD_2", "POD_3"]
    assert [len(re.findall(rf"\b{name},$", text, re.MULTILINE)) for name in names] == [1, 1, 1]


def test_a_container_of_the_worker_gets_variables_folders_and_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DSN", "postgres://h")
    monkeypatch.setenv("TARGET", "quality")
    text = emitted(plans.placed(), worker(settings={"run_as_user": 7, "run_as_group": 8, "pull_policy": "Always"}))
    train = tasks_of(text)["train"]
    assert train["mounts"] == [
        {"source": "/var/pipec", "target": "/var/pipec", "type": "bind"},
        {"source": "/mnt/scratch", "target": "/scratch", "type": "bind"},
    ]
    assert train["shm_size"] == "8192m"
    assert train["private_environment"] == {"WH": "postgres://h", "PIPEC_CONFIG_TARGET": "quality"}
    assert '"user": "7:8",\n        "force_pull": True,\n' in text


ACCELERATOR = ("resources", "accelerator")


@pytest.mark.parametrize(
    ("options", "places"),
    [
        pytest.param(worker(configs={"region": IN_CLUSTER, "target": {"env": "T"}}),
                     [("ingest", ("env", "REGION"))], id="a config of the cluster"),
        pytest.param(worker(volumes={"scratch": {"kubernetes": {"claim": "c"}}}),
                     [("train", ("volumes", "/scratch"))], id="a claim"),
        pytest.param(worker(pools={"fast": POOL | {"accelerator": {"model": "a100", "memory_mib": 40960}}}),
                     [("train", ("resources", "pool"))], id="a pool elsewhere"),
        pytest.param(worker(pools={"fast": {"accelerator": {"kind": "gpu"}}}),
                     [("train", (*ACCELERATOR, "model")), ("train", (*ACCELERATOR, "memory"))], id="another device"),
        pytest.param(placed(volumes={"scratch": {"path": "/mnt"}}),
                     [("train", ("volumes", "/scratch"))], id="a folder"),
        pytest.param(placed(configs={"target": {"env": "A"}, "region": IN_CLUSTER}),
                     [("train", ("with", "target"))], id="a config of a machine"),
    ],
)  # fmt: skip
def test_what_is_out_of_reach_is_refused_where_it_is_used(
    options: Options, places: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert messages(plans.placed(), options) == places


@pytest.mark.parametrize("place", ["/airflow/xcom", "/airflow/xcom/a"])
def test_the_folder_of_what_is_handed_on_cannot_be_mounted_over(place: str) -> None:
    assert messages(with_train(volumes=((place, "scratch"),)), placed()) == [("train", ("volumes", place))]


def test_a_device_whose_label_nobody_knows_needs_a_pool() -> None:
    assert messages(asking(Accelerator(model="nobody-knows")), placed()) == [("train", (*ACCELERATOR, "model"))]
