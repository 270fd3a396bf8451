"""What may go wrong inside a container, each told in one line, with nothing half-written to be seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import runtime_probe as probes
import supervised
from needs import missing, small_disk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: small disks, devices and signals")
FULL = "no space left on device: make room or mend its rights"


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of one MiB, or with what else a test asks for."""
    with small_disk(tmp_path / "disk", getattr(request, "param", "size=1m")) as place:
        yield place


def ended(root: Path) -> tuple[str, str]:
    told = probes.result(root)
    return told["outcome"], told["message"]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("nothing", "the step ended without writing output `note`: mend the step"),
        ("forget", "the step ended without giving output `size`: mend the step"),
        ("extra", "the step wrote `more`, which it does not declare: mend the step"),
        ("link", "output `folder` cannot be kept: out is a link or a device; an artifact holds plain files only"),
        ("fifo", "output `folder` cannot be kept: pipe is a link or a device; an artifact holds plain files only"),
        ("socket", "output `folder` cannot be kept: socket is a link or a device; an artifact holds plain files only"),
        ("device", "output `folder` cannot be kept: null is a link or a device; an artifact holds plain files only"),
    ],
)
def test_what_is_no_plain_output_is_refused_whole(act: str, message: str, tmp_path: Path) -> None:
    if act == "device" and os.getuid():
        missing("the right to make devices")
    done = supervised.run(tmp_path, act)
    assert (done.returncode, done.stderr) == (1, f"t (probe@1): {message}\n")
    assert supervised.left(tmp_path) == ["t/result.json"]
    assert ended(tmp_path) == ("failed", message)


def test_a_disk_that_fills_while_outputs_are_written_is_told(disk: Path, tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "fill", outputs={"*": str(disk / "t")})
    message = f"the machine refused: {FULL}"
    assert (done.returncode, done.stderr) == (1, f"t (probe@1): {message}\n")
    assert probes.visible(disk) == []
    assert ended(tmp_path) == ("failed", message)


def test_a_disk_that_is_full_when_the_result_is_written_hides_no_cause(disk: Path, tmp_path: Path) -> None:
    """The outputs lie elsewhere and are whole; without a result nobody reads them."""
    (disk / "ballast").write_bytes(b"x" * (1 << 20))
    done = supervised.run(tmp_path, "well", result=str(disk / "t" / "result.json"))
    first, last = done.stderr.splitlines()
    assert first.startswith("[t] the result could not be written either: the machine refused")
    assert last.startswith("t (probe@1): the machine refused")
    assert last.endswith(FULL)
    assert done.returncode == 1
    assert probes.visible(disk) == ["ballast"]


@pytest.mark.parametrize("disk", ["size=8m,nr_inodes=6"], indirect=True, ids=["inodes"])
def test_a_disk_without_room_for_one_more_file_is_told(disk: Path, tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "well", outputs={"*": str(disk / "t")})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(FULL)
    assert probes.visible(disk) == []


@pytest.mark.parametrize("disk", ["size=8m,ro"], indirect=True, ids=["read-only"])
def test_a_disk_that_may_not_be_written_is_told(disk: Path, tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "well", outputs={"*": str(disk / "t")})
    assert done.returncode == 1
    assert done.stderr == "t (probe@1): the machine refused `t`: read-only file system: make room or mend its rights\n"


def test_a_full_place_for_temporary_files_is_told_before_the_step_runs(disk: Path, tmp_path: Path) -> None:
    (disk / "ballast").write_bytes(b"x" * ((1 << 20) - (32 << 10)))
    attached = {"name": "list.yaml", "text": "x" * 90_000}
    done = supervised.run(tmp_path, "kill", env={"TMPDIR": str(disk)}, parameters={"attached": attached})
    assert (done.returncode, done.stderr) == (1, f"t (probe@1): the machine refused: {FULL}\n")
    assert supervised.left(tmp_path) == ["disk/ballast", "t/result.json"]


def test_no_place_for_temporary_files_is_told(tmp_path: Path) -> None:
    start = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere'];" + supervised.START
    argv = supervised.command(tmp_path, "well")
    argv[argv.index(supervised.START)] = start
    done = subprocess.run(argv, env=supervised.environ(tmp_path), capture_output=True, text=True, check=False)
    message = "there is no place for temporary files: mount a folder that may be written, and name it in TMPDIR"
    assert (done.returncode, done.stderr) == (1, f"t (probe@1): {message}\n")
    assert ended(tmp_path) == ("failed", message)


def test_data_that_is_not_what_was_made_is_refused_before_the_step_runs(tmp_path: Path) -> None:
    other = "sha256:" + "0" * 64
    done = supervised.run(tmp_path, "kill", inputs={"data": [{"uri": str(tmp_path / "data"), "digest": other}]})
    assert done.returncode == 3
    assert done.stderr.startswith(f"t (probe@1): `data` is not what was made: it should be {other}, but is sha256:")


@pytest.mark.parametrize("moment", ["seal", "publish"])
def test_sigterm_while_outputs_are_moved_leaves_whole_ones_or_none(moment: str, tmp_path: Path) -> None:
    """The step is stopped by a debugger's hand where a function of the runtime begins, and asked to end there."""
    start = (
        f"import os, sys, time; from pipec.steps import delivery; real = delivery.{moment}\n"
        "def stopped(*given):\n    os.write(2, b'here\\n')\n    time.sleep(600)\n"
        f"delivery.{moment} = stopped\n" + supervised.START
    )
    argv = supervised.command(tmp_path, "well")
    argv[argv.index(supervised.START)] = start
    with subprocess.Popen(argv, env=supervised.environ(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (143, "probe: stopped before it was done: run it again\n")
    assert supervised.left(tmp_path) == ["t/result.json"]


def test_a_kill_between_two_outputs_leaves_no_result_that_names_them(tmp_path: Path) -> None:
    start = (
        "import os; real = os.fsync\n"
        "def killed(descriptor):\n    real(descriptor)\n"
        "    if os.path.isdir(f'/proc/self/fd/{descriptor}'): os.kill(os.getpid(), 9)\n"
        "os.fsync = killed\n" + supervised.START
    )
    argv = supervised.command(tmp_path, "well")
    argv[argv.index(supervised.START)] = start
    done = subprocess.run(argv, env=supervised.environ(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 137
    assert ended(tmp_path)[0] == "failed"
    assert probes.result(tmp_path)["artifacts"] == {}
