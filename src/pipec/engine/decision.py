"""What a person decided about a task, as a file that survives whoever wrote it.

`{"format_version", "decision": "approve" | "reject", "by", "at", "reason"}`, written once and never changed. A decision
is about what its task was shown: when that changes, it is set aside and the person is asked again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from pipec.engine import files
from pipec.engine.folder import moment
from pipec.values import Json

FORMAT = "1.0"


def write(path: Path, *, by: str, approve: bool, reason: str = "") -> bool:
    """Put a decision at `path` unless there is one; say whether it was put. Durable on return. Raises OSError."""
    files.make_folder(path.parent)
    decision = {
        "format_version": FORMAT,
        "decision": "approve" if approve else "reject",
        "by": by,
        "at": moment(),
        "reason": reason,
    }
    return files.write_new(path, json.dumps(decision, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def read(path: Path) -> Mapping[str, Json] | None:
    """Return the decision at `path`, or None if there is none that can be read."""
    try:
        decision = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return decision if isinstance(decision, dict) and decision.get("decision") in ("approve", "reject") else None


def set_aside(path: Path) -> None:
    """Take the decision at `path` out of force, but keep it to be read."""
    if path.exists():
        path.rename(path.with_name(f"{path.stem}.{secrets.token_hex(4)}.aside"))
        files.sync(path.parent)
