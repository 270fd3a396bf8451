"""The projects of the tests for Kubeflow, made such that a worker of Airflow on this machine can run them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import test_ir_examples
from airflow_live import ANA, BO
from ir_project import Project, features, opened

DOCKER = {"operator": "docker"}
WORKER = "worker"  # the environment
USERS = f"{{ana@example.org: {ANA}, bo@example.org: {BO}}}"


def feature_project(folder: Path, *, is_run: bool = True) -> Project:
    """Return the features' project in a folder of its own, all of which containers see."""
    found = features(folder, is_run=is_run)
    opened(folder)
    return replace(found, target="airflow", options=DOCKER, env=WORKER)


def example_project(folder: Path, name: str, *, is_run: bool = True) -> Project:
    """Return a copy of the examples, with what one of them needs."""
    found = test_ir_examples.project(folder, test_ir_examples.CASES[name], is_run=is_run)
    opened(folder)
    said = f"artifacts: '{folder}', secrets: {{publisher: {{env: PUBLISH_TOKEN}}}}, airflow: {{users: {USERS}}}"
    test_ir_examples.put(folder / "pipec.yaml", r"^  there: .*", f"  there: {{{said}}}")
    return replace(found, target="airflow", options=DOCKER)
