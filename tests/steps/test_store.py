"""Locations: what is read and written at them, and how a location that fails is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec.steps import store
from pipec.steps.declare import CallerError, TryAgain


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("s3://key:secret@bucket/rows.csv?sig=abc#x", "s3://bucket/rows.csv"),
        ("https://host:8443/a/b.parquet?token=t", "https://host:8443/a/b.parquet"),
        ("data/wine.csv", "data/wine.csv"),
    ],
)
def test_a_location_is_shown_without_what_opens_it(location: str, shown: str) -> None:
    assert store.shown(location) == shown


def test_an_unknown_kind_of_location_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="`gopher://` is no kind of location that is known here"):
        store.fetch("gopher://host/rows.csv", tmp_path)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="this image cannot reach `dropbox://` locations"):
        store.fetch("dropbox://folder/rows.csv", tmp_path)


def test_nothing_at_a_url_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="nothing is at `memory://none/rows\\.csv`: check"):
        store.fetch("memory://none/rows.csv", tmp_path)


def test_a_connection_that_fails_is_worth_another_try(tmp_path: Path) -> None:
    # Port 1 of this machine: nobody listens there, and the refusal is at once.
    with pytest.raises(TryAgain) as fault:
        store.fetch("ftp://user:secret@127.0.0.1:1/rows.csv", tmp_path)
    assert str(fault.value).startswith("`ftp://127.0.0.1:1/rows.csv` could not be read")
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize("where", ["{tmp}/deep/er/note.txt", "memory://texts/note.txt"], ids=["local", "remote"])
def test_a_text_reads_back_and_absence_is_none(where: str, tmp_path: Path) -> None:
    location = where.format(tmp=tmp_path)
    assert store.read_text(location) is None
    store.write_text(location, "ä\n")
    store.write_text(location, "ö\n")
    assert store.read_text(location) == "ö\n"
    assert not list(tmp_path.rglob(".pipec-*"))


def test_a_folder_goes_up_and_comes_down_with_its_names(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_text("w")
    (tmp_path / "model" / "card").write_text("c")
    store.push(tmp_path / "model", "memory://models/a")
    (tmp_path / "down").mkdir()
    found = store.fetch("memory://models/a", tmp_path / "down")
    assert {p.relative_to(found).as_posix(): p.read_text() for p in found.rglob("*") if p.is_file()} == {
        "card": "c",
        "deep/weights": "w",
    }


def test_an_upload_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    for content in ("one", "two"):
        (tmp_path / content).mkdir()
        (tmp_path / content / content).write_text(content)
        store.push(tmp_path / content, "memory://models/b")
    assert store.read_text("memory://models/b/one") is None
    assert store.read_text("memory://models/b/two") == "two"


def test_local_paths_need_no_fsspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    store.write_text(str(tmp_path / "note"), "here")
    assert store.read_text((tmp_path / "note").as_uri()) == "here"
    with pytest.raises(CallerError, match="needs fsspec: use an image with"):
        store.read_text("memory://x/y")
