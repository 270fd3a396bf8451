"""One small pipeline for each feature, run from its compiled IR in containers: its trace equals the engine's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ir_project import ANA, FEATURES, PARKED, Project, features

GIVEN = {"text": 'it\'s "ünï" 🙂\n', "whole": 7, "number": 0.3, "truth": True, "list": [1, "a", [2.5]],
         "map": {"k": {"a": 1}}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """What a feature's file comes to. ends: the states of its steps, of which those that are left out succeeded.

    parameters: of the run. values: what the pipeline gives out, of small outputs.
    """

    status: str = "succeeded"
    ends: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def ends(states: str) -> dict[str, str]:
    """Return states by step, of texts such as `failed: a b; skipped: c`."""
    groups = [one.split(":") for one in states.split(";")]
    return {step: state.strip() for state, steps in groups for step in steps.split()}


CASES = {
    "cache-off": Case(),
    "chain": Case(),
    "check": Case("refused", ends("refused: validate; skipped: split")),
    "config": Case(),
    "continue-on-error": Case("succeeded", ends("failed: bad; skipped: hard")),
    "env": Case(),
    "failure": Case("failed", ends("failed: ingest; skipped: split last")),
    "fan-in": Case(),
    "finally-failure": Case("failed", ends("failed: work; skipped: after")),
    "finally-refusal": Case("refused", ends("refused: work; skipped: after")),
    "finally-several": Case("succeeded", ends("skipped: bad")),
    "finally-success": Case(),
    "foreign": Case(),
    "foreign-node": Case(),
    "gate": Case("refused", ends("refused: ready; skipped: after")),
    "gate-retried": Case("refused", ends("refused: ready")),
    "hand-file": Case(),
    "hand-last": Case(),
    "hand-loop": Case("succeeded", ends("skipped: none")),
    "hand-refusing": Case("failed", ends("failed: first; skipped: after")),
    "hand-values": Case(
        parameters={"number": 1e-05, "list": [1, "é", [2.0, 0.5]], "map": {"b": {"c": 3.0}, "a": None}}
    ),
    "heals": Case(),
    "location": Case(),
    "loop": Case(),
    "loop-after-failure": Case("failed", ends("failed: watch")),
    "loop-collected": Case(),
    "loop-empty": Case(),
    "loop-failing": Case("failed", ends("failed: each; skipped: after")),
    "loop-in-loop": Case(),
    "loop-run-time": Case(),
    "loop-values": Case(),
    "nested-when": Case("succeeded", ends("skipped: other")),
    "optional-left-out": Case(),
    "optional-skipped": Case("succeeded", ends("skipped: check")),
    "outputs": Case(values={"n_rows": 138}),
    "parameters": Case(parameters=GIVEN),
    "retry": Case("failed", ends("failed: tell")),
    "rollback": Case("failed", ends("failed: watch; skipped: fine")),
    "secret": Case("failed", ends("failed: tell")),
    "skipped": Case("succeeded", ends("skipped: use")),
    "sub-pipeline": Case(),
    "sub-pipeline-in-loop": Case(),
    "sub-pipeline-when": Case("succeeded", ends("skipped: no")),
    "timeout": Case("failed", ends("failed: train; skipped: after")),
    "volume": Case(),
    "when": Case("succeeded", ends("skipped: few after-few last")),
    "when-absent": Case("failed", ends("skipped: second; failed: third")),
}
# What Kubeflow refuses yet. Whoever teaches it one of these removes it here, and the trace is compared from then on.
NOT_YET: set[str] = set()


def test_every_feature_s_file_has_a_case() -> None:
    assert {path.stem for path in FEATURES.glob("*.yaml")} - {"pipec", "approval"} == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_kubeflow_refuses_yet_is_listed(tmp_path: Path, name: str) -> None:
    project = features(tmp_path, is_run=False)
    text, errors = project.compiled(f"{name}.yaml")
    assert (not text) == (name in NOT_YET), errors
    assert all(one.startswith("PIPE6") for one in errors), errors


@pytest.mark.docker
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_feature_does_the_same_here_and_on_kubeflow(tmp_path: Path, name: str) -> None:
    project, case, file = features(tmp_path), CASES[name], f"{name}.yaml"
    words = [word for key, value in case.parameters.items() for word in ("--set", f"{key}={_text(value)}")]
    with ThreadPoolExecutor(1) as pool:
        going = None if name in NOT_YET else pool.submit(project.there, file, case.parameters)
        here = project.here(file, *words)
    assert (here["status"], states(here)) == (case.status, dict.fromkeys(here["steps"], "succeeded") | case.ends)
    if going is not None:
        assert project.trace(file, going.result()) == here
        assert going.result().parameters.items() >= case.values.items()
        assert project.requests(project.store / "triggers") == project.requests(tmp_path / ".pipec/triggers")


def _text(value: Any) -> str:
    """Return a value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def states(trace: dict[str, Any]) -> dict[str, str]:
    return {name: step["state"] for name, step in trace["steps"].items()}


@pytest.mark.docker
@pytest.mark.parametrize(("words", "status"), [((), "succeeded"), (("--reject", "--reason", "too old"), "refused")])
def test_a_person_decides_here_and_on_kubeflow_alike(tmp_path: Path, words: Sequence[str], status: str) -> None:
    project = features(tmp_path)
    with ThreadPoolExecutor(1) as pool, project.person("approval", "approve", *words):
        going = pool.submit(project.there, "approval.yaml")
        here = decided(project, *words)
        there = going.result()
    assert here["status"] == status
    assert project.trace("approval.yaml", there) == here
    assert [one["by"] for one in here["steps"]["approve"]["decisions"]] == [ANA]


def decided(project: Project, *words: str) -> dict[str, Any]:
    """Run the approval here: it waits, Ana decides, and it goes on."""
    code, said = project.pipec("run", "approval.yaml", "--env", project.near)
    assert code == PARKED, said
    (run,) = {line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("run ")}
    assert project.pipec("approve", run, "approve", "--as", ANA, *words)[0] == 0
    return project.shown(project.pipec("run", "approval.yaml", "--env", project.near, "--resume", run)[1])
