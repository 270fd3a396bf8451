"""Kubeflow: what each version of its backend reads, schedules in UTC, exact numbers, and objects of Kubernetes."""

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
from placing import changed, emitted, placed, places, plain, pods, small, with_train

from pipec.compiler.plan import Plan, Schedule
from pipec.steps.interface import Accelerator, Kind, Resources, Retry
from pipec.targets.base import Options, refusals
from pipec.targets.kubeflow import TARGET
from pipec.targets.kubeflow.profile import VERSIONS, Reads
from pipec.values import Literal, RunRef

GOLDEN = Path(__file__).with_name("golden")


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
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")


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


def with_parameter(**fields: Any) -> Plan:
    odd = plans.parameter("odd", Kind.STRING, default="a", **fields)
    return replace(plans.short(), parameters=(*plans.short().parameters, odd))


def test_bounds_that_ir_has_no_field_for_are_told_to_people() -> None:
    plan = with_parameter(description="Say it.", schema={"minLength": 1, "pattern": "^a", "enum": ["a"]})
    ir, _ = yaml.safe_load_all(emitted(plan, plans.options())["short.yaml"])
    told = ir["root"]["inputDefinitions"]["parameters"]["odd"]
    assert told["description"] == 'Say it. (minLength: 1, pattern: "^a")'
    assert told["literals"] == ["a"]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"description": "{{workflow.name}}"}, "description"),
        ({"schema": {"pattern": "^{{"}}, "description"),
        ({"schema": {"enum": ["a", "{{$}}"]}}, "enum"),
    ],
)
def test_what_argo_would_fill_in_is_refused_around_parameters_too(fields: dict[str, Any], at: str) -> None:
    assert places(with_parameter(**fields), plans.options()) == [("", f"parameters.odd.{at}")]
