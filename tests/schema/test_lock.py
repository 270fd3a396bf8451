"""`pipec.lock`: what it says comes back, and whatever is wrong with it is told at its place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipec import api
from pipec.contents import Contents, Version
from pipec.diagnostics import Source, has_error
from pipec.schema import lock as locks
from pipec.schema.lock import Lock, Locked

DIGEST, OTHER = f"sha256:{'1a' * 32}", f"sha256:{'2b' * 32}"
CONTENTS = Contents(
    pipec="0.1.0", variant="light", python="3.11", steps={"train": Version("1", DIGEST)},
    files={"churn/model.py": OTHER}, functions={"churn.model": ("build", "tune")},
)  # fmt: skip
STEPS, FOREIGN = "registry.example/steps:1.4", "registry.example/score:2"
LOCK = Lock({STEPS: Locked(DIGEST, CONTENTS), FOREIGN: Locked(OTHER)}, exists=True)
PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: wine}
steps: {ingest: {uses: ingest, with: {source: data/wine.csv}}}
"""
PROJECT = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: wine}\n"


def read(text: str) -> tuple[Lock, list[tuple[int, int, str]]]:
    lock, found = locks.read(Source("pipec.lock", text))
    return lock, [(f.loc.span.line, f.loc.span.column, f.rule.code) for f in found]


def test_a_lock_comes_back_as_it_was_written() -> None:
    assert read(LOCK.text()) == (LOCK, [])


def test_the_text_of_a_lock_has_one_order_and_one_line_end() -> None:
    backwards = Lock(dict(reversed(LOCK.images.items())), exists=True)
    assert backwards.text() == LOCK.text()
    assert LOCK.text().endswith("}\n")
    assert list(json.loads(LOCK.text())["images"]) == [FOREIGN, STEPS]


@pytest.mark.parametrize("indent", [None, 4], ids=["one line", "wide"])
def test_a_lock_in_another_layout_says_the_same(indent: int | None) -> None:
    assert read(json.dumps(json.loads(LOCK.text()), indent=indent)) == (LOCK, [])


def test_names_in_any_script_come_back() -> None:
    files = {"größe/表.sql": DIGEST, "données/\U0001f600.sql": OTHER}
    lock = Lock({STEPS: Locked(DIGEST, replace(CONTENTS, files=files))}, exists=True)
    assert read(lock.text()) == (lock, [])


# What was done to the text, and where what is told of it stands.
@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("pipec/v1alpha1", "pipec/v2", [(2, 16, "PIPE100")]),
        ('"Lock"', '"Project"', [(3, 10, "PIPE100")]),
        (f'"digest": "{OTHER}"', '"digest": "sha256:0"', [(6, 14, "PIPE104")]),
        (FOREIGN, "Not An Image", [(5, 3, "PIPE104")]),
        ('"contents": null', '"content": null', [(5, 3, "PIPE102"), (7, 4, "PIPE101")]),
        ('"format": "1"', '"format": "2"', [(12, 15, "PIPE104")]),
        ('"pipec": "0.1.0"', '"pipec": 1', [(13, 14, "PIPE103")]),
        ('"train"', '"train": {}, "train"', [(17, 19, "PIPE007")]),
        ('"images"', '"images', [(5, 4, "PIPE001")]),
        ("churn/model.py", "churn/\u202emodel.py", [(23, 13, "PIPE004")]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_lock_is_told_at_its_place(before: str, after: str, told: list[object]) -> None:
    assert before in LOCK.text()
    lock, found = read(LOCK.text().replace(before, after, 1))
    assert found == told
    assert lock == Lock()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "PIPE010"), ("[]", "PIPE100"), ("null", "PIPE100"), ("[" * 100, "PIPE003"), ("\x00", "PIPE004"),
        (LOCK.text() * 2, "PIPE001"), (f"{LOCK.text()}---\n{LOCK.text()}", "PIPE100"), ('{"a": "\\ud800"}', "PIPE001"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_text_that_is_no_lock_is_told(text: str, code: str) -> None:
    assert code in [found for _, _, found in read(text)[1]]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(LOCK.text()) - 1), st.integers(0, 40), st.text(max_size=5))
def test_whatever_is_cut_out_and_put_in_is_read_or_told(at: int, length: int, given_text: str) -> None:
    text = LOCK.text()
    lock, found = locks.read(Source("pipec.lock", text[:at] + given_text + text[at + length :]))
    assert lock.exists is not has_error(found)


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        (STEPS, f"{STEPS}@{DIGEST}"),
        ("registry.example/steps", "registry.example/steps"),
        (f"{STEPS}@{OTHER}", f"{STEPS}@{OTHER}"),
    ],
)
def test_a_name_is_pinned_if_the_lock_has_that_very_one_and_the_text_no_digest(image: str, pinned: str) -> None:
    assert LOCK.pinned(image) == pinned


@pytest.mark.parametrize(
    ("image", "contents"),
    [
        (STEPS, CONTENTS), (f"{STEPS}@{DIGEST}", CONTENTS), (f"elsewhere/steps@{DIGEST}", CONTENTS),
        (f"{STEPS}@{OTHER}", None), (FOREIGN, None), ("unknown", None), (None, None),
    ],
)  # fmt: skip
def test_what_an_image_holds_is_known_by_its_digest_or_else_its_name(
    image: str | None, contents: Contents | None
) -> None:
    assert LOCK.contents(image) == contents


def project(folder: Path, lock: str | None) -> api.Checked:
    (folder / "pipec.yaml").write_text(PROJECT)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "wine.yaml").write_text(PIPELINE)
    if lock is not None:
        (folder / "pipec.lock").write_text(lock)
    return api.check(api.Request(path=folder / "pipelines" / "wine.yaml"))


def test_a_broken_lock_is_told_with_its_path_and_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = project(Path(), LOCK.text().replace('"Lock"', '"Key"')).report
    assert [(f.loc.path, f.loc.span.line, f.message) for f in found.findings] == [
        ("pipec.lock", 3, "`kind` is `Key`, and `Lock` is read here")
    ]
    assert found.diagnostics()[0].line == ' "kind": "Key",'


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(LOCK.text())
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pipec.lock").symlink_to(tmp_path / "elsewhere")
    (found,) = project(tmp_path / "project", None).report.findings
    assert (found.rule.code, found.message) == (
        "PIPE002", "cannot read `pipec.lock`: a link is on the way, and none is followed",
    )  # fmt: skip


def test_a_project_without_a_lock_has_an_empty_one(tmp_path: Path) -> None:
    assert not project(tmp_path, None).report.findings


def test_a_lock_of_five_thousand_files_is_read_in_either_layout() -> None:
    files = {f"package_{n}/module_{n}.py": DIGEST for n in range(5000)}
    lock = Lock({STEPS: Locked(DIGEST, replace(CONTENTS, files=files))}, exists=True)
    assert read(lock.text()) == (lock, [])
    assert read(json.dumps(json.loads(lock.text()))) == (lock, [])
