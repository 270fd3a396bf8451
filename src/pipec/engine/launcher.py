"""How a task becomes a process. Another launcher (containers, a test's stand-in) has the same three members."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pipec
from pipec import digest
from pipec.compiler.plan import Task

ROOT = Path(pipec.__file__).absolute().parent


class Launcher(Protocol):
    """Starts steps."""

    @property
    def code(self) -> str:
        """A digest of what its processes run: part of what the cache is keyed by."""

    def refuse(self, task: Task) -> str:
        """Say why `task` cannot be started, or an empty text."""

    def command(self, task: Task, call: Path) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the arguments and the environment of a process that does the call in the file `call`."""


class ProcessLauncher:
    """Runs steps with the interpreter and the pipec that run the engine, and foreign commands as they lie here."""

    @cached_property
    def code(self) -> str:
        """A digest of the whole step library: coarse, so that no change of code can hide behind the cache."""
        sources = sorted((ROOT / "steps").rglob("*.py"))
        shared = [ROOT / "values.py", ROOT / "digest.py", ROOT / "tail.py"]
        return digest.of_value([[path.relative_to(ROOT).as_posix(), digest.of_path(path)] for path in sources + shared])

    def refuse(self, task: Task) -> str:
        return ""

    def command(self, task: Task, call: Path) -> tuple[Sequence[str], Mapping[str, str]]:
        # -P: what lies in the folder where a step starts must not become a module of it.
        named = task.interface.name if task.interface.container is None else "--foreign"  # the call brings it
        argv = [sys.executable, "-P", "-m", "pipec.steps", named, "--call", str(call)]
        return argv, {**os.environ, "PYTHONPATH": _module_path()}


def _module_path() -> str:
    """Return where the process finds modules: as this one, though it starts in another folder."""
    given = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if "site-packages" not in ROOT.parts and str(ROOT.parent) not in given:
        given.insert(0, str(ROOT.parent))  # run from a source tree
    return os.pathsep.join(given)
