"""Kubeflow: the emitted files as KFP's own protobufs, loader and a YAML reader see them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import plans
import pytest
import yaml
from google.protobuf import json_format
from kfp.components import load_component_from_text
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from pipec.compiler.plan import Concurrency, Plan, Schedule
from pipec.steps.command import Call, Location
from pipec.steps.decode import decode_arguments
from pipec.steps.interface import Kind, Retry
from pipec.targets.base import Options, refusals
from pipec.targets.kubeflow import TARGET
from pipec.targets.kubeflow import files as target
from pipec.targets.kubeflow.text import Shared, dump
from pipec.targets.kubeflow.verify import verify
from pipec.values import Literal, ParameterRef

GOLDEN = Path(__file__).with_name("golden")
PLANS = {"wine": plans.wine, "short": plans.short, "chain": lambda: plans.chain(30)}


def emitted(plan: Plan, options: Options | None = None) -> dict[str, str]:
    given = options or plans.options()
    assert list(refusals(TARGET, plan, given)) == []
    assert verify(*target.documents(plan, given)) == ()
    return {file.path: file.text for file in TARGET.emit(plan, given)}


def documents(plan: Plan, options: Options | None = None) -> tuple[Any, Any]:
    ir, platform = yaml.safe_load_all(emitted(plan, options)[f"{plan.pipeline}.yaml"])
    return ir, platform


def messages(plan: Plan, options: Options | None = None) -> list[tuple[str, tuple[str, ...]]]:
    found = refusals(TARGET, plan, options or plans.options())
    return [(refusal.use.step or "", refusal.use.field) for refusal in found]


@pytest.mark.parametrize("name", PLANS)
def test_every_document_parses_strictly_into_kfp_s_protobufs(name: str) -> None:
    ir, platform = documents(PLANS[name]())
    parsed = json_format.ParseDict(ir, spec.PipelineSpec())
    deployment = json_format.ParseDict(ir["deploymentSpec"], spec.PipelineDeploymentConfig())
    json_format.ParseDict(platform, spec.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for config in executors.values():
        json_format.ParseDict(config, kubernetes.KubernetesExecutorConfig())
    labels = {component.executor_label for component in parsed.components.values()}
    assert labels == set(deployment.executors) == set(executors)


@pytest.mark.parametrize("name", PLANS)
def test_kfp_loads_the_file_and_writes_it_back_unchanged(name: str, tmp_path: Path) -> None:
    from kfp import compiler

    plan = PLANS[name]()
    text = emitted(plan)[f"{plan.pipeline}.yaml"]
    component = load_component_from_text(text)
    path = tmp_path / "again.yaml"
    compiler.Compiler().compile(component, str(path))
    again, *_ = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ours, _ = documents(plan)
    same = [json_format.ParseDict({**ir, "sdkVersion": ""}, spec.PipelineSpec()) for ir in (ours, again)]
    assert same[0] == same[1]


@pytest.mark.parametrize("name", PLANS)
def test_a_reader_of_either_yaml_sees_the_data_that_was_written(name: str) -> None:
    plan, options = PLANS[name](), plans.options()
    text = emitted(plan)[f"{plan.pipeline}.yaml"]
    assert list(yaml.safe_load_all(text)) == [*target.documents(plan, options)]
    assert text.isascii()
    for event in yaml.parse(text):
        assert not isinstance(event, yaml.AliasEvent)
        if isinstance(event, yaml.ScalarEvent) and event.style is None:
            # A plain scalar is a word that no YAML reads as anything else, or one of JSON's own.
            assert event.value.isidentifier() or event.value.replace("-", "_").isidentifier() or is_json(event.value)


def is_json(text: str) -> bool:
    return not isinstance(json.loads(text), str)


STRINGS = [
    *("1e-3", "0o14", "08", "1_0", "no", "Y", "null", "~", "", " ", "a: b", "# c", "- d", "&a", "*a", "!t", "=", "<<"),
    *("é", "\U0001f600", "\x00\x1f\x7f\x85\u2028\ufeff", "line\r\nline\n", "\\u0041", "'", '"', "{{$}}"),
]


@pytest.mark.parametrize("text", STRINGS)
def test_a_text_stays_a_text_wherever_it_stands(text: str) -> None:
    body = {text: text, "list": [text, [text, {"x": text}], {text: [text]}]}
    assert list(yaml.safe_load_all(dump(body, text))) == [body, text]


@pytest.mark.parametrize(
    "value", [0, -1, 2**53 - 1, 0.1, 1e-5, 1e22, -2.5e-300, True, False, None, [], {}, [[]], {"a": {}}]
)
def test_a_number_keeps_its_type(value: object) -> None:
    (again,) = yaml.safe_load_all(dump({"x": value}))  # type: ignore[arg-type]
    assert again == {"x": value}
    assert type(again["x"]) is type(value)


def test_what_is_shared_is_written_like_any_other_mapping() -> None:
    said = {"a": "x", "b": {"c": [1.0, {"d": "y"}]}}
    shared, empty = Shared(said), Shared()
    assert dump(shared, {"x": shared, "y": [shared, {"z": shared}], "e": empty}) == dump(
        said, {"x": said, "y": [said, {"z": said}], "e": {}}
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        dump([value])


def test_a_short_plan_is_written_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "short.yaml", emitted(plans.short())["short.yaml"])


def test_a_plan_with_all_that_decides_who_runs_is_written_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "flow.yaml", emitted(flows.flow())["flow.yaml"])


def test_emission_is_the_same_twice() -> None:
    assert emitted(plans.wine()) == emitted(plans.wine())


def test_no_two_components_have_equal_containers() -> None:
    plan = plans.wine()
    twins = replace(plan.task("split"), name="split-2")
    ir, _ = documents(replace(plan, tasks=(*plan.tasks, twins)))
    containers = [json.dumps(executor) for executor in ir["deploymentSpec"]["executors"].values()]
    assert len(set(containers)) == len(containers) == 9


def executor_input(ir: Any, task: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what the driver hands to the task's launcher: constants and parameters by name, artifacts by place."""
    given = ir["root"]["dag"]["tasks"][task].get("inputs", {})
    values = {}
    for name, source in given.get("parameters", {}).items():
        match source:
            case {"componentInputParameter": wanted}:
                values[name] = parameters[wanted]
            case {"taskOutputParameter": producer}:
                values[name] = parameters[f"{producer['producerTask']}.{producer['outputParameterKey']}"]
            case {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}:
                values[name] = "9f1c"
            case {"runtimeValue": {"constant": "{{$.pipeline_job_schedule_time_utc}}"}}:
                values[name] = "2026-11-23T03:00:00Z"
    artifacts = {
        name: {"artifacts": [{"uri": f"s3://kfp/{source['taskOutputArtifact']['producerTask']}",
                              "metadata": {"digest": "sha256:1"}}]}
        for name, source in given.get("artifacts", {}).items()
    }  # fmt: skip
    defined = ir["components"][f"comp-{task}"].get("outputDefinitions", {})
    return {
        "inputs": {"parameterValues": values, "artifacts": artifacts},
        "outputs": {
            "parameters": {name: {"outputFile": f"/tmp/{name}"} for name in defined.get("parameters", {})},
            "artifacts": {name: {"artifacts": [{"uri": f"s3://kfp/{task}/{name}"}]} for name in defined["artifacts"]},
            "outputFile": "/tmp/kfp/executor.json",
        },
    }


