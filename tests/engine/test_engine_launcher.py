"""What a process cannot be given is told before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from engine_bench import Bench, loop, plan, task

from pipec.engine.launcher import ProcessLauncher
from pipec.engine.outcome import EngineError
from pipec.steps.interface import Resources


def mounting(mount: str) -> object:
    return replace(task("fit"), volumes=((mount, "scratch"),))


def test_a_volume_at_the_very_folder_that_it_is_here_is_nothing_to_refuse(tmp_path: Path) -> None:
    refuse = ProcessLauncher().refuse
    assert refuse(mounting(str(tmp_path)), {"scratch": f"{tmp_path}/"}) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mount", "volumes", "told"),
    [
        ("/scratch", {},
         "`fit` mounts volume `scratch`, which is no folder here: name one in the environment's `volumes`"),
        ("/scratch", {"scratch": "/mnt/x"},
         "`fit` mounts volume `scratch` at `/scratch`, but here it is `/mnt/x`, and a process cannot see it elsewhere: "
         "mount it at `/mnt/x`, or make `/scratch` its folder in the environment's `volumes`"),
        ("/no/such", {"scratch": "/no/such"}, "volume `scratch` of `fit` is `/no/such`, which is not there: make it"),
    ],
    ids=["unknown", "elsewhere", "missing"],
)  # fmt: skip
def test_a_volume_that_a_process_would_not_find_is_refused(mount: str, volumes: dict[str, str], told: str) -> None:
    assert ProcessLauncher().refuse(mounting(mount), volumes) == told  # type: ignore[arg-type]


def test_a_step_for_several_machines_is_refused_by_one() -> None:
    wanted = replace(task("fit"), resources=Resources(machines=3))
    assert ProcessLauncher().refuse(wanted, {}) == (
        "`fit` asks for 3 machines, and this is one: let the environment say `resources: {machines: 1}` for it"
    )


def test_a_link_to_the_folder_is_another_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    volumes = {"scratch": str(tmp_path / "real")}
    assert "cannot see it elsewhere" in ProcessLauncher().refuse(mounting(str(tmp_path / "link")), volumes)  # type: ignore[arg-type]


def test_what_a_loop_would_start_is_looked_at_before_anything_runs(shop: Bench) -> None:
    inner = replace(task("score"), volumes=(("/scratch", "scratch"),))
    with pytest.raises(EngineError, match=r"`score`.*`scratch`"):
        shop.run(plan(task("first"), loop("score", ["a"], inner)), launcher=ProcessLauncher())
    assert shop.ledger == []
