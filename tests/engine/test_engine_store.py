from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipec import digest
from pipec.engine import files
from pipec.engine.store import Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def a_file(folder: Path, text: str = "rows", name: str = "data") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def a_folder(folder: Path, name: str = "model") -> Path:
    (folder / name / "deep").mkdir(parents=True)
    a_file(folder / name / "deep", "weights", "w.bin")
    a_file(folder / name, "{}", "config.json")
    return folder / name


@pytest.mark.parametrize("make", [a_file, a_folder])
def test_an_artifact_is_moved_in_whole_and_read_only(store: Store, tmp_path: Path, make: type) -> None:
    path = make(tmp_path)
    address = digest.of_path(path)
    assert store.put(path, address) == address
    assert not path.exists()
    assert store.holds(address)
    assert digest.of_path(store.locate(address)) == address
    assert {p.stat().st_mode & 0o222 for p in files.walk(store.locate(address))} == {0}


def test_the_same_content_twice_is_one_object(store: Store, tmp_path: Path) -> None:
    first = store.put(a_folder(tmp_path, "one"))
    assert store.put(a_folder(tmp_path, "two")) == first
    assert [p.name for p in store.root.glob("??/*")] == [first.removeprefix("sha256:")]


def test_another_digest_than_reported_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="but its step reported sha256:0"):
        store.put(a_file(tmp_path), "sha256:" + "0" * 64)
    assert not store.root.exists()


@pytest.mark.parametrize("odd", ["link", "fifo", "link inside", "nothing"])
def test_only_plain_files_and_folders_are_artifacts(store: Store, tmp_path: Path, odd: str) -> None:
    path = tmp_path / "out"
    match odd:
        case "link":
            path.symlink_to(a_file(tmp_path))
        case "fifo":
            os.mkfifo(path)
        case "link inside":
            path.mkdir()
            (path / "l").symlink_to("/etc/hostname")
    with pytest.raises(StoreError):
        store.put(path)


def test_a_flipped_byte_is_noticed_and_a_new_copy_heals(store: Store, tmp_path: Path) -> None:
    address = store.put(a_folder(tmp_path))
    assert store.holds(address)
    damaged = store.locate(address) / "deep" / "w.bin"
    damaged.chmod(0o644)
    damaged.write_text("weighty", encoding="utf-8")
    assert not store.holds(address)
    assert store.put(a_folder(tmp_path)) == address
    assert store.holds(address)


def test_an_artifact_that_is_gone_is_not_held(store: Store, tmp_path: Path) -> None:
    address = store.put(a_file(tmp_path))
    files.remove(store.locate(address))
    assert not store.holds(address)


def test_a_text_that_is_no_digest_names_no_place(store: Store) -> None:
    with pytest.raises(StoreError, match="is not a digest"):
        store.locate("sha256:../../../etc/passwd")


def test_racing_writers_of_one_content_all_succeed(store: Store, tmp_path: Path) -> None:
    def put(n: int) -> str:
        (tmp_path / str(n)).mkdir()
        return store.put(a_folder(tmp_path / str(n)))

    with ThreadPoolExecutor(8) as pool:
        addresses = set(pool.map(put, range(40)))
    assert len(addresses) == 1
    assert store.holds(addresses.pop())
    assert len(list(store.root.glob("??/*"))) == 1  # nothing half, nothing aside


@pytest.mark.parametrize("make", [a_file, a_folder])
def test_an_artifact_of_another_device_is_copied(
    store: Store, tmp_path: Path, make: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path)
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self == path:
            raise OSError(errno.EXDEV, "cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    address = store.put(path)
    assert store.holds(address)
    assert not path.exists()
    assert len(list(store.root.glob("??/*"))) == 1


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_modes_do_not_depend_on_the_umask(store: Store, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        address = store.put(a_file(tmp_path))
    finally:
        os.umask(before)
    assert store.locate(address).stat().st_mode & 0o777 == 0o444
