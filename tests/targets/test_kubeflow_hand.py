"""Tasks that find out what arguments of the user's own image name: where they stand, what they are told and leave."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import plans
import pytest
from google.protobuf import json_format
from kfp.components import load_component_from_text
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec
from test_kubeflow_foreign import documents, interface, messages, plan, reading, taking, task, word

from pipec.compiler.plan import Loop, Need, Plan, Task
from pipec.condition import Holds, Status
from pipec.steps.interface import Kind, Parameter, Retry, Slot
from pipec.targets.base import refusals
from pipec.targets.kubeflow import TARGET
from pipec.values import (
    Attachment,
    ConfigRef,
    EachRef,
    Gather,
    ItemRef,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    Text,
    Value,
    encode,
)

CONFIGS = {"region": {"kubernetes": {"name": "site", "key": "region"}}}
LEFT = "output-score-hand-argument-x"


def hand(ir: Any, label: str = "score-hand") -> Any:
    """Return what the order of a task says that hands values over."""
    args = ir["deploymentSpec"]["executors"][f"exec-{label}"]["container"]["args"]
    assert args[:3] == ["--hand", "score", "--order"]
    return json.loads(args[3])


def argument(ir: Any) -> str:
    (text,) = ir["deploymentSpec"]["executors"]["exec-score"]["container"]["args"]
    return str(text)


def dag(ir: Any, name: str = "") -> Any:
    """Return the tasks of a DAG, by its component's name; of the root by none."""
    return (ir["components"][f"comp-{name}"] if name else ir["root"])["dag"]["tasks"]


HANDED: dict[str, tuple[Kind, Value, list[str]]] = {
    "a number": (Kind.NUMBER, ParameterRef("number"), ["parameter-number"]),
    "a list": (Kind.LIST, ParameterRef("list"), ["parameter-list"]),
    "an object": (Kind.OBJECT, ParameterRef("object"), ["parameter-object"]),
    "a number in a text": (Kind.STRING, Text((Literal("n="), ParameterRef("number"))), ["parameter-number"]),
    "a list in part": (Kind.LIST, ListOf((Literal(1), ParameterRef("string"))), ["parameter-string"]),
    "an object in part": (Kind.OBJECT, ObjectOf((("a", RunRef("id")),)), ["run-id"]),
    "what cells wrote": (Kind.LIST, Gather((OutputRef("ingest", "rows"),)), ["output-ingest-rows"]),
    "a date": (Kind.STRING, RunRef("date"), ["run-scheduled_at"]),
    "a config": (Kind.STRING, ConfigRef("region"), []),
}


@pytest.mark.parametrize("case", HANDED)
def test_what_kubeflow_would_write_otherwise_is_found_out_before(case: str) -> None:
    kind, value, inputs = HANDED[case]
    ir, _ = documents(plan(task(taking(kind), parameters={"x": value})), configs=CONFIGS)
    assert hand(ir)["parameters"] == {"x": encode(value)}
    component = ir["components"]["comp-score-hand"]
    assert list(component.get("inputDefinitions", {}).get("parameters", {})) == inputs
    assert component["outputDefinitions"] == {"parameters": {"argument-x": {"parameterType": "STRING"}}}
    assert argument(ir) == f"{{{{$.inputs.parameters['{LEFT}']}}}}"
    score = dag(ir)["score"]
    assert score["dependentTasks"][-1] == "score-hand"
    assert score["inputs"]["parameters"][LEFT] == {
        "taskOutputParameter": {"producerTask": "score-hand", "outputParameterKey": "argument-x"}
    }
    assert set(score["inputs"]["parameters"]) == {LEFT, "pipec-step"}


def test_a_file_lies_in_a_folder_under_its_own_name() -> None:
    made = replace(taking(Kind.STRING).parameters[0], path=True)
    value = Attachment("publish.sh", "echo $(date) {{x}}")
    ir, _ = documents(plan(task(replace(taking(Kind.STRING), parameters=(made,)), parameters={"x": value})))
    assert hand(ir)["parameters"] == {"x": encode(value)}
    assert argument(ir) == f"{{{{$.inputs.artifacts['{LEFT}'].path}}}}/publish.sh"
    (output,) = ir["components"]["comp-score-hand"]["outputDefinitions"]["artifacts"].values()
    assert output["artifactType"]["schemaTitle"] == "system.Artifact"


def test_a_value_that_is_bounded_is_judged_before_it_is_handed_over() -> None:
    bounded = Parameter(name="x", kind=Kind.INTEGER, schema={"type": "integer", "minimum": 0})
    ir, _ = documents(
        plan(task(replace(taking(Kind.INTEGER), parameters=(bounded,)), parameters={"x": ParameterRef("integer")}))
    )
    (declared,) = hand(ir)["foreign"]["parameters"]
    assert declared["schema"] == bounded.schema


