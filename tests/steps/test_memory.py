"""What control groups say of memory, in both versions, from inside and outside of a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec.steps.memory import Memory, measured

V1 = {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "memory.limit_in_bytes": "67108864\n"}
V2 = {"memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\n", "memory.max": "67108864\n"}
FREE_V1 = {**V1, "memory.limit_in_bytes": "9223372036854771712\n"}
FREE_V2 = {**V2, "memory.max": "max\n"}
OLD = {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}


@pytest.mark.parametrize(
    ("files", "folder", "groups", "expected"),
    [
        (V1, "memory/docker/abc", "5:cpu:/\n4:memory:/docker/abc\n", Memory(2, 64)),
        (V1, "memory", "4:memory:/docker/abc\n", Memory(2, 64)),
        (V2, "pod/abc", "0::/pod/abc\n", Memory(2, 64)),
        (V2, ".", "0::/\n", Memory(2, 64)),
        (FREE_V1, "memory", "4:memory:/\n", Memory(2, None)),
        (FREE_V2, ".", "0::/\n", Memory(2, None)),
        (OLD, "memory", "4:memory:/\n", None),
        ({}, ".", "", None),
    ],
    ids=["v1-host", "v1-container", "v2-host", "v2-container", "v1-free", "v2-free", "old-kernel", "nothing"],
)
def test_the_count_and_the_limit_are_found(
    files: dict[str, str], folder: str, groups: str, expected: Memory | None, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "groups").write_text(groups)
    assert measured(tmp_path, tmp_path / "groups") == expected
