"""How a task becomes a process. Another launcher (containers, a test's stand-in) has the same four members."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pipec
from pipec import digest
from pipec.compiler.plan import Task
from pipec.record import frozen
from pipec.steps.command import Call, secret_variable

ROOT = Path(pipec.__file__).absolute().parent


@frozen(kw_only=True)
class Start:
    """An attempt that is about to be started.

    folder: the attempt's own, gone when it has ended; its call is written to `call_file` there. environ: the task's
    variables that may be shown. secrets: those that may not, by variable. volumes: folders of this machine, by name.
    """

    task: Task
    call: Call
    folder: Path
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    volumes: Mapping[str, str]

    @property
    def call_file(self) -> Path:
        return self.folder / "call.json"


@frozen
class Command:
    """A process that does a call. call: as it is to be written down, for where the process will read it."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    call: Call


@frozen
class After:
    """What a process's exit code does not say. fault: why the step was never started, or empty.

    out_of_memory: whether it was the limit of its memory that ended it; None: nobody knows.
    """

    fault: str = ""
    out_of_memory: bool | None = None


class Launcher(Protocol):
    """Starts steps."""

    def code(self, task: Task) -> str:
        """Return a digest of what runs when `task` does: part of what the cache is keyed by."""

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        """Say why `task` cannot be started, or an empty text. volumes: folders of this machine, by name."""

    def command(self, start: Start) -> Command:
        """Return the process that makes the attempt."""

    def after(self, start: Start, log: Path) -> After:
        """Leave nothing of an attempt behind whose process is gone, and say what became of it."""


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a step's process inherits: a step gets its own secrets and no other step's."""
    return {name: value for name, value in environ.items() if not name.startswith(secret_variable(""))}


class ProcessLauncher:
    """Runs steps with the interpreter and the pipec that run the engine, and foreign commands as they lie here."""

    def code(self, task: Task) -> str:
        """Return a digest of the whole step library: coarse, so that no change of code can hide behind the cache."""
        return self._library

    @cached_property
    def _library(self) -> str:
        return digest.of_code(ROOT)

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        return too_many(task) or next(
            (why for mount, name in task.volumes if (why := _displaced(task, mount, name, volumes))), ""
        )

    def command(self, start: Start) -> Command:
        environ = {**inherited(), "PYTHONPATH": module_path(), **start.environ, **start.secrets}
        return Command(step_process(start), environ, without_devices(start.call))

    def after(self, start: Start, log: Path) -> After:
        return After()  # the process and its family are gone, and nothing else was started


def without_devices(call: Call) -> Call:
    """Return a call that asks for no device: on this machine itself, a step uses those that there are."""
    return replace(call, devices=None)


def step_process(start: Start) -> list[str]:
    """Return the arguments of a process of this machine that does the call."""
    # -P: what lies in the folder where a step starts must not become a module of it.
    named = start.task.interface.name if start.task.interface.container is None else "--foreign"  # the call brings it
    return [sys.executable, "-P", "-m", "pipec.steps", named, "--call", str(start.call_file)]


def too_many(task: Task) -> str:
    """Say that this is one machine where a task asks for more."""
    if task.resources.machines == 1:
        return ""
    return (
        f"`{task.step}` asks for {task.resources.machines} machines, and this is one: let the environment say "
        "`resources: {machines: 1}` for it"
    )


def _displaced(task: Task, mount: str, name: str, volumes: Mapping[str, str]) -> str:
    """Say why a volume is not where the task looks for it: a process sees every folder where this machine has it."""
    folder = volumes.get(name)
    if folder is not None and Path(folder) != Path(mount):
        return (
            f"`{task.step}` mounts volume `{name}` at `{mount}`, but here it is `{folder}`, and a process cannot see "
            f"it elsewhere: mount it at `{folder}`, or make `{mount}` its folder in the environment's `volumes`"
        )
    return absent(task, name, volumes)


def absent(task: Task, name: str, volumes: Mapping[str, str]) -> str:
    """Say why a volume cannot be mounted: nobody said where it is, or it is not there."""
    folder = volumes.get(name)
    if folder is None:
        return f"`{task.step}` mounts volume `{name}`, which is no folder here: name one in the environment's `volumes`"
    is_there = Path(folder).is_dir()
    return "" if is_there else f"volume `{name}` of `{task.step}` is `{folder}`, which is not there: make it"


def module_path() -> str:
    """Return where the process finds modules: as this one, though it starts in another folder."""
    given = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if "site-packages" not in ROOT.parts and str(ROOT.parent) not in given:
        given.insert(0, str(ROOT.parent))  # run from a source tree
    return os.pathsep.join(given)
