"""How tasks come to run on Airflow: what the rules are for small plans, and the pipelines that once went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow_bench import Bench
from scripted import Script
from test_same_meaning import FAILS, Case

# The smallest pipelines on which the two once differed, by what had been forgotten.
CASES: dict[str, Case] = {
    "cells-at-the-end-that-are-counted": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: notify, matrix: {axes: {x: [u, v, w]}, max_parallel: 1}, "
        "with: {channel: ml, message: '${{ matrix.x }}'}}}",
    ),
    "cells-at-the-end-of-which-one-fails": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: notify, matrix: {axes: {x: [u, v, w]}, max_parallel: 1}, "
        "with: {channel: ml, message: '${{ matrix.x }}'}}}", {"y": FAILS},
    ),
    "a-pipeline-at-the-end": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: ./deep.yaml}}", {"y.a": FAILS},
        deep="steps: {a: {SAY}, b: {needs: [a], SAY}}",
    ),
    "failures-that-are-all-forgiven": Case("steps: {a: {continue_on_error: true, INGEST}}", {"a": FAILS}),
    "a-failure-that-is-forgiven-before-the-end": Case(
        "steps: {a: {INGEST}, b: {continue_on_error: true, SAY}}\nfinally: {y: {SAY}}", {"b": FAILS},
    ),
    "a-failure-that-is-forgiven-at-the-end": Case(
        "steps: {a: {INGEST}, b: {SAY}}\nfinally: {y: {continue_on_error: true, SAY}}", {"y": FAILS},
    ),
    "a-failure-after-a-skip-beside-it": Case(
        "parameters: {go: {type: boolean, default: false}}\n"
        "steps: {a: {SAY}, b: {when: parameters.go, SAY}, c: {needs: [a, b], SAY}}", {"a": FAILS},
    ),
    "a-value-that-is-absent-looked-for-in-nothing": Case(
        "steps: {a: {INGEST}, b: {when: 'not failed(a) or steps.a.n_rows in []', SAY}}",
        refused="airflow's workers cannot answer this condition",
    ),
}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    return Bench(tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_that_once_differed_means_the_same_on_airflow(bench: Bench, name: str) -> None:
    case = CASES[name]
    checked, files = bench.compiled(case.files)
    told = [one.message for one in checked.report.findings]
    assert (bool(files), case.refused in told) == (not case.refused, bool(case.refused)), told
    assert bench.wrong(case.files, Script(case.ends), *range(8)) == []
