"""Airflow: the emitted file as Python's own parser, Jinja as Airflow uses it, and the step's decoder see it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flows
import plans
import pytest
from dag_file import Made, Output, load
from jinja2.sandbox import SandboxedEnvironment
from plans import HOSTILE

from pipec.compiler.plan import Concurrency, Group, Plan, Schedule
from pipec.steps.brief import split_name
from pipec.steps.command import Call, Location
from pipec.steps.decode import decode_arguments
from pipec.steps.interface import Kind
from pipec.targets.airflow import TARGET
from pipec.targets.airflow.name import variables
from pipec.targets.airflow.source import WIDTH
from pipec.targets.base import Options, refusals
from pipec.values import Literal

GOLDEN = Path(__file__).with_name("golden")
USERS = {"users": {"ana@example.org": "12", "bo@example.org": "13"}}


def emitted(plan: Plan, options: Options | None = None) -> str:
    given = options or plans.options()
    assert list(refusals(TARGET, plan, given)) == []
    file, *_ = TARGET.emit(plan, given)
    assert file.path == f"{plan.pipeline}.py"
    return file.text


def docker(**fields: object) -> Options:
    given: dict[str, object] = {
        "values": {"operator": "docker"},
        "artifacts": "/var/pipec",
        "secrets": {"warehouse": {"env": "WAREHOUSE_DSN"}},
    } | fields
    return plans.options(**given)


FORMS = {
    "kubernetes": plans.options(settings={"namespace": "ml", "service_account": "pipec", "pool": "gpu", **USERS}),
    "bare": plans.options(),
    "docker": docker(),
}


def tasks_of(text: str) -> dict[str, dict[str, Any]]:
    """Return the keywords of every operator of a DAG file, those that all share included, by task id."""
    return {task_id: task.keywords for task_id, task in load(text).tasks.items()}


def messages(plan: Plan, options: Options | None = None) -> list[tuple[str, tuple[str, ...]]]:
    found = refusals(TARGET, plan, options or plans.options())
    return [(refusal.use.step or "", refusal.use.field) for refusal in found]


def hostile(text: str) -> Plan:
    """A plan that holds `text` wherever a user's text may stand."""
    plan = plans.wine()
    changed = []
    for task in plan.tasks:
        env = (("NOTE", Literal(text)),) if task.name == "split" else task.env
        parameters = tuple(
            (name, Literal(text)) if name in ("note", "target") else (name, value) for name, value in task.parameters
        )
        changed.append(replace(task, env=env, parameters=parameters, description=text))
    parameter = plans.parameter("odd", Kind.STRING, default=text, description=text, schema={"enum": [text, "b"]})
    return replace(
        plan, tasks=tuple(changed), description=text, owner=text or "o", parameters=(*plan.parameters, parameter)
    )


SKELETON = {
    ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg,
    ast.Try, ast.Return, ast.ExceptHandler, ast.Raise, ast.DictComp, ast.comprehension, ast.Compare, ast.In,
    ast.Subscript, ast.Attribute, ast.Tuple, ast.IfExp,
}  # fmt: skip
VALUES = {
    ast.With, ast.withitem, ast.Assign, ast.Expr, ast.Name, ast.Load, ast.Store, ast.Constant, ast.Dict, ast.List,
    ast.Call, ast.keyword, ast.BinOp, ast.RShift, ast.UnaryOp, ast.USub, ast.Starred, ast.Attribute,
}  # fmt: skip
ATTRIBUTES = {"doc_md", "as_teardown", "partial", "expand", "output", "literal_eval"}
CALLED = {
    "DAG", "Param", "CronTriggerTimetable", "MultipleCronTriggerTimetable", "Step", "Decision", "Secret",
    "timedelta", "from_worker",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["", *HOSTILE], ids=range(len(HOSTILE) + 1))
