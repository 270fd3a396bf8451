"""What tests need of the machine: where the checkout is, and what to do where something is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def missing(what: str) -> None:
    """Skip a test for want of `what` on a laptop; fail it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI lacks {what}")
    pytest.skip(f"this machine lacks {what}")
