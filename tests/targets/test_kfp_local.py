"""kfp's own local runner, a second opinion: it runs what we compile, and makes of it what the engine makes.

It knows neither the platform document nor what follows a skip, so only plain pipelines are given to it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ir_project import Project, features
from needs import missing
from test_ir_features import GIVEN

pytestmark = pytest.mark.docker


def run(project: Project, file: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of a pipeline; of artifacts what is noted of them. All of the project's folder is its root."""
    if importlib.util.find_spec("docker") is None:
        missing("the Python package docker, which kfp's local runner needs")
    text, errors = project.compiled(file)
    assert text, errors
    (project.folder / "compiled.yaml").write_text(text, encoding="utf-8")
    project.folder.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("kfp_local.py"), project.folder / "compiled.yaml",
         project.folder, json.dumps(parameters)],
        capture_output=True, text=True, check=False, cwd=project.folder, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_kfp_s_own_runner_makes_the_artifacts_and_values_that_the_engine_makes(tmp_path: Path) -> None:
    project = features(tmp_path)
    outputs = run(project, "outputs.yaml", {})
    steps = project.here("outputs.yaml")["steps"]
    assert outputs["n_rows"] == steps["ingest"]["values"]["n_rows"]
    assert outputs["rows"]["digest"] == steps["split"]["artifacts"]["train"]["digest"]


def test_kfp_s_own_runner_hands_over_parameters_of_all_types(tmp_path: Path) -> None:
    project = features(tmp_path)
    run(project, "parameters.yaml", GIVEN)
    asked = project.requests(project.store / "triggers")
    assert asked == [["inside", {}, f"{GIVEN['text']}, 7, true"], ["typed", GIVEN, ""]]


def test_kfp_s_own_runner_joins_the_cells_of_a_matrix(tmp_path: Path) -> None:
    project = features(tmp_path)
    assert run(project, "fan-in.yaml", {}) == {
        "chosen": project.here("fan-in.yaml")["steps"]["select"]["values"]["index"]
    }