def test_the_file_holds_only_the_skeleton_and_literals(form: str, text: str) -> None:
    plan = hostile(text) if text else plans.wine()
    tree = ast.parse(emitted(plan, FORMS[form]))
    *head, body = tree.body
    assert {type(node) for node in ast.walk(body)} <= VALUES
    for node in ast.walk(body):
        if isinstance(node, ast.Attribute):
            assert node.attr in ATTRIBUTES
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Attribute) or (isinstance(node.func, ast.Name) and node.func.id in CALLED)
    harmless = ast.parse(emitted(plans.wine(), FORMS[form]))
    # A plan's digest stands in a label.
    dumps = ([re.sub(r"'[0-9a-f]{16}'", "", ast.dump(node)) for node in nodes] for nodes in (head, harmless.body[:-1]))
    assert next(dumps) == next(dumps)
    assert {type(node) for part in head for node in ast.walk(part)} <= SKELETON | VALUES


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["", *HOSTILE], ids=range(len(HOSTILE) + 1))
def test_the_file_is_as_formatters_want_it(form: str, text: str, tmp_path: Path) -> None:
    source = emitted(hostile(text) if text else plans.wine(), FORMS[form])
    assert source.isascii()
    assert max(map(len, source.splitlines())) <= WIDTH
    if text in ("", HOSTILE[0], HOSTILE[9]):
        path = tmp_path / "dag.py"
        path.write_text(source, encoding="utf-8")
        config = str(Path(__file__).parents[2] / "pyproject.toml")
        for command in (["check"], ["format", "--check"]):
            ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", config, str(path)]
            done = subprocess.run(ruff, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("form", ["kubernetes", "docker"])
def test_a_short_plan_is_written_as_reviewed(form: str, golden: Any) -> None:
    golden(GOLDEN / f"short_{form}.py", emitted(plans.short(), FORMS[form]))


@pytest.mark.parametrize("form", FORMS)
def test_emission_is_the_same_twice(form: str) -> None:
    assert emitted(plans.wine(), FORMS[form]) == emitted(plans.wine(), FORMS[form])


PARAMETERS = {"source": "s3://x/y", "epochs": 3, "rate": 0.5, "stage": "$(HOME) </a>'{{ 1 }}", "layers": [1],
              "options": {"a": None}}  # fmt: skip
RUN = "scheduled__2026-11-23T03:00:00+00:00"
FOLDER = "s3://ml-prod/pipec/runs/wine-quality/scheduled__2026-11-23T03_00_00_00_00"


class Moment:
    def strftime(self, form: str) -> str:
        assert form == "%Y-%m-%dT%H:%M:%SZ"
        return "2026-11-23T03:00:00Z"


SHOWN = {"subject": {"model": "sha256:m", "evidence": None}, "shown": "- model (model): `sha256:m`"}


def rendered(text: str, answer: dict[str, Any] | None = None, shown: object = SHOWN, task: str = "") -> str:
    """Return what Airflow makes of a templated text."""
    left = {"approve-decision": answer, "approve-subject": shown}
    pull = SimpleNamespace(task_id=task, xcom_pull=lambda task_ids: left[task_ids])
    context = {
        "params": PARAMETERS, "run_id": RUN, "dag_run": SimpleNamespace(run_after=Moment()), "ti": pull,
    }  # fmt: skip
    return SandboxedEnvironment().from_string(text).render(context)


RESULTS = {
    "ingest": {"outcome": "succeeded", "values": {"rows": 41}, "artifacts": {"data": {"digest": "sha256:i"}}},
    "split": {
        "outcome": "succeeded",
        "values": {},
        "artifacts": {"train": {"digest": "sha256:a"}, "test": {"digest": "sha256:b"}},
    },
    "evaluate": {
        "outcome": "succeeded",
        "values": {},
        "artifacts": {"judged": {"digest": "sha256:m"}, "report": {"digest": "sha256:r"}},
    },
    "approve": {
        "outcome": "succeeded",
        "values": {},
        "artifacts": {"approved": {"digest": "sha256:m"}, "approval": {"digest": "sha256:p"}},
    },
    "deploy": {"outcome": "succeeded", "values": {}, "artifacts": {"endpoint": {"digest": "sha256:e"}}},
}


def decoded(task: str, answer: dict[str, Any] | None = None, settings: dict[str, Any] | None = None) -> Call:
    text = emitted(plans.wine(), plans.options(settings=settings or {}))
    argv = [rendered(argument, answer, task=task) for argument in tasks_of(text)[task]["arguments"]]
    interface = plans.wine().task(task).interface
    name, rest = split_name(argv)
    assert name == interface.name
    files = {f"{FOLDER}/{name}/result.json": json.dumps(result) for name, result in RESULTS.items()}
    return decode_arguments(rest, {"PIPEC_SECRET_WAREHOUSE": "postgres://h"}, files.get, {name: interface}.get)


def test_the_runtime_decodes_a_task_s_parameters_and_artifacts() -> None:
    call = decoded("train")
    assert (call.pipeline, call.task, call.step) == ("wine-quality", "train", "train@1")
    assert call.parameters == {
        "target": "quality", "epochs": 3, "rate": 0.5,
        "note": "it's {{ run_id }} and {{$}} of $(HOME) </a>'{{ 1 }}", "layers": [1], "options": {"a": None},
    }  # fmt: skip
    assert call.inputs == {"data": (Location(f"{FOLDER}/split/train", "sha256:a"),)}
    assert call.outputs == {"*": f"{FOLDER}/train"}
    assert (call.run_id, call.threads, call.environment) == (RUN, 4, "prod")


def test_kubernetes_finds_nothing_to_rewrite_in_a_run_s_parameters() -> None:
    argv = [rendered(argument) for argument in tasks_of(emitted(plans.wine()))["train"]["arguments"]]
    assert not any("$(" in argument or "$$" in argument for argument in argv)


def test_the_runtime_decodes_secrets_attachments_and_small_outputs() -> None:
    assert decoded("ingest").parameters == {"source": "s3://x/y", "dsn": "postgres://h"}
    text = "columns: {quality: {between: [0, 10]}}\n"
    assert decoded("validate").parameters == {"expectations": {"name": "wine.yaml", "text": text}}
    assert decoded("monitor").parameters == {"since": "2026-11-23T03:00:00Z", "rows": 41}


def test_facts_of_the_run_reach_the_steps_that_ask_for_them() -> None:
    call = decoded("deploy")
    assert call.parameters == {"release": f"2026-11-23/{RUN}"}
    assert call.releases == "s3://ml-prod/pipec/releases"


def test_an_automatic_approval_asks_nobody() -> None:
    plan = plans.wine()
    task = plan.task("approve")
    automatic = replace(task, parameters=(*task.parameters, ("mode", Literal("automatic"))))
    found = tasks_of(emitted(replace(plan, tasks=tuple(automatic if t is task else t for t in plan.tasks))))
    assert "approve-decision" not in found
    assert "--decision" not in found["approve"]["arguments"]


def test_retries_and_limits_are_per_attempt_of_the_pod() -> None:
    ingest = tasks_of(emitted(plans.wine()))["ingest"]
    assert (ingest["retries"], ingest["retry_delay"]) == (2, timedelta(seconds=30))
    assert ingest["retry_exponential_backoff"] is True
    assert ingest["active_deadline_seconds"] == 3600
    assert tasks_of(emitted(plans.wine(), docker()))["ingest"]["execution_timeout"] == timedelta(hours=1)


def test_accelerators_go_to_the_engine_s_own_fields() -> None:
    train = tasks_of(emitted(plans.wine()))["train"]
    assert train["container_resources"]["limits"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"}
    assert tasks_of(emitted(plans.wine(), docker()))["train"]["device_requests"] == [
        {"count": 2, "capabilities": [["gpu"]]}
    ]


def test_secrets_come_from_the_cluster_or_from_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    train = tasks_of(emitted(plans.wine()))["train"]
    assert train["secrets"] == [Made("Secret", ("env", "WH", "wh", "dsn"), {})]
    assert train["env_vars"] == {"OMP_NUM_THREADS": "4", "NOTE": "$$(HOME) costs $$5"}
    monkeypatch.setenv("WAREHOUSE_DSN", "postgres://h")
    train = tasks_of(emitted(plans.wine(), docker()))["train"]
    assert train["private_environment"] == {"WH": "postgres://h"}
    assert train["environment"] == {"OMP_NUM_THREADS": "4", "NOTE": "$(HOME) costs $5"}


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["a-b", "a_b"], ["a_b", "a_b_2"]),
        (
            ["class", "print", "dag", "1st", "import"],
            ["task_class", "task_print", "task_dag", "task_1st", "task_import"],
        ),
        (["train", "train-2", "train-3"], ["train", "train_2", "train_3"]),
        (["ast", "json", "os", "re"], ["task_ast", "task_json", "task_os", "task_re"]),  # modules that files import
    ],
)
def test_variables_are_names_of_their_own(ids: list[str], names: list[str]) -> None:
    assert list(variables(ids).values()) == names


