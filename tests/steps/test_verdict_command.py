"""`pipec-step --verdict`: one task fails the run for those that end with 0 whatever happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import ROOT

from pipec.steps.verdict import verdict


def given(values: dict[str, Any]) -> list[str]:
    return ["--executor-input", json.dumps({"inputs": {"parameterValues": values}})]


TABLE = [
    ({}, 0, []),
    ({"state-a": "succeeded", "reason-a": "", "state-b": "skipped", "reason-b": "`a` was skipped"}, 0, []),
    ({"state-gate": "refused", "reason-gate": "f1 is 0.8"}, 3, ["`gate` was refused: f1 is 0.8"]),
    (
        {"state-z": "refused", "reason-z": "no", "state-c": "failed", "reason-c": "", "state-b": "failed",
         "reason-b": "out of room", "state-a": "succeeded", "other": "failed"},
        1,
        ["`z` was refused: no", "`b` failed: out of room", "`c` failed"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("values", "code", "lines"), TABLE, ids=["nothing", "well", "refused", "all"])
def test_who_ended_badly_is_said_the_gravest_last(
    values: dict[str, Any], code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(given(values)) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_an_input_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(["--executor-input", "{"]) == 2
    assert capsys.readouterr().err.startswith("pipec-step: `--executor-input` is not JSON (")


def test_the_command_of_the_container_gives_the_verdict_and_writes_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pipec.steps", "--verdict", *given({"state-deploy": "failed", "reason-deploy": "no"})]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "`deploy` failed: no\n")
    assert list(tmp_path.iterdir()) == []
