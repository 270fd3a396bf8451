"""The pool that an environment names is beside the DAG file, in the form in which Airflow takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow2
import plans
import pytest
from airflow_live import airflow_python
from test_settings import PIPELINE

from pipec.targets.airflow import TARGET
from pipec.targets.base import refusals

PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
environments: {dev: {artifacts: s3://a/b, airflow: {pool: gpu, pool_slots: SLOTS}}}
"""
HOSTILE = 'a"}, {{ x }} é\n'


def beside(settings: dict[str, Any]) -> dict[str, str]:
    """Return the files beside the DAG's, by name."""
    _, *others = TARGET.emit(plans.short(), plans.options(settings=settings))
    return {file.path: file.text for file in others}


@pytest.mark.parametrize(
    ("settings", "pools"),
    [
        ({"pool": "gpu"}, {"gpu": 128}),
        ({"pool": "gpu", "pool_slots": 4}, {"gpu": 4}),
        ({"pool": HOSTILE}, {HOSTILE: 128}),
        ({"pool": "default_pool", "pool_slots": 9}, {"default_pool": 9}),
    ],
    ids=["as many as airflow's own", "said", "hostile", "airflow's own"],
)
def test_a_pool_is_written_with_its_slots(settings: dict[str, Any], pools: dict[str, int]) -> None:
    ((path, text),) = beside(settings).items()
    assert (path, text.isascii(), text[-2:]) == ("short.pools.json", True, "}\n")
    found = json.loads(text)
    assert {name: pool["slots"] for name, pool in found.items()} == pools
    assert {tuple(pool) for pool in found.values()} == {("slots", "description", "include_deferred")}


@pytest.mark.parametrize("settings", [{}, {"pool": ""}, {"pool": "default_pool"}], ids=str)
def test_no_pool_is_written_where_none_is_needed(settings: dict[str, Any]) -> None:
    assert beside(settings) == {}


def test_slots_of_no_pool_are_refused() -> None:
    (found,) = refusals(TARGET, plans.short(), plans.options(settings={"pool_slots": 4}))
    assert found.message == "the environment says `pool_slots` for airflow, and names no `pool` that would have them"


def compiled(folder: Path, *words: str, slots: str = "4") -> subprocess.CompletedProcess[str]:
    (folder / "pipec.yaml").write_text(PROJECT.replace("SLOTS", slots), encoding="utf-8")
    (folder / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    command = [sys.executable, "-m", "pipec", "compile", "p.yaml", "-t", "airflow", "--env", "dev", "-o", "out", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_two_files_are_written_and_checked_as_one(tmp_path: Path) -> None:
    assert compiled(tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p.pools.json", "p.py"]
    assert compiled(tmp_path, "--check").returncode == 0
    changed = compiled(tmp_path, "--check", slots="5")
    assert (changed.returncode, changed.stderr.splitlines()[0].partition(" is ")[0]) == (1, "out/p.pools.json")
    (tmp_path / "out/p.pools.json").unlink()
    assert compiled(tmp_path, "--check").returncode == 1


@pytest.mark.parametrize("slots", ["0", "-1", "2.5", "many"])
def test_slots_are_a_count(slots: str, tmp_path: Path) -> None:
    assert (compiled(tmp_path, slots=slots).returncode, (tmp_path / "out").exists()) == (1, False)


@pytest.mark.airflow
@pytest.mark.parametrize("version", ["2.11", "3.1"])
def test_airflow_imports_the_pools(version: str, tmp_path: Path) -> None:
    file = tmp_path / "short.pools.json"
    file.write_text(beside({"pool": "gpu", "pool_slots": 4})[file.name], encoding="utf-8")
    words = (["db", "migrate"], ["pools", "import", str(file)], ["pools", "export", str(tmp_path / "found.json")])
    for each in words:
        if version == "2.11":
            airflow2.commanded(tmp_path, *each)
            continue
        command = [str(airflow_python()), "-m", "airflow", *each]
        environ = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert {name: pool["slots"] for name, pool in found.items()} == {"default_pool": 128, "gpu": 4}
    assert found["gpu"].items() >= json.loads(file.read_text(encoding="utf-8"))["gpu"].items()
