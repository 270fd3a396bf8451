"""Where a run keeps what it needs below the engine's home, and how runs are named. Knows no plan."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipec.engine.outcome import EngineError
from pipec.record import frozen

_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{9}Z-[0-9a-f]{6}")


def new_run_id(now: datetime) -> str:
    """Return a name for a run that begins now: names sort as runs began, and two at once differ."""
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def moment(now: datetime | None = None) -> str:
    """Return `now` as every file of the engine writes it: ISO 8601, UTC, whole seconds."""
    return f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@frozen
class Folder:
    """One run's folder.

    `journal.jsonl` is what happened; `lock` who runs it; `logs/` what steps said; `decisions/` what people said;
    `work/` the attempts under way, each in a folder of its own, all of it worthless once the engine has ended.
    """

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def decision(self, task: str) -> Path:
        return self.path / "decisions" / f"{task}.json"


def folders(home: Path) -> Iterator[Folder]:
    """Yield the runs below `home`, the newest first."""
    root = home / "runs"
    names = sorted((p.name for p in root.iterdir() if _RUN_ID.fullmatch(p.name)), reverse=True) if root.is_dir() else []
    for name in names:
        yield Folder(root / name)


def find(home: Path, run_id: str) -> Folder:
    """Return the run named `run_id`, or the newest for `latest`. Raises EngineError if there is none."""
    known = list(folders(home))
    if run_id == "latest" and known:
        return known[0]
    found = next((folder for folder in known if folder.run_id == run_id), None)
    if found is None:
        what = f"the newest here is {known[0].run_id}" if known else f"there are no runs in {home}"
        raise EngineError(f"no run `{printed(run_id)}`: {what}")
    return found


def printed(text: str) -> str:
    """Return a user's text as a message may hold it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:60]
