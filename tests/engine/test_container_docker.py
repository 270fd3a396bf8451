"""Steps in real containers: what they may do, how they end, and what becomes of them when nobody waits for them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_bench import Bench, plan, states
from foreign_bench import foreign, out
from images import base as shell
from needs import small_disk

from pipec import docker
from pipec.compiler.plan import Need, Task
from pipec.engine.container import NAMED, ContainerLauncher
from pipec.engine.launcher import ProcessLauncher
from pipec.engine.outcome import EngineError, RunOutcome, State
from pipec.engine.process import LOG_LIMIT
from pipec.steps.interface import Accelerator, Dataset, Input, Kind, Resources, Slot
from pipec.values import OutputRef, SecretRef

pytestmark = pytest.mark.docker


@pytest.fixture
def bench(shop: Bench) -> Bench:
    return Bench(shop.base, replace(shop.options, launcher=ContainerLauncher()))


def inside(name: str, script: str, *args: Any, **more: Any) -> Task:
    """A task whose script runs in an image that has a shell, and half a machine to itself."""
    made = foreign(name, script, *args, image=shell(), **more)
    return replace(made, image=shell(), resources=Resources(cpu=0.5, memory_mib=64))


def reason(bench: Bench, given: Task, state: str = "failed", **more: Any) -> str:
    outcome = bench.run(plan(given), **more)
    assert states(outcome) == {given.name: state}, outcome.task(given.name).reason
    return outcome.task(given.name).reason


def containers(bench: Bench, *more: str) -> list[str]:
    """Return the containers of this bench's attempts, running or not. more: words for Docker that leave out some."""
    there = docker.ask("ps", "--all", *more, "--format", "{{.Names}}", wanted="containers").decode().split()
    named = {path.read_text(encoding="utf-8") for path in bench.home.glob(f"runs/*/work/*/*/{NAMED}")}
    return sorted(named & set(there))


def until_running(bench: Bench) -> str:
    """Wait until a container of this bench runs, and return its name."""
    for _ in range(600):
        # In one question: a container that is just being made is listed before it can be asked about.
        for name in containers(bench, "--filter", "status=running"):
            return name
        time.sleep(0.05)
    raise AssertionError("no container was started")


def three() -> tuple[Task, ...]:
    """Three steps that hand on a file, a folder, a text and a number."""
    rows = Input(name="rows", type=Dataset)
    first = inside("first", 'printf "a\\nb\\n" > "$0"; echo two words > "$1"', out("rows"), out("text"),
                   writes=["rows"], values={"text": Kind.STRING})  # fmt: skip
    second = inside(
        "second", 'mkdir "$0" "$0/sub"; cat "$1" "$1" > "$0/sub/twice"; wc -l < "$1" > "$2"', out("folder"),
        Slot("inputs", "rows"), out("n"), writes=["folder"], values={"n": Kind.INTEGER}, inputs=[rows],
        given={"rows": (OutputRef("first", "rows"),)},
    )  # fmt: skip
    third = inside("third", 'ls -R "$1" | wc -l > "$0"', out("n"), Slot("inputs", "rows"), values={"n": Kind.INTEGER},
                   inputs=[rows], given={"rows": (OutputRef("second", "folder"),)})  # fmt: skip
    return first, second, third


def test_a_run_in_containers_does_what_a_run_of_processes_does(bench: Bench) -> None:
    contained = bench.run(plan(*three())).trace()
    assert contained["status"] == "succeeded"
    assert contained == bench.run(plan(*three()), launcher=ProcessLauncher()).trace()


PROBE = """
{ id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t'
for place in /etc /usr /opt /root /home /var /; do touch $place/x 2>/dev/null && echo "wrote to $place"; done
ls "$1" 2>/dev/null && echo "saw $1"
touch here && echo start; touch "$TMPDIR/x" && echo work; touch /tmp/x && echo tmp; } > "$0"; true
"""


