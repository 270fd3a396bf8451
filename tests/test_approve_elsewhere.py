"""`pipec approve --store`: a step that waits in a container elsewhere hears of a person's decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from needs import ROOT

from pipec.steps import catalog
from pipec.steps.command import Order, order_text
from pipec.steps.interface import Interface
from pipec.values import Literal

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
RUN = "scheduled__2026-11-23T03:00:00+00:00"


def pipec(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipec", *words]
    return subprocess.run(command, cwd=cwd, env=ENVIRON, capture_output=True, text=True, check=False)


@contextmanager
def waiting(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A step that waits for Ana or Bo below an artifact root; yield it once it has said so."""
    model = root.parent / "model"
    model.mkdir()
    (model / "weights").write_text("w")
    interface = catalog.find("approve")
    assert isinstance(interface, Interface)
    order = Order(
        pipeline="wine", task="approve", step="approve@1", interface=interface.digest, environment="prod",
        parameters=(("approvers", Literal(["ana", "bo"])),), inputs=(("model", (Literal(str(model)),)),), wait_s=60,
    )  # fmt: skip
    command = [sys.executable, "-m", "pipec.steps", "approve", "--order", order_text(order), "--root", str(root)]
    with subprocess.Popen(
        [*command, "--run", RUN], env=ENVIRON, stderr=subprocess.PIPE, text=True, cwd=root.parent
    ) as step:
        while not list(root.glob("runs/wine/*/approve/request.json")) and step.poll() is None:
            time.sleep(0.05)
        try:
            yield step
        finally:
            step.kill()


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--reject", "--reason", "too few rows"), 3)])
def test_a_step_that_waits_elsewhere_hears_the_decision(tmp_path: Path, flags: tuple[str, ...], code: int) -> None:
    root = tmp_path / "root"
    with waiting(root) as step:
        said = pipec("approve", RUN, "approve", "--as", "bo", "--store", str(root), *flags, cwd=tmp_path)
        assert said.returncode == 0, said.stderr
        _, log = step.communicate(timeout=60)
    assert said.stdout == f"approve: bo says {'no' if flags else 'yes'}; the run goes on by itself\n"
    assert step.returncode == code, log
    assert f"waiting for `pipec approve {RUN} approve --as NAME --store {root}`" in log
    assert not flags or "`bo` rejected the model (too few rows)" in log
    if not flags:
        (result,) = root.glob("runs/wine/*/approve/result.json")
        assert json.loads(result.read_text())["values"] == {"approved_by": "bo", "decision": "approve"}


def test_a_stranger_s_decision_is_not_taken(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with waiting(root) as step:
        said = pipec("approve", RUN, "approve", "--as", "eve", "--store", str(root), cwd=tmp_path)
        assert (said.returncode, said.stderr) == (2, "pipec: `eve` may not decide here: ask one of ana, bo\n")
        assert step.poll() is None


def test_a_run_that_does_not_wait_is_told_with_those_that_do(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with waiting(root):
        said = pipec("approve", "other", "approve", "--as", "ana", "--store", str(root), cwd=tmp_path)
    assert said.returncode == 2
    assert said.stderr == (f"pipec: `approve` of run other waits for nobody there: these do: `approve` of run {RUN}\n")


def test_a_pipeline_is_named_for_a_store_only(tmp_path: Path) -> None:
    said = pipec("approve", "latest", "approve", "--as", "ana", "--pipeline", "wine", cwd=tmp_path)
    assert said.stderr == "pipec: --pipeline is for a run below --store: a run here has one pipeline\n"
