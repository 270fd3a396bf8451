"""Images for tests: each is built once for what it is made of, whichever test or process asks first.

A tag is a digest of the sources, the versions and the base, so a second run on a machine starts at once. Nothing of
another checkout is ever taken for this one's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from needs import ROOT, missing

from pipec import docker
from pipec.image import build, inspect
from pipec.image.build import Order
from pipec.image.wheels import Sources, constraints

BASE = "PIPEC_TEST_BASE"  # names a base to take in the place of python:3.x-slim, or of one made from Debian's packages
WORK = "type=tmpfs,destination=/work,tmpfs-mode=1777"  # the one place where a container of ours writes


@cache
def base() -> str:
    """Return a base that is on this machine; without a registry, one made from Debian's packages."""
    _need_docker()
    slim = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    for name in (os.environ.get(BASE, ""), slim):
        if name and _is_here(name):
            return name
    script = ROOT / "src" / "pipec" / "steps" / "container" / "debian-base.sh"
    name = f"pipec-test-base:{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    with _alone(name):
        if not _is_here(name):
            if shutil.which("mmdebstrap") is None:
                missing(f"{slim} and mmdebstrap, which makes a base in its place: apt-get install mmdebstrap")
            subprocess.run([script, name], check=True, stdout=sys.stderr)
    return name


@cache
def built(variant: str) -> str:
    """Return an image of a variant of this checkout; torch in it is for CPUs."""
    tag = f"pipec-test-{variant}:{_stamp(base())}"
    with _alone(tag):
        if not _is_here(tag):
            order = Order(tag=tag, sources=Sources(constraints()), variant=variant, base=base(), torch="cpu")
            build.library(order, lambda line: print(line, file=sys.stderr))
    return tag


@cache
def node() -> str:
    """Return an image with Node.js and without pipec, made from Debian's packages."""
    _need_docker()
    name = "pipec-test-node:1"
    with _alone(name):
        if not _is_here(name):
            if shutil.which("mmdebstrap") is None:
                missing("mmdebstrap, which makes an image with Node.js: apt-get install mmdebstrap")
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder) / "node.tar"
                made = ["mmdebstrap", "--quiet", "--variant=essential", "--include=nodejs", "bookworm", str(archive)]
                subprocess.run(made, check=True, stdout=sys.stderr)
                docker.ask("import", str(archive), name, wanted=name, timeout_s=None)
    return name


def hardened(image: str, argv: Sequence[str], *options: str, user: str = "12345") -> subprocess.CompletedProcess[str]:
    """Run a command in a container as steps are run: any user, no right, no network, one folder that is written."""
    name = f"pipec-test-{os.getpid()}-{os.urandom(4).hex()}"
    given = ["--network=none", f"--user={user}", *(options or ("--mount", WORK))]
    return subprocess.run(
        docker.run_arguments(image, argv, name=name, options=given), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _need_docker() -> None:
    try:
        docker.ask("version", wanted="docker")
    except docker.DockerFault as fault:
        missing(f"a Docker daemon ({fault})")


def _is_here(name: str) -> bool:
    try:
        return bool(inspect.id_of(name))
    except docker.DockerFault:
        return False


def _stamp(below: str) -> str:
    """Return a digest of what an image is made of."""
    paths = [*sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)]
    paths += [ROOT / "constraints.txt", ROOT / "pyproject.toml"]
    digest = hashlib.sha256(inspect.id_of(below).encode())
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time make an image of a name: the others find it made."""
    path = Path(tempfile.gettempdir()) / f"{name.replace(':', '-')}.lock"
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
