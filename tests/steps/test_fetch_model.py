"""What is released comes back whole, or is told not to be there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import runtime_probe as probes
from given import context, step

from pipec import digest
from pipec.steps import runtime
from pipec.steps.declare import CallerError, Refused, TryAgain, interface_of
from pipec.steps.deploy import Deploy
from pipec.steps.fetch_model import FetchModel
from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe
from pipec.steps.release.store import Store


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """Models `a`, `b` and `c` of one number, `x`, and a file, `profile`."""
    folder = tmp_path_factory.mktemp("shelf")
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.5, 1.5, 2.5]})
    for name, alpha in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        recipe = Recipe(estimator="ridge", settings={"alpha": alpha})
        model.save(model.fit(frame, "y", [], recipe, 1, lambda line: None)[0], folder / name)
    (folder / "profile").write_text("kept")
    return folder


def deploy(shelf: Path, which: str, root: Path, **fields: object) -> Deploy:
    made = step(Deploy, root / "deploy", model=shelf / which, servers=0, **fields)
    made.run(context(releases=str(root / "releases")))
    return made


def fetch(root: Path, log: list[str] | None = None, **fields: object) -> FetchModel:
    made = step(FetchModel, root / "fetched", **fields)
    made.run(context(log, releases=str(root / "releases")))
    return made


def test_the_interface_says_what_may_be_left_unwritten() -> None:
    interface = interface_of(FetchModel)
    assert [(o.name, o.type, o.optional, o.unless) for o in interface.outputs] == [
        ("model", "Model", True, "required"), ("profile", "Profile", True, ""), ("found", "boolean", False, ""),
        ("generation", "integer", False, ""), ("digest", "string", False, ""),
    ]  # fmt: skip
    assert (interface.role, interface.world, interface.rooted) == (None, True, True)


def test_the_champion_comes_with_its_profile(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, "a", tmp_path)
    deploy(shelf, "b", tmp_path, profile=shelf / "profile")
    made = fetch(tmp_path)
    assert (made.found, made.generation, made.digest) == (True, 2, digest.of_path(shelf / "b"))
    assert digest.of_path(tmp_path / "fetched" / "model") == made.digest
    assert (tmp_path / "fetched" / "profile").read_text() == "kept"


def test_nothing_released_leaves_the_outputs_unwritten(tmp_path: Path) -> None:
    call = probes.call(interface_of(FetchModel), tmp_path, releases=str(tmp_path / "releases"))
    assert runtime.execute(call) == 0
    told = probes.result(tmp_path)
    assert (told["values"], told["artifacts"]) == ({"found": False, "generation": 0, "digest": ""}, {})


def test_a_release_without_a_profile_leaves_that_one_unwritten(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, "a", tmp_path, name="p")
    assert runtime.execute(probes.call(interface_of(FetchModel), tmp_path, releases=str(tmp_path / "releases"))) == 0
    assert {name: a["digest"] for name, a in probes.result(tmp_path)["artifacts"].items()} == {
        "model": digest.of_path(shelf / "a")
    }


@pytest.mark.parametrize("alias", ["champion", "canary", "previous"])
def test_what_is_required_and_absent_is_refused(alias: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"`wine` has no release as `{alias}`: deploy a model first"):
        fetch(tmp_path, alias=alias, required=True)


def test_an_alias_is_a_line_of_its_own(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, "a", tmp_path)
    assert deploy(shelf, "b", tmp_path, alias="canary").generation == 1
    assert fetch(tmp_path, alias="canary").digest == digest.of_path(shelf / "b")
    assert fetch(tmp_path / "other", alias="canary").found is False
    assert Store(str(tmp_path / "releases")).names() == ["wine", "wine-canary"]


def test_previous_is_the_newest_before_with_another_model(shelf: Path, tmp_path: Path) -> None:
    found = []
    for number, which in enumerate("abbac"):
        deploy(shelf, which, tmp_path, profile=shelf / "profile" if number == 2 else None)
        previous = Store(str(tmp_path / "releases")).find("wine", "previous")
        found.append(previous.generation if previous else 0)
    assert found == [0, 1, 1, 3, 4]
    assert fetch(tmp_path, alias="previous").digest == digest.of_path(shelf / "a")


def test_a_damaged_copy_is_refused(shelf: Path, tmp_path: Path) -> None:
    deploy(shelf, "a", tmp_path, profile=shelf / "profile")
    next((tmp_path / "releases" / "_profiles").iterdir()).write_text("torn")
    with pytest.raises(Refused, match="is damaged: deploy the model again"):
        fetch(tmp_path)
    next((tmp_path / "releases" / "_models").glob("*/model.json")).write_text("{}")
    with pytest.raises(Refused, match="is damaged: deploy the model again"):
        step(FetchModel, tmp_path / "again").run(context(releases=str(tmp_path / "releases")))


@pytest.mark.parametrize(
    ("asked", "message"), [({"name": "Wine!"}, "`Wine!` cannot name"), ({"alias": ""}, "`` cannot name")]
)
def test_a_name_of_no_use_is_the_callers_fault(asked: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=message):
        fetch(tmp_path, **asked)


def test_without_a_store_nothing_can_be_fetched_and_a_store_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no release store"):
        step(FetchModel, tmp_path).run(context())
    with pytest.raises(TryAgain, match="did not answer"):
        step(FetchModel, tmp_path / "out").run(context(releases=str(tmp_path / ("x" * 300))))


def test_nothing_is_released_as_previous(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="`previous` is the release before the current one"):
        deploy(shelf, "a", tmp_path, alias="previous")
