"""What becomes of a task where steps run in containers: a stand-in for docker answers, and keeps what it is asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from engine_bench import Bench, Diary, plan, states, task

from pipec import docker
from pipec.compiler.plan import Task
from pipec.engine import container
from pipec.engine.container import ContainerLauncher, Host
from pipec.engine.folder import Folder
from pipec.engine.launcher import Start
from pipec.engine.mount import NAMING_FILES, Mount, mounts
from pipec.engine.outcome import EngineError
from pipec.steps.command import Call, Location
from pipec.steps.interface import Accelerator, Kind, Parameter, Resources, Role
from pipec.values import SecretRef

STAND_IN = Path(__file__).with_name("docker_stand_in.py")
IMAGE = "registry.example/steps:1"


@dataclass
class Docker:
    """The stand-in's folder."""

    root: Path

    def has(self, image: str, architecture: str = "amd64") -> None:
        (self.root / image.replace("/", "%")).write_text(architecture, encoding="utf-8")

    def says(self, name: str, text: str = "") -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def asked(self, verb: str) -> list[list[str]]:
        lines = (self.root / "asked.jsonl").read_text(encoding="utf-8").splitlines()
        return [words for line in lines if (words := json.loads(line))[0] == verb]

    @property
    def containers(self) -> list[str]:
        return [path.stem for path in self.root.glob("*.state")]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    root = tmp_path / "docker"
    root.mkdir()
    program = tmp_path / "docker.sh"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {STAND_IN} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv(docker.VARIABLE, str(program))
    monkeypatch.setenv("DOCKER_STAND_IN", str(root))
    found = Docker(root)
    found.has(IMAGE)
    return found


def one(name: str = "fit", image: str | None = IMAGE, **more: object) -> Task:
    return replace(task(name, writes=["out"]), image=image, **more)  # type: ignore[arg-type]


def refused(shop: Bench, wanted: Task, **more: object) -> str:
    """Return why a run of two tasks does not begin, the second of which is `wanted`."""
    with pytest.raises(EngineError) as told:
        shop.run(plan(one("first"), wanted), launcher=ContainerLauncher(), **more)
    assert shop.ledger == []
    return str(told.value)


def test_a_step_runs_in_its_image_and_nothing_of_the_container_stays(shop: Bench, engine: Docker) -> None:
    outcome = shop.run(plan(one()), launcher=ContainerLauncher())
    assert states(outcome) == {"fit": "succeeded"}
    assert engine.containers == []


def test_another_image_under_the_same_name_is_other_code(engine: Docker) -> None:
    assert ContainerLauncher().code(one()) == f"image sha256:{IMAGE}"


# What is told before anything starts


def test_a_task_without_an_image_is_refused(shop: Bench, engine: Docker) -> None:
    assert refused(shop, one(image=None)) == (
        "`fit` has no image to run in: say `image:` in pipec.yaml, for the environment, or the step"
    )


def test_an_image_that_is_nowhere_is_refused(shop: Bench, engine: Docker) -> None:
    assert refused(shop, one(image="registry.example/none:1")) == (
        "`fit` cannot run in a container: `registry.example/none:1` is not here, and cannot be pulled: "
        "there is no such image, or its registry wants a login: build it, mend its name, or `docker login`"
    )


def test_an_image_that_a_registry_has_is_pulled_and_told(shop: Bench, engine: Docker) -> None:
    engine.says("registry")
    diary = Diary()
    outcome = shop.run(plan(one(image="other:1")), diary, launcher=ContainerLauncher(diary.note))
    assert states(outcome) == {"fit": "succeeded"}
    assert diary.lines[0] == "pulling other:1"


def test_an_image_for_another_architecture_is_refused(shop: Bench, engine: Docker) -> None:
    engine.has("arm:1", "arm64")
    assert refused(shop, one(image="arm:1")) == (
        "`fit` cannot run in a container: `arm:1` is for arm64, and this machine is amd64: build it for this one"
    )


