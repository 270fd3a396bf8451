from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bench import Bench, bench


@pytest.fixture
def shop(tmp_path: Path) -> Bench:
    return bench(tmp_path)


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """Take signals as a program of a terminal does: CI and `nohup` may ignore some, and the engine would obey."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
