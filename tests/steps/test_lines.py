"""What a process says, as a log takes it: lines, in bounds, with nothing that a terminal obeys."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipec.steps.lines import LINE_LIMIT, Lines, Room


def carried(folder: Path, chunks: Iterable[bytes], *, room: int = 1 << 20, secrets: tuple[str, ...] = ()) -> Lines:
    """Carry chunks to `folder/log`, on a clock that stands still."""
    out = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    lines = Lines(out, Room(room), secrets, now=lambda: 0.0)
    for chunk in chunks:
        lines.feed(chunk)
    lines.close()
    os.close(out)
    return lines


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"one\ntwo", "one\ntwo\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"\xff\xfe ok\n", "\ufffd\ufffd ok\n"),
        (b"\x1b[31mred\x1b[0m \x07bell\n", "red  bell\n"),
        (b"  File 'x'\n\n    indented\tby tab\n", "  File 'x'\n\n    indented\tby tab\n"),
        ("é\u202egnp\n".encode(), "é gnp\n"),
        (b"", ""),
    ],
    ids=["open-end", "windows", "not-utf8", "escapes", "indented", "direction", "nothing"],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_stream_becomes_lines_that_no_terminal_obeys(said: bytes, told: str, size: int, tmp_path: Path) -> None:
    carried(tmp_path, [said[n : n + size] for n in range(0, len(said), size)])
    assert (tmp_path / "log").read_text(encoding="utf-8") == told


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_progress_bar_becomes_its_first_and_its_last_state(size: int, tmp_path: Path) -> None:
    said = b"".join(b"\r %d%%" % n for n in range(101)) + b"\ndone\n"
    carried(tmp_path, [said[n : n + size] for n in range(0, len(said), size)])
    assert (tmp_path / "log").read_text() == " 0%\n 100%\ndone\n"


def test_a_progress_bar_that_is_cut_off_shows_how_far_it_came(tmp_path: Path) -> None:
    carried(tmp_path, [b"1%\r", b"2%\r", b"3%\r"])
    assert (tmp_path / "log").read_text() == "1%\n3%\n"


def test_a_line_without_end_is_cut_into_lines(tmp_path: Path) -> None:
    carried(tmp_path, [b"x" * 1000] * 200)
    lengths = [len(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lengths == [LINE_LIMIT] * 3 + [200_000 - 3 * LINE_LIMIT]


def test_a_full_log_takes_no_more_but_knows_the_last_line(tmp_path: Path) -> None:
    room = Room(20)
    out = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    lines = Lines(out, room)
    for number in range(1000):
        lines.feed(b"line %d\n" % number)
    lines.feed(b"the cause: do this\n")
    lines.close()
    os.close(out)
    assert (tmp_path / "log").read_text() == "line 0\nline 1\n"
    assert lines.last == "the cause: do this"
    assert room.n_lost == sum(len(b"line %d\n" % n) for n in range(2, 1000)) + len(b"the cause: do this\n")


def test_secrets_are_blotted_out_of_a_full_logs_last_line_too(tmp_path: Path) -> None:
    lines = carried(tmp_path, [b"much\n" * 9, b"bad dsn hun", b"ter2\n"], room=8, secrets=("hunter2",))
    assert lines.last == "bad dsn ***"


def test_a_log_that_nobody_reads_any_more_stops_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    lines = Lines(write, Room())
    lines.feed(b"said to nobody\n")
    lines.close()
    os.close(write)
    assert lines.last == "said to nobody"