def test_a_machine_without_docker_is_told(shop: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(docker.VARIABLE, "no-such-docker")
    assert refused(shop, one()).startswith(
        "`first` cannot run in a container: docker cannot be used: `no-such-docker` is not installed here"
    )


def gpu(**more: object) -> Task:
    return one(resources=Resources(cpu=0.01, accelerator=Accelerator(**more)))  # type: ignore[arg-type]


def test_a_gpu_that_is_not_there_is_told_before_anything_runs(shop: Bench, engine: Docker) -> None:
    assert refused(shop, gpu(count=2)) == (
        "`fit` asks for 2 GPUs: no GPU can be handed to a container here: install the NVIDIA container toolkit, or let "
        "the environment say `resources: {accelerator: null}` for it"
    )


def test_gpus_are_handed_to_the_container(shop: Bench, engine: Docker) -> None:
    engine.says("gpu")
    assert states(shop.run(plan(gpu(count=2)), launcher=ContainerLauncher())) == {"fit": "succeeded"}
    assert "--gpus=2" in engine.asked("run")[-1]


@pytest.mark.parametrize(
    ("asked", "what"), [({"kind": "tpu"}, "`tpu`"), ({"vendor": "amd"}, "`amd gpu`")], ids=["kind", "vendor"]
)
def test_a_device_that_no_container_here_can_have_is_refused(
    shop: Bench, engine: Docker, asked: dict[str, str], what: str
) -> None:
    assert f"asks for a device of kind {what}, and a container here can be handed NVIDIA's GPUs only" in refused(
        shop, gpu(**asked)
    )


def test_a_step_for_several_machines_is_refused(shop: Bench, engine: Docker) -> None:
    assert "asks for 3 machines" in refused(shop, one(resources=Resources(machines=3)))


def test_a_volume_that_is_not_there_is_refused(shop: Bench, engine: Docker) -> None:
    wanted = one(volumes=(("/scratch", "scratch"),))
    assert "mounts volume `scratch`, which is no folder here" in refused(shop, wanted)
    assert "which is not there: make it" in refused(shop, wanted, volumes={"scratch": "/no/such"})


@pytest.mark.parametrize("name", ["PATH", "HOME", "DOCKER_HOST"])
def test_a_secret_may_not_change_what_docker_does(shop: Bench, engine: Docker, name: str) -> None:
    wanted = one(env=((name, SecretRef("token")),))
    assert refused(shop, wanted, secrets={"token": "s3cr3t"}) == (
        f"`fit` sets {name} to a secret, and docker itself reads that variable: give it another name"
    )


@pytest.mark.parametrize(
    ("info", "known"),
    [
        ({"NCPU": 8, "Architecture": "aarch64", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]},
         Host(8, "arm64", rootless=True)),
        ({"NCPU": 2, "Architecture": "x86_64", "SecurityOptions": None}, Host(2, "amd64", rootless=False)),
        ({"host": {"arch": "amd64", "cpus": 4, "security": {"rootless": True}}}, Host(4, "amd64", rootless=True)),
        ({"host": {"arch": "arm64", "cpus": 4, "security": {"rootless": False}}}, Host(4, "arm64", rootless=False)),
    ],
    ids=["docker-rootless", "docker", "podman-rootless", "podman"],
)  # fmt: skip
def test_docker_and_podman_are_understood(engine: Docker, info: dict[str, object], known: Host) -> None:
    engine.says("info", json.dumps(info))
    launcher = ContainerLauncher()
    assert launcher.host() == known


# How it ended


def reason(shop: Bench, engine: Docker) -> str:
    outcome = shop.run(plan(one()), launcher=ContainerLauncher())
    assert states(outcome) == {"fit": "failed"}
    assert engine.containers == []
    return outcome.task("fit").reason


