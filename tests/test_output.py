"""Outputs are written whole or not at all, whatever call to the system fails and whenever the process is killed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from needs import ROOT, missing

from pipec import output
from pipec.targets.base import File

EXAMPLE = ROOT / "examples" / "pipelines" / "wine.yaml"
FILES = ("wine.run.yaml", "wine.schedule.yaml", "wine.yaml")
ENVIRON = {
    **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
    "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip
CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
# What each call may fail with, beside being the last one before a kill.
FAULTS = {
    "mkdir": ("EROFS", "ENOSPC"), "openat": ("ENOSPC", "EMFILE"), "write": ("ENOSPC", "EIO"), "fsync": ("EIO",),
    "close": ("EIO",), "rename": ("EIO", "EROFS"), "lseek": ("EIO",), "newfstatat": ("EIO",), "ioctl": (),
    "getdents64": ("EIO",), "unlink": ("EIO",), "kill": (),
}  # fmt: skip


def strace() -> str:
    path = shutil.which("strace")
    if path is None:
        missing("strace")
    return str(path)


def compiled(folder: Path, *around: str, source: Path = EXAMPLE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipec", "compile", str(source), "--env", "prod", "-t", "kubeflow", "-o", "out"]
    return subprocess.run([*around, *command], cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("new")
    assert compiled(folder).returncode == 0
    return contents(folder)


def put_old(folder: Path) -> dict[str, str]:
    old = {name: f"# the good old {name}\n" * 1000 for name in FILES}
    (folder / "out").mkdir(exist_ok=True)
    for name, text in old.items():
        (folder / "out" / name).write_text(text)
    return old


def points(folder: Path) -> list[tuple[str, int]]:
    """Return the calls of the output's phase: each by its name, and its number among those of that name."""
    put_old(folder)
    log = folder / "log"
    assert compiled(folder, strace(), "-f", "-y", "-o", str(log)).returncode == 0
    counts: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if call := CALL.match(line):
            counts[call[1]] += 1
            if call[1] in FAULTS and (f"{folder}/out" in call[2] or '"out' in call[2]):
                found.append((call[1], counts[call[1]]))
    return found


def test_no_fault_of_any_call_damages_a_good_file(tmp_path: Path, new: dict[str, str]) -> None:
    listed = points(tmp_path)
    assert {"openat", "write", "fsync", "close", "rename", "mkdir"} <= {name for name, _ in listed}
    assert len(listed) > 30
    n_failed = n_killed = 0
    for name, number in listed:
        for what in ("signal=KILL", *(f"error={error}" for error in FAULTS[name])):
            old = put_old(tmp_path)
            inject = f"inject={name}:{what}:when={number}"
            done = compiled(tmp_path, strace(), "-f", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)
            left = contents(tmp_path)
            where = (name, number, what, done.stderr)
            assert all(left[file] in (old[file], new[file]) for file in FILES), where
            others = set(left) - set(FILES)
            if "KILL" in what:
                n_killed += done.returncode != 0
                assert all(re.fullmatch(r"\..+\.[0-9]+\.tmp", other) for other in others), where
            else:
                n_failed += done.returncode != 0
                assert not others or name == "unlink", where
                assert "Traceback" not in done.stderr, where
                assert done.returncode in (0, 2), where
                lines = [line for line in done.stderr.splitlines() if not line.startswith("wrote ")]
                assert len(lines) == (done.returncode != 0), where
                if done.returncode and "nothing is changed" in lines[0]:
                    assert left == {**old, **{other: left[other] for other in others}}, where
    assert n_killed == len(listed), "each kill was one"
    assert n_failed > 10, "the faults were felt"
    put_old(tmp_path)
    assert compiled(tmp_path).returncode == 0
    assert contents(tmp_path) == new, "what was left behind is gone"


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, new: dict[str, str]) -> None:
    (tmp_path / "out").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "out")], capture_output=True, check=False
    )
    if mounted.returncode:
        missing("the right to mount a small file system")
    try:
        room = 64 << 10
        for size in range(0, room + 1, 4096):
            old = {name: f"# the good old {name}\n" for name in FILES}
            for name, text in old.items():
                (tmp_path / "out" / name).write_text(text)
            ballast = tmp_path / "out" / "ballast"
            with suppress(OSError), ballast.open("wb", buffering=0) as stream:
                stream.write(b"x" * size)
            done = compiled(tmp_path)
            left = {name: text for name, text in contents(tmp_path).items() if name != "ballast"}
            assert left in (old, new), (size, done.stderr)
            assert (left == new) == (done.returncode == 0), (size, done.stderr)
            assert done.returncode == 0 or "no space left on device" in done.stderr
            ballast.unlink()
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(output.OutputError) as caught:
        output.write(tmp_path, [File("b.yaml", "b"), File("a.yaml", "a")])
    assert str(caught.value) == (
        f"cannot write `{tmp_path}/a.yaml`: is a directory; `{tmp_path}/b.yaml` is new already: "
        "mend that and compile again, or choose another folder with -o"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]


def test_a_link_or_a_pipe_in_the_place_of_a_file_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "a").symlink_to("other")
    os.mkfifo(tmp_path / "b")
    output.write(tmp_path, [File("a", "new"), File("b", "new")])
    assert [(tmp_path / name).read_text() for name in ("a", "b", "other")] == ["new", "new", "kept"]
    assert not (tmp_path / "a").is_symlink()


def test_what_a_living_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    mine, dead = tmp_path / f".a.{os.getppid()}.tmp", tmp_path / ".a.999999999.tmp"
    mine.touch()
    dead.touch()
    output.write(tmp_path, [File("a", "new")])
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "a"]


def test_a_folder_that_may_not_be_written_is_told_in_one_line() -> None:
    if os.geteuid():
        missing("the right to become another user, which root has")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        reader, writer = os.pipe()
        if os.fork() == 0:  # root may write anywhere, so another user tries
            os.setgid(65534)
            os.setuid(65534)
            try:
                output.write(Path(name), [File("a", "b")])
            except output.OutputError as fault:
                os.write(writer, str(fault).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as told:
            assert told.read() == (
                f"cannot write `{name}/.a.{os.wait()[0]}.tmp`: permission denied; nothing is changed: "
                "mend that and compile again, or choose another folder with -o"
            )
