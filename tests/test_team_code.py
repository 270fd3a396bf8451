"""What a team adds to a step, in a plain run: a function from PYTHONPATH, a file from the folder of PIPEC_TEAM."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipec import digest
from pipec.contents import Contents, Version
from pipec.schema.lock import Lock, Locked
from pipec.steps import catalog

SOURCE = Path(__file__).parents[1] / "src"
PROJECT = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nimage: steps:1\n"
PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
steps:
  ingest: {uses: ingest, with: {source: rows.csv}}
  check: {uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: rules/rows.yaml}}
  train:
    uses: train
    with: {data: "${{ steps.check.data }}", target: y, factory: "churn.model:build", hyperparameters: {depth: 2}}
"""
MODEL = """from sklearn.tree import DecisionTreeClassifier

def build(depth):
    return DecisionTreeClassifier(max_depth=depth)
"""
RULES = "expectations: [{type: expect_column_values_to_be_between, column: x, min_value: 0, max_value: 99}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project, and beside it the folder that was built into its image; the lock knows its file and its function."""
    held = Contents(
        pipec="0.1.0", variant="light", python="3.11", files={"rules/rows.yaml": digest.of_text(RULES)},
        steps={each.name: Version(each.version, each.digest) for each in catalog.interfaces()},
        functions={"churn.model": ("build",)},
    )  # fmt: skip
    files = {
        "project/pipec.yaml": PROJECT, "project/p.yaml": PIPELINE, "team/churn/model.py": MODEL,
        "team/rules/rows.yaml": RULES, "project/rows.csv": "x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(40)),
        "project/pipec.lock": Lock({"steps:1": Locked(f"sha256:{'1' * 64}", held)}).text(),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "project"


def run(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PIPEC_TEAM"}
    environ = {**kept, "PYTHONPATH": str(SOURCE), **variables}
    command = [sys.executable, "-m", "pipec", "run", "p.yaml"]
    return subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)


def test_a_run_takes_the_function_and_the_file_from_the_teams_folder(project: Path) -> None:
    team = str(project.parent / "team")
    done = run(project, PYTHONPATH=f"{SOURCE}{os.pathsep}{team}", PIPEC_TEAM=team)
    assert done.returncode == 0, done.stderr
    assert "classification of `y` by churn.model:build: 40 rows, 1 columns" in "".join(
        path.read_text() for path in (project / ".pipec").rglob("*") if path.is_file() and path.suffix == ".log"
    )


def test_a_run_without_the_folder_says_what_to_do(project: Path) -> None:
    done = run(project)
    assert done.returncode == 4
    assert "`rules/rows.yaml` lies in the step's image, and none is here: use `pipec run --containers`" in done.stderr
