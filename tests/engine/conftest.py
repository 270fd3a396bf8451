from __future__ import annotations

from pathlib import Path

import pytest
from engine_bench import Bench, bench


@pytest.fixture
def shop(tmp_path: Path) -> Bench:
    return bench(tmp_path)
