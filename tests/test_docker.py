"""What the container engine's words mean; the words are as docker 20.10 and 28, podman 4 and containerd print them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipec import docker


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
         "start it"),
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
         "may not use"),
        ("Unable to find image 'x:1' locally\ndocker: Error response from daemon: No such image: x:1", "no such image"),
        ("Error response from daemon: pull access denied for x, repository does not exist or may "
         "require 'docker login'",
         "wants a login"),
        ("Error response from daemon: manifest for x:1 not found: manifest unknown", "no such image"),
        ("exec /usr/bin/sh: exec format error", "another architecture"),
        ("WARNING: The requested image's platform (linux/arm64) does not match the detected host platform "
         "(linux/amd64/v3) and no specific platform was requested", "another architecture"),
        ("Error response from daemon: could not select device driver \"\" with capabilities: [[gpu]].", "no GPU"),
        ("Error response from daemon: Get \"https://r.example/v2/\": unauthorized: authentication required",
         "other credentials"),
        ("write /var/lib/docker/tmp/x: no space left on device", "disk is full"),
        ("Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host", "cannot be reached"),
        ("OCI runtime create failed: exec: \"nodejs\": executable file not found in $PATH: unknown", "no such program"),
        ("warning\nsomething new", "something new"),
        ("", "said nothing"),
    ],
)  # fmt: skip
def test_what_docker_says_becomes_a_cause_and_a_next_action(said: str, meant: str) -> None:
    assert meant in docker.explained(said)


def test_a_command_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(docker.VARIABLE, "no-such-docker")
    with pytest.raises(docker.DockerFault, match="`no-such-docker` is not installed here"):
        docker.command()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command in docker's place, whose body a test writes."""
    path = tmp_path / "docker"
    path.write_text(f"#!{sys.executable}\n")
    path.chmod(0o755)
    monkeypatch.setenv(docker.VARIABLE, str(path))
    return path


def test_what_was_wanted_stands_before_why_it_was_not_done(stand_in: Path) -> None:
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Error: No such image: x')\n")
    with pytest.raises(docker.DockerFault, match=r"^`x` cannot be read: there is no such image: build or pull it"):
        docker.ask("image", "inspect", "x", wanted="`x` cannot be read")


def test_an_engine_that_does_not_answer_is_not_waited_for(stand_in: Path) -> None:
    stand_in.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    with pytest.raises(docker.DockerFault, match=r"did not answer in 0 s"):
        docker.ask("info", wanted="docker", timeout_s=0.2)


def test_no_value_of_a_variable_is_in_the_arguments(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    words = docker.run_arguments("x:1", ["true"], name="one", env=["TOKEN"])
    assert words[-4:] == ["--env", "TOKEN", "x:1", "true"]
    assert "s3cr3t" not in " ".join(words)
