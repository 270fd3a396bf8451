"""What a step of any kind is handed for one attempt, and what the runtime wants of it.

Apart from `runtime.py` so that each kind of step is a module of its own that does not know the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pipec.record import frozen
from pipec.steps.declare import Context
from pipec.steps.interface import Interface
from pipec.values import Json


@frozen(kw_only=True)
class Given:
    """Inputs, parameters and the places of artifacts, by name; all is on this machine, checked and typed.

    inputs: a path, a list of paths where there may be many, None where one is absent. outputs: without those that are
    passed on. work: a folder for what nobody else sees; it is gone when the attempt ends.
    """

    inputs: Mapping[str, Path | list[Path] | None]
    parameters: Mapping[str, Json | Path]
    outputs: Mapping[str, Path]
    work: Path


class Step(Protocol):
    """A step that the runtime can run."""

    @property
    def interface(self) -> Interface:
        """What it declares."""

    def run(self, given: Given, context: Context) -> Mapping[str, Json]:
        """Do the work, and return at least the small outputs that were made, as they were made."""
