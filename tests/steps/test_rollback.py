"""Going back: to what, from what, once, and not where somebody else released since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import runtime_probe as probes
from given import context, step

from pipec import digest
from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.declare import CallerError, Refused, TryAgain, interface_of
from pipec.steps.deploy import Deploy
from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe
from pipec.steps.release.server import ModelServer
from pipec.steps.release.store import Release, Store
from pipec.steps.rollback import Rollback


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """Models `a`, `b` and `c` of one number, `x`."""
    folder = tmp_path_factory.mktemp("shelf")
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.5, 1.5, 2.5]})
    for name, alpha in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        recipe = Recipe(estimator="ridge", settings={"alpha": alpha})
        model.save(model.fit(frame, "y", [], recipe, 1, lambda line: None)[0], folder / name)
    return folder


def deploy(shelf: Path, root: Path, names: str, **fields: Any) -> Path:
    """Release models in a row; return the endpoint of the last."""
    for number, name in enumerate(names):
        made = step(Deploy, root / f"deploy-{name}", **{"model": shelf / name, "servers": 0, **fields})
        made.run(context(releases=str(root / "releases"), run_id=f"deploy-{number}"))
    return root / f"deploy-{names[-1]}" / "endpoint"


def roll_back(root: Path, log: list[str] | None = None, run_id: str = "back-1", **fields: Any) -> Rollback:
    made = step(Rollback, root / "back", **{"servers": 0, **fields})
    made.run(context(log, releases=str(root / "releases"), run_id=run_id))
    return made


def current(root: Path, name: str = "wine") -> Release:
    found = Store(str(root / "releases")).current(name)
    assert found is not None
    return found


def test_the_interface_is_what_the_compiler_reads() -> None:
    interface = interface_of(Rollback)
    assert [(i.name, i.type, i.optional, i.hard) for i in interface.inputs] == [("endpoint", "Endpoint", True, True)]
    assert [(o.name, o.type) for o in interface.outputs] == [
        ("endpoint", "Endpoint"), ("generation", "integer"), ("released", "string"), ("rolled_back", "boolean"),
    ]  # fmt: skip
    assert (interface.role, interface.world, interface.rooted) == (None, True, True)


def test_the_release_before_is_current_again_and_says_why(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, tmp_path, "ab")
    made = roll_back(tmp_path)
    assert (made.rolled_back, made.generation, made.released) == (True, 3, digest.of_path(shelf / "a"))
    now = current(tmp_path)
    assert (now.generation, now.restores, now.reason) == (3, 1, "rolled back from generation 2")
    assert now.run_id == "back-1"
    assert json.loads((tmp_path / "back" / "endpoint").read_text()) == {
        "format_version": "1.0", "name": "wine", "generation": 3, "model_digest": made.released, "columns": ["x"],
        "protocol": "open-inference-v2", "urls": [],
    }  # fmt: skip


def test_the_approval_and_the_profile_of_then_come_back(tmp_path: Path, shelf: Path) -> None:
    (tmp_path / "profile").write_text("kept")
    deploy(shelf, tmp_path, "a", profile=tmp_path / "profile")
    store = Store(str(tmp_path / "releases"))
    approval = {"by": "ana@example.org"}
    store.keep(shelf / "b", digest.of_path(shelf / "b"))
    store.release(Release(name="wine", model_digest=digest.of_path(shelf / "b"), approval=approval), after=1)
    deploy(shelf, tmp_path, "c")
    roll_back(tmp_path, reason="it drifted")
    assert (current(tmp_path).approval, current(tmp_path).reason) == (approval, "it drifted")
    roll_back(tmp_path, run_id="back-2")
    assert (current(tmp_path).approval, current(tmp_path).profile_digest) == (None, digest.of_text("kept"))


def test_going_back_twice_leads_further_back_and_then_nowhere(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, tmp_path, "abc")
    made = [roll_back(tmp_path, run_id=f"back-{n}") for n in range(2)]
    assert [one.released for one in made] == [digest.of_path(shelf / "b"), digest.of_path(shelf / "a")]
    with pytest.raises(Refused, match="`wine` has nothing to go back to: no other model was released before"):
        roll_back(tmp_path, run_id="back-3")


def test_what_was_given_up_is_passed_over(shelf: Path, tmp_path: Path) -> None:
    """Generation 2 is gone back from, so what comes before generation 4 is the model of 1."""
    deploy(shelf, tmp_path, "ab")
    roll_back(tmp_path)
    deploy(shelf, tmp_path, "c")
    assert roll_back(tmp_path, run_id="back-2").released == digest.of_path(shelf / "a")


def test_an_attempt_that_is_made_again_goes_back_once(shelf: Path, tmp_path: Path) -> None:
    """As when the record was written and no server followed yet."""
    endpoint = deploy(shelf, tmp_path, "abc")
    with pytest.raises(TryAgain, match="no server follows the store"):
        roll_back(tmp_path, endpoint=endpoint, servers=1, timeout_s=0)
    for given in (endpoint, None):
        made = roll_back(tmp_path, endpoint=given)
        assert (made.rolled_back, made.generation, made.released) == (True, 4, digest.of_path(shelf / "b"))


def test_nothing_is_done_where_somebody_released_since(shelf: Path, tmp_path: Path) -> None:
    log: list[str] = []
    endpoint = deploy(shelf, tmp_path, "ab")
    deploy(shelf, tmp_path, "c")
    made = roll_back(tmp_path, log, endpoint=endpoint)
    assert (made.rolled_back, made.generation, made.released) == (False, 3, digest.of_path(shelf / "c"))
    assert log == ["generation 3 is current, not 2: released since, so nothing is done"]


def test_a_generation_can_be_named(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, tmp_path, "abcb")
    made = roll_back(tmp_path, to=1)
    assert (made.generation, made.released, current(tmp_path).restores) == (5, digest.of_path(shelf / "a"), 1)
    assert roll_back(tmp_path, run_id="back-2", to=1).rolled_back is False
    with pytest.raises(Refused, match="`wine` has no generation 9: it has up to 5"):
        roll_back(tmp_path, run_id="back-2", to=9)


def test_a_generation_with_the_same_model_is_no_way_back(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, tmp_path, "ab")
    log: list[str] = []
    assert roll_back(tmp_path, log, to=2).rolled_back is False
    assert log == ["generation 2 has the model of 2 already: nothing is done"]


def test_without_a_release_or_one_before_it_is_refused(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="`wine` has no release, so there is nothing to go back from"):
        roll_back(tmp_path)
    deploy(shelf, tmp_path, "a")
    with pytest.raises(Refused, match="`wine` has nothing to go back to"):
        roll_back(tmp_path)


def test_a_damaged_model_is_not_made_current(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, tmp_path, "ab")
    folder = tmp_path / "releases" / "_models" / digest.of_path(shelf / "a").replace(":", "-")
    (folder / "model.json").write_text("{}")
    with pytest.raises(Refused, match="is damaged"):
        roll_back(tmp_path)
    assert current(tmp_path).generation == 2


def test_a_live_server_is_waited_for_and_what_it_cannot_load_is_gone_back_from(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "a", tmp_path / "torn")
    (tmp_path / "torn" / "weights.skops").write_bytes(b"torn")
    deploy(shelf, tmp_path, "a")
    deploy(shelf, tmp_path, "a", model=tmp_path / "torn")
    deploy(shelf, tmp_path, "b")
    with ModelServer(str(tmp_path / "releases"), "wine", poll_s=0.02, log=lambda line: None) as server:
        with pytest.raises(Refused, match="cannot serve the model: the weights are not a skops file"):
            roll_back(tmp_path, servers=1)
        assert (current(tmp_path).generation, current(tmp_path).restores) == (5, 3)
        made = roll_back(tmp_path, servers=1, to=1, run_id="back-2")
        assert made.generation == 6
        assert json.loads((tmp_path / "back" / "endpoint").read_text())["urls"] == [f"{server.url}/v2/models/wine"]


def test_an_alias_and_an_endpoint_say_where_to_go_back(shelf: Path, tmp_path: Path) -> None:
    endpoint = deploy(shelf, tmp_path, "ab", alias="canary")
    assert roll_back(tmp_path, alias="canary").generation == 3
    deploy(shelf, tmp_path, "c", alias="canary")
    assert roll_back(tmp_path, endpoint=tmp_path / "deploy-c" / "endpoint", run_id="back-2").generation == 5
    with pytest.raises(CallerError, match="`endpoint` is of `wine-canary`, not of `other`: leave `name` and `alias`"):
        roll_back(tmp_path, endpoint=endpoint, name="other")


@pytest.mark.parametrize(
    "content", ["not json", "[1]", "{}", '{"name": 1, "generation": 1}', '{"name": "a", "generation": true}']
)
def test_an_endpoint_that_is_none_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "endpoint").write_text(content)
    with pytest.raises(CallerError, match="`endpoint` is not what a deploy step writes: it names no release"):
        roll_back(tmp_path, endpoint=tmp_path / "endpoint")


def test_the_runtime_tells_the_input_from_the_output_of_the_same_name(shelf: Path, tmp_path: Path) -> None:
    endpoint = deploy(shelf, tmp_path, "ab")
    call = probes.call(
        interface_of(Rollback), tmp_path, inputs={"endpoint": (Location(str(endpoint)),)},
        parameters={"servers": 0}, releases=str(tmp_path / "releases"),
    )  # fmt: skip
    assert runtime.execute(call) == 0
    assert json.loads((tmp_path / "t" / "endpoint").read_text())["generation"] == 3
    assert probes.result(tmp_path)["values"]["rolled_back"] is True
