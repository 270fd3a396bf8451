"""A step that misbehaves on request, and calls of steps: what the runtime's tests share. Not a test module."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any, Literal

import runtime_faults

from pipec.steps import catalog, runtime
from pipec.steps.command import Call, Location
from pipec.steps.declare import CallerError, Context, Refused, TryAgain, interface_of, param, reads, step, writes
from pipec.steps.interface import Dataset, Directory, File, Interface


@step("probe", version="1")
class Probe:
    """Do what `act` says."""

    data: Path | None = reads(Dataset, optional=True)
    many: list[Path] = reads(Dataset, optional=True, many=True)
    act: Literal[
        "well", "nothing", "forget", "mistype", "extra", "link", "fifo", "refuse", "caller", "again", "bug", "exit",
        "memory", "change", "wait", "spare", "kill", "segv", "abort", "talk", "leak", "orphan", "orphan-refuse",
        "deaf", "wait-beside", "flood", "hoard", "hoard-child", "again-then-kill", "again-then-well", "kill-then-well",
        "sleep-then-well", "socket", "device", "fill",
    ] = param(default="well")  # fmt: skip
    number: float = param(default=1.0, gt=0)
    attached: Path | None = param(default=None, path=True)
    secret: str | None = param(default=None, secret=True, pattern="^s-")
    source: str | None = param(default=None, location=True)
    to: str | None = param(default=None)
    same: Path = writes(Dataset, same_as="data", name="same")
    note: Path = writes(File)
    folder: Path = writes(Directory)
    spare: Path = writes(File, optional=True)
    size: int = writes()
    seen: dict[str, Any] = writes()

    def run(self, context: Context) -> None:
        ends = {
            "refuse": Refused("the rows say no: bring others"), "caller": CallerError("the words are wrong"),
            "again": TryAgain("nobody has answered"), "bug": KeyError("here\nand there"), "exit": SystemExit(9),
            "memory": MemoryError(),
        }  # fmt: skip
        if self.act in ends:
            raise ends[self.act]
        runtime_faults.act(self.act, Path(self.to or "."), context)
        attached = None if self.attached is None else [self.attached.name, self.attached.read_text()]
        self.seen = {"attached": attached, "number": self.number, "many": len(self.many), "threads": context.threads}
        if self.act != "forget":
            self.size = "big" if self.act == "mistype" else 3  # type: ignore[assignment]
        if self.act == "nothing":
            return
        self.note.write_text("noted")
        self.folder.mkdir()
        (self.folder / "in").write_text("inside")
        match self.act:
            case "extra":
                (self.note.parent / "more").write_text("undeclared")
            case "link":
                (self.folder / "out").symlink_to("/etc/hostname")
            case "fifo":
                os.mkfifo(self.folder / "pipe")
            case "socket":
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(str(self.folder / "socket"))
            case "device":
                os.mknod(self.folder / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            case "fill":
                (self.folder / "large").write_bytes(b"x" * (4 << 20))
            case "change":
                assert self.data is not None
                self.data.write_text("other rows")
            case "spare":
                self.spare.write_text("spare")
            case "wait":
                context.log("waiting")
                while True:
                    pass


def register(monkeypatch: Any) -> None:
    """Put the probe into the catalogue for one test."""
    monkeypatch.setitem(catalog._STEPS, "probe", "runtime_probe:Probe")


def call(interface: Interface, root: Path, /, task: str = "t", **fields: Any) -> Call:
    """Return a call of a step whose outputs go below `root`, as an engine would make it."""
    given: dict[str, Any] = {
        "pipeline": "p", "task": task, "step": f"{interface.name}@{interface.version}", "interface": interface.digest,
        "run_id": "r", "outputs": {"*": str(root / task)}, "result": str(root / task / "result.json"),
    }  # fmt: skip
    return Call(**(given | fields))


def probe(root: Path, act: str = "well", **fields: Any) -> int:
    """Run the probe with `data` as its input; return its exit code."""
    data = root / "data"
    if not data.exists():
        root.mkdir(exist_ok=True)
        data.write_text("rows")
    parameters = {"act": act, **fields.pop("parameters", {})}
    inputs = fields.pop("inputs", {"data": (Location(str(data)),)})
    return runtime.execute(call(interface_of(Probe), root, parameters=parameters, inputs=inputs, **fields))


def result(root: Path, task: str = "t") -> Any:
    """Return the result file of a task."""
    return json.loads((root / task / "result.json").read_text())


def visible(root: Path) -> list[str]:
    """Return every file below `root`, hidden and temporary ones too."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())
