"""An end for good is noted once, and no later attempt of the same execution asks again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from needs import ROOT

from pipec.steps import catalog
from pipec.steps.command import Order, order_text
from pipec.values import Literal

OVER = "it has ended before, and no attempt after that would end otherwise"


def order(name: str, /, **parameters: object) -> str:
    interface = catalog.find(name)
    assert interface is not None
    given = {p.name: p.default for p in interface.parameters if not p.is_required} | parameters
    return order_text(
        Order(
            pipeline="p", task="t", step=f"{name}@{interface.version}", interface=interface.digest, marks=2,
            parameters=tuple((key, Literal(value)) for key, value in given.items()),  # type: ignore[arg-type]
        )
    )  # fmt: skip


Done = subprocess.CompletedProcess[str]


def attempt(folder: Path, name: str, text: str, *, run: str = "r1", extra: str = "") -> Done:
    """Make one attempt as KFP would. extra: what tells an execution from another, such as an item of a loop."""
    interface = catalog.find(name)
    assert interface is not None
    places = {output.name: {"artifacts": [{"uri": str(folder / output.name)}]} for output in interface.artifacts}
    told = {
        "inputs": {"parameterValues": {"item": extra} if extra else {}},
        "outputs": {"artifacts": places, "outputFile": str(folder / "out.json")},
    }
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environ |= {"PIPEC_RUN_ID": run} if run else {}
    return subprocess.run(
        [sys.executable, "-m", "pipec.steps", name, "--order", text, "--root", folder.as_uri(), "--executor-input",
         json.dumps(told)], capture_output=True, text=True, check=False, env=environ, cwd=folder,
    )  # fmt: skip


def test_a_refusal_is_not_asked_for_again_by_the_same_execution(tmp_path: Path) -> None:
    text = order("fetch-model", name="wine", required=True)
    first, second = (attempt(tmp_path, "fetch-model", text) for _ in range(2))
    assert (first.returncode, second.returncode) == (3, 3)
    assert OVER not in first.stderr
    assert second.stderr.splitlines() == [f"t (fetch-model@1): {OVER}"]


def test_what_follows_the_policy_s_own_attempts_is_a_person_s_and_runs(tmp_path: Path) -> None:
    text = order("fetch-model", name="wine", required=True)
    over = [OVER in attempt(tmp_path, "fetch-model", text).stderr for _ in range(6)]
    assert over == [False, True, True, False, True, True]


@pytest.mark.parametrize(("run", "extra"), [("r2", ""), ("r1", "b")], ids=["another run", "another iteration"])
def test_another_execution_is_asked(tmp_path: Path, run: str, extra: str) -> None:
    text = order("fetch-model", name="wine", required=True)
    attempt(tmp_path, "fetch-model", text)
    assert OVER not in attempt(tmp_path, "fetch-model", text, run=run, extra=extra).stderr


def test_what_may_heal_is_tried_again(tmp_path: Path) -> None:
    text = order(
        "notify", channel="c", message="m", webhook="http://127.0.0.1:9/"
    )  # nobody listens at the discard port
    codes = [attempt(tmp_path, "notify", text).returncode for _ in range(2)]
    assert codes == [75, 75]
    assert list(tmp_path.rglob("ended-*.json")) == []


def test_where_nobody_says_which_run_it_is_every_attempt_is_made(tmp_path: Path) -> None:
    text = order("fetch-model", name="wine", required=True)
    assert [OVER in attempt(tmp_path, "fetch-model", text, run="").stderr for _ in range(2)] == [False, False]


def test_a_note_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    text = order("fetch-model", name="wine", required=True)
    attempt(tmp_path, "fetch-model", text)
    (note,) = tmp_path.rglob("ended-*.json")
    note.write_text("{")
    again = attempt(tmp_path, "fetch-model", text)
    assert again.returncode == 3
    assert "[t] whether it has ended before cannot be read" in again.stderr