def test_a_container_that_is_not_started_is_told_with_the_cause(shop: Bench, engine: Docker) -> None:
    engine.says("refuses", "docker: Error response from daemon: write /x: no space left on device.\nSee 'docker run'.")
    assert reason(shop, engine) == (
        "its container was not started: the container engine's disk is full: make room (`docker system df` shows what)"
    )


def test_out_of_memory_is_told_as_that(shop: Bench, engine: Docker) -> None:
    engine.says("small")
    assert reason(shop, engine) == "it ran out of memory: it may use 2048 MiB; give it more under `resources`"


def test_a_kill_is_not_taken_for_want_of_memory(shop: Bench, engine: Docker) -> None:
    outcome = shop.run(
        plan(replace(task("fit", say={"signal": 9, "fails": 1}), image=IMAGE)), launcher=ContainerLauncher()
    )
    assert outcome.task("fit").reason.startswith("it was killed, and not for its memory (it may use 2048 MiB)")


def test_what_a_killed_engine_left_running_is_removed(tmp_path: Path, engine: Docker) -> None:
    work = Folder(tmp_path / "run").work
    attempt = work / "fit" / "1.1"
    attempt.mkdir(parents=True)
    (attempt / container.NAMED).write_text("pipec-abc", encoding="utf-8")
    engine.says("pipec-abc.state", "{}")
    container.clear(work)
    assert engine.containers == []


def test_a_container_that_cannot_be_ended_stops_the_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = tmp_path / "fit" / "1.1"
    attempt.mkdir(parents=True)
    (attempt / container.NAMED).write_text("pipec-abc", encoding="utf-8")
    monkeypatch.setenv(docker.VARIABLE, "no-such-docker")
    with pytest.raises(
        EngineError, match="container pipec-abc of an earlier attempt cannot be ended: `no-such-docker`"
    ):
        container.clear(tmp_path)


# What a container is given


def start(folder: Path, wanted: Task, **more: object) -> Start:
    call = Call(pipeline="p", task="fit", step="fit@1", interface="", run_id="r", **more)  # type: ignore[arg-type]
    attempt = folder / "attempt"
    attempt.mkdir()
    return Start(
        task=wanted, call=call, folder=attempt, environ={"MODE": "a b"}, secrets={"TOKEN": "s3cr3t"}, volumes={},
    )  # fmt: skip


def test_a_container_may_use_what_the_step_asks_for_and_gains_no_right(tmp_path: Path, engine: Docker) -> None:
    wanted = one(resources=Resources(cpu=2, memory_mib=512))
    words = ContainerLauncher().command(start(tmp_path, wanted)).argv
    assert {
        "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--cpus=2", "--memory=512m",
        "--memory-swap=512m", "--shm-size=256m", f"--user={os.getuid()}:{os.getgid()}", "--pull=never",
        "--entrypoint=pipec-step", "--env=MODE=a b",
    } <= set(words)  # fmt: skip


def test_more_cores_than_the_machine_has_are_all_that_it_has(tmp_path: Path, engine: Docker) -> None:
    assert "--cpus=4" in ContainerLauncher().command(start(tmp_path, one(resources=Resources(cpu=64)))).argv