def test_a_container_has_no_rights_and_writes_to_its_own_folder_only(bench: Bench) -> None:
    (bench.base / "private.txt").touch()
    given = inside("probe", PROBE, out("told"), Slot("parameters", "place"), writes=["told"],
                   parameters={"place": str(bench.base)})  # fmt: skip
    outcome = bench.run(plan(given))
    rights = ["CapEff:0000000000000000", "CapBnd:0000000000000000", "NoNewPrivs:1"]
    told = bench.text(outcome, "probe", "told").splitlines()
    assert told == [str(os.getuid()), *rights, "start", "work", "tmp"]


def test_a_secret_reaches_a_container_and_nothing_that_stays(bench: Bench) -> None:
    given = inside("hush", 'test "$TOKEN" = s3cr3t-value && echo "it is $TOKEN" >&2; echo yes > "$0"', out("told"),
                   writes=["told"], env=(("TOKEN", SecretRef("token")),))  # fmt: skip
    outcome = bench.run(plan(given), secrets={"token": "s3cr3t-value"})
    assert states(outcome) == {"hush": "succeeded"}
    kept = [path for path in bench.home.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"s3cr3t-value" in path.read_bytes()]


# Faults


def test_out_of_memory_is_told_with_what_it_may_use(bench: Bench) -> None:
    told = reason(bench, inside("big", "head -c 500000000 /dev/zero | tail"))
    assert told.startswith("it ran out of memory: it may use 64 MiB; give it more under `resources`")


def while_it_runs(bench: Bench, given: Task, do: Any) -> RunOutcome:
    """Do something to the container of a task while it runs; return what came of the run."""
    found: list[RunOutcome] = []
    thread = threading.Thread(target=lambda: found.append(bench.run(plan(given))))
    thread.start()
    do(until_running(bench))
    thread.join(60)
    return found[0]


def test_somebody_s_kill_is_told_as_that(bench: Bench) -> None:
    outcome = while_it_runs(bench, inside("long", "sleep 600"), lambda name: docker.ask("kill", name, wanted=name))
    assert outcome.task("long").reason.startswith("it was killed, and not for its memory (it may use 64 MiB)")


def test_an_output_that_is_not_written_is_told(bench: Bench) -> None:
    given = inside("lazy", "true", out("rows"), writes=["rows"])
    assert reason(bench, given) == "the step ended without writing output `rows`: mend the step"


def test_a_program_that_the_image_lacks_is_told(bench: Bench) -> None:
    made = inside("odd", "true")
    container = replace(made.interface.container, command=("no-such-program",))  # type: ignore[type-var]
    odd = replace(made, interface=replace(made.interface, container=container))
    assert reason(bench, odd) == (
        "`no-such-program` is not in the step's image, or may not be started there: mend the command or image"
    )


def test_a_refusal_stays_a_refusal(bench: Bench) -> None:
    assert reason(bench, inside("gate", "echo too few rows >&2; exit 3"), "refused") == "too few rows"


def test_a_container_that_does_not_end_in_time_is_ended(bench: Bench) -> None:
    told = reason(bench, inside("deaf", "trap '' TERM; while true; do sleep 1; done", timeout_s=2))
    assert told.startswith("it took longer than its timeout of 2 s")
    assert not any("pipec" in name and "deaf" in name for name in containers(bench))


