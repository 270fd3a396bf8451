"""A project in a folder, run in two ways: as processes by the engine, and from what it is compiled to for Kubeflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ir_container import Cluster
from ir_runner import Finished, run_ir
from ir_trace import trace
from needs import ROOT

from pipec import api
from pipec.compiler.plan import Plan

PIPEC = [sys.executable, "-m", "pipec"]
OVER = {0, 3, 4}  # exit codes of `pipec run` that end a run: done, refused, failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """folder: with pipec.yaml and pipelines. environ: more variables for a run here. env: the environment's name."""

    folder: Path
    env: str = "local"
    environ: Mapping[str, str] = field(default_factory=dict)
    cluster: Cluster

    def request(self, file: str) -> api.Request:
        return api.Request(path=self.folder / file, environment=self.env, target="kubeflow")

    def compiled(self, file: str) -> tuple[str, list[str]]:
        """Return the compiled file, or nothing and the codes with messages of what stops it."""
        checked, files = api.compile_(self.request(file))
        errors = [f"{one.rule.code} {one.message}" for one in checked.report.findings]
        return (files[0].text, []) if files and not checked.has_error else ("", errors)

    def plan(self, file: str) -> Plan:
        plan = api.check(replace(self.request(file), target=None)).units[0].plan
        assert plan
        return plan

    @property
    def store(self) -> Path:
        """Where decisions and releases are kept."""
        return self.folder / "root"

    def here(self, file: str, *arguments: str, home: str = ".pipec") -> dict[str, Any]:
        """Run a file with the engine, and return its trace. arguments: more words, such as `--set a=1`."""
        said = self.pipec("run", file, "--env", self.env, "--home", home, *arguments)
        (run,) = re.findall(r"^run (\S+): \w+", said, re.MULTILINE)[:1]
        shown: dict[str, Any] = json.loads(self.pipec("runs", run, "--home", home, "--format", "json"))["trace"]
        return shown

    def pipec(self, *arguments: str) -> str:
        done = subprocess.run(
            [*PIPEC, *arguments], cwd=self.folder, capture_output=True, text=True, check=False, timeout=200,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **self.environ},
        )  # fmt: skip
        assert done.returncode in OVER, done.stdout + done.stderr
        return done.stdout

    def there(self, file: str, parameters: Mapping[str, Any] | None = None) -> Finished:
        """Compile a file and run that."""
        text, errors = self.compiled(file)
        assert text, errors
        return run_ir(text, self.cluster, parameters)

    def trace(self, file: str, finished: Finished) -> dict[str, Any]:
        return trace(finished, self.compiled(file)[0], self.plan(file), str(self.store))


def opened(folder: Path) -> Path:
    """Make a folder that the user of any container may write in."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return folder
