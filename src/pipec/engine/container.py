"""Steps in the very images that a cluster would run, on this machine (`pipec run --containers`).

A library step's whole process runs in its image. Of a step in another language only the command does, in its own image;
the step runtime, which fetches, checks and delivers, runs here. Every path is mounted where it is, so a call means the
same inside; what is not the attempt's own can be read only, and nothing else of this machine is seen.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipec import docker
from pipec.compiler.plan import Task
from pipec.docker import DockerFault
from pipec.engine.launcher import (
    After,
    Command,
    Start,
    absent,
    inherited,
    module_path,
    step_process,
    too_many,
    without_devices,
)
from pipec.engine.mount import NAMING_FILES, mounts
from pipec.engine.outcome import EngineError
from pipec.record import frozen, mutable
from pipec.values import SecretRef

NAMED = "container"  # a file in an attempt's folder that names its container, written before it is made
# What a step's process inherits of this one's environment: who it is for stores of data, and the way out.
_HANDED = re.compile(r"(AWS|AZURE|GOOGLE|GCP|GCS|S3|FSSPEC)_\w+|(http|https|no|all)_proxy|PIPEC_DEBUG", re.IGNORECASE)
_READ_BY_THE_CLIENT = re.compile(r"DOCKER_\w+|PATH|HOME", re.IGNORECASE)
_SHARED_MIB = 2048  # of /dev/shm at most, through which data loaders hand batches on; the engine's own default is 64
_SAID = 4096  # bytes at the end of a log in which the reason is looked for why nothing started


@frozen
class Host:
    """What runs containers here. rootless: its root is this machine's user."""

    n_cores: int
    architecture: str
    rootless: bool


# What a kernel calls itself, and what images call it.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@mutable
class ContainerLauncher:
    """Runs every step in a container of its image. note: takes a line for people, such as that an image is pulled."""

    note: Callable[[str], None] = lambda line: None
    _images: dict[str, str] = field(default_factory=dict)  # name -> the digest by which this machine knows it
    _gpus: dict[int, str] = field(default_factory=dict)  # how many were asked for -> why they cannot be had, or empty
    _host: Host | None = None

    def code(self, task: Task) -> str:
        """Return what the image holds: another image under the same name is other code."""
        return f"image {self._image(task.image or '')}"

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        """Say why `task` cannot be started; its image is brought here if it is not."""
        why = too_many(task) or _no_device(task) or next(
            (why for _, name in task.volumes if (why := absent(task, name, volumes))), ""
        )  # fmt: skip
        if why:
            return why
        if not task.image:
            return f"`{task.step}` has no image to run in: say `image:` in pipec.yaml, for the environment, or the step"
        hidden = next((n for n, v in task.env if isinstance(v, SecretRef) and _READ_BY_THE_CLIENT.fullmatch(n)), "")
        if hidden:
            return (
                f"`{task.step}` sets {hidden} to a secret, and docker itself reads that variable: give it another name"
            )
        try:
            self._image(task.image)
            return self._no_gpu(task)
        except DockerFault as fault:
            return f"`{task.step}` cannot run in a container: {fault}"

    def _no_gpu(self, task: Task) -> str:
        """Say why the GPUs that a task asks for cannot be had: known before anything runs and any data is read."""
        count = task.resources.accelerator.count if task.resources.accelerator else 0
        if count and count not in self._gpus:
            # Asked of the container engine, which alone knows: it hands the devices over before it finds no program.
            probe = ("--network=none", f"--gpus={count}", "--entrypoint=/no/such/program", task.image or "")
            try:
                docker.ask("run", "--rm", *probe, wanted="")
                self._gpus[count] = ""
            except DockerFault as fault:
                self._gpus[count] = str(fault) if "GPU" in str(fault) else ""
        why = self._gpus.get(count, "")
        return why and (
            f"`{task.step}` asks for {count} GPU{'s' if count > 1 else ''}{why}, or let the environment say "
            "`resources: {accelerator: null}` for it"
        )

    def command(self, start: Start) -> Command:
        task = start.task
        (start.folder / "tmp").mkdir()
        name = _name(start.folder)
        (start.folder / NAMED).write_text(name, encoding="utf-8")
        if task.interface.container is None:
            return self._library(start, name)
        return self._foreign(start, name)

    def _library(self, start: Start, name: str) -> Command:
        handed = {name: value for name, value in inherited().items() if name in NAMING_FILES or _HANDED.fullmatch(name)}
        options = [*self._options(start), *(each.word for each in mounts(start, handed)), "--entrypoint=pipec-step"]
        argv = [start.task.interface.name, "--call", str(start.call_file)]
        env = sorted({*handed, *start.secrets})
        words = docker.run_arguments(start.task.image or "", argv, name=name, options=options, env=env, is_kept=True)
        return Command(words, {**inherited(), **start.secrets}, start.call)

    def _foreign(self, start: Start, name: str) -> Command:
        """Return a process of this machine that starts the container in its turn, once the inputs are here."""
        container = start.task.interface.container
        assert container is not None, "the caller asked for a step in another language"
        entry = [f"--entrypoint={container.command[0]}", "--init", "--tmpfs=/tmp"]
        options = [*self._options(start), *(each.word for each in mounts(start, {})), *entry]
        prefix = docker.run_arguments(
            start.task.image or "", [], name=name, options=options, env=start.call.hidden, is_kept=True
        )
        environ = {**inherited(), "PYTHONPATH": module_path(), "TMPDIR": str(start.folder / "tmp"), **start.secrets}
        return Command(step_process(start), environ, replace(without_devices(start.call), prefix=tuple(prefix)))

    def _options(self, start: Start) -> Iterator[str]:
        """Yield the limits and the surroundings of a container."""
        host, resources = self.host(), start.task.resources
        own = str(start.folder / "tmp")
        # As the engine's user: what it writes is the engine's to move, and what the engine wrote is its to read.
        yield "--user=" + ("0:0" if host.rootless else f"{os.getuid()}:{os.getgid()}")
        yield "--network=host"  # a step sees what it would see as a process, such as a store on this machine
        yield f"--workdir={start.folder / 'start'}"
        yield f"--cpus={min(resources.cpu, host.n_cores)}"
        yield f"--memory={resources.memory_mib}m"
        yield f"--memory-swap={resources.memory_mib}m"
        yield f"--shm-size={min(_SHARED_MIB, resources.memory_mib // 2)}m"
        if resources.accelerator:
            yield f"--gpus={resources.accelerator.count}"
        for name, value in {"HOME": own, "TMPDIR": own, **start.environ}.items():
            yield f"--env={name}={value}"

    def after(self, start: Start, log: Path) -> After:
        """Remove the container, and say how it ended where the exit code of the client does not."""
        name = _name(start.folder)
        try:
            state = docker.inspected("container", name)["State"]
        except DockerFault:
            return After(fault=_never_started(start, log))
        try:
            docker.ask("rm", "--force", name, wanted=f"container {name} cannot be removed")
        except DockerFault as fault:
            self.note(str(fault))
        if state.get("Status") == "created":
            return After(fault=_never_started(start, log))
        return After(out_of_memory=bool(state.get("OOMKilled")))

    def _image(self, name: str) -> str:
        """Return the digest of an image, which is pulled if it is not here. Raises DockerFault."""
        if name not in self._images:
            try:
                found = docker.inspected("image", name)
            except DockerFault:
                self.host()  # says so if it is the whole container engine that does not answer
                self.note(f"pulling {name}")
                docker.ask(
                    "pull", "--quiet", name, wanted=f"`{name}` is not here, and cannot be pulled", timeout_s=None
                )
                found = docker.inspected("image", name)
            theirs, ours = found["Architecture"], self.host().architecture
            if theirs != ours:
                raise DockerFault(f"`{name}` is for {theirs}, and this machine is {ours}: build it for this one")
            self._images[name] = str(found["Id"])
        return self._images[name]

    def host(self) -> Host:
        """Return what runs containers here. Raises DockerFault."""
        if self._host is None:
            body = json.loads(docker.ask("info", "--format", "{{json .}}", wanted="docker cannot be used"))
            if body.get("ServerErrors"):
                raise DockerFault(f"docker cannot be used: {docker.explained(' '.join(body['ServerErrors']))}")
            self._host = _host(body)
        return self._host


