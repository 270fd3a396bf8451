"""The rules of release safety against a slow reading of the same sentences; the long comparison is `make soak`."""

from __future__ import annotations

from collections import Counter

from oracle import CODES, disagreements

N_PIPELINES = 1500  # about four seconds


def test_the_rules_find_what_brute_force_finds_and_no_run_escapes_them() -> None:
    seen: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    for number in range(N_PIPELINES):
        found, codes = disagreements(0, number)
        seen.update(codes)
        if found:
            wrong[number] = found
    assert wrong == {}
    assert all(seen[code] >= 20 for code in (*CODES, "none")), "the comparison says little about what is rare in it"
