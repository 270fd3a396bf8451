"""Any pipeline means the same on the engine and on Airflow: drawn ones, run on both sides with a script for steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow_bench import Bench
from drawn_pipelines import N_DRAWN, Drawn, drawn, walk
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    return Bench(tmp_path)


def test_drawn_pipelines_mean_the_same_here_and_on_airflow(bench: Bench) -> None:
    def judge(one: Drawn, order: int) -> None:
        assert bench.wrong(dict(one.texts), one.script, order, order + 1) == []

    walk(given(drawn(has_loops=False), st.integers(0, 1 << 16))(judge))
    assert bench.told["compiled"] > N_DRAWN // 3, "a walk over refusals alone compares nothing"
    assert {"succeeded", "failed", "refused", "skipped"} <= bench.told.keys()