VIENNA = Made("CronTriggerTimetable", ("0 3 * * 1",), {"timezone": "Europe/Vienna"})


@pytest.mark.parametrize(
    ("schedules", "data", "expected"),
    [
        ((), (), None),
        ((Schedule(cron="0 3 * * 1", timezone="Europe/Vienna"),), (), VIENNA),
        ((Schedule(cron="0 3 * * 1"), Schedule(cron="0 4 * * 2")), (),
         Made("MultipleCronTriggerTimetable", ("0 3 * * 1", "0 4 * * 2"), {"timezone": "UTC"})),
        ((), ("s3://b/k",), [Made("Asset", ("s3://b/k",), {})]),
        ((), ("a", "b"), Made("AssetAny", (Made("Asset", ("a",), {}), Made("Asset", ("b",), {})), {})),
        ((Schedule(cron="0 3 * * 1", timezone="Europe/Vienna"),), ("s3://b/k",),
         Made("AssetOrTimeSchedule", (), {"timetable": VIENNA, "assets": [Made("Asset", ("s3://b/k",), {})]})),
    ],
    ids=["none", "one", "two", "data", "data of two places", "both"],
)  # fmt: skip
def test_what_starts_a_run_is_times_and_changes_of_data(
    schedules: tuple[Schedule, ...], data: tuple[str, ...], expected: object
) -> None:
    plan = replace(plans.wine(), schedules=schedules, data=data)
    assert load(emitted(plan)).keywords["schedule"] == expected