def test_what_can_stand_needs_no_other_task() -> None:
    value = Text((ParameterRef("integer"), Literal(" of "), OutputRef("ingest", "rows")))
    ir, _ = documents(plan(task(taking(Kind.STRING), parameters={"x": value})))
    assert sorted(dag(ir)) == ["ingest", "score"]


def looping(items: Value, value: Value) -> Plan:
    body = task(taking(Kind.STRING), "score", parameters={"x": value})
    loop = Loop(items=items, body=(body,))
    return plan(Task(name="score", step="score", interface=body.interface, loop=loop))


def test_an_item_is_handed_over_in_each_iteration() -> None:
    ir, _ = documents(looping(Literal(["a", "b"]), ItemRef("", "score")))
    assert sorted(dag(ir)) == ["for-loop-score", "ingest"]
    tasks = dag(ir, "for-loop-score")
    assert sorted(tasks) == ["score", "score-hand"]
    assert tasks["score-hand"]["inputs"]["parameters"] == {
        "item-score": {"componentInputParameter": "pipelinechannel--score-item"}
    }
    assert tasks["score"]["dependentTasks"] == ["score-hand"]


def test_a_list_over_a_loop_is_handed_over() -> None:
    body = plans.task("each", plans.Ingest, parameters={"source": ItemRef("", "each")})
    loop = Loop(items=Literal(["s3://b/k"]), body=(body,), outputs=(("rows", OutputRef("each", "rows")),))
    each = Task(name="each", step="each", interface=body.interface, loop=loop)
    made = replace(task(taking(Kind.LIST), parameters={"x": EachRef("each", "rows")}), needs=(Need("each"),))
    ir, _ = documents(plan(each, made))
    assert dag(ir)["score-hand"]["dependentTasks"] == ["for-loop-each"]
    assert ir["components"]["comp-score-hand"]["inputDefinitions"]["parameters"] == {
        "each-each-rows": {"parameterType": "LIST"}
    }


def test_it_stands_inside_of_the_condition() -> None:
    made = task(taking(Kind.NUMBER), parameters={"x": ParameterRef("number")}, when=Holds(ParameterRef("boolean")))
    ir, _ = documents(plan(made))
    assert sorted(dag(ir)) == ["condition-score", "ingest"]
    assert sorted(dag(ir, "condition-score")) == ["score", "score-hand"]


def test_it_waits_for_all_that_its_step_waits_for() -> None:
    made = replace(reading(OutputRef("ingest", "data")), parameters=())
    asked = replace(
        made,
        interface=replace(
            made.interface, parameters=taking(Kind.NUMBER).parameters,
            container=taking(Kind.NUMBER).container,
        ),
        parameters=(("x", ParameterRef("number")),),
    )  # fmt: skip
    ir, _ = documents(plan(asked))
    assert dag(ir)["score-hand"]["dependentTasks"] == ["ingest"]
    assert "artifacts" not in dag(ir)["score-hand"]["inputs"]


def numbered(name: str = "score", **more: Any) -> Task:
    return task(taking(Kind.NUMBER), name, parameters={"x": ParameterRef("number")}, **more)


def test_names_that_are_taken_are_not_taken_again() -> None:
    others = [plans.task(name, plans.Split, inputs={"data": OutputRef("ingest", "data")})
              for name in ("score-hand", "score-hand-2-driver")]  # fmt: skip
    ir, _ = documents(plan(numbered(), *others))
    assert sorted(set(dag(ir)) - {"ingest", "score"}) == ["score-hand", "score-hand-2-driver", "score-hand-3"]


def test_two_steps_have_a_task_each() -> None:
    ir, _ = documents(plan(numbered("a"), numbered("b")))
    containers = {json.dumps(each) for each in ir["deploymentSpec"]["executors"].values()}
    assert len(containers) == len(ir["deploymentSpec"]["executors"]) == 5


def test_it_is_small_and_has_the_image_of_a_step_of_the_library() -> None:
    ir, platform = documents(plan(numbered()))
    container = ir["deploymentSpec"]["executors"]["exec-score-hand"]["container"]
    assert container["image"] == plans.IMAGE
    assert container["resources"]["resourceCpuLimit"] == "100m"
    assert container["resources"]["resourceMemoryLimit"] == "256Mi"
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-score-hand"]["podMetadata"] == pods["exec-score"]["podMetadata"]


def test_it_is_tried_as_often_as_its_step() -> None:
    ir, _ = documents(plan(numbered(retry=Retry(attempts=3, backoff_s=7))))
    assert dag(ir)["score-hand"]["retryPolicy"] == dag(ir)["score"]["retryPolicy"]


@pytest.mark.parametrize(("value", "is_cached"), [(RunRef("date"), True), (ConfigRef("region"), False)], ids=str)
def test_its_result_may_be_taken_again_unless_it_asks_the_cluster(value: Value, *, is_cached: bool) -> None:
    ir, platform = documents(plan(task(taking(Kind.STRING), parameters={"x": value})), configs=CONFIGS)
    assert dag(ir)["score-hand"]["cachingOptions"] == ({"enableCache": True} if is_cached else {})
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert ("configMapAsEnv" in pods["exec-score-hand"]) is not is_cached
    assert "configMapAsEnv" not in pods["exec-score"]


