"""Kubeflow: where and how tasks run, as the platform document says it and as each version of the backend reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import plans
import pytest
import yaml
from google.protobuf import json_format
from jsonschema import Draft202012Validator
from kfp.components import load_component_from_text
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec
from needs import ROOT

from pipec.compiler.plan import Plan, Schedule, Task
from pipec.steps.interface import Accelerator, Kind, Resources, Retry
from pipec.targets.base import Options, refusals
from pipec.targets.device import resource
from pipec.targets.kubeflow import TARGET
from pipec.targets.kubeflow.profile import VERSIONS, Reads
from pipec.values import ConfigRef, Literal, RunRef, Text

GOLDEN = Path(__file__).with_name("golden")


def placed(**fields: object) -> Options:
    return plans.options(**{**plans.PLACES, **fields})


def emitted(plan: Plan, options: Options) -> dict[str, str]:
    assert list(refusals(TARGET, plan, options)) == []
    return {file.path: file.text for file in TARGET.emit(plan, options)}


def pods(plan: Plan, options: Options) -> dict[str, Any]:
    _, platform = yaml.safe_load_all(emitted(plan, options)[f"{plan.pipeline}.yaml"])
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): config for name, config in executors.items()}


def places(plan: Plan, options: Options) -> list[tuple[str, str]]:
    return [(r.use.step or "", ".".join(r.use.field)) for r in refusals(TARGET, plan, options)]


def with_train(**fields: object) -> Plan:
    return changed(plans.placed(), "train", **fields)


def changed(plan: Plan, name: str, **fields: object) -> Plan:
    tasks = (replace(t, **fields) if t.name == name else t for t in plan.tasks)  # type: ignore[arg-type]
    return replace(plan, tasks=tuple(tasks))


def asking(accelerator: Accelerator | None, pool: str | None = None) -> Plan:
    return with_train(resources=Resources(cpu=4, memory_mib=16384, accelerator=accelerator, pool=pool))


def small() -> Plan:
    """The placed plan, with all left out that an old backend does not read."""
    plan = plans.placed()
    plan = replace(plan, tasks=tuple(t for t in plan.tasks if t.name != "approve"), parameters=plan.parameters[:1])
    plan = changed(plan, "ingest", retry=Retry(attempts=1))
    train = plan.task("train")
    parameters = tuple((name, Literal("") if name == "note" else value) for name, value in train.parameters)
    return changed(plan, "train", parameters=parameters, resources=replace(train.resources, accelerator=None))


def plain(**fields: object) -> Options:
    """Options that every version reads."""
    settings = {"pull_secrets": ["registry"], "pull_policy": "Always"}
    volumes = {"scratch": {"kubernetes": {"claim": "scratch-rwx"}}}
    return placed(**{"settings": settings, "volumes": volumes, **fields})


def test_a_placed_plan_is_written_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "placed.yaml", emitted(plans.placed(), placed())["placed.yaml"])


def test_the_oldest_version_is_written_as_reviewed(golden: Any) -> None:
    text = emitted(small(), plain(values={"version": "2.3"}))["placed.yaml"]
    golden(GOLDEN / "placed_2_3.yaml", text.partition("---\n")[2])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_s_documents_parse_strictly_and_load(version: str) -> None:
    plan, options = (plans.placed(), placed()) if version == "2.17" else (small(), plain(values={"version": version}))
    text = emitted(plan, options)["placed.yaml"]
    ir, platform = yaml.safe_load_all(text)
    json_format.ParseDict(ir, spec.PipelineSpec())
    json_format.ParseDict(ir["deploymentSpec"], spec.PipelineDeploymentConfig())
    json_format.ParseDict(platform, spec.PlatformSpec())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, kubernetes.KubernetesExecutorConfig())
    assert load_component_from_text(text).name == "placed"


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


OLD: list[Any] = [
    pytest.param("2.3", small(), {"volumes": plans.PLACES["volumes"]}, ("train", "volumes./scratch"), Reads.SUB_PATH),
    pytest.param("2.15", small(), {"volumes": plans.PLACES["volumes"]}, ("train", "volumes./scratch"), Reads.SUB_PATH),
    pytest.param("2.15", small(), {"settings": {"run_as_user": 7}}, ("", "metadata.name"), Reads.SECURITY),
    pytest.param("2.5", small(), {"values": {"manifests": "true"}}, ("", "metadata.name"), Reads.OBJECTS),
    pytest.param(
        "2.3", changed(small(), "ingest", retry=Retry(attempts=2)), {}, ("ingest", "retry"), Reads.RETRY
    ),
    pytest.param(
        "2.5",
        changed(small(), "train", resources=Resources(accelerator=Accelerator(model="a100"))),
        {},
        ("train", "resources.accelerator.model"),
        Reads.NODE_AFFINITY,
    ),
    pytest.param(
        "2.5",
        changed(small(), "train", resources=Resources(accelerator=Accelerator(memory_mib=1024))),
        {},
        ("train", "resources.accelerator.memory"),
        Reads.NODE_AFFINITY,
    ),
    pytest.param(
        "2.3",
        changed(small(), "split", parameters=(("seed", RunRef("id")),)),
        {},
        ("split", "with.seed"),
        Reads.RUN_ID,
    ),
    pytest.param(
        "2.15",
        changed(small(), "split", parameters=(("seed", RunRef("date")),)),
        {},
        ("split", "with.seed"),
        Reads.SCHEDULED_AT,
    ),
    pytest.param("2.3", replace(small(), tasks=plans.placed().tasks[:1]), {}, ("ingest", "retry"), Reads.RETRY),
    pytest.param(
        "2.15",
        replace(
            small(),
            parameters=(*small().parameters, plans.parameter("s", Kind.STRING, default="a", schema={"enum": ["a"]})),
        ),
        {},
        ("", "parameters.s.enum"),
        Reads.LITERALS,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("version", "plan", "fields", "place", "what"), OLD)
def test_what_an_older_backend_would_drop_is_refused_for_it(
    version: str, plan: Plan, fields: dict[str, Any], place: tuple[str, str], what: Reads
) -> None:
    old = {**fields, "values": {"version": version, **fields.get("values", {})}}
    new = {**fields, "values": {"version": "2.17", **fields.get("values", {})}}
    (found,) = refusals(TARGET, plan, plain(**old))
    assert (found.use.step or "", ".".join(found.use.field)) == place
    assert found.message == f"kubeflow {version} does not read {what.value[0]}"
    assert list(refusals(TARGET, plan, plain(**new))) == []


def test_a_step_that_keeps_decisions_needs_a_backend_that_tells_the_run_s_id() -> None:
    plan = replace(plans.placed(), parameters=plans.placed().parameters[:1])
    train = small().task("train")
    plan = replace(changed(plan, "ingest", retry=Retry()), tasks=plan.tasks)
    kept = tuple(train if t.name == "train" else replace(t, retry=Retry(attempts=1)) for t in plan.tasks)
    assert places(replace(plan, tasks=kept), plain(values={"version": "2.3"})) == [("approve", "")]


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_older_backends_get_fields_that_they_know(version: str) -> None:
    train = pods(small(), plain(values={"version": version}))["train"]
    (secret,) = train["secretAsEnv"]
    names = {"secretName", "keyToEnv"} | ({"secretNameParameter"} if version == "2.5" else set())
    assert set(secret) == names
    assert "securityContext" not in train


def test_a_zone_that_keeps_its_clocks_is_converted() -> None:
    plan = replace(plans.short(), schedules=(Schedule(cron="0 3 * * 1", timezone="Asia/Kolkata"),))
    side = yaml.safe_load(emitted(plan, plans.options())["short.schedule.yaml"])
    assert side["recurring_runs"][0]["cron_expression"] == "0 30 21 * * 0"


@pytest.mark.parametrize(
    ("cron", "timezone"), [("0 3 * * 1", "Europe/Vienna"), ("0 3 1 * *", "Asia/Kolkata"), ("0 3 * * 7", "UTC")]
)
def test_a_schedule_that_utc_has_not_is_refused_once(cron: str, timezone: str) -> None:
    plan = replace(plans.short(), schedules=(Schedule(cron=cron, timezone=timezone),))
    at = "cron" if cron.endswith("7") else "timezone"
    assert places(plan, plans.options()) == [("", f"triggers.0.schedule.{at}")]


@pytest.mark.parametrize("listed", [[1, 2**53], [-(2**60)]])
def test_an_allowed_value_that_no_double_holds_is_refused(listed: list[int]) -> None:
    odd = plans.parameter("odd", Kind.INTEGER, default=1, schema={"enum": listed})
    plan = replace(plans.short(), parameters=(*plans.short().parameters, odd))
    assert places(plan, plans.options()) == [("", "parameters.odd.enum")]


def test_a_large_integer_reaches_a_step_s_order_digit_by_digit() -> None:
    plan = with_train(parameters=(*plans.placed().task("train").parameters, ("epochs", Literal(2**53 + 1))))
    assert str(2**53 + 1) in emitted(plan, placed())["placed.yaml"]


def manifests(plan: Plan, options: Options) -> list[Any]:
    given = replace(options, values={"manifests": "true"})
    return list(yaml.safe_load_all(emitted(plan, given)[f"{plan.pipeline}.manifests.yaml"]))


def test_the_objects_hold_the_very_documents_of_the_pipeline() -> None:
    pipeline, version = manifests(plans.placed(), placed())
    ir, platform = yaml.safe_load_all(emitted(plans.placed(), placed())["placed.yaml"])
    assert version["spec"].pop("pipelineSpec") == ir
    assert version["spec"].pop("platformSpec") == platform
    name = version["metadata"]["name"]
    assert name.startswith("placed-")
    assert version["spec"] == {"displayName": name, "description": "Where and how", "pipelineName": "placed"}
    assert pipeline["spec"] == {"displayName": "placed (prod)", "description": "Where and how"}
    assert (pipeline["metadata"]["name"], pipeline["metadata"]["namespace"]) == ("placed", "ml")
    assert pipeline["apiVersion"] == version["apiVersion"] == "pipelines.kubeflow.org/v2beta1"


def test_a_version_is_named_by_what_it_says() -> None:
    def name(plan: Plan) -> str:
        return str(manifests(plan, placed())[1]["metadata"]["name"])

    assert name(plans.placed()) == name(plans.placed()) != name(replace(plans.placed(), description="Other"))


CRDS = Path(os.environ.get("PIPEC_CRDS", ROOT.parent / "shared" / "crds"))


def closed(schema: Any) -> Any:
    """Return a schema of a custom resource as an API server reads it: objects hold what they list and nothing else."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    found = {key: closed(value) for key, value in schema.items() if key not in ("properties", "description")}
    if "properties" in schema:
        found["properties"] = {name: closed(below) for name, below in schema["properties"].items()}
        found["additionalProperties"] = False
    return found


def resources() -> Iterator[tuple[str, Any]]:
    for path in sorted(CRDS.glob("kfp.*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document:
                (version,) = (v for v in document["spec"]["versions"] if v["name"] == "v2beta1")
                yield document["spec"]["names"]["kind"], version["schema"]["openAPIV3Schema"]


@pytest.mark.skipif(not CRDS.is_dir(), reason=f"no custom resource definitions in {CRDS.name}: set PIPEC_CRDS")
def test_the_objects_are_valid_for_their_definitions() -> None:
    known = dict(resources())
    for document in (*manifests(plans.placed(), placed()), *manifests(plans.wine(), plans.options())):
        schema = closed(known[document["kind"]])
        assert list(Draft202012Validator(schema).iter_errors(document)) == []
        document["spec"]["odd"] = 1
        assert not Draft202012Validator(schema).is_valid(document)
