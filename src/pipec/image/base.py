"""What a base image's Python is: asked of itself.

Packages are chosen for it, and not for the one that runs here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipec import docker
from pipec.image import inspect
from pipec.image.fault import ImageFault
from pipec.record import frozen

OLDEST = (3, 11)  # as `requires-python` says
# What markers may ask (the specification of dependency specifiers). The kernel's words are the host's: left out.
# The modules are those of the script that makes the layers: some bases have a Python without them (python3-minimal).
_PROGRAM = """
import concurrent.futures, configparser, json, os, platform, py_compile, shutil, subprocess, sys, zipfile
version = "{0.major}.{0.minor}.{0.micro}".format(sys.implementation.version)
libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
print(json.dumps({"libc": libc or "", "markers": {
    "implementation_name": sys.implementation.name, "implementation_version": version, "os_name": os.name,
    "platform_machine": platform.machine(), "platform_python_implementation": platform.python_implementation(),
    "platform_release": "", "platform_system": platform.system(), "platform_version": "",
    "python_full_version": platform.python_version(), "python_version": "%d.%d" % sys.version_info[:2],
    "sys_platform": sys.platform}}))
"""
_OLDEST_GLIBC = 5  # 2.5: `manylinux1`, the oldest that wheels are tagged for


@frozen
class Base:
    """A base's Python. python: its minor version. glibc: the minor of 2.x. markers: what its environment answers."""

    reference: str
    python: str
    machine: str
    glibc: int
    markers: Mapping[str, str]

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that run there, newest first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1)]
        return (*tags, f"manylinux2014_{self.machine}", f"linux_{self.machine}")


def of(reference: str) -> Base:
    """Return what the Python of an image is; the image is pulled if it is not here. Raises DockerFault, ImageFault."""
    _have(reference)
    try:
        told = json.loads(
            docker.ask(
                "run", "--rm", "--pull=never", "--network=none", "--read-only", "--cap-drop=ALL",
                "--security-opt=no-new-privileges", "--entrypoint=python3", "--", reference, "-c", _PROGRAM,
                wanted=f"`{reference}` cannot be the base",
            )
        )  # fmt: skip
    except docker.DockerFault as fault:
        _, lacks, module = str(fault).partition("No module named ")
        if not lacks:
            raise
        name = module.replace("'", "`")
        raise ImageFault(
            f"`{reference}` has a Python without {name}: install the whole of it, or name another base"
        ) from fault
    return read(reference, told["libc"], told["markers"])


def read(reference: str, libc: str, markers: Mapping[str, str]) -> Base:
    """Return the base that answered so. Raises ImageFault if no wheel could be meant for it."""
    python = markers["python_version"]
    if tuple(map(int, python.split("."))) < OLDEST or markers["implementation_name"] != "cpython":
        told = f"{markers['platform_python_implementation']} {python}"
        raise ImageFault(f"`{reference}` has {told}, and pipec needs CPython 3.11 or newer: name another with --base")
    name, _, version = libc.partition(" ")
    if name != "glibc":
        raise ImageFault(
            f"`{reference}` has no glibc, which wheels are built for: name a Debian-like image with --base"
        )
    return Base(reference, python, markers["platform_machine"], int(version.split(".")[1]), dict(markers))


def _have(reference: str) -> None:
    try:
        inspect.id_of(reference)
    except docker.DockerFault:
        docker.ask("pull", "--quiet", "--", reference, wanted=f"`{reference}` cannot be the base", timeout_s=None)
