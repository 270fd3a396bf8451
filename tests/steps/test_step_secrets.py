"""Secrets and configs: in a variable, or in a file that a variable names; never in a message."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipec.steps.declare import CallerError
from pipec.steps.secret import LIMIT, config, known, secret

Take = Callable[[str, Mapping[str, str]], str]


@pytest.fixture(params=[("PIPEC_SECRET_", secret), ("PIPEC_CONFIG_", config)], ids=["secret", "config"])
def kind(request: pytest.FixtureRequest) -> tuple[str, Take]:
    found: tuple[str, Take] = request.param
    return found


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b"hunter2\r\n", "hunter2"),
     (b"two\nlines\n\n", "two\nlines\n"),
     (" é ".encode(), " é "), (b"", "")],
    ids=["bare", "line", "windows", "lines", "spaces", "empty"],
)  # fmt: skip
def test_a_file_gives_its_text_without_one_line_end(
    content: bytes, value: str, kind: tuple[str, Take], tmp_path: Path
) -> None:
    prefix, take = kind
    (tmp_path / "value").write_bytes(content)
    assert take("db-dsn", {f"{prefix}DB_DSN_FILE": str(tmp_path / "value")}) == value


def test_a_variable_counts_before_a_file(kind: tuple[str, Take]) -> None:
    prefix, take = kind
    assert take("x", {f"{prefix}X": "here", f"{prefix}X_FILE": "/none"}) == "here"


def test_what_did_not_arrive_is_told_with_both_of_its_ways() -> None:
    with pytest.raises(CallerError) as fault:
        secret("db", {})
    expected = (
        "secret `db` did not arrive in PIPEC_SECRET_DB or PIPEC_SECRET_DB_FILE: check the environment's `secrets`"
    )
    assert str(fault.value) == expected
    with pytest.raises(CallerError, match="config `db` did not arrive in PIPEC_CONFIG_DB or PIPEC_CONFIG_DB_FILE"):
        config("db", {})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "no such file or directory"),
        (lambda path: path.mkdir(), "it is no file"),
        (os.mkfifo, "it is no file"),
        (lambda path: path.write_bytes(b"hunter2\xff"), "it is not UTF-8 text"),
        (lambda path: path.write_bytes(b"hunter2\n" * (LIMIT // 8) + b"more"), "it is larger than 1 MiB"),
    ],
    ids=["absent", "folder", "fifo", "bytes", "large"],
)
def test_a_file_that_gives_none_is_told_without_its_path_and_content(
    make: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    make(tmp_path / "hidden-place")
    with pytest.raises(CallerError) as fault:
        secret("db", {"PIPEC_SECRET_DB_FILE": str(tmp_path / "hidden-place")})
    assert str(fault.value) == (
        f"secret `db` is not in the file that PIPEC_SECRET_DB_FILE names ({why}): check how it is mounted"
    )


def test_all_that_must_not_be_told_is_known(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("from-file\n")
    environ = {
        "PIPEC_SECRET_A": "plain", "PIPEC_SECRET_B_FILE": str(tmp_path / "value"), "PIPEC_CONFIG_C": "told",
        "PIPEC_SECRET_KEY_FILE": "the secret named key-file", "OTHER": "told",
    }  # fmt: skip
    assert set(known(environ)) == {"plain", "from-file", str(tmp_path / "value"), "the secret named key-file"}