def clear(work: Path) -> None:
    """Remove the containers that an engine which was killed left running below `work`. Raises EngineError."""
    for named in sorted(work.glob(f"*/*/{NAMED}")):
        name = named.read_text(encoding="utf-8")
        try:
            docker.ask("rm", "--force", name, wanted=f"container {name} of an earlier attempt cannot be ended")
        except DockerFault as fault:
            raise EngineError(str(fault)) from fault


def _name(folder: Path) -> str:
    """Return what the container of an attempt is called: the same whenever it is asked."""
    return f"pipec-{sha256(os.fsencode(folder)).hexdigest()[:24]}"


def _host(body: Mapping[str, Any]) -> Host:
    """Return what `docker info` says, or podman's."""
    theirs = body.get("host") or {}
    called = str(theirs.get("arch") or body.get("Architecture"))
    return Host(
        n_cores=int(theirs.get("cpus") or body.get("NCPU") or os.cpu_count() or 1),
        architecture=_ARCHITECTURES.get(called, called),
        rootless=bool((theirs.get("security") or {}).get("rootless"))
        or any("rootless" in option for option in body.get("SecurityOptions") or ()),
    )


def _no_device(task: Task) -> str:
    """Say why a container here cannot be handed the devices that a task asks for."""
    asked = task.resources.accelerator
    if asked is None or (asked.kind == "gpu" and asked.vendor in (None, "nvidia")):
        return ""
    return (
        f"`{task.step}` asks for a device of kind `{asked.title}`, and a container here can be handed NVIDIA's GPUs "
        "only: leave `--containers` out, or let the environment say `accelerator: null` for it"
    )


def _never_started(start: Start, log: Path) -> str:
    """Return why there is no container, from the client's last words."""
    try:
        said = log.read_bytes()[-_SAID:].decode("utf-8", "replace")
    except OSError:
        said = ""
    return f"its container was not started: {docker.explained(said)}"
