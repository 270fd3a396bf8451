"""The emitted files in a real Airflow, which lives in a virtual environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import plans
import pytest
import test_ir_examples
from airflow_live import airflow_python
from airflow_project import example_project
from plans import HOSTILE
from test_airflow import GOLDEN, USERS, docker, hostile
from test_airflow_by_hand import BY_HAND
from test_airflow_foreign import FORMS as OWN
from test_airflow_foreign import scored
from test_airflow_says import EXAMPLES

from pipec.compiler.plan import Plan, order
from pipec.steps.brief import brief_text
from pipec.targets.airflow import TARGET
from pipec.targets.cluster import guard_dollars

pytestmark = pytest.mark.airflow
AFTER = ("p", "q")  # a pipeline, and one that starts after it, as `test_airflow_event.py` has them reviewed
SETTINGS = {"namespace": "ml", "service_account": "pipec", **USERS}


def looked_at(folder: Path, home: Path, program: str = "airflow_check.py") -> dict[str, Any]:
    """Return what Airflow says of the DAG files in a folder. home: an empty folder for its own files.

    program: what asks it, beside this file.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    script = str(Path(__file__).with_name(program))
    done = subprocess.run(
        [str(airflow_python()), script, str(folder)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what Airflow says of a folder with every form of DAG file, the hostile ones too."""
    folder = tmp_path_factory.mktemp("dags")
    forms = {"pods": plans.options(settings=SETTINGS), "docker": docker()}
    for form, options in forms.items():
        cases = {"wine": plans.wine()} | {f"bad-{n}": hostile(text) for n, text in enumerate(HOSTILE)}
        for name, plan in cases.items():
            (file,) = TARGET.emit(replace(plan, pipeline=f"{name}-{form}"), options)
            (folder / file.path).write_text(file.text, encoding="utf-8")
        (file,) = TARGET.emit(replace(flows.flow(), pipeline=f"flow-{form}"), options)
        (folder / file.path).write_text(file.text, encoding="utf-8")
        (file,) = TARGET.emit(replace(scored(), pipeline=f"own-{form}"), OWN[form])
        (folder / file.path).write_text(file.text, encoding="utf-8")
    for name in EXAMPLES:
        case = test_ir_examples.CASES[name]
        project = example_project(tmp_path_factory.mktemp("example"), name, is_run=False)
        text, errors = project.compiled(case.file, case.pipeline)
        assert text, errors
        (folder / f"example-{name}.py").write_text(text, encoding="utf-8")
    for name in AFTER:
        shutil.copy(GOLDEN / f"after_{name}.py", folder)
    return looked_at(folder, tmp_path_factory.mktemp("airflow"))


def test_every_file_loads_without_errors_or_warnings(seen: dict[str, Any]) -> None:
    assert (seen["errors"], seen["warnings"]) == ({}, {})
    assert len(seen["dags"]) == 2 * (3 + len(HOSTILE)) + len(EXAMPLES) + len(AFTER)


def test_what_was_written_by_hand_loads_too(tmp_path: Path) -> None:
    found = looked_at(BY_HAND, tmp_path)
    assert (found["errors"], found["warnings"]) == ({}, {})
    assert len(found["dags"]) == len(list(BY_HAND.glob("*.py")))


def test_every_dag_is_written_to_the_same_bytes_twice(seen: dict[str, Any]) -> None:
    assert all(seen["stable"].values())


@pytest.mark.parametrize("number", range(len(HOSTILE)))
@pytest.mark.parametrize("form", ["pods", "docker"])
def test_a_user_s_text_arrives_byte_for_byte(seen: dict[str, Any], form: str, number: int) -> None:
    text_arrived(seen, replace(hostile(HOSTILE[number]), pipeline=f"bad-{number}-{form}"), form, HOSTILE[number])


def text_arrived(seen: dict[str, Any], plan: Plan, form: str, text: str) -> None:
    """Hold that a text stands as it was written wherever a plan of `hostile` says it."""
    dag = seen["dags"][plan.pipeline]
    assert (dag["description"] or "") == text
    assert dag["params"]["odd"] == text
    for name, task in dag["tasks"].items():
        if task["type"] == "Step" and name != "approve-subject":
            given = task["arguments" if form == "pods" else "command"]
            made = plan.task(name)
            assert given[1] == brief_text(order(plan, made, cache=True), made.interface, name)
    split = dag["tasks"]["split"]
    if form == "docker":
        assert split["environment"] == {"NOTE": text}
    else:  # `test_kubernetes_expands_variables_back` says what Kubernetes makes of it
        assert split["pod"]["spec"]["containers"][0]["env"] == [{"name": "NOTE", "value": guard_dollars(text)}]


def test_arguments_are_rendered_as_the_runtime_reads_them(seen: dict[str, Any]) -> None:
    tasks = seen["dags"]["wine-pods"]["tasks"]
    train = tasks["train"]["arguments"]
    assert train[0].startswith("train@1:")
    assert train[2:7] == [
        "--pipeline=wine-pods", "--env=prod", "--task=train", f"--root={plans.ROOT}", "--run=manual__1",
    ]  # fmt: skip
    assert json.loads(train[8])["layers"] == [64, 32]
    assert tasks["deploy"]["arguments"][-2:] == ["--scheduled-at", "2026-11-23T03:00:00Z"]
    assert json.loads(tasks["approve"]["arguments"][-1]) == {
        "format_version": "1.0", "decision": "approve", "by": "ana@example.org", "at": "2026-11-23T10:00:00+00:00",
        "subject": {"model": "sha256:m", "evidence": None},
    }  # fmt: skip


def test_the_edges_are_the_plan_s_and_the_person_s(seen: dict[str, Any]) -> None:
    plan = plans.wine()
    wanted = [[need.task, task.name] for task in plan.tasks for need in task.needs]
    wanted.remove(["evaluate", "approve"])
    wanted += [
        ["evaluate", "approve-subject"],
        ["approve-subject", "approve-decision"],
        ["approve-decision", "approve"],
    ]
    assert seen["dags"]["wine-pods"]["edges"] == sorted(wanted)


def test_both_files_call_an_event_by_the_name_that_airflow_keeps(seen: dict[str, Any]) -> None:
    told = [
        task["tells"] for task in seen["dags"]["p"]["tasks"].values() if task["type"] == "Event" and task["teardown"]
    ]
    assert told == [[["pipec://p/run/q-1"] * 2], [["pipec://p/a/q-2"] * 2]]
    assert seen["dags"]["q"]["hears"] == sorted(name for (name,) in told)


def test_parameters_are_the_declared_ones_where_nothing_started_a_run(seen: dict[str, Any]) -> None:
    words = seen["dags"]["q"]["tasks"]["z"]["arguments"]
    assert json.loads(words[words.index("--parameters") + 1]) == seen["dags"]["q"]["params"]


@pytest.mark.parametrize("form", ["pods", "docker"])
def test_a_step_of_an_own_image_ends_by_codes_of_its_own(seen: dict[str, Any], form: str) -> None:
    tasks = seen["dags"][f"own-{form}"]["tasks"]
    assert [tasks[name]["final"] for name in ("score-inputs", "score-run", "score")] == [True, True, True]
    kept = tasks["score"]["arguments" if form == "pods" else "command"]
    assert kept[-2:] == ["--attempt", "attempt"]  # the key that is pulled


@pytest.mark.parametrize("form", ["pods", "docker"])
def test_a_no_fails_for_good_and_the_rest_is_tried_again(seen: dict[str, Any], form: str) -> None:
    tasks = seen["dags"][f"wine-{form}"]["tasks"]
    assert all(task["final"] for task in tasks.values() if task["type"] == "Step")
    assert {name: task["retries"] for name, task in tasks.items()} == {
        "ingest": 2, "validate": 2, "split": 0, "train": 1, "evaluate": 0, "approve-subject": 0, "approve-decision": 1,
        "approve": 0, "deploy": 0, "monitor": 0,
    }  # fmt: skip


def test_a_pod_is_restricted_and_named_as_kubernetes_wants(seen: dict[str, Any]) -> None:
    pod = seen["dags"]["wine-pods"]["tasks"]["train"]["pod"]
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["name"].startswith("wine-pods-train-")
    assert pod["metadata"]["namespace"] == "ml"
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pipec"
    assert pod["spec"]["serviceAccountName"] == "pipec"
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["command"] == ["pipec-step"]
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"}
    secret = {"name": "WH", "valueFrom": {"secretKeyRef": {"key": "dsn", "name": "wh"}}}
    assert secret in container["env"]
    assert seen["dags"]["wine-pods"]["tasks"]["ingest"]["pod"]["spec"]["activeDeadlineSeconds"] == 3600
