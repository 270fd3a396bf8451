"""Where relative locations lie (rule 11): they start from the file that is run, and stay below the project's root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from needs import ROOT

PIPELINE = """\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
inputs: {rows: {type: Dataset, default: ../data/rows.csv}}
steps:
  copy: {uses: ../steps/copy.yaml, with: {data: "${{ inputs.rows }}"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "project/pipec.yaml": "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\n",
        "project/pipelines/p.yaml": PIPELINE,
        "project/steps/copy.yaml": (ROOT / "docs" / "steps" / "copy.yaml").read_text(),
        "project/data/rows.csv": "red,5\n",
        "outside.csv": "red,5\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "project"


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipec", "run", "pipelines/p.yaml", *arguments], cwd=project, capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip


def test_data_beside_the_pipelines_folder_is_read(project: Path) -> None:
    found = run(project)
    assert found.returncode == 0, found.stderr
    assert "cached" in run(project).stderr  # its digest is known before it is read


def test_data_outside_of_the_project_is_not_read(project: Path) -> None:
    found = run(project, "--set", "rows=../../outside.csv")
    assert found.returncode == 4
    assert "`../outside.csv` may leave the project folder" in found.stdout
