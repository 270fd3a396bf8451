from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from given import context, step

from pipec import digest
from pipec.steps.approve import Approve
from pipec.steps.declare import CallerError, Refused, TryAgain
from pipec.steps.deploy import Deploy
from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe
from pipec.steps.release import store as stores
from pipec.steps.release.server import ModelServer
from pipec.steps.release.store import Store


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """Models `a` and `b` of one number, `x`."""
    folder = tmp_path_factory.mktemp("shelf")
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.5, 1.5, 2.5]})
    for name, alpha in (("a", 1.0), ("b", 2.0)):
        recipe = Recipe(estimator="ridge", settings={"alpha": alpha})
        model.save(model.fit(frame, "y", [], recipe, 1, lambda line: None)[0], folder / name)
    return folder


def approved(shelf: Path, which: str, out: Path, hours_ago: float = 0) -> Path:
    at = (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()
    said = json.dumps({"format_version": "1.0", "decision": "approve", "by": "ana@example.org", "at": at})
    step(Approve, out, model=shelf / which).run(context(decision=f"json:{said}", environment="prod"))
    return out / "approval"


def deploy(shelf: Path, which: str, tmp_path: Path, log: list[str] | None = None, **fields: object) -> Deploy:
    fields = {"servers": 0, **fields}
    made = step(Deploy, tmp_path / f"out-{which}", model=shelf / which, **fields)
    made.run(context(log, releases=str(tmp_path / "releases"), environment="prod"))
    return made


def test_a_release_is_written_with_its_approval(shelf: Path, tmp_path: Path):
    approval = approved(shelf, "a", tmp_path)
    made = deploy(shelf, "a", tmp_path, approval=approval)
    assert (made.generation, made.released) == (1, digest.of_path(shelf / "a"))
    current = Store(str(tmp_path / "releases")).current("wine")
    assert current.approval == json.loads(approval.read_text())
    assert (current.environment, current.pipeline, current.run_id) == ("prod", "wine", "run-1")
    assert json.loads((tmp_path / "out-a" / "endpoint").read_text()) == {
        "format_version": "1.0", "name": "wine", "generation": 1, "model_digest": made.released, "columns": ["x"],
        "protocol": "open-inference-v2", "urls": [],
    }  # fmt: skip


def test_a_profile_is_kept_by_content_and_named_in_the_record(shelf: Path, tmp_path: Path):
    (tmp_path / "profile").write_text("kept")
    store = Store(str(tmp_path / "releases"))
    assert deploy(shelf, "a", tmp_path).generation == 1
    assert store.current("wine").profile_digest == ""
    assert [deploy(shelf, "a", tmp_path, profile=tmp_path / "profile").generation for _ in range(2)] == [2, 2]
    assert store.current("wine").profile_digest == digest.of_text("kept")
    assert store.fetch_profile(digest.of_text("kept")) == b"kept"
    assert deploy(shelf, "a", tmp_path).generation == 2
    assert store.names() == ["wine"]


def test_deploying_what_is_current_makes_no_new_generation(shelf: Path, tmp_path: Path):
    assert [deploy(shelf, which, tmp_path).generation for which in "aabba"] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("which", "hours_ago", "message"),
    [("b", 0, "the approval covers another model"), ("a", 200, "the approval held from ")],
)
def test_an_approval_that_does_not_cover_the_model_now_is_refused(which, hours_ago, message, shelf, tmp_path: Path):
    approval = approved(shelf, which, tmp_path, hours_ago)
    with pytest.raises(Refused, match=message):
        deploy(shelf, "a", tmp_path, approval=approval)
    assert not (tmp_path / "releases").exists()


def test_an_approval_for_another_environment_is_refused(shelf: Path, tmp_path: Path):
    made = step(Deploy, tmp_path, model=shelf / "a", approval=approved(shelf, "a", tmp_path), servers=0)
    with pytest.raises(Refused, match="the approval is for environment `prod`, not `dev`"):
        made.run(context(releases=str(tmp_path / "releases"), environment="dev"))


