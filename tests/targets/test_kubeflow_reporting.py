"""Which tasks tell how they ended: those whose end others need in a way that Kubeflow's edges cannot say; no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api
from pipec.targets.kubeflow.reporting import reporting

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nimage: i:1\n"
WORDS = {
    "SAY": "uses: notify, with: {channel: ml, message: hello}",
    "INGEST": "uses: ingest, with: {source: 's3://b/rows.csv'}",
    "READ": "with: {channel: ml, message: hello, report: '${{ steps.b.report }}'}",
    "MONITOR": "uses: monitor, with: {batch: '${{ steps.a.data }}'}",
    "CELLS": "uses: fetch-model, with: {name: '${{ matrix.x }}'}, matrix: {axes: {x: [u, v]}",
}
CASES = {
    "a-chain": ("a: {INGEST}, b: {MONITOR}, c: {needs: [b], SAY}", ""),
    "a-value-that-decides": ("a: {INGEST}, b: {when: steps.a.n_rows > 1, SAY}, c: {needs: [b], SAY}", ""),
    "a-failure-that-is-forgiven": ("a: {INGEST}, b: {continue_on_error: true, MONITOR}, c: {needs: [a], SAY}", "b"),
    "an-end-that-is-asked": ("a: {INGEST}, b: {when: failed(a), SAY}, c: {needs: [b], SAY}", "a"),
    "a-success-that-is-asked": ("a: {INGEST}, b: {needs: [a], SAY}, c: {when: succeeded(b), SAY}", "b"),
    "a-skip-that-is-asked": ("a: {INGEST}, b: {needs: [a], SAY}, c: {when: skipped(b), SAY}", "a b"),
    "an-optional-input-of-a-first-step": (
        "b: {uses: monitor, with: {batch: 's3://b/rows.csv'}}, c: {uses: notify, READ}", "",
    ),
    "an-optional-input-that-a-failure-before-leaves-out": ("a: {INGEST}, b: {MONITOR}, c: {uses: notify, READ}", "a b"),
    "an-optional-input-that-a-condition-leaves-out": (
        "a: {INGEST}, b: {when: steps.a.n_rows > 1, MONITOR}, c: {uses: notify, READ}", "a b",
    ),
    "cells-that-may-fail": ("a: {CELLS, fail_fast: false}}, b: {SAY}", "a-0 a-1"),
    "cells-that-may-not": ("a: {CELLS}}, b: {needs: [a], SAY}", ""),
    "a-list-that-may-come-to-nothing": (
        "a: {CELLS}}, b: {uses: select, with: {models: '${{ steps.a[*].model }}'}}, c: {needs: [b], SAY}", "b",
    ),
    "a-value-that-may-be-missing": (
        "a: {INGEST}, b: {when: failed(a) or succeeded(a), uses: notify, "
        "with: {channel: ml, message: '${{ steps.a.n_rows }} rows'}}", "a b",
    ),
    "a-date-that-decides": ("a: {INGEST}, b: {when: run.date != '2026-01-01', SAY}, c: {needs: [a], SAY}", "b"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_task_tells_its_end_where_somebody_must_know_it(name: str) -> None:
    text, told = CASES[name]
    for word, meaning in WORDS.items():
        text = text.replace(word, meaning)
    checked = api.check(api.Request(path=Path("p.yaml"), content=f"{HEAD}steps: {{{text}}}\n".encode()))
    assert not checked.has_error, [one.message for one in checked.report.findings]
    plan = checked.units[0].plan
    assert plan
    assert sorted(reporting(plan.tasks, plan.groups)) == told.split()
