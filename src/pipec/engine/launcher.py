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

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        """Say why `task` cannot be started, or an empty text. volumes: folders of this machine, by name."""

    def command(self, task: Task, call: Path) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the arguments and the environment of a process that does the call in the file `call`."""


class ProcessLauncher:
    """Runs steps with the interpreter and the pipec that run the engine, and foreign commands as they lie here."""

    @cached_property
    def code(self) -> str:
        """A digest of the whole step library: coarse, so that no change of code can hide behind the cache."""
        return digest.of_code(ROOT)

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        if task.resources.machines > 1:
            return (
                f"`{task.step}` asks for {task.resources.machines} machines, and this is one: let the environment say "
                "`resources: {machines: 1}` for it"
            )
        return next((why for mount, name in task.volumes if (why := _displaced(task, mount, name, volumes))), "")

    def command(self, task: Task, call: Path) -> tuple[Sequence[str], Mapping[str, str]]:
        # -P: what lies in the folder where a step starts must not become a module of it.
        named = task.interface.name if task.interface.container is None else "--foreign"  # the call brings it
        argv = [sys.executable, "-P", "-m", "pipec.steps", named, "--call", str(call)]
        return argv, {**os.environ, "PYTHONPATH": _module_path()}


def _displaced(task: Task, mount: str, name: str, volumes: Mapping[str, str]) -> str:
    """Say why a volume is not where the task looks for it: a process sees every folder where this machine has it."""
    folder = volumes.get(name)
    if folder is None:
        return f"`{task.step}` mounts volume `{name}`, which is no folder here: name one in the environment's `volumes`"
    if Path(folder) != Path(mount):
        return (
            f"`{task.step}` mounts volume `{name}` at `{mount}`, but here it is `{folder}`, and a process cannot see "
            f"it elsewhere: mount it at `{folder}`, or make `{mount}` its folder in the environment's `volumes`"
        )
    is_there = Path(folder).is_dir()
    return "" if is_there else f"volume `{name}` of `{task.step}` is `{folder}`, which is not there: make it"


def _module_path() -> str:
    """Return where the process finds modules: as this one, though it starts in another folder."""
    given = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if "site-packages" not in ROOT.parts and str(ROOT.parent) not in given:
        given.insert(0, str(ROOT.parent))  # run from a source tree
    return os.pathsep.join(given)