def test_a_secret_reaches_a_container_by_name_only(
    tmp_path: Path, engine: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k3y")
    monkeypatch.setenv("PIPEC_SECRET_OTHER", "not yours")
    monkeypatch.setenv("EDITOR", "vi")
    for name in [name for name in os.environ if name.startswith("AWS_") or name in NAMING_FILES]:
        if name != "AWS_SECRET_ACCESS_KEY":
            monkeypatch.delenv(name)
    command = ContainerLauncher().command(start(tmp_path, one()))
    handed = [after for word, after in zip(command.argv, command.argv[1:], strict=False) if word == "--env"]
    assert handed == ["AWS_SECRET_ACCESS_KEY", "TOKEN"]
    assert not {"s3cr3t", "k3y", "not yours"} & {part for word in command.argv for part in word.split("=")}
    assert command.environ["TOKEN"] == "s3cr3t"
    assert "PIPEC_SECRET_OTHER" not in command.environ


# What it sees of this machine


def seen(started: Start, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is mounted, by where, relative to the folder of the test; every path is mounted where it is."""
    found = mounts(started, environ or {})
    assert all(str(mount.source) == mount.target for mount in found)
    top = started.folder.parent
    return {str(m.source.relative_to(top)): "read" if m.is_read_only else "write" for m in found}


def test_a_container_sees_its_attempt_and_what_it_reads(tmp_path: Path) -> None:
    for name in ("store", "base/data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("store/one", "store/two", "base/data/rows.csv", "base/private.txt", "else.csv"):
        (tmp_path / name).touch()
    places = {
        "data": (Location(str(tmp_path / "store/one"), "sha256:1"), Location("data/rows.csv")),
        "more": (Location(f"file://{tmp_path}/else.csv"), Location("s3://bucket/key"), Location("data/none.csv")),
    }
    started = start(tmp_path, one(), base=str(tmp_path / "base"), inputs=places)
    assert seen(started) == {
        "attempt": "write", "base/data/rows.csv": "read", "else.csv": "read", "store/one": "read",
    }  # fmt: skip


def test_what_a_location_parameter_names_is_seen(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").touch()
    interface = replace(one().interface, parameters=(Parameter(name="source", kind=Kind.STRING, location=True),))
    started = start(tmp_path, one(interface=interface), base=str(tmp_path), parameters={"source": "rows.csv"})
    assert seen(started) == {"attempt": "write", "rows.csv": "read"}


@pytest.mark.parametrize("place", ["link/secret.txt", "secret", "../outside.txt"])
def test_a_link_shows_nothing_of_where_it_leads(tmp_path: Path, place: str) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/secret.txt").touch()
    (tmp_path / "outside.txt").touch()
    base = tmp_path / "base"
    base.mkdir()
    (base / "link").symlink_to(tmp_path / "private")
    (base / "secret").symlink_to(tmp_path / "private/secret.txt")
    started = start(tmp_path, one(), base=str(base), inputs={"data": (Location(place),)})
    assert seen(started) == {"attempt": "write"}


def test_releases_may_be_written_by_those_who_release(tmp_path: Path) -> None:
    more = {"releases": str(tmp_path / "releases"), "triggers": "s3://bucket/triggers"}
    deploy = one(interface=replace(one().interface, role=Role.DEPLOY))
    assert seen(start(tmp_path, deploy, **more)) == {"attempt": "write", "releases": "write"}


def test_releases_are_hidden_from_all_others(tmp_path: Path) -> None:
    assert seen(start(tmp_path, one(), releases=str(tmp_path / "releases"))) == {"attempt": "write"}


def test_an_approval_finds_the_decision(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    approve = one(interface=replace(one().interface, role=Role.APPROVE))
    started = start(tmp_path, approve, decision=str(tmp_path / "decisions/approve.json"))
    assert seen(started) == {"attempt": "write", "decisions": "read"}


def test_a_volume_is_mounted_where_the_step_wants_it(tmp_path: Path) -> None:
    started = replace(start(tmp_path, one(volumes=(("/scratch", "big"),))), volumes={"big": str(tmp_path)})
    assert Mount(tmp_path, "/scratch", is_read_only=False) in mounts(started, {})


def test_credentials_in_a_file_are_seen_where_the_variable_says(tmp_path: Path) -> None:
    (tmp_path / "key.json").touch()
    names = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"), "AWS_CONFIG_FILE": "/no/such"}
    assert seen(start(tmp_path, one()), names) == {"attempt": "write", "key.json": "read"}


def test_any_path_can_be_mounted() -> None:
    assert Mount(Path('/a,b "c"'), "/d").word == '--mount=type=bind,"source=/a,b ""c""",target=/d,readonly'
