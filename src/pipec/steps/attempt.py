"""What one attempt of a step holds while it goes on. A value that the runtime's parts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path

from pipec.record import frozen, mutable
from pipec.steps.command import Call


@frozen
class Fetched:
    """An input as this process reads it. is_kept: made by a step, so nobody changes it. stamp: see `inputs.stamp`."""

    path: Path
    digest: str
    is_kept: bool
    stamp: tuple[int, ...]


@mutable
class Attempt:
    """What one attempt holds. names: paths of this machine, and the words that messages have for them.

    handed: what is left for Airflow's own rules after a success, or None.
    """

    call: Call
    work: Path
    log: Callable[[str], None]
    inputs: dict[str, list[Fetched]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    handed: str | None = None
