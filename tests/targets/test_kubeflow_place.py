"""Kubeflow: where and how tasks run, as the platform document says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import plans
import pytest
import yaml
from placing import asking, changed, emitted, placed, places, pods, with_train

from pipec.compiler.plan import Task
from pipec.steps.interface import Accelerator, Resources
from pipec.targets.device import resource
from pipec.values import ConfigRef, Literal, Text

GOLDEN = Path(__file__).with_name("golden")


def test_a_placed_plan_is_written_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "placed.yaml", emitted(plans.placed(), placed())["placed.yaml"])


def test_a_config_of_the_cluster_reaches_the_step_by_its_variable() -> None:
    given = pods(plans.placed(), placed())
    (target,) = given["train"]["configMapAsEnv"]
    assert (target["configMapName"], target["keyToEnv"]) == (
        "site",
        [{"configMapKey": "target", "envVar": "PIPEC_CONFIG_TARGET"}],
    )
    (region,) = given["ingest"]["configMapAsEnv"]
    assert region["keyToEnv"] == [{"configMapKey": "region", "envVar": "REGION"}]


def test_no_cache_answers_for_what_lies_in_a_config_map_or_a_volume() -> None:
    plan = plans.placed()
    given = changed(plan, "evaluate", volumes=(("/scratch", "scratch"),))
    given = changed(given, "split", env=(("REGION", ConfigRef("region")),))
    for before, name in ((plan, "evaluate"), (plan, "split")):
        for each, cached in ((before, True), (given, False)):
            ir, _ = yaml.safe_load_all(emitted(each, placed())["placed.yaml"])
            assert bool(ir["root"]["dag"]["tasks"][name]["cachingOptions"]) is cached


@pytest.mark.parametrize("place", [{"env": "REGION"}, {}])
def test_a_config_outside_the_cluster_is_refused_where_it_is_used(place: dict[str, str]) -> None:
    kept = dict(plans.PLACES["configs"], region=place)  # type: ignore[call-overload]
    assert places(plans.placed(), placed(configs=kept)) == [("ingest", "env.REGION")]


def test_a_config_inside_of_a_longer_variable_is_refused() -> None:
    plan = with_train(env=(("AT", Text((Literal("s3://"), ConfigRef("region")))),))
    assert places(plan, placed()) == [("train", "env.AT")]


def test_a_volume_is_a_claim_at_its_place() -> None:
    (mount,) = pods(plans.placed(), placed())["train"]["pvcMount"]
    assert mount == {
        "constant": "scratch-rwx",
        "pvcNameParameter": {"runtimeValue": {"constant": "scratch-rwx"}},
        "mountPath": "/scratch",
        "subPath": "wine",
    }


@pytest.mark.parametrize(
    "place",
    [
        pytest.param({"path": "/mnt"}, id="a folder of the machine"),
        pytest.param({"kubernetes": {"claim": "x", "read_only": True}}, id="for reading alone"),
        pytest.param({"kubernetes": {"claim": "x.y"}}, id="a name that no volume of a pod can have"),
    ],
)
def test_a_volume_that_kubeflow_cannot_mount_is_refused_at_its_place(place: dict[str, object]) -> None:
    assert places(plans.placed(), placed(volumes={"scratch": place})) == [("train", "volumes./scratch")]


@pytest.mark.parametrize("at", ["/s3", "/s3/x", "/kfp-workspace/"])
def test_a_volume_over_what_the_backend_mounts_is_refused(at: str) -> None:
    assert places(with_train(volumes=((at, "scratch"),)), placed()) == [("train", f"volumes.{at}")]


def test_a_claim_in_two_places_of_a_step_is_refused() -> None:
    plan = with_train(volumes=(("/a", "scratch"), ("/b", "scratch")))
    assert places(plan, placed()) == [("train", "volumes./b")]


def test_a_pool_says_where_a_pod_goes_and_who_admits_it() -> None:
    train = pods(plans.placed(), placed())["train"]
    assert train["nodeSelector"] == {"labels": {"disk": "nvme"}}
    assert train["tolerations"][1]["tolerationSeconds"] == "60"
    assert train["podMetadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "pipec",
        "app.kubernetes.io/part-of": "placed",
        "app.kubernetes.io/instance": "prod",
        "team": "ml",
        "app.kubernetes.io/component": "train",
        "app.kubernetes.io/version": plans.placed().digest.removeprefix("sha256:")[:16],
        "kueue.x-k8s.io/queue-name": "ml",
        "kueue.x-k8s.io/priority-class": "high",
    }


POOLS = {
    "nothing": {},
    "a priority without a queue": {"node_selector": {"a": "b"}, "priority": "high"},
    "a queue too long for a label": {"queue": "q" * 64},
    "a label that is none": {"node_selector": {"a": "{{workflow.name}}"}},
    "a taint that is none": {"tolerations": [{"key": "a b", "operator": "Exists"}]},
    "a taint without a key": {"tolerations": [{"operator": "Equal", "value": "x"}]},
    "any value and one": {"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]},
    "seconds without an effect": {"tolerations": [{"key": "a", "operator": "Exists", "seconds": 1}]},
    "seconds beyond an int64": {
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "seconds": 2**63}]
    },
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_that_no_pod_can_follow_is_refused(case: str) -> None:
    plan = asking(None, pool="odd")
    assert places(plan, placed(pools={"odd": POOLS[case]})) == [("train", "resources.pool")]


def test_a_device_is_chosen_by_the_vendor_s_labels() -> None:
    train = pods(plans.placed(), placed())["train"]
    # One term: a node has to fit all of it.
    assert train["nodeAffinity"] == [
        {
            "matchExpressions": [
                {
                    "key": "nvidia.com/gpu.product",
                    "operator": "In",
                    "values": [
                        "NVIDIA-A100-80GB-PCIe",
                        "NVIDIA-A100-PCIE-40GB",
                        "NVIDIA-A100-SXM4-40GB",
                        "NVIDIA-A100-SXM4-80GB",
                    ],
                },
                {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["36863"]},
            ]
        }
    ]


@pytest.mark.parametrize("model", ["t4", "Tesla-T4", "NVIDIA-RTX-A6000"])
def test_a_model_of_one_name_is_selected_plainly(model: str) -> None:
    train = pods(asking(Accelerator(model=model)), placed())["train"]
    assert train["nodeSelector"] == {"labels": {"nvidia.com/gpu.product": "Tesla-T4" if model == "t4" else model}}
    assert "nodeAffinity" not in train


def test_a_pool_that_selects_nodes_answers_for_their_devices() -> None:
    pools = {"fast": {"node_selector": {"gpu": "x9"}, "accelerator": {"model": "X9", "memory_mib": 81920}}}
    train = pods(asking(Accelerator(model="x9", memory_mib=81920), pool="fast"), placed(pools=pools))["train"]
    assert train["nodeSelector"] == {"labels": {"gpu": "x9"}}
    assert "nodeAffinity" not in train


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        (Accelerator(model="x9"), "model"),
        (Accelerator(vendor="amd", model="mi300x"), "model"),
        (Accelerator(vendor="amd", memory_mib=1024), "memory"),
        (Accelerator(kind="tpu", model="v5e"), "model"),
    ],
)
def test_a_device_that_no_label_tells_is_refused(wanted: Accelerator, at: str) -> None:
    assert places(asking(wanted), placed()) == [("train", f"resources.accelerator.{at}")]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Accelerator(), "nvidia.com/gpu"),
        (Accelerator(vendor="amd"), "amd.com/gpu"),
        (Accelerator(kind="tpu"), "google.com/tpu"),
        (Accelerator(kind="npu", vendor="aws"), "aws.amazon.com/neuron"),
        (Accelerator(kind="npu", vendor="intel"), "habana.ai/gaudi"),
        (Accelerator(kind="npu", vendor="huawei", model="ascend910"), "huawei.com/Ascend910"),
        (Accelerator(kind="npu", vendor="huawei"), None),
        (Accelerator(kind="npu"), None),
        (Accelerator(kind="gpu", vendor="google"), None),
        (Accelerator(kind="fpga"), None),
        (Accelerator(kind="qpu"), None),
    ],
)
def test_a_device_is_asked_for_by_the_name_its_maker_documents(wanted: Accelerator, name: str | None) -> None:
    assert resource(wanted) == name
    if name is None:
        assert ("train", "resources.accelerator") in places(asking(wanted), placed())
        return
    ir, _ = yaml.safe_load_all(emitted(asking(wanted), placed())["placed.yaml"])
    found = ir["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]["accelerator"]
    assert found == {"resourceType": name, "resourceCount": "1", "type": name, "count": "1"}


def folders(task: Task) -> dict[str, str]:
    plan = plans.placed()
    kept = replace(plan, tasks=tuple(task if t.name == "train" else t for t in plan.tasks))
    return {f["mountPath"]: f.get("sizeLimit", "") for f in pods(kept, placed())["train"]["emptyDirMounts"]}


def test_what_works_in_several_processes_has_shared_memory_of_half_its_memory() -> None:
    train = plans.placed().task("train")
    assert folders(train) == {"/tmp": "", "/work": "", "/dev/shm": "8192Mi"}
    assert folders(replace(train, resources=Resources(cpu=1, memory_mib=2048))) == {"/tmp": "", "/work": ""}


def test_a_volume_takes_the_place_of_an_empty_folder() -> None:
    train = replace(plans.placed().task("train"), volumes=(("/dev/shm", "scratch"),))
    assert folders(train) == {"/tmp": "", "/work": ""}


def test_the_image_s_own_user_stands_unless_the_environment_names_one() -> None:
    settings = {"run_as_user": 7, "run_as_group": 8}
    given = pods(plans.placed(), placed(settings=settings))["split"]["securityContext"]
    assert given == {"runAsUser": "7", "runAsGroup": "8", "runAsNonRoot": True}
    assert pods(plans.placed(), placed(settings={}))["split"]["securityContext"] == {"runAsNonRoot": True}


def test_images_are_pulled_as_the_environment_says() -> None:
    split = pods(plans.placed(), placed())["split"]
    assert split["imagePullPolicy"] == "IfNotPresent"
    assert [secret["secretName"] for secret in split["imagePullSecret"]] == ["registry"]


def test_what_a_pod_is_told_does_not_stand_in_a_run_s_file() -> None:
    run = yaml.safe_load(emitted(plans.placed(), placed())["placed.run.yaml"])
    assert run == {"run": {"experiment": "wine", "namespace": "ml", "service_account": "pipec"}}
