"""Work done once: outputs of earlier runs by what they were made of, and the reason when there are none.

`<root>/<step>/<key>.json` holds an outcome. Entries are hints: what they promise is checked in the store before use.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipec import digest
from pipec.engine import files
from pipec.engine.call import difference
from pipec.engine.outcome import Record, TaskOutcome
from pipec.engine.store import Store, StoreError

NEAREST = 50  # entries looked at to explain a miss: the newest, so that a long history does not slow a run


class Cache:
    """The outcomes below one folder."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self._store = store

    def find(self, parts: Mapping[str, str]) -> tuple[TaskOutcome | None, str]:
        """Return an earlier outcome of the same work, or None and why there is none."""
        place = self._place(parts)
        entry = _read(place)
        if entry is None:
            return None, self._why(parts)
        outcome = TaskOutcome.of_record(entry["outcome"])
        for name, stored in outcome.artifacts.items():
            if not self._holds(stored.digest):
                return None, f"its output `{name}` of run {entry['run']} is damaged or gone from the store"
        return replace(outcome, is_cached=True), f"same as in run {entry['run']}"

    def keep(self, run_id: str, outcome: TaskOutcome) -> None:
        """Remember a success. A disk that says no costs later runs their time, not this run its success."""
        place = self._place(outcome.parts)
        entry = {"run": run_id, "parts": dict(outcome.parts), "outcome": outcome.record()}
        try:
            files.make_folder(place.parent)
            files.write_whole(place, digest.canonical({**entry, "check": digest.of_value(entry)}))
        except OSError:
            return

    def _holds(self, address: str) -> bool:
        try:
            return self._store.holds(address)
        except StoreError:
            return False

    def _place(self, parts: Mapping[str, str]) -> Path:
        return self.root / parts["step"] / (digest.of_value(dict(parts)).removeprefix("sha256:") + ".json")

    def _why(self, parts: Mapping[str, str]) -> str:
        """Say what tells this work from the earlier one that is most like it."""
        folder = self.root / parts["step"]
        paths = [path for path in folder.glob("*.json") if not path.name.startswith(".")] if folder.is_dir() else []
        newest = heapq.nlargest(NEAREST, paths, key=lambda path: (path.stat().st_mtime_ns, path.name))
        entries = [entry for path in newest if (entry := _read(path))]
        if not entries:
            return f"`{parts['step']}` has not run before"
        told = [(difference(entry["parts"], parts), entry["run"]) for entry in entries]
        least, run_id = min(told, key=lambda pair: len(pair[0]))  # of equals the newest
        return f"{', '.join(least)} (since run {run_id})"


def _read(path: Path) -> Record | None:
    """Return the entry at `path`, or None if there is none that is whole."""
    try:
        entry: Record = json.loads(path.read_text(encoding="utf-8"))
        check = entry.pop("check")
        return entry if check == digest.of_value(entry) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
