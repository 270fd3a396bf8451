"""A request to another pipeline: written once, read by whoever runs pipelines, taken once."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import runtime_probe as probes
from given import context, step

from pipec.cli import main
from pipec.engine import history
from pipec.steps import runtime, store
from pipec.steps.command import Order, order_text
from pipec.steps.declare import CallerError, TryAgain, interface_of
from pipec.steps.decode import decode_arguments
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release import place, request
from pipec.steps.release.place import Place
from pipec.steps.trigger import Trigger


def trigger(root: str | None, tmp_path: Path, log: list[str] | None = None, **facts: Any) -> Trigger:
    fields = {"pipeline": "retrain", "parameters": {"source": "s3://rows", "epochs": 3}, "reason": "it drifted"}
    made = step(Trigger, tmp_path, **{**fields, **facts.pop("fields", {})})
    made.run(context(log, triggers=root, **facts))
    return made


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "triggers") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def one(at: Place) -> request.Request:
    (found,) = request.pending(at, "retrain")
    return found


def test_a_request_says_what_by_whom_and_why(tmp_path: Path) -> None:
    log: list[str] = []
    assert trigger(str(tmp_path / "triggers"), tmp_path, log).requested is True
    (path,) = (tmp_path / "triggers" / "retrain").iterdir()
    assert path.stem == request.identity("wine", "run-1", "it")
    assert json.loads(path.read_text()) == {
        "format_version": "1.0", "pipeline": "retrain", "parameters": {"source": "s3://rows", "epochs": 3},
        "from": {"pipeline": "wine", "task": "it"}, "reason": "it drifted",
    }  # fmt: skip
    assert log == ["a run of `retrain` is asked for"]


def test_a_retry_asks_nothing_new_also_after_the_request_was_taken(root: str, tmp_path: Path) -> None:
    log: list[str] = []
    at = place.at(root)
    trigger(root, tmp_path, log)
    trigger(root, tmp_path, log)
    assert request.take(at, one(at), by="run-7")
    assert trigger(root, tmp_path, log).requested is True
    assert request.pending(at, "retrain") == []
    assert log[1:] == ["`retrain` was asked already"] * 2


@pytest.mark.parametrize("facts", [{"run_id": "run-2"}, {"task": "other"}, {"pipeline": "digits"}])
def test_another_run_task_or_pipeline_asks_anew(facts: dict[str, str], root: str, tmp_path: Path) -> None:
    trigger(root, tmp_path)
    trigger(root, tmp_path, **facts)
    assert len(request.pending(place.at(root), "retrain")) == 2


def test_what_was_written_is_what_is_read(root: str, tmp_path: Path) -> None:
    trigger(root, tmp_path)
    assert one(place.at(root)) == request.Request(
        id=request.identity("wine", "run-1", "it"), pipeline="retrain",
        parameters={"source": "s3://rows", "epochs": 3}, asker="wine", task="it", reason="it drifted",
    )  # fmt: skip
    assert request.pending(place.at(root), "other") == []


def test_exactly_one_of_racing_takers_gets_a_request(tmp_path: Path) -> None:
    trigger(str(tmp_path / "triggers"), tmp_path)
    at, got = place.at(str(tmp_path / "triggers")), []
    asked, barrier = one(at), threading.Barrier(8)

    def take(number: int) -> None:
        barrier.wait()
        if request.take(at, asked, by=f"run-{number}"):
            got.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    (word,) = (tmp_path / "triggers" / "retrain" / "_taken").iterdir()
    assert json.loads(word.read_text())["by"] == f"run-{got[0]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not one that pipec wrote: remove it"),
        ("[]", "is not one that pipec wrote: remove it"),
        ('{"format_version": "1.0"}', "is not one that pipec wrote: remove it"),
        ('{"format_version": "2.0", "pipeline": "retrain", "parameters": {}, "from": {"pipeline": "a", "task": "b"}, '
         '"reason": ""}', "is of another format or pipeline: remove it"),
        ('{"format_version": "1.0", "pipeline": "other", "parameters": {}, "from": {"pipeline": "a", "task": "b"}, '
         '"reason": ""}', "is of another format or pipeline: remove it"),
    ],
    ids=["text", "list", "lacking", "format", "pipeline"],
)  # fmt: skip
def test_a_file_that_is_no_request_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "retrain").mkdir()
    (tmp_path / "retrain" / f"{'0' * 64}.json").write_text(text)
    (tmp_path / "retrain" / "note.txt").write_text("not looked at")
    with pytest.raises(DataFault, match=message):
        request.pending(place.at(str(tmp_path)), "retrain")


def test_a_name_that_could_be_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AskFault, match="cannot name a pipeline"):
        request.pending(place.at(str(tmp_path)), "../runs")


def test_a_run_without_a_place_for_requests_is_told(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no place for requests to other pipelines: give the environment an `artif"):
        trigger(None, tmp_path)


def test_a_place_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match="did not answer"):
        trigger(str(tmp_path / ("x" * 300)), tmp_path)


@pytest.mark.parametrize("pipeline", ["", "Retrain", "../up", "a" * 41, "a-"])
def test_only_a_pipelines_name_is_taken(pipeline: str, tmp_path: Path) -> None:
    call = probes.call(
        interface_of(Trigger), tmp_path, parameters={"pipeline": pipeline}, triggers=str(tmp_path / "triggers")
    )
    assert runtime.execute(call) == 2
    assert not (tmp_path / "triggers").exists()


def test_a_run_here_leaves_requests_beside_its_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is released yet, so only the first step's small outputs reach the others; the cache replays none."""
    (tmp_path / "p.yaml").write_text("""apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: watch}
steps:
  fetch: {uses: fetch-model, with: {name: wine}}
  ask: {uses: trigger, with: {pipeline: retrain, parameters: {generation: "${{ steps.fetch.generation }}"}}}
  tell: {uses: notify, with: {channel: ml, message: "found ${{ steps.fetch.found }}"}}
outputs: {model: "${{ steps.fetch.model }}", found: "${{ steps.fetch.found }}"}
""")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["run", "p.yaml"]) == 0
    asked = request.pending(place.at(str(tmp_path / ".pipec" / "triggers")), "retrain")
    assert [(each.asker, each.task, each.parameters) for each in asked] == [("watch", "ask", {"generation": 0})] * 2
    assert history.show(tmp_path / ".pipec", "latest").outputs == {"found": False}


def test_every_caller_says_where_requests_lie(tmp_path: Path) -> None:
    order = Order(pipeline="p", task="t", step="trigger@1", interface=interface_of(Trigger).digest)
    words = ["--order", order_text(order), "--root", "s3://b/artifacts/"]
    executor_input = json.dumps({"inputs": {"parameterValues": {"run-id": "1"}}})
    airflow = decode_arguments([*words, "--run", "1"], {}, store.read_text)
    kubeflow = decode_arguments([*words, "--executor-input", executor_input], {}, store.read_text)
    assert airflow.triggers == kubeflow.triggers == "s3://b/artifacts/triggers"
    call = probes.call(
        interface_of(Trigger), tmp_path, parameters={"pipeline": "retrain"}, triggers=str(tmp_path / "r")
    )
    (tmp_path / "call.json").write_text(call.as_json())
    read = decode_arguments(["--call", str(tmp_path / "call.json")], {}, store.read_text)
    assert runtime.execute(read) == 0
    assert one(place.at(str(tmp_path / "r"))).asker == "p"
