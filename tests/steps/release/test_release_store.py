from __future__ import annotations

import shutil
import threading
import uuid
from pathlib import Path

import obstore
import obstore.fsspec  # before any test patches obstore: it keeps what it imports
import pytest
from obstore.store import MemoryStore

from pipec import digest
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release import place
from pipec.steps.release.store import Lost, Release, Status, Store


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "releases") if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


def of(shelf: Path, name: str) -> Release:
    return Release(name="wine", model_digest=digest.of_path(shelf / name), run_id=name)


def test_an_empty_store_has_nothing(store: Store):
    assert (store.names(), store.current("wine"), store.statuses("wine")) == ([], None, {})


def test_generations_follow_one_another_and_the_highest_is_current(store: Store, shelf: Path):
    for generation in range(12):
        store.release(of(shelf, "first"), after=generation)
    made = store.release(of(shelf, "second"), after=12)
    assert store.current("wine") == made
    assert store.generations("wine") == list(range(13, 0, -1))
    assert store.names() == ["wine"]


def test_a_kept_model_comes_back_whole(store: Store, shelf: Path, tmp_path: Path):
    wanted = of(shelf, "first")
    for _ in range(2):
        store.keep(shelf / "first", wanted.model_digest)
    assert digest.of_path(store.fetch(wanted.model_digest, tmp_path)) == wanted.model_digest


def test_a_damaged_copy_is_never_handed_out(shelf: Path, tmp_path: Path):
    store, wanted = Store(str(tmp_path / "releases")), of(shelf, "first")
    store.keep(shelf / "first", wanted.model_digest)
    next((tmp_path / "releases" / "_models").glob("*/model.json")).write_text("{}")
    with pytest.raises(DataFault, match="is damaged: deploy the model again"):
        store.fetch(wanted.model_digest, tmp_path)


def test_deploying_again_replaces_a_damaged_copy(shelf: Path, tmp_path: Path):
    store, wanted = Store(str(tmp_path / "releases")), of(shelf, "first")
    store.keep(shelf / "first", wanted.model_digest)
    next((tmp_path / "releases" / "_models").glob("*/model.json")).write_text("{}")
    store.keep(shelf / "first", wanted.model_digest)
    assert digest.of_path(store.fetch(wanted.model_digest, tmp_path)) == wanted.model_digest


def test_a_kept_profile_comes_back_and_a_damaged_one_is_mended(store: Store, tmp_path: Path):
    (tmp_path / "profile").write_text("kept")
    named = digest.of_text("kept")
    store.keep_profile(tmp_path / "profile", named)
    assert store.fetch_profile(named) == b"kept"
    store._place.replace(f"_profiles/{named.replace(':', '-')}.json", b"torn")
    with pytest.raises(DataFault, match="is damaged: deploy the model again"):
        store.fetch_profile(named)
    store.keep_profile(tmp_path / "profile", named)
    assert store.fetch_profile(named) == b"kept"
    for absent in (digest.of_text("other"), "../wine/1"):
        with pytest.raises(DataFault):
            store.fetch_profile(absent)
    with pytest.raises(DataFault, match="the profile changed while it was deployed"):
        store.keep_profile(tmp_path / "profile", digest.of_text("other"))


def test_a_model_that_changed_is_not_kept(store: Store, shelf: Path, tmp_path: Path):
    shutil.copytree(shelf / "first", tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text("{}")
    with pytest.raises(DataFault, match="the model changed while it was deployed"):
        store.keep(tmp_path / "m", of(shelf, "first").model_digest)


def test_of_racing_deploys_exactly_one_wins_each_generation(tmp_path: Path, shelf: Path):
    store, n_threads, n_rounds = Store(str(tmp_path)), 8, 20
    barrier, won, lost = threading.Barrier(n_threads), [], []

    def race(who: int) -> None:
        for generation in range(n_rounds):
            barrier.wait()
            try:
                won.append(
                    (store.release(Release(name="wine", model_digest=f"{who}"), after=generation).generation, who)
                )
            except Lost as fault:
                lost.append(str(fault))

    threads = [threading.Thread(target=race, args=(who,)) for who in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(generation for generation, _ in won) == list(range(1, n_rounds + 1))
    assert len(lost) == n_rounds * (n_threads - 1)
    assert all(store.release_at("wine", g).model_digest == str(who) for g, who in won)
    assert list(tmp_path.rglob(".new-*")) == []


def test_the_loser_is_told(store: Store, shelf: Path):
    store.release(of(shelf, "first"), after=0)
    with pytest.raises(Lost, match="another deploy of `wine` made generation 1 first: look at it, then try again"):
        store.release(of(shelf, "second"), after=0)
    assert store.current("wine").model_digest == of(shelf, "first").model_digest


def test_object_stores_create_once_though_their_fsspec_form_would_overwrite(monkeypatch):
    memory = MemoryStore()
    monkeypatch.setattr("obstore.store.from_url", lambda url, **options: memory)
    from obstore.fsspec import FsspecStore

    remote = place.Remote(FsspecStore("s3"), "bucket/releases", "s3", "s3://bucket/releases")
    assert remote.create("wine/1.json", b"a") is True
    assert remote.create("wine/1.json", b"b") is False
    assert obstore.get(memory, "releases/wine/1.json").bytes() == b"a"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (None, "this environment has no release store: give it an `artifacts` root"),
        ("releases", "the release store `releases` is a relative path: give a full path or a URL"),
        (
            "ftp://ana:secret@host/releases",
            "`ftp://host/releases` cannot hold a release store: "
            "only memory, s3, s3a, gs, gcs, az, abfs, abfss create a file exactly once",
        ),
    ],
)
def test_a_place_of_no_use_is_told_without_its_password(root, message):
    with pytest.raises(AskFault) as told:
        Store(root)
    assert str(told.value) == message


@pytest.mark.parametrize("name", ["", "Wine", "../up", "1st", "a" * 64, "_models", "a/b"])
def test_a_name_that_could_be_a_path_is_refused(name, store: Store):
    with pytest.raises(AskFault, match="cannot name a deployment"):
        store.current(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON: the store was changed by hand"),
        ("[]", "is not a JSON object"),
        ('{"format_version": "2.0"}', "has format 2.0: this version reads 1.0"),
        ('{"format_version": "1.0", "name": "wine"}', "is not a record that pipec wrote"),
        (
            '{"format_version": "1.0", "name": "beer", "generation": 1, "model_digest": "sha256:0"}',
            "speaks of another release",
        ),
    ],
)
def test_a_record_that_was_changed_by_hand_is_refused(text, message, tmp_path: Path):
    (tmp_path / "wine").mkdir()
    (tmp_path / "wine" / "1.json").write_text(text)
    with pytest.raises(DataFault, match=message):
        Store(str(tmp_path)).current("wine")


def test_a_server_says_and_takes_back(store: Store):
    said = Status(url="http://a", generation=3, model_digest="sha256:0", healthy=True, beat=2)
    store.say("wine", "a", said)
    assert store.statuses("wine") == {"a.json": said}
    store.forget("wine", "a")
    store.forget("wine", "a")
    assert store.statuses("wine") == {}
