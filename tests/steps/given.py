"""A step as the runtime would construct it: every parameter that is not given has its default."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pipec.steps.declare import Context, interface_of
from pipec.steps.interface import MISSING

S = TypeVar("S")


def step(cls: type[S], out: Path, **fields: object) -> S:
    """Return the step with defaults filled in, absent inputs None and artifact outputs below `out`."""
    interface = interface_of(cls)
    out.mkdir(parents=True, exist_ok=True)
    known: dict[str, object] = {p.name: p.default for p in interface.parameters if p.default is not MISSING}
    known |= {i.name: [] if i.many else None for i in interface.inputs if i.optional}
    known |= {o.field or o.name: out / o.name for o in interface.artifacts if o.same_as is None}
    return cls(**{**known, **fields})


def context(log: list[str] | None = None, **facts: object) -> Context:
    """Return a context of one fixed run; its lines go to `log`."""
    lines = [] if log is None else log
    return Context(**{"run_id": "run-1", "pipeline": "wine", "task": "it", "log": lines.append, **facts})  # type: ignore[arg-type]
