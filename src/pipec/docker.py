"""The door to containers: the `docker` command, and what its faults mean to people.

The command rather than a client library: it is what users have and have set up (contexts, credentials, podman in its
place), and costs no package. Knows no plan and no step.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

VARIABLE = "PIPEC_DOCKER"  # names another command that speaks docker's language, such as podman
_ANSWER_S = 120.0  # for what the daemon says of itself and of what it has; building and pulling have no limit

# What the command says, and what to do: the first that fits counts. The words are those of docker 20 to 28, podman 4.
_MEANINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (r"permission denied.*(daemon|socket)|dial unix.*permission denied",
         "this user may not use the container engine: join its group, or ask who runs it"),
        (r"cannot connect to the docker daemon|is the docker daemon running|connection refused|docker\.sock",
         "no container engine answers: start it (such as `systemctl start docker`), or see that you may use it"),
        (r"no matching manifest|does not match the (specified|detected host) platform|exec format error|wrong arch",
         "the image is for another architecture than this machine: build it for this one"),
        (r"could not select device driver|nvidia-container-cli|unresolvable cdi|no such device.*nvidia|libnvidia-ml",
         "no GPU can be handed to a container here: install the NVIDIA container toolkit"),
        (r"pull access denied|may require 'docker login'",
         "there is no such image, or its registry wants a login: build it, mend its name, or `docker login`"),
        (r"no basic auth credentials|unauthorized|authentication required|access.*denied|token.*expired",
         "the registry wants other credentials: log in again (`docker login`)"),
        (r"no such image|manifest unknown|not found: manifest|repository does not exist|"
         r"reference does not exist|unable to find image|no such object",
         "there is no such image: build or pull it, or mend its name"),
        (r"no space left on device", "the container engine's disk is full: make room (`docker system df` shows what)"),
        (r"(lookup|dial tcp).*(no such host|i/o timeout|server misbehaving|network is unreachable)",
         "the registry cannot be reached: check its name and the connection"),
        (r"executable file not found|no such file or directory.*exec|stat .*: no such file",
         "the image has no such program: mend the command, or take an image that has it"),
    )
)  # fmt: skip


class DockerFault(Exception):
    """The container engine did not do it. The message is one line: what was wanted, why not, what to do."""


def command() -> str:
    """Return the full path of the command. Raises DockerFault if there is none."""
    name = os.environ.get(VARIABLE) or "docker"
    found = shutil.which(name)
    if found is None:
        raise DockerFault(f"`{name}` is not installed here: install it, or name another command in {VARIABLE}")
    return found


def ask(*arguments: str, wanted: str, given: bytes | None = None, timeout_s: float | None = _ANSWER_S) -> bytes:
    """Run the command and return what it printed. wanted: what for, as the subject of a message.

    given: standard input. Raises DockerFault.
    """
    try:
        program = command()
    except DockerFault as fault:
        raise DockerFault(f"{wanted}: {fault}") from None
    try:
        done = subprocess.run(
            [program, *arguments], input=given, stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True, check=False, timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DockerFault(
            f"{wanted}: the container engine did not answer in {timeout_s:.0f} s: look after it"
        ) from None
    except OSError as fault:
        raise DockerFault(f"{wanted}: {(fault.strerror or str(fault)).lower()}") from fault
    if done.returncode:
        raise DockerFault(f"{wanted}: {explained(done.stderr.decode('utf-8', 'replace'))}")
    return done.stdout


def inspected(kind: str, name: str) -> dict[str, Any]:
    """Return what is known of an image or a container (`kind`). Raises DockerFault."""
    # Without a format: what `{{json .}}` makes of it differs between docker and podman.
    found: list[dict[str, Any]] = json.loads(ask(kind, "inspect", "--", name, wanted=f"`{name}` cannot be read"))
    return found[0]


def explained(said: str) -> str:
    """Return what the command's words mean: cause and next action; words that are not known, as their last line."""
    for pattern, meaning in _MEANINGS:
        if pattern.search(said):
            return meaning
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[-1] if lines else "the container engine said nothing")[:500]


def run_arguments(
    image: str,
    argv: Sequence[str],
    *,
    name: str,
    options: Sequence[str] = (),
    env: Sequence[str] = (),
    is_kept: bool = False,
) -> list[str]:
    """Return the words of a hardened `docker run`: nothing but what is mounted can be written, and no right is gained.

    options: more words before the image (mounts, limits). env: names of variables that are handed on; their values are
    taken from the environment of the command itself, so that no argument list ever shows one. is_kept: whether the
    container stays when it has ended, so that its end can be looked at.
    """
    handed = [word for variable in env for word in ("--env", variable)]
    once = [] if is_kept else ["--rm"]
    return [
        command(), "run", *once, "--name", name, "--pull=never", "--read-only", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--log-driver=none", *options, *handed, image, *argv,
    ]  # fmt: skip
