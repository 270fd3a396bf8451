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


def trace(project: Path) -> dict:
    command = [*PIPEC, "runs", "latest", "--format", "json"]
    return json.loads(subprocess.check_output(command, cwd=project, env=ENVIRON, text=True))["trace"]


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
