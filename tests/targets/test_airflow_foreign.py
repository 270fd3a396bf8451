"""A step of the user's own image on Airflow: three tasks over a volume, and what becomes of its command on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import plans
import pytest
from dag_file import Operator, load
from dag_runner import DagRun, render
from ir_values import expanded
from plans import HOSTILE
from test_airflow import docker, emitted, messages, tasks_of

from pipec.compiler.plan import Loop, Need, Plan, Task
from pipec.condition import Status
from pipec.steps import __main__ as command_line
from pipec.steps.brief import brief_name
from pipec.steps.carried import interface_of_json
from pipec.steps.interface import (
    Accelerator,
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Output,
    Parameter,
    Resources,
    Retry,
    Role,
    Slot,
    Words,
)
from pipec.targets.airflow import TARGET
from pipec.targets.base import Options, refusals
from pipec.values import ImageFile, Json, Literal, OutputRef, RunRef, SecretRef, Text, Value

SHARED = {"scratch": {"kubernetes": {"claim": "scratch-rwx"}}, "space": {"kubernetes": {"claim": "space-rwx"}}}
FOLDERS = {"scratch": {"path": "/mnt/scratch"}, "space": {"path": "/mnt/space"}}
FORMS = {
    "pods": plans.options(settings={"workspace": "space"}, volumes=SHARED),
    "docker": docker(settings={"workspace": "space"}, volumes=FOLDERS),
    "docker-by-default": docker(volumes=FOLDERS),
}
INTERFACE = Interface(
    name="score", version="1", summary="",
    inputs=(Input(name="data", type=Dataset, optional=True),),
    parameters=(Parameter(name="text", kind=Kind.STRING, schema={"type": "string"}, default=""),),
    outputs=(Output(name="out", type=Dataset), Output(name="n", type=Kind.INTEGER)),
    container=Container(
        command=("score",),
        args=tuple(Words(((slot,),)) for slot in (
            Slot("parameters", "text"), Slot("outputs", "out"), Slot("outputs", "n"),
        )),
    ),
)  # fmt: skip
USES, RUNS = ("uses",), ("score-inputs", "score-run", "score")


PLAIN = Literal("plain")


def scored(text: Value = PLAIN, **fields: Any) -> Plan:
    """Return a plan in which a step of an own image reads what `ingest` made."""
    plan = plans.short()
    given = {
        "inputs": (("data", (OutputRef("ingest", "data"),)),), "needs": (Need("ingest"),), "image": "registry/own:1",
        "interface": INTERFACE,
    }  # fmt: skip
    task = Task(name="score", step="score", parameters=(("text", text),), **(given | fields))
    return replace(plan, tasks=(plan.tasks[0], task))


def after(plan: Plan, name: str, **fields: Any) -> Plan:
    """Return a plan with one more step of the library."""
    return replace(plan, tasks=(*plan.tasks, replace(plan.tasks[0], name=name, step=name, **fields)))


@pytest.mark.parametrize("form", FORMS)
def test_a_step_is_prepared_run_and_kept_in_turn(form: str) -> None:
    dag = load(emitted(scored(retry=Retry(attempts=3)), FORMS[form]))
    assert dag.edges == [("ingest", "score-inputs"), ("score-inputs", "score-run"), ("score-run", "score")]
    tasks = {name: task.keywords for name, task in dag.tasks.items()}
    assert [tasks[name]["image"] for name in RUNS] == [plans.IMAGE, "registry/own:1", plans.IMAGE]
    assert [tasks[name]["skip_on_exit_code"] for name in RUNS] == [[1, 2, 3], [2, 3], [1, 2, 3]]
    assert [tasks[name]["retries"] for name in RUNS] == [2, 2, 2]
    key = "arguments" if form == "pods" else "command"
    before, behind = tasks["score-inputs"][key], tasks["score"][key]
    place = "/var/pipec/workspace" if form == "docker-by-default" else "/pipec-workspace"
    xcom = "/airflow/xcom/return.json" if form == "pods" else "-"
    assert (before[:2], before[-6:]) == (
        ["--prepare", brief_name(INTERFACE)], ["--workspace", place, "--attempts", "3", "--xcom", xcom],
    )  # fmt: skip
    taken = '{{ ti.xcom_pull(task_ids="score-run", key="attempt") }}'
    assert (behind[:2], behind[-4:]) == (["--keep", brief_name(INTERFACE)], ["--workspace", place, "--attempt", taken])
    assert [json.loads(given[2]).get("data") for given in (before, behind)] == [{"$output": "ingest.data"}, None]
    assert [json.loads(given[2]).get("$task") for given in (before, behind)] == ["score", None]  # else Airflow's own id
    for given in (before, behind):
        declared = json.loads(given[given.index("--interface") + 1])
        assert interface_of_json(declared).digest == INTERFACE.digest


def test_pods_share_the_claim_and_only_the_step_s_own_has_what_it_asks_for() -> None:
    wanted = Resources(cpu=4, memory_mib=8192, accelerator=Accelerator(count=1))
    plan = scored(resources=wanted, env=(("KEY", SecretRef("warehouse")),), volumes=(("/scratch", "scratch"),))
    tasks = tasks_of(emitted(plan, FORMS["pods"]))
    mounts = {
        name: {one["mountPath"]: one["name"] for one in
               tasks[name]["pod_template_dict"]["spec"]["containers"][0]["volumeMounts"]} for name in RUNS
    }  # fmt: skip
    assert all({"/scratch", "/pipec-workspace"} <= places.keys() for places in mounts.values())
    assert [len(tasks[name]["container_resources"]["limits"]) for name in RUNS] == [2, 3, 2]
    assert [name for name in RUNS if "secrets" in tasks[name]] == ["score-run"]


def test_a_container_of_the_worker_sees_its_folder_and_no_artifact() -> None:
    def sources(form: str, name: str) -> list[tuple[str, str]]:
        plan = scored(volumes=(("/scratch", "scratch"),))
        return [(one["source"], one["target"]) for one in tasks_of(emitted(plan, FORMS[form]))[name]["mounts"]]

    root, scratch = ("/var/pipec", "/var/pipec"), ("/mnt/scratch", "/scratch")
    assert sources("docker", "score-run") == [("/mnt/space", "/pipec-workspace"), scratch]
    assert sources("docker", "score") == [root, scratch, ("/mnt/space", "/pipec-workspace")]
    below = ("/var/pipec/workspace", "/var/pipec/workspace")
    assert sources("docker-by-default", "score-run") == [below, scratch]
    assert sources("docker-by-default", "score-inputs") == [root, scratch]


@dataclass
class Ti:
    """What a worker knows of its task. left: XComs by task."""

    left: Mapping[str, Any]
    try_number: int = 1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_pull(self, task_ids: str) -> Any:
        return self.left[task_ids]

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def started(form: str, ti: Ti) -> list[str]:
    """Return the command with which the container of the step is started."""
    task = load(emitted(scored(), FORMS[form])).tasks["score-run"]
    assert task.execute({"ti": ti, "container": lambda each: None}) is None
    return [*task.cmds, *task.arguments] if form == "pods" else [*task.entrypoint, *task.command]


@pytest.mark.parametrize(("number", "attempt"), [(1, "1"), (2, "2"), (3, "1"), (4, "2")])
@pytest.mark.parametrize("form", FORMS)
def test_each_attempt_has_the_command_with_its_own_places(form: str, number: int, attempt: str) -> None:
    ti = Ti({"score-inputs": {"command": [["sh"], ["--out=/w/", "/out"], ["/w/", "/a:/w/", "/b"]], "attempts": 2}},
            number)  # fmt: skip
    assert started(form, ti) == ["sh", f"--out=/w/{attempt}/out", f"/w/{attempt}/a:/w/{attempt}/b"]
    assert ti.pushed == {"attempt": attempt}


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text], ids=range(len(HOSTILE) - 1))
@pytest.mark.parametrize("form", ["pods", "docker"])
def test_a_text_reaches_the_image_byte_for_byte(form: str, text: str, tmp_path: Path) -> None:
    """From the file, over what Airflow renders, the runtime, the XCom and the worker to what Kubernetes expands."""
    plan = scored(Literal(text), inputs=(), needs=())
    key = "arguments" if form == "pods" else "command"
    given = tasks_of(emitted(plan, FORMS[form]))["score-inputs"][key]
    words = [render(word, {"run_id": "r", "ti": SimpleNamespace(task_id="score-inputs")}) for word in given]
    there = {"--root": tmp_path, "--workspace": tmp_path / "space", "--xcom": tmp_path / "xcom"}
    assert command_line.main([*words, *(f"{option}={place}" for option, place in there.items())]) == 0
    ti = Ti({"score-inputs": json.loads((tmp_path / "xcom").read_text())})
    made = [expanded(word, {"HOME": "/h"}) if form == "pods" else word for word in started(form, ti)]
    assert made[:2] == ["score", text]


def run_of(plan: Plan, codes: Mapping[str, int]) -> tuple[str, DagRun]:
    """Return how a run ends in which containers end with these codes, and 0 else."""

    def start(task: Operator, arguments: list[str]) -> tuple[int, Json]:
        return codes.get(task.task_id, 0), {"command": [["score"]], "attempts": 1}

    run = DagRun(load(emitted(plan, FORMS["pods"])), start, lambda queued: sorted(queued)[0])
    return run.conduct(), run


@pytest.mark.parametrize("part", RUNS)
def test_a_step_has_failed_if_any_of_its_parts_has(part: str) -> None:
    plan = after(scored(), "mend", needs=(Need("score", soft=True),), when=Status("failed", "score"))
    state, run = run_of(plan, {part: 2})
    assert (state, run.states["mend"]) == ("failed", "success")


@pytest.mark.parametrize("part", RUNS)
def test_a_failure_of_any_part_is_forgiven(part: str) -> None:
    plan = after(scored(continue_on_error=True), "next", needs=(Need("score", order_only=True, soft=True),))
    state, run = run_of(plan, {part: 2})
    assert (state, run.states["next"]) == ("success", "success")


def test_a_step_that_is_not_to_run_is_skipped_as_a_whole() -> None:
    state, run = run_of(scored(when=Status("failed", "ingest"), inputs=(), needs=(Need("ingest", soft=True),)), {})
    assert (state, {run.states[name] for name in RUNS}) == ("success", {"skipped"})
    assert run.reasons == {"score-inputs": "`when` is false"}


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        ({}, ["success", "success", "success"]),
        ({"ingest": 1}, ["success", "success", "success"]),
        ({"score-inputs": 2}, ["failed", "skipped", "skipped"]),
        ({"score-run": 3}, ["success", "failed", "skipped"]),
    ],
    ids=str,
)
def test_a_final_step_runs_whatever_happened_and_part_by_part(codes: dict[str, int], ends: list[str]) -> None:
    dag = load(emitted(scored(is_final=True, inputs=(), needs=()), FORMS["pods"]))
    assert [dag.tasks[name].is_teardown for name in RUNS] == [True, True, True]
    state, run = run_of(scored(is_final=True, inputs=(), needs=()), codes)
    assert [run.states[name] for name in RUNS] == ends
    assert state == ("failed" if codes else "success")


def test_small_outputs_reach_a_condition_from_what_is_kept() -> None:
    from pipec.condition import Compare

    plan = after(scored(), "next", needs=(Need("score"),), when=Compare(">", OutputRef("score", "n"), Literal(3)))
    tasks = tasks_of(emitted(plan, FORMS["pods"]))
    assert tasks["score"]["arguments"][-2:] == ["--xcom", "/airflow/xcom/return.json"]
    assert tasks["score"]["do_xcom_push"] is True


@pytest.mark.parametrize("text", ["$(HOME) $$", "{{ x }}", "a.sh", "x\n", 'it\'s "é"'], ids=repr)
@pytest.mark.parametrize("form", ["pods", "docker"])
def test_a_variable_that_a_run_knows_reaches_the_image_as_it_is(form: str, text: str, tmp_path: Path) -> None:
    value = Text((Literal(text), RunRef("id")))
    plan = scored(inputs=(), needs=(), env=(("NOTE", value), ("KNOWN", Literal(1)), ("KEY", SecretRef("warehouse"))))
    tasks, key = tasks_of(emitted(plan, FORMS[form])), "arguments" if form == "pods" else "command"
    words = [render(word, {"run_id": "r", "ti": SimpleNamespace(task_id="")}) for word in tasks["score-inputs"][key]]
    there = {"--root": tmp_path, "--workspace": tmp_path / "space", "--xcom": tmp_path / "xcom"}
    assert command_line.main([*words, *(f"{option}={place}" for option, place in there.items())]) == 0
    ti = Ti({"score-inputs": json.loads((tmp_path / "xcom").read_text())})
    given = tasks["score-run"]["env_vars" if form == "pods" else "environment"]
    made = {name: render(word, {"ti": ti}) for name, word in given.items()}
    assert {name: expanded(word, {"HOME": "/h"}) if form == "pods" else word for name, word in made.items()} == {
        "KNOWN": "1", "NOTE": f"{text}r",
    }  # fmt: skip
    assert [render(word, {"ti": Ti({"score-inputs": None})}) for word in given.values()] == ["1", ""]


def test_a_variable_that_holds_a_secret_among_other_text_is_refused() -> None:
    plan = scored(env=(("NOTE", Text((Literal("a"), SecretRef("warehouse")))),))
    assert ("score", ("env", "NOTE")) in messages(plan, FORMS["pods"])


def looped() -> Plan:
    plan = scored()
    inner = replace(plan.tasks[1], name="each", step="each", inputs=(), needs=())
    body = Task(name="each", step="each", interface=INTERFACE, loop=Loop(items=Literal([1, 2]), body=(inner,)))
    return replace(plan, tasks=(plan.tasks[0], body))


ONLY = replace(scored(), tasks=(replace(scored().tasks[1], inputs=(), needs=()),))


@pytest.mark.parametrize(
    ("plan", "options", "places"),
    [
        pytest.param(scored(), plans.options(), [("score", USES)], id="no workspace"),
        pytest.param(scored(), plans.options(settings={"workspace": "space"}), [("score", USES)], id="no such volume"),
        pytest.param(scored(), plans.options(settings={"workspace": "space"}, volumes=FOLDERS), [("score", USES)],
                     id="a folder for pods"),
        pytest.param(scored(), docker(settings={"workspace": "space"}, volumes=SHARED), [("score", USES)],
                     id="a claim for docker"),
        pytest.param(scored(), docker(artifacts="s3://a/b"), [("score", USES)], id="a URL and docker"),
        pytest.param(
            scored(), plans.options(settings={"workspace": "space"}, volumes={
                "space": {"kubernetes": {"claim": "c", "read_only": True}}}), [("score", USES)], id="read only",
        ),
        pytest.param(looped(), FORMS["pods"], [("each", ("for_each",))], id="a loop"),
        pytest.param(after(scored(), "score-run"), FORMS["pods"], [("score", USES)], id="the name of the container"),
        pytest.param(after(scored(), "score-inputs"), FORMS["pods"], [("score", USES)], id="the name before it"),
        pytest.param(after(scored(), "score-run.inner"), FORMS["pods"], [("score", USES)], id="the name of a group"),
        pytest.param(ONLY, FORMS["pods"], [("score", USES)], id="no image of the library"),
        pytest.param(scored(ImageFile("a.sh", "sha256:0")), FORMS["pods"], [("score", ("with", "text"))],
                     id="a file of the image"),
        pytest.param(scored(volumes=(("/pipec-workspace/a", "scratch"),)), FORMS["pods"],
                     [("score", ("volumes", "/pipec-workspace/a"))], id="mounted over"),
        pytest.param(scored(interface=replace(INTERFACE, role=Role.APPROVE)), FORMS["pods"], [("score", USES)],
                     id="an approval"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_said(
    plan: Plan, options: Options, places: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert messages(plan, options) == places


def test_without_a_workspace_the_lines_that_add_one_are_said() -> None:
    (found,) = refusals(TARGET, scored(), plans.options())
    assert found.message == "airflow has no volume over which a step of your own image could be handed files"
    assert found.help == (
        "say `airflow: {workspace: <volume>}` in the environment, and what volume that is: "
        "`volumes: {<volume>: {kubernetes: {claim: <claim>}}}`"
    )


def test_the_project_s_image_serves_where_no_step_is_of_the_library() -> None:
    tasks = tasks_of(emitted(ONLY, replace(FORMS["pods"], image=plans.IMAGE)))
    assert [tasks[name]["image"] for name in RUNS] == [plans.IMAGE, "registry/own:1", plans.IMAGE]
