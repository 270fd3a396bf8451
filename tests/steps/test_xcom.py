"""The small outputs as Airflow takes them: a file of the pod, or the last line that a container says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import reported
import supervised

from pipec.steps import xcom
from pipec.steps.command import order_text
from pipec.steps.declare import StepError
from pipec.values import Literal

OUTPUTS = {"seen": {"attached": None, "many": 0, "number": 1.0, "threads": 1}, "size": 3}


def run(root: Path, act: str, place: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the probe as Airflow does, with both streams in one."""
    (root / "data").write_text("rows")
    inputs = (("data", (Literal(str(root / "data")),)),)
    text = order_text(reported.order(act, {"to": Literal(str(root))}, report=None, inputs=inputs))
    words = ["probe", "--order", text, "--root", str(root / "root"), "--run", "r", xcom.XCOM, place]
    return subprocess.run(
        [sys.executable, "-P", "-c", supervised.START, *words], env=supervised.environ(root, **env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
    )  # fmt: skip


def test_a_file_holds_the_small_outputs_after_a_success(tmp_path: Path) -> None:
    done = run(tmp_path, "well", str(tmp_path / "return.json"))
    assert (done.returncode, json.loads((tmp_path / "return.json").read_text())) == (0, OUTPUTS)


@pytest.mark.parametrize("act", ["well", "talk", "orphan"])
def test_the_last_line_holds_them_whatever_the_step_says(act: str, tmp_path: Path) -> None:
    done = run(tmp_path, act, "-")
    *before, last = done.stdout.splitlines()
    assert (done.returncode, json.loads(last)) == (0, OUTPUTS)
    assert len(before) == {"well": 0, "talk": 8, "orphan": 1}[act]


@pytest.mark.parametrize("act", ["bug", "refuse", "kill", "again"])
def test_nothing_is_handed_over_without_a_success(act: str, tmp_path: Path) -> None:
    place = tmp_path / "return.json"
    assert run(tmp_path, act, str(place)).returncode != 0
    assert not place.exists()
    assert not run(tmp_path, act, "-").stdout.splitlines()[-1].startswith("{")


def test_a_file_that_cannot_be_written_fails_the_task(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = run(tmp_path, "well", str(tmp_path / "taken" / "return.json"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("t (probe@1): the small outputs could not be left at ")


def test_a_process_that_nobody_looks_after_hands_over_by_itself(tmp_path: Path) -> None:
    done = run(tmp_path, "well", "-", PIPEC_ATTEMPT="1")
    assert json.loads(done.stdout.splitlines()[-1]) == OUTPUTS


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"found": True, "accuracy": 0.5}, '{"accuracy": 0.5, "found": true}'),
        ({"word": "é\n\u2028", "none": None}, '{"word": "\\u00e9\\n\\u2028"}'),
        ({}, "{}"),
    ],
    ids=str,
)
def test_values_become_one_line_of_ascii_without_those_that_are_absent(values: dict[str, Any], told: str) -> None:
    assert xcom.text(values) == told


def test_more_than_a_database_takes_is_told_before_anything_is_published() -> None:
    with pytest.raises(StepError, match=r"the small outputs take \d+ bytes, and airflow carries 49152: make `b` small"):
        xcom.text({"a": 1, "b": "x" * xcom.LIMIT})