def test_a_live_server_is_waited_for_and_told(shelf: Path, tmp_path: Path):
    releases = tmp_path / "releases"
    with ModelServer(str(releases), "wine", poll_s=0.02, log=lambda line: None) as server:
        for which, generation in (("a", 1), ("b", 2)):
            assert deploy(shelf, which, tmp_path, servers=1).generation == generation
            endpoint = json.loads((tmp_path / f"out-{which}" / "endpoint").read_text())
            assert endpoint["urls"] == [f"{server.url}/v2/models/wine"]


def test_without_a_server_the_command_to_start_one_is_told(shelf: Path, tmp_path: Path):
    with pytest.raises(TryAgain) as told:
        deploy(shelf, "a", tmp_path, servers=1, timeout_s=0)
    assert str(told.value) == (
        "generation 1 of `wine` is written, but no server follows the store: "
        f"start `pipec serve --store {tmp_path / 'releases'} --name wine`"
    )


def test_a_dead_servers_status_does_not_count(shelf: Path, tmp_path: Path):
    made = deploy(shelf, "a", tmp_path)
    said = stores.Status(url="http://gone", generation=1, model_digest=made.released, healthy=True, beat=7)
    Store(str(tmp_path / "releases")).say("wine", "gone", said)
    with pytest.raises(TryAgain, match="no server follows the store"):
        deploy(shelf, "a", tmp_path, servers=1, timeout_s=0.2)


def test_too_few_servers_are_counted(shelf: Path, tmp_path: Path):
    server = ModelServer(str(tmp_path / "releases"), "wine", poll_s=0.02, log=lambda line: None)
    with server, pytest.raises(TryAgain, match="1 of 2 servers serve generation 1 of `wine` so far"):
        deploy(shelf, "a", tmp_path, servers=2, timeout_s=1)


def test_a_model_that_a_server_cannot_load_is_refused_and_the_old_one_restored(shelf: Path, tmp_path: Path):
    store = Store(str(tmp_path / "releases"))
    shutil.copytree(shelf / "b", tmp_path / "torn")
    (tmp_path / "torn" / "weights.skops").write_bytes(b"torn")
    old = deploy(shelf, "a", tmp_path).released
    with ModelServer(str(tmp_path / "releases"), "wine", poll_s=0.02, log=lambda line: None) as server:
        with pytest.raises(Refused) as told:
            deploy(tmp_path, "torn", tmp_path, servers=1)
        assert str(told.value) == (
            f"{server.url} cannot serve the model: the weights are not a skops file: train the model again"
        )
        assert (store.current("wine").generation, store.current("wine").model_digest) == (3, old)
        assert store.current("wine").reason == "generation 2 could not be served"
        assert deploy(shelf, "a", tmp_path, servers=1).generation == 3


def test_racing_deploys_either_make_a_generation_or_are_told_to_try_again(shelf: Path, tmp_path: Path):
    barrier, made, told = threading.Barrier(2), [], []

    def race(which: str) -> None:
        for round_ in range(10):
            barrier.wait()
            try:
                deploy(shelf, which, tmp_path, name=f"race-{round_}")
                made.append(round_)
            except TryAgain as fault:
                told.append(str(fault))

    threads = [threading.Thread(target=race, args=(which,)) for which in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(str(tmp_path / "releases"))
    assert len(made) + len(told) == 20
    assert [len(store.generations(f"race-{n}")) for n in range(10)] == [made.count(n) for n in range(10)]
    assert all("made generation 1 first" in line for line in told)


def test_names_and_stores_of_no_use_are_the_callers_fault(shelf: Path, tmp_path: Path):
    with pytest.raises(CallerError, match="`Wine!` cannot name a deployment"):
        deploy(shelf, "a", tmp_path, name="Wine!")
    for releases, message in ((None, "no release store"), ("here", "`here` is a relative path")):
        with pytest.raises(CallerError, match=message):
            step(Deploy, tmp_path, model=shelf / "a", servers=0).run(context(releases=releases))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    (tmp_path / "m").mkdir()
    with pytest.raises(Refused, match=r"m is no model: it holds no model\.json"):
        deploy(tmp_path, "m", tmp_path)
