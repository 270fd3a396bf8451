"""The probe as a container runs it: `pipec-step` as a process that nobody looks after. Not a test module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import runtime_probe as probes
from needs import ROOT

from pipec.steps.command import ATTEMPT
from pipec.steps.declare import interface_of

START = (
    "import sys; from pipec.steps import catalog; catalog._STEPS['probe'] = 'runtime_probe:Probe';"
    "from pipec.steps.__main__ import main; sys.exit(main())"
)


def command(root: Path, act: str, **fields: Any) -> list[str]:
    """Write the call of a probe that does `act`, and return the command that runs it."""
    (root / "data").write_text("rows")
    inputs = {"data": [{"uri": str(root / "data")}], **fields.pop("inputs", {})}
    parameters = {"act": act, **fields.pop("parameters", {})}
    call = probes.call(interface_of(probes.Probe), root, parameters=parameters, **fields)
    (root / "call.json").write_text(json.dumps(json.loads(call.as_json()) | {"inputs": inputs}))
    return [sys.executable, "-P", "-c", START, "probe", "--call", str(root / "call.json")]


def environ(root: Path, **more: str) -> dict[str, str]:
    """Return the environment of a container: no engine looks after it, and its temporary files are below `root`."""
    (root / "scratch").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in (ATTEMPT, "PIPEC_DEBUG")}
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "steps")])
    return {**kept, "PYTHONPATH": path, "TMPDIR": str(root / "scratch"), **more}


def run(
    root: Path, act: str, *, before: Sequence[str] = (), env: dict[str, str] | None = None, **fields: Any
) -> subprocess.CompletedProcess[str]:
    """Run the probe to its end. before: a command that runs it."""
    argv = [*before, *command(root, act, **fields)]
    return subprocess.run(
        argv, env=environ(root, **(env or {})), capture_output=True, text=True, errors="replace", timeout=120,
        check=False,
    )  # fmt: skip


def left(root: Path) -> list[str]:
    """Return every file below `root` but those that `command` wrote."""
    return [name for name in probes.visible(root) if name not in ("data", "call.json")]
