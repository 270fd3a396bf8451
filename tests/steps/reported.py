"""The probe as a task that reports, called as Kubeflow calls it. Not a test module."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import runtime_probe as probes
import supervised

from pipec.steps.command import REASON, STATE, Order, Report, order_text
from pipec.steps.declare import interface_of
from pipec.values import Literal, Value

INTERFACE = interface_of(probes.Probe)
BLANK = {"size": "0", "seen": "{}"}  # placeholders, as their files hold them


def order(act: str = "well", parameters: Mapping[str, Value] | None = None, **fields: Any) -> Order:
    """Return the order of a probe that reports and does `act`."""
    given = {"act": Literal(act), **(parameters or {})}
    static = {"pipeline": "p", "task": "t", "step": "probe@1", "interface": INTERFACE.digest, "report": Report()}
    return Order(parameters=tuple(given.items()), **(static | fields))


def executor_input(
    root: Path, values: Mapping[str, Any], artifacts: Mapping[str, Any], small: Sequence[str] = (STATE, REASON)
) -> str:
    """Return what Kubeflow tells the probe. small: its small outputs beside its own."""
    wanted = {name: {"artifacts": [{"name": name, "uri": str(root / "out" / name)}]}
              for name in (output.name for output in INTERFACE.artifacts)}  # fmt: skip
    files = {name: {"outputFile": str(root / "small" / name)} for name in (*BLANK, *small)}
    listed = {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()}
    return json.dumps({
        "inputs": {"parameterValues": dict(values), "artifacts": listed},
        "outputs": {"artifacts": wanted, "parameters": files, "outputFile": str(root / "executor_output.json")},
    })  # fmt: skip


def words(root: Path, called: Order, values: Mapping[str, Any] | None = None, **more: Any) -> list[str]:
    """Return the arguments of a call. artifacts: of the executor input, as its JSON has them."""
    given = executor_input(root, values or {}, more.pop("artifacts", {}), **more)
    return ["--order", order_text(called), "--executor-input", given, "--root", str(root / "root")]


def command(root: Path, called: Order, values: Mapping[str, Any] | None = None, **more: Any) -> list[str]:
    """Return the command of the container. The probe's input is a file beside its outputs."""
    (root / "data").write_text("rows")
    return [sys.executable, "-P", "-c", supervised.START, "probe", *words(root, called, values, **more)]


def run(
    root: Path, called: Order, values: Mapping[str, Any] | None = None, *, before: Sequence[str] = (),
    env: Mapping[str, str] | None = None, **more: Any,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run the probe to its end. before: a command that runs it."""
    argv = [*before, *command(root, called, values, **more)]
    return subprocess.run(
        argv, env=supervised.environ(root, **(env or {})), capture_output=True, text=True, timeout=120, check=False
    )


def told(root: Path) -> tuple[str, str]:
    """Return state and reason of the task, as their files hold them."""
    return (root / "small" / STATE).read_text(), (root / "small" / REASON).read_text()


def small(root: Path) -> dict[str, str]:
    """Return the probe's own small outputs, as their files hold them."""
    return {name: (root / "small" / name).read_text() for name in BLANK}


def output(root: Path) -> Any:
    """Return the executor output."""
    return json.loads((root / "executor_output.json").read_text())


def result(root: Path, run_id: str = "r", task: str = "t") -> Any:
    """Return a result of the run's folder."""
    return json.loads((root / "root/runs/p" / run_id / task / "result.json").read_text())
