"""A project in a folder, run in two ways: as processes by the engine, and from what it is compiled to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from images import base, built, node
from ir_container import Cluster
from ir_runner import Finished, run_ir
from ir_trace import trace
from needs import ROOT

from pipec import api
from pipec.compiler.plan import Plan

PIPEC = [sys.executable, "-m", "pipec"]
FEATURES = ROOT / "tests/targets/features"
ENDED, PARKED = {0, 3, 4}, 75  # exit codes of `pipec run`: done, refused, failed; it waits for a person
ANA = "ana@example.org"
HOOK = "http://127.0.0.1:9/nobody-answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """folder: with pipec.yaml and pipelines. environ: more variables for a run here. env, near: the environments there
    and here. target, options: what it is compiled to for there.
    """

    folder: Path
    cluster: Cluster
    target: str = "kubeflow"
    options: Mapping[str, str] = field(default_factory=dict)
    env: str = "there"
    near: str = "here"
    environ: Mapping[str, str] = field(default_factory=dict)

    def request(self, file: str, pipeline: str | None = None) -> api.Request:
        return api.Request(
            path=self.folder / file, environment=self.env, target=self.target, options=self.options, pipeline=pipeline
        )

    def compiled(self, file: str, pipeline: str | None = None) -> tuple[str, list[str]]:
        """Return the compiled file, or nothing and the codes and messages of what stops it."""
        checked, files = api.compile_(self.request(file, pipeline))
        errors = [f"{one.rule.code} {one.message}" for one in checked.report.findings]
        return (files[0].text, []) if files and not checked.has_error else ("", errors)

    def plan(self, file: str, pipeline: str | None = None) -> Plan:
        (unit,) = api.check(replace(self.request(file, pipeline), target=None)).units
        assert unit.plan
        return unit.plan

    @property
    def store(self) -> Path:
        """Where a run there keeps decisions, requests and releases."""
        return self.folder / "root"

    def here(self, file: str, *arguments: str) -> dict[str, Any]:
        """Run a file with the engine, and return its trace. arguments: more words, such as `--set a=1`."""
        code, said = self.pipec("run", file, "--env", self.near, *arguments)
        assert code in ENDED, said
        return self.shown(said)

    def shown(self, said: str) -> dict[str, Any]:
        """Return the trace of the first run that the engine told of."""
        run, *_ = re.findall(r"^run (\S+): \w+", said, re.MULTILINE)
        found: dict[str, Any] = json.loads(self.pipec("runs", run, "--format", "json")[1])["trace"]
        return found

    def pipec(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code of the command and what it said."""
        done = subprocess.run(
            [*PIPEC, *arguments], cwd=self.folder, check=False, timeout=250, text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **self.environ},
        )  # fmt: skip
        return done.returncode, done.stdout + ("" if done.returncode in ENDED else done.stderr)

    def there(self, file: str, parameters: Mapping[str, Any] | None = None, pipeline: str | None = None) -> Finished:
        """Compile a file and run that."""
        text, errors = self.compiled(file, pipeline)
        assert text, errors
        return run_ir(text, self.cluster, parameters)

    def trace(self, file: str, finished: Finished, pipeline: str | None = None) -> dict[str, Any]:
        """Return the trace of a run there."""
        return trace(finished, self.compiled(file, pipeline)[0], self.plan(file, pipeline), str(self.store))

    def requests(self, triggers: Path) -> list[list[Any]]:
        """Return what steps asked of other pipelines: the task, the parameters and the reason of each request."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in triggers.glob("*/*.json")]
        # Iterations are told apart by other numbers there.
        tasks = [re.sub(r"-\d+$", "-N", one["from"]["task"]) for one in found]
        asked = ([task, one["parameters"], one["reason"]] for task, one in zip(tasks, found, strict=True))
        return sorted(asked, key=json.dumps)

    @contextmanager
    def person(self, pipeline: str, step: str, *words: str) -> Iterator[None]:
        """Let Ana decide about a step of a run there as soon as it asks. words: more for the command."""
        over = Event()

        def decide() -> None:
            asked = self.store / "runs" / pipeline / "0b5e" / step / "request.json"
            while not asked.exists() and not over.is_set():
                time.sleep(0.1)
            if asked.exists():
                self.pipec("approve", "0b5e", step, "--as", ANA, "--store", str(self.store), *words)

        thread = Thread(target=decide)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def opened(folder: Path) -> Path:
    """Make a folder that the user of any container may write in."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return folder


def features(folder: Path, *, is_run: bool = True) -> Project:
    """Return the features' project in a folder of its own. is_run: whether images are needed, or it is only read."""
    shutil.copytree(FEATURES, folder, dirs_exist_ok=True)
    for name in ("root", "kfp", "data", "volume"):
        opened(folder / name)
    for name in ("data", "volume"):
        shutil.copy(ROOT / "examples/pipelines/data/wine.csv", folder / name)
    (folder / "data/model").mkdir()
    (folder / "data/model/weights").write_text("any")  # who approves reads no more of it than its digest
    words = {"PLACE": str(folder), "IMAGE": "i:1", "SHELL": "i:1", "NODE": "i:1"}
    if is_run:
        words |= {"IMAGE": built("light"), "SHELL": base(), "NODE": node()}
    for path in folder.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for word, meaning in words.items():
            text = re.sub(rf"\b{word}\b", meaning, text)
        path.write_text(text, encoding="utf-8")
    cluster = Cluster(
        root=folder / "kfp", shared=(folder / "root", folder / "data"), secrets={"hooks": {"url": HOOK}},
        configs={"site": {"region": "eu"}}, claims={"rows": folder / "volume"},
    )  # fmt: skip
    return Project(folder=folder, cluster=cluster, environ={"HOOK": HOOK, "REGION": "eu"})
