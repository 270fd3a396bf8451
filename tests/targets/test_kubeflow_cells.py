"""A matrix on Kubeflow: a task for each cell, and lists over cells as inputs that are numbered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import yaml
from needs import ROOT
from test_same_result import EXAMPLES, Cluster, call, summary

PIPELINE = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: grid}
steps:
  ingest: {uses: ingest, with: {source: "file://DATA/wine.csv"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}", test_size: 0.3, stratify: cultivar, seed: 7}}
  train:
    uses: train
    matrix:
      axes: {epochs: [5, 40], estimator: [logistic-regression, extra-trees]}
      MORE
    with:
      data: ${{ steps.split.train }}
      target: cultivar
      epochs: ${{ matrix.epochs }}
      estimator: ${{ matrix.estimator }}
  select:
    uses: select
    with: {models: "${{ steps.train[*].model }}", data: "${{ steps.split.test }}", metric: accuracy}
outputs: {model: "${{ steps.select.model }}", index: "${{ steps.select.index }}"}
"""
PROJECT = """
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: grid}
image: registry.example/pipec-steps@sha256:157a479510e8e443b8c0e8771f2bfdebbe73ede3de1a4b4b1f0d089a55a1b013
environments: {local: {artifacts: "file://HERE/root"}}
"""


def project(folder: Path, more: str = "") -> Path:
    (folder / "pipec.yaml").write_text(PROJECT.replace("HERE", str(folder)), encoding="utf-8")
    text = PIPELINE.replace("DATA", str(EXAMPLES / "data")).replace("MORE", more)
    (folder / "grid.yaml").write_text(text, encoding="utf-8")
    return folder


def test_cells_and_their_fan_in_make_what_a_run_here_makes(tmp_path: Path) -> None:
    folder = project(tmp_path)
    call("pipec", "run", "grid.yaml", "--env", "local", cwd=folder)
    steps = json.loads(call("pipec", "runs", "latest", "--format", "json", cwd=folder))["trace"]["steps"]
    flat = {name: one for step, body in steps.items() for name, one in body.get("tasks", {step: body}).items()}
    here = {name: summary(one["artifacts"], one["values"]) for name, one in flat.items()}
    call("pipec", "compile", "grid.yaml", "--env", "local", "-t", "kubeflow", "-o", "out", cwd=folder)
    spec = next(yaml.safe_load_all((folder / "out/grid.yaml").read_text(encoding="utf-8")))
    cluster, tasks = Cluster(spec, folder / "pipeline-root", {}), spec["root"]["dag"]["tasks"]
    order = TopologicalSorter({name: set(task.get("dependentTasks", ())) for name, task in tasks.items()})
    for name in order.static_order():
        cluster.run(name, lambda argv: call("pipec.steps", *argv, cwd=folder))
    assert cluster.results() == here
    assert len(here) == 7


def test_a_person_reads_which_cell_a_task_is(tmp_path: Path) -> None:
    folder = project(tmp_path)
    printed = call("pipec", "compile", "grid.yaml", "--env", "local", "-t", "kubeflow", "-o", "-", cwd=folder)
    tasks = next(yaml.safe_load_all(printed))["root"]["dag"]["tasks"]
    names = [task["taskInfo"]["name"] for name, task in tasks.items() if name.startswith("train")]
    assert len(set(names)) == 4
    assert all("epochs" in name and "estimator" in name for name in names)
    assert tasks["select"]["dependentTasks"] == ["split", "train-0", "train-1", "train-2", "train-3"]


def test_as_many_cells_run_at_once_as_the_matrix_says(tmp_path: Path) -> None:
    folder = project(tmp_path, "max_parallel: 3")
    printed = call("pipec", "compile", "grid.yaml", "--env", "local", "-t", "kubeflow", "-o", "-", cwd=folder)
    tasks = next(yaml.safe_load_all(printed))["root"]["dag"]["tasks"]
    after = {name: task["dependentTasks"] for name, task in tasks.items() if name.startswith("train")}
    assert after == {
        "train-0": ["split"], "train-1": ["split"], "train-2": ["split"], "train-3": ["split", "train-0"],
    }  # fmt: skip


def test_cells_that_are_counted_and_skipped_one_by_one_are_refused_at_their_place(tmp_path: Path) -> None:
    folder = project(tmp_path, "max_parallel: 2")
    grid = folder / "grid.yaml"
    grid.write_text(grid.read_text().replace("    matrix:", "    when: matrix.epochs > 1\n    matrix:"))
    found = subprocess.run(
        [sys.executable, "-m", "pipec", "check", "grid.yaml", "--env", "local", "-t", "kubeflow"], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert "error: kubeflow cannot count how many cells of a matrix run at once where some may be sk" in found.stdout


def test_cells_that_may_fail_tell_how_they_ended(tmp_path: Path) -> None:
    folder = project(tmp_path, "fail_fast: false")
    printed = call("pipec", "compile", "grid.yaml", "--env", "local", "-t", "kubeflow", "-o", "-", cwd=folder)
    components = next(yaml.safe_load_all(printed))["components"]
    reporting = {name for name, one in components.items()
                 if "pipec-state" in one.get("outputDefinitions", {}).get("parameters", {})}  # fmt: skip
    assert reporting == {"comp-train-0", "comp-train-1", "comp-train-2", "comp-train-3"}
    assert components["comp-verdict"]["inputDefinitions"]["parameters"].keys() == {
        f"{what}-train-{n}" for what in ("state", "reason") for n in range(4)
    }
