"""What a check and a compile ask of the machine: no network, and no file outside of the project and of Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import corpus
from cage import SOURCE, Cage
from needs import missing
from test_hostile_files import NAMES, PLACES, SECRET, TRAPS

COMMANDS = (("check",), ("compile", "-t", "kubeflow", "-o", "out"), ("compile", "-t", "airflow", "-o", "out"))
# Python's own, where a call may still import a module: its library, its packages, and pipec's source.
OWN = tuple({os.path.realpath(path) for path in (*sys.path, sys.prefix, sys.base_prefix, SOURCE) if path})
OPENED = re.compile(r"^(\d+) +open(?:at)?2?\(.*\) = \d+<([^>]*)>$")
NETWORK = re.compile(r"^(\d+) +(?:socket|connect|bind|listen|accept|send|recv|getaddrinfo)\w*\(")
STARTED = re.compile(r"^(\d+) +(?:execve|fork|vfork)\(")


def needs(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        missing(tool)
    return str(path)


def folders(tmp_path: Path) -> list[Path]:
    """Return a project for each trap, and one that is right."""
    found = []
    for number, (trap, make) in enumerate(TRAPS.items()):
        for place, (name, text) in PLACES.items():
            if trap == "a device" and os.geteuid():
                continue
            folder = tmp_path / f"{number}-{place.replace(' ', '-')}"
            folder.mkdir()
            (folder / "p.yaml").write_text(text)
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
            found.append(folder)
    for number, name in enumerate(NAMES):
        folder = tmp_path / f"name-{number}"
        folder.mkdir()
        (folder / "linked").symlink_to("..")
        inner = PLACES["a file that a step uses"][1]
        (folder / "p.yaml").write_text(inner.replace("./inner.yaml", f"'./{name}'"))
        found.append(folder)
    for number, text in enumerate((corpus.GOOD, *(corpus.harmless(text) for text in corpus.HARMLESS[:6]))):
        folder = tmp_path / f"good-{number}"
        folder.mkdir()
        (folder / "p.yaml").write_text(text)
        found.append(folder)
    (tmp_path / "outside.yaml").write_text(f"{SECRET}: &a [")
    return found


def test_nothing_outside_of_the_project_is_opened_and_nobody_is_called(tmp_path: Path) -> None:
    log = tmp_path / "log"
    around = [needs("strace"), "-f", "-y", "-s", "4096", "-e", "trace=open,openat,openat2,execve,fork,vfork,%network",
              "-o", str(log)]  # fmt: skip
    cage = Cage(around)
    calls: dict[int, Path] = {}
    (tmp_path / "p").mkdir()
    for folder in folders(tmp_path / "p"):
        for command in COMMANDS:
            calls[cage.call(folder, *command, "p.yaml").pid] = folder
    cage.close()
    wrong, n_opened = [], 0
    for line in log.read_text(errors="replace").splitlines():
        pid = int(line.split(" ", 1)[0])
        if pid not in calls:
            continue  # the keeper, before any call
        if NETWORK.match(line) or STARTED.match(line):
            wrong.append(line)
        elif opened := OPENED.match(line):
            path = os.path.realpath(opened[2])
            n_opened += path.startswith(str(calls[pid]))
            if not path.startswith((f"{calls[pid]}/", f"{calls[pid]}", "/dev/null", *OWN)):
                wrong.append(line)
    assert wrong == []
    assert n_opened > len(calls), "the trace says little where nothing is opened at all"


def test_a_trace_would_show_a_call_and_a_file(tmp_path: Path) -> None:
    """The positive control."""
    log = tmp_path / "log"
    code = "import socket; open('/etc/passwd').close(); socket.socket().close()"
    trace = "trace=open,openat,%network"
    subprocess.run([needs("strace"), "-f", "-y", "-e", trace, "-o", str(log), sys.executable, "-c", code], check=True)
    lines = log.read_text().splitlines()
    assert any((opened := OPENED.match(line)) and opened[2] == "/etc/passwd" for line in lines)
    assert any(NETWORK.match(line) for line in lines)


def test_an_empty_network_is_enough(tmp_path: Path) -> None:
    probe = subprocess.run([needs("unshare"), "-n", "true"], capture_output=True, check=False)
    if probe.returncode:
        missing("the right to make a network namespace")
    cage = Cage([needs("unshare"), "-n"])
    for name, text in (("good.yaml", corpus.GOOD), ("bad.yaml", corpus.SLOW["a schema from the network"][1])):
        (tmp_path / name).write_text(text)
        for command in COMMANDS:
            outcome = cage.call(tmp_path, *command, name)
            is_good = name == "good.yaml" and command == ("check",)
            assert outcome.broken((0,) if is_good else (0, 1)) == []
    cage.close()
