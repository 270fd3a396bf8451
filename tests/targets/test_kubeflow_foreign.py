"""Steps of the user's own image on Kubeflow: what their containers are told, and what is refused as it would differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import plans
import pytest
import yaml
from google.protobuf import json_format
from kfp.components import load_component_from_text
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from pipec.compiler.plan import Need, Plan, Task
from pipec.steps import argument
from pipec.steps.decode import decode_arguments
from pipec.steps.foreign import command_line
from pipec.steps.given import Given
from pipec.steps.interface import (
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Model,
    Output,
    Parameter,
    Retry,
    Role,
    Slot,
    Word,
    Words,
)
from pipec.targets.base import refusals
from pipec.targets.kubeflow import TARGET, files
from pipec.targets.kubeflow.foreign import foreign_arguments
from pipec.targets.kubeflow.verify import verify
from pipec.values import (
    Attachment,
    ImageFile,
    Json,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Text,
    Value,
)

GOLDEN = Path(__file__).with_name("golden")
IMAGE = "registry.example/score@sha256:" + "1" * 64
PARAMETERS = (*plans.short().parameters, *(plans.parameter(kind.value, kind, is_required=True) for kind in Kind))


def word(*parts: str | Slot) -> Words:
    return Words((tuple(parts),))


def taking(kind: Kind, **more: Any) -> Interface:
    """A step of one parameter, which stands alone in an argument."""
    parameter = Parameter(name="x", kind=kind, schema={"type": kind.json_type}, **more)
    return interface(word(Slot("parameters", "x")), parameters=(parameter,))


def interface(*args: Words, command: tuple[str, ...] = ("score",), **more: Any) -> Interface:
    return Interface(name="score", version="1", summary="", container=Container(command=command, args=args), **more)


def task(
    made: Interface,
    name: str = "score",
    parameters: Mapping[str, Value] | None = None,
    inputs: Mapping[str, tuple[Value, ...]] | None = None,
    **more: Any,
) -> Task:
    read = {v.task for values in (inputs or {}).values() for v in values if isinstance(v, OutputRef)}
    read |= {v.task for v in (parameters or {}).values() if isinstance(v, OutputRef)}
    given: dict[str, Any] = {
        "needs": tuple(Need(each) for each in sorted(read)),
        "parameters": tuple((parameters or {}).items()),
        "inputs": tuple((inputs or {}).items()),
    }
    return Task(name=name, step=name, interface=made, image=IMAGE, **{**given, **more})


def plan(*tasks: Task) -> Plan:
    return Plan(pipeline="own", parameters=PARAMETERS, tasks=(*plans.short().tasks[:1], *tasks))


def whole() -> Plan:
    """A step that is given everything in every way, and one of the library that reads what it wrote."""
    made = interface(
        word("--data"), word(Slot("inputs", "data")),
        Words((("--weights",), (Slot("inputs", "weights"),)), is_group=True),
        Words((("--more",), (Slot("inputs", "more"),)), is_group=True),
        Words((("--left-out",), (Slot("inputs", "absent"),)), is_group=True),
        word("--title=", Slot("parameters", "title"), " $5"), word(Slot("parameters", "n")),
        word(Slot("parameters", "layers")), word("--on=", Slot("parameters", "on")),
        word("--scores=", Slot("outputs", "scores")), word(Slot("outputs", "mean")),
        command=("node", "/app/score.js"),
        inputs=(
            Input(name="data", type=Dataset), Input(name="weights", type=Model, optional=True),
            Input(name="more", type=Dataset, many=True), Input(name="absent", type=Dataset, optional=True),
        ),
        outputs=(
            Output(name="scores", type=Dataset), Output(name="mean", type=Kind.NUMBER),
            Output(name="same", type=Dataset, same_as="data"),
        ),
        parameters=tuple(
            Parameter(name=name, kind=kind, schema={"type": kind.json_type})
            for name, kind in {"title": Kind.STRING, "n": Kind.INTEGER, "layers": Kind.LIST, "on": Kind.BOOLEAN}.items()
        ),
    )  # fmt: skip
    score = task(
        made,
        parameters={
            "title": Text((Literal("<é "), ParameterRef("string"), Literal("> "), RunRef("id"))),
            "n": ParameterRef("integer"),
            "layers": Literal([1.0, ["{", 0.5]]),
            "on": Literal(True),
        },
        inputs={
            "data": (OutputRef("ingest", "data"),),
            "weights": (ParameterRef("string"),),
            "more": (Literal("gs://b/x.csv"), OutputRef("ingest", "data")),
        },
        env=(("MODE", Literal(4)), ("DSN", SecretRef("warehouse"))),
        retry=Retry(attempts=2),
    )
    reads = plans.task(
        "train", plans.Train, inputs={"data": OutputRef("score", "scores")}, parameters={"target": Literal("y")}
    )
    return plan(score, reads)


def messages(given: Plan) -> list[tuple[str, str, str]]:
    return [(r.use.step or "", ".".join(r.use.field), r.message) for r in refusals(TARGET, given, plans.options())]


def documents(given: Plan, **more: Any) -> tuple[Any, Any]:
    options = plans.options(**more)
    assert list(refusals(TARGET, given, options)) == []
    assert verify(*files.documents(given, options)) == ()
    ir, platform = yaml.safe_load_all(TARGET.emit(given, options)[0].text)
    return ir, platform


def executor(given: Plan, name: str = "score") -> Any:
    return documents(given)[0]["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def test_a_plan_with_a_step_of_one_s_own_is_written_as_reviewed(golden: Any) -> None:
    assert messages(whole()) == []
    golden(GOLDEN / "own.yaml", TARGET.emit(whole(), plans.options())[0].text)


def test_kfp_s_protobufs_and_loader_take_it() -> None:
    ir, platform = documents(whole())
    parsed = json_format.ParseDict(ir, spec.PipelineSpec())
    deployment = json_format.ParseDict(ir["deploymentSpec"], spec.PipelineDeploymentConfig())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, kubernetes.KubernetesExecutorConfig())
    assert {component.executor_label for component in parsed.components.values()} == set(deployment.executors)
    loaded = load_component_from_text(TARGET.emit(whole(), plans.options())[0].text)
    assert json_format.ParseDict({**ir, "sdkVersion": ""}, spec.PipelineSpec()).components == parsed.components
    assert loaded.name == "own"


TRAPS: list[tuple[Kind, Json]] = [
    (Kind.STRING, ""), (Kind.STRING, " a  b\n"), (Kind.STRING, "it's \"both\" \\ é\u2028\U0001f600\x7f"),
    (Kind.STRING, "1e-3"), (Kind.STRING, "$5 {x} }} ]] {% raw %} [[1]]"), (Kind.STRING, "--flag"),
    (Kind.INTEGER, 3.0), (Kind.INTEGER, 10**21), (Kind.NUMBER, 3), (Kind.NUMBER, 1e21), (Kind.NUMBER, 1e-5),
    (Kind.NUMBER, -0.0), (Kind.NUMBER, 0.1), (Kind.NUMBER, 1234567.5), (Kind.BOOLEAN, False),
    (Kind.LIST, [1.0, "é", None, [True, {"a": 1e-7}]]), (Kind.OBJECT, {"b": {"c": 2.0}, "a": "\"'"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), TRAPS, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(TRAPS)])
def test_what_is_known_stands_in_the_arguments_as_the_engine_hands_it_over(
    kind: Kind, value: Json, tmp_path: Path
) -> None:
    made = taking(kind)
    taken = argument.arguments(made, {"x": value})
    assert made.container is not None
    given = Given(inputs={}, parameters=dict(taken), outputs={}, work=tmp_path)
    engine = [text.decode() for text in command_line(made.container, given, {})]
    written = executor(plan(task(made, parameters={"x": Literal(value)})))
    assert [*written["command"], *written["args"]] == engine


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (ParameterRef("string"), "parameter-string"),
        (ParameterRef("integer"), "parameter-integer"),
        (ParameterRef("boolean"), "parameter-boolean"),
        (OutputRef("ingest", "rows"), "output-ingest-rows"),
        (RunRef("id"), "run-id"),
        (RunRef("scheduled_at"), "run-scheduled_at"),
    ],
    ids=str,
)
def test_what_a_run_knows_stands_as_a_placeholder(reference: Reference, name: str) -> None:
    given = plan(task(taking(Kind.STRING), parameters={"x": reference}))  # type: ignore[dict-item]
    assert executor(given)["args"] == [f"{{{{$.inputs.parameters['{name}']}}}}"]


TAKEN = "kubeflow would read `{{`, `[[`, `$(` or `$$` here as its own"
REFUSED: dict[str, tuple[Kind, Value, str]] = {
    "a secret": (Kind.STRING, SecretRef("token"), "kubeflow cannot put `token` into the arguments of your own image"),
    "a secret in a list": (
        Kind.LIST,
        ListOf((Literal(1), SecretRef("token"))),
        "kubeflow cannot put `token` into the arguments of your own image",
    ),
    "a file of the image": (
        Kind.STRING,
        ImageFile("a.sh", "sha256:1"),
        "kubeflow cannot bring `a.sh` into a step of your own image",
    ),
    "a template": (Kind.STRING, Literal("{{x}}"), TAKEN),
    "a moment": (Kind.STRING, Literal("[[CurrentTime]]"), TAKEN),
    "a variable": (Kind.STRING, Literal("$(HOME)"), TAKEN),
    "two dollars": (Kind.OBJECT, Literal({"a": "$$"}), TAKEN),
    "a dollar before a placeholder": (Kind.STRING, Text((Literal("a$"), ParameterRef("string"))), TAKEN),
    "a dollar before a date": (Kind.STRING, Text((Literal("a$"), RunRef("date"))), TAKEN),
    "a variable in a list": (Kind.LIST, ListOf((Literal("$(HOME)"), ParameterRef("string"))), TAKEN),
    "a variable in an object": (Kind.OBJECT, ObjectOf((("$(HOME)", ParameterRef("string")),)), TAKEN),
    "a file of a strange name": (Kind.STRING, Attachment("{{a}}", ""), TAKEN),
    "a condition": (Kind.OBJECT, Literal({"IfPresent": 1}), TAKEN),
    "a character": (Kind.STRING, Literal("a\0"), "parameter `x` holds a character that no argument can carry"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_arrive_otherwise_is_refused_at_its_place(case: str) -> None:
    kind, value, message = REFUSED[case]
    given = plan(task(taking(kind), parameters={"x": value}))
    assert ("score", "with.x", message) in messages(given)


def test_what_no_argument_names_is_not_refused() -> None:
    made = replace(taking(Kind.NUMBER), container=Container(command=("score",)))
    assert messages(plan(task(made, parameters={"x": ParameterRef("number")}))) == []


def test_a_template_in_the_manifest_is_refused_where_the_step_is_used() -> None:
    for made in (interface(word("{{x}}")), interface(command=("sh", "$(X)")), interface(word("a\0"))):
        assert [(step, field) for step, field, _ in messages(plan(task(made)))] == [("score", "uses")]


def test_a_template_made_of_two_halves_is_refused() -> None:
    made = replace(taking(Kind.STRING), container=Container(command=("a",), args=(word("{", Slot("parameters", "x")),)))
    assert messages(plan(task(made, parameters={"x": Literal("{y")}))) == [
        ("score", "uses", f"in an argument of `score`, {TAKEN}")
    ]


@pytest.mark.parametrize("text", ["{{x}}", "$(HOME)", "$$", "[[RunUUID]]"])
def test_a_variable_that_would_be_read_as_a_template_is_refused(text: str) -> None:
    assert messages(plan(task(interface(), env=(("X", Literal(text)),)))) == [("score", "env.X", TAKEN)]


def reading(*values: Value, optional: bool = False) -> Task:
    made = interface(
        Words(((Slot("inputs", "data"),),), is_group=optional),
        inputs=(Input(name="data", type=Dataset, many=True, optional=optional),),
    )
    return task(made, inputs={"data": values})


@pytest.mark.parametrize("place", ["https://x/y.csv", "abfs://b/k", "hf://a/b"])
def test_a_location_that_kfp_does_not_mount_is_refused(place: str) -> None:
    message = f"kubeflow cannot bring `{place}` to a step of your own image"
    assert messages(plan(reading(Literal(place)))) == [("score", "with.data", message)]


def test_a_location_put_together_in_a_run_is_refused() -> None:
    place = Text((Literal("s3://b/"), ParameterRef("string")))
    assert messages(plan(reading(place))) == [
        ("score", "with.data", "kubeflow cannot put the location of `data` together")
    ]


def test_the_default_of_a_parameter_is_a_location_too() -> None:
    given = plan(reading(ParameterRef("place")))
    made = plans.parameter("place", Kind.STRING, default="https://x")
    message = "kubeflow cannot bring `https://x` to a step of your own image"
    assert messages(replace(given, parameters=(*PARAMETERS, made))) == [("score", "with.data", message)]


def test_an_importer_s_name_must_be_free() -> None:
    other = plans.task("score-import-0", plans.Split, inputs={"data": OutputRef("ingest", "data")})
    assert messages(plan(reading(Literal("s3://b/k")), other)) == [
        ("score-import-0", "", "kubeflow needs the name `score-import-0` for bringing data to `score`")
    ]


def test_an_input_that_may_be_absent_is_refused() -> None:
    writes = task(
        interface(word(Slot("outputs", "out")), outputs=(Output(name="out", type=Dataset, optional=True),)), "a"
    )
    made = reading(OutputRef("a", "out"), optional=True)
    message = "kubeflow cannot drop the arguments for `data` where `a` wrote nothing"
    assert messages(plan(writes, made)) == [("score", "with.data", message)]


def test_an_input_whose_producer_may_be_skipped_is_refused() -> None:
    producer = plans.task("a", plans.Split, inputs={"data": OutputRef("ingest", "data")}, continue_on_error=True)
    made = replace(reading(OutputRef("a", "train"), optional=True), needs=(Need("a", soft=True),))
    message = "kubeflow cannot drop the arguments for `data` where `a` was skipped"
    assert ("score", "with.data", message) in messages(plan(producer, made))


def test_what_passes_through_has_no_writer() -> None:
    reads = plans.task("train", plans.Split, inputs={"data": OutputRef("score", "same")})
    given = replace(plan(whole().task("score"), reads), outputs=(("kept", OutputRef("score", "same")),))
    message = "kubeflow cannot pass on `score.same`"
    assert messages(given) == [("train", "with.data", message), ("", "outputs.kept", message)]


def test_a_gate_of_one_s_own_is_tried_once() -> None:
    made = interface(role=Role.VALIDATE)
    again = plan(task(made, retry=Retry(attempts=2)))
    assert messages(again) == [("score", "retry", "kubeflow would try `score` again after it refused")]
    assert messages(plan(task(made))) == []


def test_a_deployment_of_one_s_own_needs_no_artifact_root() -> None:
    given = plan(task(interface(role=Role.DEPLOY)))
    assert list(refusals(TARGET, given, plans.options(artifacts=None))) == []


def test_equal_containers_are_told_apart() -> None:
    made = interface(command=("score",))
    twins = plan(task(made, "a"), task(replace(made, outputs=()), "b"))
    executors = documents(twins)[0]["deploymentSpec"]["executors"].values()
    assert len({json.dumps(each) for each in executors}) == 3


def test_the_cache_key_holds_the_version_and_the_variables() -> None:
    def key(version: str, mode: str) -> Any:
        made = replace(interface(outputs=()), version=version)
        ir, _ = documents(plan(task(made, env=(("MODE", Literal(mode)),))))
        return ir["root"]["dag"]["tasks"]["score"]["inputs"]["parameters"]["pipec-step"]

    assert key("1", "a") == key("1", "a")
    assert len({json.dumps(key(*each)) for each in [("1", "a"), ("2", "a"), ("1", "b")]}) == 3


def test_data_brought_in_is_never_taken_from_a_cache() -> None:
    ir, _ = documents(plan(reading(Literal("s3://b/k"))))
    tasks = ir["root"]["dag"]["tasks"]
    assert [tasks[name]["cachingOptions"] for name in ("score", "score-import-0")] == [{}, {}]
    assert tasks["score"]["dependentTasks"] == ["score-import-0"]


def test_a_step_of_the_library_reads_what_a_foreign_one_wrote(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_text("a,b\n")
    args = executor(whole(), "train")["args"]

    def read(uri: str) -> Any:
        given = {"inputs": {"artifacts": {"output-score-scores": {"artifacts": [{"uri": uri, "metadata": {}}]}}}}
        argv = [json.dumps(given) if text == "{{$}}" else text for text in args]
        return [(at.uri, at.digest) for at in decode_arguments(argv[1:], {}, lambda location: None).inputs["data"]]

    assert read(str(rows)) == [(str(rows), None)]
    assert read("s3://no-such-bucket-here/rows") == []  # not mounted: nobody wrote it


def test_arguments_are_made_without_a_plan() -> None:
    parts: Word = ("a", Slot("outputs", "o"))
    made = interface(Words((parts,)), outputs=(Output(name="o", type=Kind.STRING),))
    assert made.container is not None
    assert foreign_arguments(task(made), made.container) == ["a{{$.outputs.parameters['o'].output_file}}"]
    assert foreign_arguments(task(made), made.container, lambda hole: "X") == ["aX"]