def living(marker: str) -> list[int]:
    """Return the processes of this machine, in whatever container, that say `marker` in their arguments."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_a_child_that_outlives_its_parent_is_ended(bench: Bench) -> None:
    given = inside("parent", 'setsid sleep 86371 & echo done > "$0"', out("told"), writes=["told"])
    assert reason(bench, given, "succeeded") == ""
    assert living("86371") == []


def test_a_gigabyte_of_log_fills_neither_memory_nor_disk(bench: Bench) -> None:
    given = inside("loud", "yes 'a line of a log that never ends' | head -c 1000000000 >&2; echo the last >&2; exit 1")
    assert reason(bench, given) == "the last"
    (log,) = bench.home.glob("runs/*/logs/loud.*.log")
    assert log.stat().st_size < LOG_LIMIT + 100
    assert log.read_bytes().endswith(b"more bytes were not kept]\n")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    with small_disk(tmp_path / "small", "size=4m") as place:
        yield place


def test_a_full_disk_is_told_and_what_was_kept_before_stays_whole(bench: Bench, full: Path) -> None:
    small = inside("small", 'echo rows > "$0"', out("rows"), writes=["rows"])
    large = inside("large", 'head -c 8000000 /dev/zero > "$0"', out("rows"), writes=["rows"])
    outcome = bench.run(plan(small, replace(large, needs=(Need("small", order_only=True),))), home=full)
    assert states(outcome) == {"small": "succeeded", "large": "failed"}
    assert "no space left on device" in outcome.task("large").reason.lower()
    kept = [path for path in (full / "artifacts/sha256").rglob("*") if path.is_file() and path.name != "lock"]
    assert [path.read_bytes() for path in kept] == [b"rows\n"]


def test_an_image_that_nobody_has_is_told_before_anything_runs(bench: Bench) -> None:
    absent = replace(inside("other", "true"), image="localhost:9/pipec/none:1")
    with pytest.raises(EngineError, match=r"`localhost:9/pipec/none:1` is not here, and cannot be pulled: "):
        bench.run(plan(inside("first", "true"), absent))
    assert not list(bench.home.glob("runs/*/logs/*"))


@pytest.fixture
def foreigner() -> Iterator[str]:
    """An image for a machine of another kind."""
    shell()  # says what is missing, where no daemon answers
    name = "pipec-test-foreigner:1"
    docker.ask("import", "-", name, wanted=name, given=tar({"empty": b""}))
    with tarfile.open(fileobj=io.BytesIO(docker.ask("save", name, wanted=name))) as saved:
        files = {each.name: saved.extractfile(each).read() for each in saved if each.isfile()}  # type: ignore[union-attr]
    config = json.loads(files["manifest.json"])[0]["Config"]
    files[config] = json.dumps({**json.loads(files[config]), "architecture": "s390x"}).encode()
    docker.ask("load", wanted=name, given=tar(files))
    yield name
    docker.ask("rmi", "--force", name, wanted=name)


def tar(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def test_an_image_for_another_architecture_is_told_before_anything_runs(bench: Bench, foreigner: str) -> None:
    with pytest.raises(EngineError, match=rf"`{foreigner}` is for s390x, and this machine is \w+: build it for this"):
        bench.run(plan(replace(inside("other", "true"), image=foreigner)))


def test_a_daemon_that_is_down_is_told_before_anything_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    with pytest.raises(
        EngineError, match="`first` cannot run in a container: docker cannot be used: no container engine"
    ):
        bench.run(plan(inside("first", "true")))


def test_a_gpu_that_is_not_there_is_told_before_anything_runs(bench: Bench) -> None:
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    wanted = replace(inside("train", "true"), resources=Resources(accelerator=Accelerator()))
    with pytest.raises(EngineError, match="`train` asks for 1 GPU: no GPU can be handed to a container here"):
        bench.run(plan(inside("first", "true"), wanted))


# Engines that end before their containers


ENGINE = """
import sys
from pathlib import Path
from dataclasses import replace
sys.path[:0] = {path!r}
from engine_bench import bench, plan
from pipec.engine.container import ContainerLauncher
from test_container_docker import inside
made = bench(Path({folder!r}))
made.run(plan(inside("long", "sleep 86372; echo done > $0")), launcher=ContainerLauncher())
"""


def killed_or_asked(bench: Bench, number: int) -> int:
    """Start an engine in a process of its own, send it a signal while its container runs, and return its exit code."""
    shell()  # here, and not only in the process below, whose skip nobody would hear of
    code = ENGINE.format(path=sys.path, folder=str(bench.base.parent))
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        until_running(bench)
        process.send_signal(number)
        return process.wait(60)


def test_a_resumed_run_removes_the_container_that_a_killed_engine_left(bench: Bench) -> None:
    killed_or_asked(bench, signal.SIGKILL)
    (left,) = containers(bench)
    outcome = bench.run(plan(inside("long", "true")), resume="latest")
    assert outcome.step("long") is State.SUCCEEDED
    assert left.encode() not in docker.ask("ps", "--all", "--format", "{{.Names}}", wanted="containers")
    assert living("86372") == []


def test_an_engine_that_is_asked_to_end_leaves_no_container(bench: Bench) -> None:
    killed_or_asked(bench, signal.SIGTERM)
    assert containers(bench) == []
    assert living("86372") == []