VALUES = {"source": "s3://x/y", "epochs": 3, "rate": 0.5, "stage": "{{$}}", "layers": [1], "options": {"a": None},
          "ingest.rows": 41}  # fmt: skip
SECRETS = {"PIPEC_SECRET_WAREHOUSE": "postgres://u:p@h/d"}


def decoded(task: str) -> Call:
    ir, _ = documents(plans.wine())
    container = ir["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
    assert container["command"] == ["pipec-step"]
    given = json.dumps(executor_input(ir, task, VALUES))
    argv = [given if text == "{{$}}" else text for text in container["args"]]
    assert argv[0] == plans.wine().task(task).interface.name
    return decode_arguments(argv[1:], SECRETS, lambda location: None)


def test_the_runtime_decodes_a_task_s_parameters_and_artifacts() -> None:
    call = decoded("train")
    assert (call.pipeline, call.task, call.step) == ("wine-quality", "train", "train@1")
    assert call.interface == plans.wine().task("train").interface.digest
    assert call.parameters == {
        "target": "quality", "epochs": 3, "rate": 0.5, "note": "it's {{ run_id }} and {{$}} of {{$}}",
        "layers": [1], "options": {"a": None},
    }  # fmt: skip
    assert call.inputs == {"data": (Location("/s3/kfp/split", "sha256:1"),)}
    assert call.outputs == {"model": "/s3/kfp/train/model", "metrics": "/s3/kfp/train/metrics"}
    assert (call.threads, call.environment, call.attempts) == (4, "prod", 1)
    assert call.kubeflow_output == "/tmp/kfp/executor.json"


def test_the_runtime_decodes_secrets_and_small_outputs() -> None:
    call = decoded("ingest")
    assert call.parameters == {"source": "s3://x/y", "dsn": "postgres://u:p@h/d"}
    assert call.small_outputs == {"rows": "/tmp/rows"}


def test_the_runtime_decodes_attachments_and_a_gate_s_attempts() -> None:
    call = decoded("validate")
    text = "columns: {quality: {between: [0, 10]}}\n"
    assert call.parameters == {"expectations": {"name": "wine.yaml", "text": text}}
    assert (call.attempts, call.backoff_s) == (3, 30.0)


def test_an_approval_waits_at_the_run_s_own_place_for_a_week() -> None:
    call = decoded("approve")
    assert call.decision == f"{plans.ROOT}/runs/wine-quality/9f1c/approve/decision.json"
    assert call.wait_s == 7 * 24 * 3600
    assert [at.uri for at in call.inputs["evidence"]] == ["/s3/kfp/evaluate"]


def test_an_automatic_approval_waits_for_nobody() -> None:
    plan = plans.wine()
    task = plan.task("approve")
    automatic = replace(task, parameters=(*task.parameters, ("mode", Literal("automatic"))))
    ir, platform = documents(replace(plan, tasks=tuple(automatic if t is task else t for t in plan.tasks)))
    assert '"wait_s": 0' in ir["deploymentSpec"]["executors"]["exec-approve"]["container"]["args"][2]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert "activeDeadlineSeconds" not in executors["exec-approve"]


def test_facts_of_the_run_reach_the_steps_that_ask_for_them() -> None:
    assert decoded("deploy").parameters == {"release": "2026-11-23/9f1c"}
    assert decoded("deploy").releases == f"{plans.ROOT}/releases"
    call = decoded("monitor")
    assert call.parameters == {"since": "2026-11-23T03:00:00Z", "rows": 41}
    assert call.inputs["batch"] == (Location("s3://wine/new.csv"),)


def test_the_only_placeholder_in_arguments_is_the_executor_input() -> None:
    ir, _ = documents(plans.wine())
    for executor in ir["deploymentSpec"]["executors"].values():
        with_braces = [text for text in executor["container"]["args"] if "{{" in text or "$(" in text or "$$" in text]
        assert with_braces == ["{{$}}"]


def test_a_cache_answers_only_for_what_its_key_sees() -> None:
    ir, _ = documents(plans.wine())
    cached = {name: bool(task["cachingOptions"]) for name, task in ir["root"]["dag"]["tasks"].items()}
    assert cached == {
        "ingest": False,  # a location and a secret: the world may have changed
        "validate": True,
        "split": True,
        "train": False,  # the plan says so
        "evaluate": True,
        "approve": False,
        "deploy": False,
        "monitor": False,  # an endpoint, and a location
    }


def test_other_variables_make_another_cache_key() -> None:
    def arguments(value: str) -> Any:
        plan = plans.short()
        first = replace(plan.tasks[0], env=(("MODE", Literal(value)),))
        ir, _ = documents(replace(plan, tasks=(first, *plan.tasks[1:])))
        return ir["deploymentSpec"]["executors"]["exec-ingest"]["container"]["args"]

    assert arguments("a") == arguments("a") != arguments("b")


def test_kubernetes_gives_variables_back_as_they_were_written() -> None:
    ir, _ = documents(plans.wine())
    env = ir["deploymentSpec"]["executors"]["exec-train"]["container"]["env"]
    # Twice: as an argument of the driver's pod, and in the pod that this makes.
    assert {e["name"]: e["value"].replace("$$", "$").replace("$$", "$") for e in env} == {
        "OMP_NUM_THREADS": "4",
        "NOTE": "$(HOME) costs $5",
    }


def test_a_refusal_of_a_gate_is_never_repeated() -> None:
    ir, platform = documents(plans.wine())
    tasks = ir["root"]["dag"]["tasks"]
    assert [name for name in tasks if "retryPolicy" in tasks[name]] == ["ingest", "train"]
    limits = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert limits["exec-ingest"]["activeDeadlineSeconds"] == "3600"
    assert limits["exec-validate"]["activeDeadlineSeconds"] == str(3 * 600 + 30 + 60)  # its attempts share one pod


def test_schedules_and_settings_go_beside_the_pipeline() -> None:
    files = emitted(plans.wine(), plans.options(settings={"namespace": "ml", "service_account": "pipec"}))
    assert sorted(files) == ["wine-quality.run.yaml", "wine-quality.schedule.yaml", "wine-quality.yaml"]
    assert yaml.safe_load(files["wine-quality.schedule.yaml"]) == {
        "recurring_runs": [
            {
                "job_name": "wine-quality",
                "pipeline_package_path": "wine-quality.yaml",
                "cron_expression": "0 0 3 * * 1",
                "max_concurrency": 1,
                "no_catchup": True,
                "enabled": True,
                "namespace": "ml",
                "service_account": "pipec",
            }
        ]
    }
    assert yaml.safe_load(files["wine-quality.run.yaml"]) == {"run": {"namespace": "ml", "service_account": "pipec"}}


def test_a_time_zone_is_refused_at_its_place() -> None:
    plan = replace(plans.wine(), schedules=(Schedule(cron="0 3 * * 1", timezone="Europe/Vienna"),))
    assert messages(plan) == [("", ("triggers", "0", "schedule", "timezone"))]


@pytest.mark.parametrize("cron", ["0 3 * * 7", "@daily", "0 3 * *", "0 3 L * *", "0 3 * * 1#2"])
def test_a_schedule_that_its_cron_reads_otherwise_is_refused(cron: str) -> None:
    plan = replace(plans.wine(), schedules=(Schedule(cron=cron),))
    expected = [] if cron == "0 3 L * *" else [("", ("triggers", "0", "schedule", "cron"))]
    assert messages(plan) == expected


@pytest.mark.parametrize(
    ("concurrency", "schedules", "place"),
    [
        (Concurrency(maximum=1, on_conflict="skip"), True, ("concurrency", "on_conflict")),
        (Concurrency(maximum=11), True, ("concurrency", "max")),
        (Concurrency(maximum=1), False, ("concurrency",)),
    ],
)
def test_concurrency_beyond_recurring_runs_is_refused(
    concurrency: Concurrency, schedules: bool, place: tuple[str, ...]
) -> None:
    plan = plans.wine()
    changed = replace(plan, concurrency=concurrency, schedules=plan.schedules if schedules else ())
    assert messages(changed) == [("", place)]


@pytest.mark.parametrize(
    "default", [2**53, [1, {"a": -(2**60)}], float("nan"), "{{$.inputs}}", ["[[RunUUID]]"], "$(A)", "a$$b"]
)
def test_a_default_that_kubeflow_would_change_is_refused(default: Any) -> None:
    odd = plans.parameter("odd", Kind.STRING, default=default)
    plan = replace(plans.short(), parameters=(*plans.short().parameters, odd))
    assert messages(plan) == [("", ("parameters", "odd", "default"))]


@pytest.mark.parametrize("default", [2**53 - 1, "$5", "it's", "C:\\new", "{a}", "[a]", "\U0001f600"])
def test_harmless_defaults_pass(default: Any) -> None:
    odd = plans.parameter("odd", Kind.STRING, default=default)
    plan = replace(plans.short(), parameters=(*plans.short().parameters, odd))
    assert messages(plan) == []


@pytest.mark.parametrize("root", [None, ".pipec/artifacts", "/var/pipec"])
def test_steps_that_keep_decisions_need_a_root_that_pods_can_reach(root: str | None) -> None:
    assert messages(plans.wine(), plans.options(artifacts=root)) == [("approve", ()), ("deploy", ())]
    assert messages(plans.short(), plans.options(artifacts=root)) == []


def test_a_secret_outside_the_cluster_is_refused_where_it_is_used() -> None:
    options = plans.options(secrets={"warehouse": {"env": "WAREHOUSE_DSN"}})
    assert messages(plans.wine(), options) == [
        ("ingest", ("with", "dsn")),
        ("train", ("env", "WH")),
    ]


def test_a_step_named_like_another_s_driver_is_refused() -> None:
    plan = plans.short()
    other = replace(plan.tasks[0], name="train-driver", step="train-driver", retry=Retry())
    assert messages(replace(plan, tasks=(*plan.tasks, other))) == [("train-driver", ())]


def test_a_parameter_as_an_output_is_refused() -> None:
    plan = replace(plans.short(), outputs=(("source", ParameterRef("source")),))
    assert messages(plan) == [("", ("outputs", "source"))]
