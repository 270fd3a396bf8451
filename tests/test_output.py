"""A compile that is killed, or fails, at any call of its output leaves files whole, and the next one mends the rest.

strace ends the process, or fails the call, at each call that touches the output, one after the other. An error changes
nothing at all. A kill may leave new files beside old ones: each is whole, `--check` tells, and compiling again mends
it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import ROOT, missing, small_disk

from pipec import output as written
from pipec.targets.base import File

PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
image: registry.example/steps:1
triggers: [{schedule: {cron: "0 %d * * 1"}}]
steps:
  s: {uses: split, with: {data: s3://rows/a.csv, seed: %d}}
"""
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
environments: {prod: {kubeflow: {namespace: ml-%d}, artifacts: s3://bucket/root}}
"""
NAMES = ("p.yaml", "p.schedule.yaml", "p.run.yaml")
# Calls that may change what lies on the disk, or make it last; all that a compile does to its output is among them.
CHANGES = (
    "openat", "open", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "ftruncate", "fchmod",
)  # fmt: skip
CALLS = (*CHANGES, "close", "flock", "newfstatat", "lseek", "getdents64")
ERRORS = {"ENOSPC": CHANGES, "EIO": CALLS, "EROFS": ("openat", "rename", "link", "linkat", "unlink", "mkdir")}
ENVIRON = {
    "PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent",
}  # fmt: skip


class Output:
    """A project with an output that an earlier compile wrote, to be written again from a changed pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        folder.mkdir(parents=True, exist_ok=True)
        self.new = self.made(9)
        self.old = self.made(3)
        self.say(9)

    def made(self, number: int) -> dict[str, str]:
        self.say(number)
        assert self.compile().returncode == 0
        return self.seen()

    def say(self, number: int) -> None:
        (self.folder / "pipec.yaml").write_text(PROJECT % number, encoding="utf-8")
        (self.folder / "p.yaml").write_text(PIPELINE % (number, number), encoding="utf-8")

    def compile(self, *around: str, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "pipec", "compile", "p.yaml", "-t", "kubeflow", "-o", "out", "--env", "prod")
        return subprocess.run(
            [*around, *command, *more], cwd=self.folder, env=ENVIRON, capture_output=True, text=True, check=False
        )

    def seen(self) -> dict[str, str]:
        """Return all that lies in the output folder and is no rest of a killed compile."""
        return {path.name: path.read_text(encoding="utf-8") for path in self.out.iterdir() if path.name[0] != "."}

    def restore(self) -> None:
        shutil.rmtree(self.out)
        self.out.mkdir()
        for name, text in self.old.items():
            (self.out / name).write_text(text, encoding="utf-8")


def traced(output: Output, log: Path, *inject: str) -> subprocess.CompletedProcess[str]:
    """Compile under strace, which notes the calls that touch the output folder and does to them what is asked."""
    if shutil.which("strace") is None:
        missing("strace")
    around = ("strace", "-f", "-y", "-qq", "--signal=none", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    return output.compile(*around, *inject)


def points(output: Output, log: Path) -> Iterator[tuple[str, int]]:
    """Yield the calls of a compile that touch its output: their name, and the how-manieth of that name each is."""
    assert traced(output, log).returncode == 0
    counted: dict[str, int] = {}
    begun = False
    for line in log.read_text(encoding="utf-8").splitlines():
        if not (found := re.match(r"\d+ +(\w+)\(", line)):
            continue
        name = found[1]
        counted[name] = counted.get(name, 0) + 1
        begun = begun or '"out' in line or f"<{output.out}" in line
        if begun:  # what comes after the first touch counts too: the calls between are few
            yield name, counted[name]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    return Output(tmp_path_factory.mktemp("atomic"))


def listed(output: Output) -> list[str]:
    return sorted(path.name for path in output.out.iterdir())


def state(output: Output) -> dict[str, str]:
    """Return by file whether it is as before, as it should be, absent, or anything else."""
    seen = output.seen()
    assert set(seen) <= set(NAMES), f"{sorted(seen)}: something else looks like output"
    return {
        name: "absent" if name not in seen else "old" if seen[name] == output.old[name]
        else "new" if seen[name] == output.new[name] else "broken"
        for name in NAMES
    }  # fmt: skip


def mended(output: Output) -> None:
    """Hold that the next compile writes everything and leaves no rest."""
    is_current = output.seen() == output.new
    told = output.compile(more=("--check",))
    assert told.returncode == (0 if is_current else 1), "a mix of old and new must be told"
    assert output.compile().returncode == 0
    assert output.seen() == output.new
    assert listed(output) == sorted(NAMES)


def test_a_kill_at_any_call_leaves_every_file_whole(output: Output, tmp_path: Path) -> None:
    output.restore()
    found = [*points(output, tmp_path / "log")]
    assert len(found) > 30
    assert {"rename", "fsync", "write"} <= {name for name, _ in found}
    for name, number in found:
        output.restore()
        ended = traced(output, tmp_path / "log", "-e", f"inject={name}:signal=KILL:when={number}")
        assert ended.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{name} {number}"
        # The order is fixed: what is still old comes after what is new already.
        states = [*state(output).values()]
        assert states == sorted(states), f"{name} {number}: {states}"
        assert set(states) <= {"old", "new"}, f"{name} {number}: {states}"
        if len(set(states)) > 1 or listed(output) != sorted(NAMES):
            mended(output)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_any_call_changes_nothing_or_everything(error: str, output: Output, tmp_path: Path) -> None:
    output.restore()
    for name, number in [*points(output, tmp_path / "log")]:
        if name not in ERRORS[error]:
            continue
        output.restore()
        ended = traced(output, tmp_path / "log", "-e", f"inject={name}:error={error}:when={number}")
        states = {*state(output).values()}
        at = f"{name} {number}: exit code {ended.returncode}, {states}: {ended.stderr[-300:]}"
        assert "Traceback" not in ended.stderr, at
        assert (ended.returncode, states) in ((0, {"new"}), (2, {"old"}), (70, {"new"})), at
        if ended.returncode == 2:
            assert len(ended.stderr.splitlines()) == 1, at
            assert listed(output) == sorted(NAMES), at


def test_a_first_compile_that_fails_leaves_no_folder(output: Output, tmp_path: Path) -> None:
    for name, number in (("fsync", 1), ("fsync", 2), ("rename", 1), ("rename", 2), ("rename", 3), ("fsync", 4)):
        shutil.rmtree(output.out)
        ended = traced(output, tmp_path / "log", "-e", f"inject={name}:error=EIO:when={number}")
        assert (ended.returncode, output.out.exists()) == (2, False), f"{name} {number}: {ended.stderr}"
        output.out.mkdir()


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    output = Output(tmp_path / "project")
    shutil.rmtree(output.out)
    with small_disk(output.out, "size=32k"):
        for name, text in output.old.items():
            (output.out / name).write_text(text, encoding="utf-8")
        free = os.statvfs(output.out)
        (output.out / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - 4096))
        ended = output.compile()
        left = output.seen()
        del left["ballast"]
        assert (ended.returncode, left) == (2, output.old)
        assert "no space left on device; nothing is changed: " in ended.stderr
        assert not any(name.startswith(".") for name in listed(output))
        (output.out / "ballast").unlink()
        assert output.compile().returncode == 0
        assert output.seen() == output.new


def test_a_folder_that_a_user_may_not_write_keeps_what_was_there(tmp_path: Path) -> None:
    output = Output(tmp_path / "project")
    output.out.chmod(0o555)
    around: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root may write anywhere
        if shutil.which("setpriv") is None:
            missing("setpriv")
        around = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        for each in (tmp_path, *tmp_path.parents):
            if each.stat().st_uid == 0 and each.is_relative_to("/tmp") and each != Path("/tmp"):
                each.chmod(0o755)
        tried = subprocess.run([*around, sys.executable, "-c", "import yaml"], env=ENVIRON, check=False)
        if tried.returncode:
            pytest.skip("the interpreter lies where another user cannot read it")
    ended = output.compile(*around)
    output.out.chmod(0o755)
    assert ended.returncode == 2, ended.stderr
    assert "permission denied; nothing is changed: " in ended.stderr
    assert output.seen() == output.old


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(make: Callable[[Path], None], output: Output) -> None:
    output.restore()
    path = output.out / "p.schedule.yaml"
    path.unlink()
    make(path)
    ended = output.compile()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "something else than a file has that name" in ended.stderr
    assert (output.out / "p.yaml").read_text(encoding="utf-8") == output.old["p.yaml"]
    assert not path.is_file()


def test_a_link_in_the_place_of_an_output_is_replaced_and_not_followed(output: Output, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept", encoding="utf-8")
    output.restore()
    for name, target in zip(NAMES, (outside, tmp_path / "nothing", "p.run.yaml"), strict=True):
        (output.out / name).unlink()
        (output.out / name).symlink_to(target)
    assert output.compile().returncode == 0
    assert (outside.read_text(encoding="utf-8"), (tmp_path / "nothing").exists()) == ("kept", False)
    assert not any((output.out / name).is_symlink() for name in NAMES)
    assert output.seen() == output.new


def test_compiles_into_one_folder_wait_for_each_other(output: Output) -> None:
    output.restore()
    for name in NAMES:  # what a killed one has left, and another one's it is not
        (output.out / f".{name}.pipec-new").write_text("half", encoding="utf-8")
        (output.out / f".{name}.pipec-old").write_text("older", encoding="utf-8")
    command = [sys.executable, "-m", "pipec", "compile", "p.yaml", "-t", "kubeflow", "-o", "out", "--env", "prod"]
    several = [subprocess.Popen(command, cwd=output.folder, env=ENVIRON, stderr=subprocess.PIPE) for _ in range(6)]
    told = [(each.communicate()[1], each.returncode) for each in several]
    assert [code for _, code in told] == [0] * 6, told
    assert output.seen() == output.new
    assert listed(output) == sorted(NAMES)


def test_where_a_file_has_but_one_name_there_is_a_way_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "a FAT file system")

    monkeypatch.setattr(os, "link", refused)
    written.write(tmp_path, [File("a", "old"), File("b", "old")])
    written.write(tmp_path, [File("a", "new"), File("b", "new")])
    replace = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if path.name == ".b.pipec-new":
            raise OSError(errno.EIO, "input/output error", str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(written.OutputError, match="nothing is changed"):
        written.write(tmp_path, [File("a", "newer"), File("b", "newer"), File("d", "newer")])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}