@pytest.mark.parametrize("uri", ["airflow://x", "s3://me:word@b/k", "self", "é", "", " a", "a" * 1501])
def test_data_that_airflow_cannot_name_is_refused(uri: str) -> None:
    assert messages(replace(plans.wine(), data=(uri,))) == [("", ("triggers", "0", "data", "uri"))]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"schedules": (Schedule(cron="0 3 * * 1"), Schedule(cron="0 3 * * 1", timezone="Europe/Vienna"))},
         ("triggers", "1", "schedule", "timezone")),
        ({"schedules": (Schedule(cron="0 3 * * 1"), Schedule(cron="0 3 * * 1", catchup=True))},
         ("triggers", "1", "schedule", "catchup")),
        ({"concurrency": Concurrency(maximum=1, on_conflict="cancel")}, ("concurrency", "on_conflict")),
        ({"labels": (("dag_id", "x"),)}, ("metadata", "labels", "dag_id")),
    ],
    ids=["time zones", "catchup", "conflict", "label"],
)  # fmt: skip
def test_what_airflow_cannot_say_is_refused_at_its_place(fields: dict[str, Any], place: tuple[str, ...]) -> None:
    assert messages(replace(plans.wine(), **fields)) == [("", place)]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (plans.options(artifacts=None), True),
        (plans.options(artifacts=".pipec/artifacts"), True),
        (plans.options(artifacts="/var/pipec"), True),
        (docker(artifacts=".pipec/artifacts"), True),
        (docker(artifacts="/var/pipec"), False),
        (docker(artifacts="s3://b/k"), False),
    ],
)
def test_an_artifact_root_must_be_within_reach_of_the_containers(options: Options, refused: bool) -> None:
    assert messages(plans.short(), options) == ([("", ())] if refused else [])


def test_an_artifact_root_on_this_machine_is_mounted_into_docker() -> None:
    text = emitted(plans.short(), docker())
    assert '"mounts": [{"source": "/var/pipec", "target": "/var/pipec", "type": "bind"}]' in text
    assert "mounts" not in emitted(plans.short(), docker(artifacts="s3://b/k"))


def test_secrets_that_docker_cannot_reach_are_refused_where_they_are_used() -> None:
    options = docker(secrets={"warehouse": {"kubernetes": {"name": "wh", "key": "dsn"}}})
    assert messages(plans.wine(), options) == [("ingest", ("with", "dsn")), ("train", ("env", "WH"))]


def test_an_approver_without_a_user_is_refused() -> None:
    options = plans.options(settings={"users": {"ana@example.org": "12"}})
    (refusal,) = refusals(TARGET, plans.wine(), options)
    assert refusal.message == "airflow does not know `bo@example.org`, who may approve"


def test_a_step_named_like_a_person_s_task_is_refused() -> None:
    plan = plans.wine()
    other = replace(plan.tasks[0], name="approve-decision", step="approve-decision", env=())
    assert messages(replace(plan, tasks=(*plan.tasks, other))) == [("approve", ("uses",))]


