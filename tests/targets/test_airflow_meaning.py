"""Any pipeline means the same on the engine and on Airflow: drawn ones, run on both sides with a script for steps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow_bench import Bench
from drawn_pipelines import Drawn, drawn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

N_DRAWN = int(os.environ.get("PIPEC_N_DRAWN", "500"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    return Bench(tmp_path)


def test_drawn_pipelines_mean_the_same_here_and_on_airflow(bench: Bench) -> None:
    # PIPEC_N_DRAWN with PIPEC_DRAWN_SEED goes further; without a seed, every commit is asked about the same ones.
    seed = os.environ.get("PIPEC_DRAWN_SEED")

    def judge(one: Drawn, order: int) -> None:
        assert bench.wrong(dict(one.texts), one.script, order, order + 1) == []

    inputs = given(drawn(has_loops=False), st.integers(0, 1 << 16))(judge)
    if seed:
        inputs = seeded(seed)(inputs)
    settings(
        max_examples=N_DRAWN, derandomize=not seed, database=None, deadline=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )(inputs)()  # fmt: skip
    assert bench.told["compiled"] > N_DRAWN // 3, "a walk over refusals alone compares nothing"
    assert {"succeeded", "failed", "refused", "skipped"} <= bench.told.keys()
