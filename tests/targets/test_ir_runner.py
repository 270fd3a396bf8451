"""The small runner of IR does what Kubeflow's backend would, shown with pipelines of shell commands written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from images import base
from ir_container import Cluster
from ir_project import opened
from ir_runner import Finished, run_ir
from ir_values import Fault

pytestmark = pytest.mark.docker

SAY = 'printf %s "$1" > "$2"'  # writes what it is given to the file of its output
Spec = dict[str, Any]


def shell(script: str, *args: str, **more: Any) -> Spec:
    return {"container": {"image": base(), "command": ["sh", "-c"], "args": [script, "step", *args], **more}}


class Pipeline:
    """A pipeline as it grows. Each task has a component and an executor of its own, as kfp makes them."""

    def __init__(self) -> None:
        self.components: Spec = {}
        self.executors: Spec = {}
        self.settings: Spec = {}

    def step(self, name: str, script: str = SAY, *, inputs: Spec | None = None, outputs: Spec | None = None,
             artifacts: tuple[str, ...] = (), reads: tuple[str, ...] = (), **task: Any) -> Spec:  # fmt: skip
        """Return a task. inputs: the source of each, by name; `x` and output `o`, as `SAY` has them, by default."""
        given = {"x": {"runtimeValue": {"constant": name}}} if inputs is None else inputs
        made = {"o": "STRING"} if outputs is None else outputs
        artifact = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
        self.components[f"comp-{name}"] = {
            "executorLabel": f"exec-{name}",
            "inputDefinitions": {
                "parameters": {key: {"parameterType": "STRING"} for key in given if key not in reads},
                "artifacts": dict.fromkeys(reads, artifact),
            },
            "outputDefinitions": {
                "parameters": {key: {"parameterType": kind} for key, kind in made.items()},
                "artifacts": dict.fromkeys(artifacts, artifact),
            },
        }
        words = [f"{{{{$.inputs.parameters['{key}']}}}}" for key in given if key not in reads]
        words += [f"{{{{$.inputs.artifacts['{key}'].path}}}}" for key in reads]
        words += [f"{{{{$.outputs.parameters['{key}'].output_file}}}}" for key in made]
        words += [f"{{{{$.outputs.artifacts['{key}'].path}}}}" for key in artifacts]
        self.executors[f"exec-{name}"] = shell(script, *words)
        return {
            "componentRef": {"name": f"comp-{name}"}, **task,
            "inputs": {"parameters": {key: one for key, one in given.items() if key not in reads},
                       "artifacts": {key: one for key, one in given.items() if key in reads}},
        }  # fmt: skip

    def group(self, name: str, tasks: Spec, *, inputs: Spec | None = None, types: Spec | None = None,
              outputs: Spec | None = None, **task: Any) -> Spec:  # fmt: skip
        """Return a task that is a DAG. types: of its inputs, where they are no strings."""
        declared = dict.fromkeys(inputs or {}, "STRING") | (types or {})
        self.components[f"comp-{name}"] = {
            "dag": {"tasks": tasks, "outputs": outputs or {}},
            "inputDefinitions": {"parameters": {key: {"parameterType": kind} for key, kind in declared.items()}},
        }
        return {"componentRef": {"name": f"comp-{name}"}, "inputs": {"parameters": inputs or {}}, **task}

    def run(self, folder: Path, tasks: Spec, parameters: Mapping[str, Any] | None = None, *,
            root: Spec | None = None, **around: Any) -> Finished:  # fmt: skip
        spec = {
            "pipelineInfo": {"name": "by-hand"}, "components": self.components,
            "deploymentSpec": {"executors": self.executors}, "root": {"dag": {"tasks": tasks}, **(root or {})},
        }  # fmt: skip
        platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": self.settings}}}}
        text = f"{json.dumps(spec)}\n---\n{json.dumps(platform)}\n"
        return run_ir(text, Cluster(root=opened(folder / "kfp"), **around), parameters)


def of(task: str, output: str = "o") -> Spec:
    return {"taskOutputParameter": {"producerTask": task, "outputParameterKey": output}}


def given(name: str) -> Spec:
    return {"componentInputParameter": name}


def test_what_depends_on_a_skipped_task_is_omitted_and_the_run_succeeds(tmp_path: Path) -> None:
    made = Pipeline()
    inner = made.step("inner", inputs={"x": given("channel")})
    false = {"condition": "inputs.parameter_values['channel'] == 'other'"}
    found = made.run(tmp_path, {
        "first": made.step("first"),
        "when": made.group("when", {"inner": inner}, inputs={"channel": of("first")}, triggerPolicy=false,
                           dependentTasks=["first"]),
        "after": made.step("after", dependentTasks=["when"]),
        "last": made.step("last", dependentTasks=["after"]),
        "beside": made.step("beside", inputs={"x": of("first")}, dependentTasks=["first"],
                            triggerPolicy={"condition": "inputs.parameter_values['x'] == 'first'"}),
        "skipped": made.step("skipped", inputs={"x": of("first")}, dependentTasks=["first"],
                             triggerPolicy={"condition": "inputs.parameter_values['x'] != 'first'"}),
    })  # fmt: skip
    assert found.status == "succeeded"
    assert found.told() == {
        "first": "succeeded", "when": "skipped", "after": "omitted", "last": "omitted", "beside": "succeeded",
        "skipped": "skipped",
    }  # fmt: skip


def test_after_a_failure_nothing_more_is_started_beside_it(tmp_path: Path) -> None:
    made = Pipeline()
    found = made.run(tmp_path, {
        "bad": made.step("bad", "exit 4"), "slow": made.step("slow", f"sleep 3; {SAY}"),
        "after": made.step("after", dependentTasks=["slow"]), "never": made.step("never", dependentTasks=["bad"]),
    })  # fmt: skip
    assert found.status == "failed"
    assert found.told() == {"bad": "failed", "slow": "succeeded", "after": "omitted", "never": "omitted"}
    assert found.ran["root/bad"].exit_code == 4


def test_a_condition_that_cannot_be_answered_fails_its_task(tmp_path: Path) -> None:
    made = Pipeline()
    odd = {"condition": "inputs.parameter_values['y'] == 'a'"}
    found = made.run(tmp_path, {"odd": made.step("odd", triggerPolicy=odd)})
    assert (found.status, found.ran["root/odd"].status) == ("failed", "failed")


def test_a_loop_runs_its_items_and_their_outputs_come_together_in_order(tmp_path: Path) -> None:
    made = Pipeline()
    item = made.step("item", f'sleep "0.$((9 - $1))"; {SAY}', inputs={"x": given("one")}, outputs={"o": "STRING"})
    outputs = {"parameters": {"all": {"valueFromParameter": {"producerSubtask": "item", "outputParameterKey": "o"}}}}
    iterator = {"itemInput": "one", "items": {"raw": "[3, 5, 1]"}}
    loop = made.group("loop", {"item": item}, types={"one": "NUMBER_INTEGER"}, outputs=outputs,
                      parameterIterator=iterator)  # fmt: skip
    join = made.step("join", inputs={"x": of("loop", "all")}, dependentTasks=["loop"])
    made.components["comp-join"]["inputDefinitions"]["parameters"]["x"]["parameterType"] = "LIST"
    found = made.run(tmp_path, {"loop": loop, "join": join})
    assert found.ran["root/join"].parameters == {"o": '["3","5","1"]'}
    assert found.told()["loop/2/item"] == "succeeded"


def test_a_loop_over_an_output_keeps_to_its_parallelism(tmp_path: Path) -> None:
    made = Pipeline()
    log = opened(tmp_path / "shared") / "log"
    pair = f'until [ "$(grep -c + {log})" -ge 2 ]; do sleep 0.1; done'
    item = made.step("item", f"echo + >> {log}; {pair}; sleep 0.3; echo - >> {log}; {SAY}", inputs={"x": given("one")})
    loop = made.group(
        "loop", {"item": item}, inputs={"list": of("first")}, types={"list": "LIST", "one": "STRING"},
        dependentTasks=["first"], parameterIterator={"itemInput": "one", "items": {"inputParameter": "list"}},
        iteratorPolicy={"parallelismLimit": 2},
    )  # fmt: skip
    first = made.step("first", """printf '["a","b","c","d","e"]' > "$1" """, inputs={}, outputs={"o": "LIST"})
    log.touch()
    log.chmod(0o666)
    found = made.run(tmp_path, {"first": first, "loop": loop}, shared=(log.parent,), n_parallel=5)
    assert found.status == "succeeded"
    going = most = 0
    for line in log.read_text().split():
        going += 1 if line == "+" else -1
        most = max(most, going)
    assert (going, most) == (0, 2)
    assert [found.ran[f"root/loop/{n}/item"].parameters["o"] for n in range(5)] == ["a", "b", "c", "d", "e"]


def test_items_of_a_loop_in_a_loop_come_together_in_one_list(tmp_path: Path) -> None:
    made = Pipeline()
    up = {"parameters": {"all": {"valueFromParameter": {"producerSubtask": "leaf", "outputParameterKey": "o"}}}}
    upper = {"parameters": {"all": {"valueFromParameter": {"producerSubtask": "inner", "outputParameterKey": "all"}}}}
    leaf = made.step("leaf", 'printf %s "$1$2" > "$3"', inputs={"x": given("a"), "y": given("b")})
    inner = made.group("inner", {"leaf": leaf}, inputs={"a": given("a")}, types={"b": "STRING"}, outputs=up,
                       parameterIterator={"itemInput": "b", "items": {"raw": '["x", "y"]'}})  # fmt: skip
    outer = made.group("outer", {"inner": inner}, types={"a": "STRING"}, outputs=upper,
                       parameterIterator={"itemInput": "a", "items": {"raw": '["1", "2"]'}})  # fmt: skip
    join = made.step("join", inputs={"x": of("outer", "all")}, dependentTasks=["outer"])
    assert made.run(tmp_path, {"outer": outer, "join": join}).ran["root/join"].parameters == {
        "o": '["1x","1y","2x","2y"]'
    }


def test_a_loop_without_items_succeeds_and_has_no_outputs(tmp_path: Path) -> None:
    made = Pipeline()
    outputs = {"parameters": {"all": {"valueFromParameter": {"producerSubtask": "item", "outputParameterKey": "o"}}}}
    loop = made.group("loop", {"item": made.step("item")}, types={"one": "STRING"}, outputs=outputs,
                      parameterIterator={"itemInput": "one", "items": {"raw": "[]"}})  # fmt: skip
    tasks = {"loop": loop, "after": made.step("after", dependentTasks=["loop"])}
    assert made.run(tmp_path, tasks).told() == {"loop": "succeeded", "after": "succeeded"}
    tasks["join"] = made.step("join", inputs={"x": of("loop", "all")}, dependentTasks=["loop"])
    assert made.run(tmp_path, tasks).ran["root/join"].why == "a loop without iterations has no outputs"


@pytest.mark.parametrize(("script", "state"), [(SAY, "COMPLETE"), ("exit 1", "FAILED")])
def test_an_exit_task_runs_however_its_dag_ended_and_is_told_how(tmp_path: Path, script: str, state: str) -> None:
    made = Pipeline()
    body = made.group("body", {"step": made.step("step", script)})
    tell = made.step("tell", inputs={"x": {"taskFinalStatus": {"producerTask": "body"}}}, dependentTasks=["body"],
                     triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"})  # fmt: skip
    made.components["comp-tell"]["inputDefinitions"]["parameters"]["x"]["parameterType"] = "TASK_FINAL_STATUS"
    found = made.run(tmp_path, {"body": body, "tell": tell})
    assert json.loads(found.ran["root/tell"].parameters["o"])["state"] == state
    assert found.status == ("succeeded" if state == "COMPLETE" else "failed")


def test_a_task_is_tried_as_often_as_its_policy_says(tmp_path: Path) -> None:
    made = Pipeline()
    count = opened(tmp_path / "shared") / "count"
    script = f'echo >> {count}; [ "$(wc -l < {count})" -ge 3 ] && {SAY}'
    found = made.run(tmp_path, {"heals": made.step("heals", script, retryPolicy={"maxRetryCount": 3})},
                     shared=(count.parent,))  # fmt: skip
    assert (found.status, found.ran["root/heals"].attempts) == ("succeeded", 3)


def test_a_task_that_leaves_an_output_parameter_unwritten_has_failed(tmp_path: Path) -> None:
    made = Pipeline()
    found = made.run(tmp_path, {"mute": made.step("mute", "true")})
    assert found.ran["root/mute"].why == "output parameter o was not written"


def test_a_task_that_reads_one_for_which_it_does_not_wait_fails(tmp_path: Path) -> None:
    made = Pipeline()
    found = made.run(tmp_path, {"a": made.step("a"), "b": made.step("b", inputs={"x": of("a")})})
    assert found.ran["root/b"].why == "b reads a, for which it does not wait"


def test_artifacts_come_with_what_the_executor_output_says_of_them(tmp_path: Path) -> None:
    made = Pipeline()
    write = made.step("write", "echo row > \"$2\"; printf '{\"artifacts\": {\"d\": {\"artifacts\": [{\"metadata\": "
                      "{\"n\": 1}}]}}}' > \"$(dirname \"$2\")/output_metadata.json\"",
                      outputs={}, artifacts=("d",))  # fmt: skip
    source = {"taskOutputArtifact": {"producerTask": "write", "outputArtifactKey": "d"}}
    read = made.step("read", 'cat "$1" > "$2"', inputs={"d": source}, reads=("d",), dependentTasks=["write"])
    found = made.run(tmp_path, {"write": write, "read": read})
    assert found.ran["root/read"].parameters == {"o": "row\n"}
    assert found.ran["root/write"].artifacts["d"][0]["metadata"] == {"n": 1.0}


def test_a_pod_has_the_settings_of_the_platform_document(tmp_path: Path) -> None:
    made = Pipeline()
    claim = opened(tmp_path / "claim")
    script = 'touch /scratch/a /claim/a; echo "$S $C $E $(id -u) $(touch /x 2>&1)" > "$1"'
    step = made.step("step", script, inputs={})
    made.executors["exec-step"]["container"]["env"] = [{"name": "E", "value": "$$(S) a$"}]
    made.settings["exec-step"] = {
        "secretAsEnv": [{"secretName": "old", "secretNameParameter": {"runtimeValue": {"constant": "keys"}},
                         "keyToEnv": [{"secretKey": "k", "envVar": "S"}], "optional": False}],
        "configMapAsEnv": [{"configMapName": "site", "keyToEnv": [{"configMapKey": "r", "envVar": "C"}]}],
        "emptyDirMounts": [{"volumeName": "s", "mountPath": "/scratch"}],
        "pvcMount": [{"constant": "disk", "mountPath": "/claim"}],
        "securityContext": {"runAsUser": "4321", "runAsNonRoot": True},
    }  # fmt: skip
    found = made.run(tmp_path, {"step": step}, secrets={"keys": {"k": "s3"}}, configs={"site": {"r": "eu"}},
                     claims={"disk": claim})  # fmt: skip
    assert found.ran["root/step"].parameters["o"].startswith("s3 eu $(S) a$ 4321 touch:")
    assert (claim / "a").exists()
    assert made.run(tmp_path, {"step": step}).ran["root/step"].why == "the secret keys has no key k"


def test_a_pod_is_killed_at_its_deadline(tmp_path: Path) -> None:
    made = Pipeline()
    step = made.step("step", "sleep 60")
    made.settings["exec-step"] = {"activeDeadlineSeconds": "1"}
    ran = made.run(tmp_path, {"step": step}).ran["root/step"]
    assert (ran.status, ran.exit_code, ran.why) == ("failed", 137, "it was active for longer than its deadline")


def test_run_parameters_are_checked_as_the_api_server_does(tmp_path: Path) -> None:
    made = Pipeline()
    tasks = {"step": made.step("step", inputs={"x": given("p")})}
    root = {"inputDefinitions": {"parameters": {"p": {"parameterType": "NUMBER_INTEGER", "defaultValue": 2.0}}}}
    assert made.run(tmp_path, tasks, root=root).ran["root/step"].parameters == {"o": "2"}
    assert made.run(tmp_path, tasks, {"p": 7}, root=root).ran["root/step"].parameters == {"o": "7"}
    for parameters in ({"p": "7"}, {"q": 1}):
        with pytest.raises(Fault):
            made.run(tmp_path, tasks, parameters, root=root)


def test_facts_of_the_run_are_known_as_whole_constants_alone(tmp_path: Path) -> None:
    made = Pipeline()
    whole, part = ({"runtimeValue": {"constant": text}} for text in
                   ("{{$.pipeline_job_uuid}}", "id: {{$.pipeline_job_uuid}}"))  # fmt: skip
    found = made.run(tmp_path, {"a": made.step("a", inputs={"x": whole}), "b": made.step("b", inputs={"x": part})})
    assert found.ran["root/a"].parameters == {"o": "0b5e"}
    assert found.ran["root/b"].parameters == {"o": "id: {{$.pipeline_job_uuid}}"}
