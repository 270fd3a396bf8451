"""What the tests of several steps' processes share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from needs import missing


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of 64 MiB; processes enter by their own word."""
    name = f"pipec-test-{uuid.uuid4().hex[:8]}"
    for path, limit in (
        (Path("/sys/fs/cgroup/memory") / name, "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup") / name, "memory.max"),
    ):
        with suppress(OSError):
            path.mkdir()
            (path / limit).write_text(str(64 << 20))
            yield path
            path.rmdir()
            return
    missing("a control group for memory that this user may make")
