"""What of a team's folder goes into an image, and what is told of a folder that cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipec import digest
from pipec.image import team
from pipec.image.fault import ImageFault


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_plain_files_travel_with_their_digests(tmp_path: Path) -> None:
    found = team.of(write(tmp_path, {"churn/model.py": "x = 1\n", "churn/words.json": "{}"}))
    assert found.files == {"churn/model.py": digest.of_text("x = 1\n"), "churn/words.json": digest.of_text("{}")}


@pytest.mark.parametrize(
    "name", [".git/config", "__pycache__/a.pyc", ".venv/a.py", "venv/a.py", "a/.env", "a/node_modules/x.js", "a.pyc"]
)
def test_what_was_not_meant_to_leave_the_machine_stays(tmp_path: Path, name: str) -> None:
    assert list(team.of(write(tmp_path, {"a.py": "", name: "secret"})).contents) == ["a.py"]


def test_a_link_is_refused_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": ""})
    (tmp_path / "b.py").symlink_to("/etc/passwd")
    with pytest.raises(ImageFault, match=r"b.py` is a link or a device, and only plain files go into an image"):
        team.of(tmp_path)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    with pytest.raises(ImageFault, match=r"a.py` is a link or a device"):
        team.of(tmp_path)


def test_a_folder_that_is_too_large_is_told_with_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "MOST_FILES", 2)
    with pytest.raises(ImageFault, match="holds more than 2 files or 256 MiB"):
        team.of(write(tmp_path, {"a.py": "", "b.py": "", "c.py": ""}))


@pytest.mark.parametrize("files", [{}, {".hidden": ""}], ids=["empty", "hidden"])
def test_a_folder_of_nothing_is_told(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(ImageFault, match="holds no file that would go into an image"):
        team.of(write(tmp_path, files))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageFault, match="is no folder"):
        team.of(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def build(): ...\nasync def tune(): ...\nclass Net: ...\n", ("Net", "build", "tune")),
        ("def build():\n    def inner(): ...\n", ("build",)),
        ("try:\n    from fast import fit\nexcept ImportError:\n    def fit(): ...\n", ("fit",)),
        ("if True:\n    def a(): ...\nelse:\n    def b(): ...\n", ("a", "b")),
        ("from .model import build as make, tune\n", ("make", "tune")),
        ("build = partial(fit, 3)\nlimit = 3\nother: object = fit\n", ("build", "other")),
        ("import os\nos.x = 1\n", ()),
    ],
)
def test_the_names_at_the_top_of_a_module_are_found_without_importing_it(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert team.of(write(tmp_path, {"m.py": text})).functions == {"m": names}


def test_modules_are_named_as_they_are_imported(tmp_path: Path) -> None:
    files = {"churn/__init__.py": "", "churn/model.py": "", "churn/not-a-module.py": "raise SystemExit", "top.py": ""}
    assert list(team.of(write(tmp_path, files)).functions) == ["churn", "churn.model", "top"]


@pytest.mark.parametrize(
    ("text", "told"), [("x = 1\ndef (:\n", r"m.py:2: this is no Python"), ("\0", r"m.py:1: this is no")]
)
def test_a_module_that_is_no_python_is_told_at_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ImageFault, match=told):
        team.of(write(tmp_path, {"m.py": text}))
