"""Airflow 2.11, which is in a virtual environment of its own: asked about DAG files, or made to run them, by a script.

No servers: `dag.test()` runs a DAG in one process, one task after the other, in a database that the first run makes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_live import Finished, Instance, airflow_python

HERE = Path(__file__).parent


def answered(program: str, home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a script beside this file prints on its last line. home: a folder for Airflow's own files."""
    done = subprocess.run(
        [str(airflow_python("2")), str(HERE / program), *arguments], capture_output=True, text=True, check=False,
        env=_environment(home) | dict(environ or {}), cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def commanded(home: Path, *words: str) -> str:
    """Return what the command `airflow` prints."""
    command = [str(airflow_python("2")), "-m", "airflow", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(home), cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def finished(told: Mapping[str, Any]) -> Finished:
    """Return a run as the trace of one reads it. told: by `airflow2_run.py`."""
    tasks = {
        (one["task"], one["number"]): Instance(state=one["state"], tries=one["tries"], reason=one["reason"])
        for one in told["tasks"]
    }
    return Finished(run_id=told["run_id"], state=told["state"], parameters=told["parameters"], tasks=tasks)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("DOCKER_HOST", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept, "PATH": f"{airflow_python('2').parent}{os.pathsep}{os.environ['PATH']}", "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "NO_COLOR": "1",
        "PYTHONWARNINGS": "default::DeprecationWarning",
    }  # fmt: skip