def test_importing_the_target_loads_neither_jinja_nor_airflow() -> None:
    code = "import sys, pipec.targets.airflow, pipec.targets.kubeflow; print([m for m in sys.modules if m in names])"
    names = "names = {'jinja2', 'airflow', 'kfp', 'yaml', 'jsonschema', 'networkx', 'google.protobuf'}\n"
    done = subprocess.run(
        [sys.executable, "-c", names + code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_the_whole_flow_is_written_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "flow.py", emitted(flows.flow(), FORMS["bare"]))


def test_a_loop_is_a_task_that_is_mapped_over_its_list() -> None:
    tasks = load(emitted(flows.flow())).tasks
    assert tasks["ask"].mapped == [{"who": "a"}, {"who": "b"}]
    assert tasks["again"].mapped == Output("again-items")
    assert tasks["again"].keywords["max_active_tis_per_dagrun"] == 2
    assert tasks["again-items"].keywords["op_args"] == ['{{ params["seeds"] }}']


def test_a_list_that_a_run_finds_out_waits_for_all_that_its_loop_waits_for() -> None:
    edges = load(emitted(flows.flow())).edges
    assert [before for before, task in edges if task == "again-items"] == ["ingest", "judge"]
    assert [before for before, task in edges if task == "again"] == ["again-items"]


def test_pipelines_used_as_steps_and_cells_stand_in_groups_that_keep_the_plan_s_names() -> None:
    plan = flows.flow()
    tasks = load(emitted(plan)).tasks
    assert {task.name for task in plan.tasks} <= set(tasks)
    assert (tasks["fit.train"].group, tasks["judge"].group) == ("fit", "")


def test_only_what_airflow_s_rule_does_not_fit_is_judged() -> None:
    tasks = load(emitted(flows.flow())).tasks
    assert {name for name, task in tasks.items() if task.keywords.get("trigger_rule") == "all_done"} == {"best", "warn"}
    assert tasks["warn"].when == '{{ ends["watch"] == "failed" }}'
    assert tasks["best"].needs == {"again": [], "ingest": []}


def test_a_condition_is_a_template_over_small_outputs_that_come_by_xcom() -> None:
    tasks = load(emitted(flows.flow())).tasks
    assert tasks["again"].when == '{{ ti.xcom_pull("judge")["score"] < params["limit"] }}'
    assert tasks["judge"].keywords["arguments"][-2:] == ["--xcom", "/airflow/xcom/return.json"]
    assert [name for name, task in tasks.items() if task.keywords.get("do_xcom_push")] == ["judge"]


def test_final_steps_are_teardowns_and_a_last_task_fails_what_would_be_forgotten() -> None:
    dag = load(emitted(flows.flow()))
    assert {name for name, task in dag.tasks.items() if task.is_teardown} == {"tell", "note"}
    assert [before for before, task in dag.edges if task == "end"] == [
        "again",
        "ask",
        "best",
        "note",
        "tell",
        "warn",
        "watch",
    ]
    assert dag.tasks["end"].keywords["trigger_rule"] == "none_failed"


def test_the_last_task_takes_no_name_of_a_group() -> None:
    plan = plans.short()
    last = replace(plan.tasks[0], name="end.tell", step="end.tell", is_final=True)
    tasks = load(emitted(replace(plan, tasks=(*plan.tasks, last)))).tasks
    assert [name for name in tasks if "end" in name] == ["end.tell", "end-2"]


def test_the_page_of_a_dag_holds_the_pipeline_as_it_was_written() -> None:
    source = "# a pipeline with ```` in it\nkind: Pipeline\n"
    dag = load(emitted(plans.wine(), plans.options(source=source)))
    assert dag.doc_md.endswith(f"What it was compiled from:\n\n`````yaml\n{source}`````\n")
    assert len(load(emitted(plans.wine(), plans.options(source="#" * 32_769))).doc_md) < 1000


def test_what_all_cells_of_a_matrix_are_told_stands_once_in_their_group() -> None:
    plan = plans.short()
    train = replace(plan.task("train"), description="Fit a model.", group="train")
    cells = [replace(train, name=f"train-{n}", cache=n > 0) for n in range(2)]
    others = [task for task in plan.tasks if task.name != "train"]
    dag = load(emitted(replace(plan, tasks=(*others, *cells), groups=(Group(name="train"),))))
    first, second = (dag.tasks[f"train-{n}"] for n in range(2))
    assert first.keywords["doc"] == second.keywords["doc"] == train.description
    assert not {"doc", "container_resources"} & {*first.own, *second.own}
    assert first.own["arguments"] != second.own["arguments"]