def test_without_a_step_of_the_library_nobody_has_the_image() -> None:
    alone = replace(plan(numbered()), tasks=(numbered(),))
    message = "kubeflow finds `x` out in a task of the step library, and no step here says its image"
    assert messages(alone) == [("score", "with.x", message)]


def last(**more: Any) -> Plan:
    value = Text((Literal("it "), RunRef("outcome")))
    return plan(task(taking(Kind.STRING), parameters={"x": value}, is_final=True, **more))


def test_the_outcome_of_a_run_is_handed_over_at_its_end() -> None:
    ir, _ = documents(last())
    assert dag(ir)["score"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert dag(ir)["score"]["componentRef"] == {"name": "comp-finally"}
    tasks = dag(ir, "finally")
    assert sorted(tasks) == ["score", "score-hand"]
    assert sorted(tasks["score-hand"]["inputs"]["parameters"]) == ["final-status", "run-id"]
    assert [end[0] for end in hand(ir)["ends"]] == ["ingest"]
    assert tasks["score"]["dependentTasks"] == ["score-hand"]


def test_what_it_cannot_hand_over_counts_as_a_failure_of_its_step() -> None:
    ir, _ = documents(replace(last(), tasks=(*plan(numbered("before")).tasks, *last().tasks[1:])))
    args = ir["deploymentSpec"]["executors"]["exec-before-hand"]["container"]["args"]
    order = json.loads(args[args.index("--order") + 1])
    assert (order["task"], order["ledger"]) == ("before", "bad")


@pytest.mark.parametrize(
    ("more", "field", "message"),
    [
        ({"when": Status("failed", "ingest")}, "when",
         "kubeflow runs `score` whatever happened: it is in your own image"),
        ({"continue_on_error": True}, "continue_on_error",
         "kubeflow fails the run if `score` does: it is in your own image"),
    ],
    ids=["when", "continue_on_error"],
)  # fmt: skip
def test_what_only_our_runtime_does_at_the_end_is_refused(more: dict[str, Any], field: str, message: str) -> None:
    assert ("score", field, message) in messages(last(**more))


def test_what_a_run_wrote_is_not_handed_to_the_last_step_of_another_image() -> None:
    made = replace(
        reading(OutputRef("ingest", "data"), optional=True), is_final=True, needs=(Need("ingest", soft=True),)
    )
    message = "kubeflow cannot hand `data` to `score` at the end of a run: it is in your own image"
    assert ("score", "with.data", message) in messages(plan(made))


def test_kfp_s_protobufs_and_loader_take_them() -> None:
    made = replace(taking(Kind.STRING).parameters[0], path=True)
    file = task(replace(taking(Kind.STRING), parameters=(made,)), "file", parameters={"x": Attachment("a.sh", "")})
    tasks = (
        *plan(file).tasks,
        *looping(Literal(["a"]), ItemRef("", "score")).tasks[1:],
        replace(last().tasks[1], name="z"),
    )
    given = replace(plan(), tasks=tasks)
    ir, platform = documents(given)
    json_format.ParseDict(ir, spec.PipelineSpec())
    json_format.ParseDict(ir["deploymentSpec"], spec.PipelineDeploymentConfig())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, kubernetes.KubernetesExecutorConfig())
    assert load_component_from_text(TARGET.emit(given, plans.options())[0].text).name == "own"
    assert {label for label in ir["components"] if label.endswith("-hand")} == {
        "comp-file-hand", "comp-score-hand", "comp-z-hand",
    }  # fmt: skip


def test_one_in_a_pipeline_that_is_a_step_stands_beside_it_there() -> None:
    inner = replace(numbered("part.score"), needs=(Need("ingest"),))
    after = replace(numbered("part.more"), needs=(Need("part.score"),))
    ir, _ = documents(plan(inner, after))
    assert sorted(dag(ir)) == ["ingest", "part"]
    assert sorted(dag(ir, "part")) == ["more", "more-hand", "score", "score-hand"]
    assert dag(ir, "part")["more-hand"]["dependentTasks"] == ["score"]


def test_other_texts_beside_it_stay_as_they_are() -> None:
    made = interface(
        word(Slot("parameters", "x"), "/", Slot("parameters", "y")),
        parameters=(*taking(Kind.NUMBER).parameters, Parameter(name="y", kind=Kind.STRING, schema={"type": "string"})),
    )
    ir, _ = documents(plan(task(made, parameters={"x": ParameterRef("number"), "y": ParameterRef("string")})))
    assert argument(ir) == f"{{{{$.inputs.parameters['{LEFT}']}}}}/{{{{$.inputs.parameters['parameter-string']}}}}"


def test_a_plan_without_such_a_step_is_left_alone() -> None:
    assert list(refusals(TARGET, plans.wine(), plans.options())) == []
    assert not any("hand" in name for name in documents(plans.wine())[0]["components"])
