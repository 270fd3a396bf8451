from __future__ import annotations

from pathlib import Path

import pytest

from pipec.engine.journal import Journal, read
from pipec.engine.outcome import EngineError

RECORDS = [{"type": "a", "n": 1}, {"type": "b", "text": "grüße\n"}, {"type": "c", "list": [1, 2.5, None]}]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    written = Journal(path)
    for record in RECORDS:
        written.append(record)
    written.close()
    return path


def test_what_was_added_is_read_back_and_added_to(journal: Path) -> None:
    again = Journal(journal)
    again.append({"type": "d"})
    again.close()
    assert read(journal) == [*RECORDS, {"type": "d"}]


def test_every_prefix_opens_and_can_be_added_to(journal: Path) -> None:
    whole = journal.read_bytes()
    ends = [n for n, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        journal.write_bytes(whole[:size])
        n_kept = sum(end <= size for end in ends)  # a line that lacks only its end is whole
        assert read(journal) == RECORDS[:n_kept]
        opened = Journal(journal)
        opened.append({"type": "more"})
        opened.close()
        assert read(journal) == [*RECORDS[:n_kept], {"type": "more"}]


def test_every_changed_byte_is_noticed_with_its_place(journal: Path) -> None:
    whole = journal.read_bytes()
    starts = [0, *(n + 1 for n, byte in enumerate(whole) if byte == ord("\n"))]
    for place in range(len(whole)):
        for change in (1, 0x80):
            changed = bytearray(whole)
            changed[place] ^= change
            journal.write_bytes(bytes(changed))
            with pytest.raises(EngineError) as fault:
                read(journal)
            line = max(n for n, start in enumerate(starts) if start <= place)
            assert f"is damaged at byte {starts[line]} (record {line})" in str(fault.value)


def test_a_record_taken_out_is_noticed(journal: Path) -> None:
    first, _, last = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + last)
    with pytest.raises(EngineError, match=f"damaged at byte {len(first)} "):
        read(journal)


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []
