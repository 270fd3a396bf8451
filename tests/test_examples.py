"""The examples, end to end through the command line, on their real data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from needs import ROOT

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
PIPEC = [sys.executable, "-m", "pipec"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(ROOT / "examples" / "pipelines", tmp_path / "project", ignore=shutil.ignore_patterns(".pipec"))
    )


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """Follow the project's release store; yield the server's address once it has told it."""
    command = [*PIPEC, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=project, env=ENVIRON, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
        yield address.rstrip(".")
        process.terminate()
    assert process.returncode == 0


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PIPEC, "run", *arguments], cwd=project, env=ENVIRON, capture_output=True, text=True, check=False, timeout=300
    )


def trace(project: Path, run: str = "latest") -> dict:
    command = [*PIPEC, "runs", run, "--format", "json"]
    return json.loads(subprocess.check_output(command, cwd=project, env=ENVIRON, text=True))["trace"]


def states(project: Path, run: str = "latest") -> dict[str, str]:
    return {name: step["state"] for name, step in trace(project, run)["steps"].items()}


def drifted(project: Path) -> str:
    """Write the new wines as a broken instrument would measure them; return where."""
    names, *rows = (project / "data" / "wine-new.csv").read_text(encoding="utf-8").splitlines()
    scaled = [",".join(str(round(1.8 * float(value) + 1, 3)) for value in row.split(",")) for row in rows]
    (project / "data" / "drifted.csv").write_text("\n".join([names, *scaled]) + "\n", encoding="utf-8")
    return "data/drifted.csv"


def test_wine_is_trained_approved_served_and_monitored(project: Path, server: str) -> None:
    found = run(project, "wine.yaml", "--env", "dev", "--approve-as", "ana@example.org")
    assert found.returncode == 0, found.stderr
    steps = trace(project)["steps"]
    assert {name: step["state"] for name, step in steps.items()} == dict.fromkeys(steps, "succeeded")
    assert len(steps) == 8
    assert steps["monitor"]["values"]["verdict"] == "no-drift"
    assert steps["evaluate"]["values"]["verdict"] == "passed"
    with (project / "data" / "wine.csv").open(encoding="utf-8") as rows:
        names, wine = (next(rows).strip().split(",") for _ in range(2))
    *values, truth = wine
    columns = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [float(value)]}
        for name, value in zip(names, values, strict=False)
    ]
    request = urllib.request.Request(f"{server}/v2/models/wine/infer", data=json.dumps({"inputs": columns}).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        outputs = {output["name"]: output["data"] for output in json.load(response)["outputs"]}
    assert outputs["label"] == [truth]


def test_wine_waits_for_a_person_and_goes_on_after_the_decision(project: Path, server: str) -> None:
    parked = run(project, "wine.yaml", "--env", "dev")
    assert parked.returncode == 75
    approve, resume = re.findall(r"`pipec ((?:approve|run) [^`]*)`", parked.stdout)
    subprocess.run([*PIPEC, *approve.replace("NAME", "bo@example.org").split()], cwd=project, env=ENVIRON, check=True)
    resumed = run(project, *resume.split()[1:])
    assert resumed.returncode == 0, resumed.stderr
    assert "train: done before" in resumed.stderr
    assert trace(project)["steps"]["approve"]["decisions"][0]["by"] == "bo@example.org"


def test_digits_trains_a_network_and_releases_it_behind_its_gate(project: Path) -> None:
    pytest.importorskip("torch", reason="this machine lacks torch: pip install 'pipec[torch]'")
    found = run(project, "digits.yaml")
    assert found.returncode == 0, found.stderr
    steps = trace(project)["steps"]
    assert steps["deploy"]["state"] == "succeeded"
    assert steps["evaluate"]["values"]["score"] > 0.95


def test_a_gate_that_is_not_passed_refuses_the_run_and_ships_nothing(project: Path) -> None:
    found = run(project, "digits.yaml", "--set", "epochs=1")
    assert found.returncode == 3
    assert "accuracy" in found.stdout
    steps = trace(project)["steps"]
    assert (steps["evaluate"]["state"], steps["deploy"]["state"]) == ("refused", "skipped")
    assert not list((project / ".pipec").glob("releases/*/*.json"))


def test_the_nightly_challenger_is_tried_released_and_taken_back_when_the_rows_turn_out_other(project: Path) -> None:
    first = run(project, "nightly.yaml", "--env", "dev")
    assert first.returncode == 0, first.stderr
    steps = trace(project)["steps"]
    assert not steps["champion"]["values"]["found"]
    assert steps["back"] == {**steps["back"], "state": "skipped", "reason": "`when` is false"}
    best = steps["release"]["values"]["released"]
    second = run(project, "nightly.yaml", "--env", "dev", "--set", "epochs=61", "--set", f"live={drifted(project)}")
    assert second.returncode == 3, second.stderr
    steps = trace(project)["steps"]
    assert steps["champion"]["values"] == {"digest": best, "found": True, "generation": 1}
    assert steps["release"]["values"]["generation"] == 2
    assert (steps["trial"]["state"], steps["watch"]["state"]) == ("succeeded", "refused")
    assert steps["back"]["values"] == {"generation": 3, "released": best, "rolled_back": True}
    assert steps["tell"]["state"] == "succeeded"


def test_of_a_grid_of_networks_the_best_is_released(project: Path) -> None:
    pytest.importorskip("torch", reason="this machine lacks torch: pip install 'pipec[torch]'")
    found = run(project, "images.yaml", "--env", "dev", "--set", "epochs=6")
    assert found.returncode == 0, found.stderr
    steps = trace(project)["steps"]
    cells = steps["train"]["tasks"]
    assert list(cells) == [f"train-{n}" for n in range(5)]
    chosen = cells[f"train-{steps['select']['values']['index']}"]
    assert steps["select"]["artifacts"]["model"] == chosen["artifacts"]["model"]
    assert len({cell["artifacts"]["model"]["digest"] for cell in cells.values()}) == 5
    assert steps["deploy"]["values"]["released"] == chosen["artifacts"]["model"]["digest"]


def test_a_person_approves_the_images_in_production_only(project: Path) -> None:
    def approval(environment: str) -> dict:
        command = [*PIPEC, "render", "images.yaml", "--env", environment]
        return yaml.safe_load(subprocess.check_output(command, cwd=project, env=ENVIRON, text=True))["steps"]["approve"]

    assert approval("dev")["with"]["mode"] == "automatic"
    assert approval("prod")["with"] == {**approval("dev")["with"], "mode": "person", "approvers": ["ml-leads"]}


def test_scoring_starts_the_training_that_it_lacks_and_again_when_rows_drift(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "PUBLISH_TOKEN", "a-token-that-nobody-may-see")
    first = run(project, "scoring.yaml", "--env", "dev")
    assert first.returncode == 0, first.stderr
    scoring, retraining = re.findall(r"^run (\S+): succeeded", first.stdout, re.MULTILINE)
    assert states(project, scoring)["publish"] == "skipped"
    assert trace(project, retraining)["pipeline"] == "retraining"
    second = run(project, "scoring.yaml", "--env", "dev", "--set", f"batch={drifted(project)}")
    assert second.returncode == 0, second.stderr
    scoring, _ = re.findall(r"^run (\S+): succeeded", second.stdout, re.MULTILINE)
    steps = trace(project, scoring)["steps"]
    assert steps["watch"]["values"]["verdict"] == "drift"
    assert steps["publish"]["values"]["n_lines"] > 40
    third = run(project, "scoring.yaml", "--env", "dev", "--set", "batch=data/drifted.csv")
    assert len(re.findall(r"^run (\S+): succeeded", third.stdout, re.MULTILINE)) == 1  # the trigger rests
    kept = [path for path in (project / ".pipec").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"a-token-that-nobody-may-see" in path.read_bytes()]


@pytest.mark.parametrize("name", ["nightly", "scoring"])
def test_what_kubeflow_cannot_say_of_an_example_is_told_at_its_place(project: Path, name: str) -> None:
    command = [*PIPEC, "compile", f"{name}.yaml", "--env", "prod", "-t", "kubeflow", "-o", str(project / "out")]
    found = subprocess.run(command, cwd=project, env=ENVIRON, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    told = re.findall(rf"^{name}.yaml:\d+:\d+: error: .* \[(PIPE\d+) ", found.stderr, re.MULTILINE)
    assert set(told) == {"PIPE601"}
    assert not (project / "out").exists()
