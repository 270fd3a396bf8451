"""Which runs the end of a run starts: the triggers `after`, and what steps of it asked for (rule 13).

`due` is pure; the one thing kept between runs is when a trigger with a cooldown last started something.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipec import digest
from pipec.compiler.plan import After, Plan
from pipec.condition import describe
from pipec.engine import files
from pipec.engine.outcome import EngineError, RunOutcome, State
from pipec.engine.state import Facts
from pipec.record import frozen
from pipec.values import Json
from pipec.verdict import Fault, holds, past, resolved

Request = tuple[str, Mapping[str, Json], str]  # the pipeline to start, its parameters, and why


@frozen(kw_only=True)
class Start:
    """A run to start. reason: why, after the pipeline's name. trigger: what its cooldown is kept by; empty: none."""

    pipeline: str
    parameters: Mapping[str, Json]
    reason: str
    trigger: str = ""
    cooldown_s: int = 0


@frozen
class Due:
    """What triggers say to the end of a run. notes: a line for each that would start something but cannot."""

    starts: tuple[Start, ...] = ()
    notes: tuple[str, ...] = field(default=())


def due(finished: RunOutcome, facts: Facts, plan: Plan) -> Due:
    """Return the runs of `plan` that its triggers start after a run. facts: what that run knew when it ended."""
    starts, notes = [], []
    for after in plan.after:
        if after.pipeline != finished.pipeline:
            continue
        try:
            if not _fits(finished, after):
                continue
            if after.when is not None and not _holds(after, facts):
                continue
            parameters = {name: _parameter(name, after, facts) for name, _ in after.parameters}
        except Fault as fault:
            notes.append(f"`{plan.pipeline}` is not started after `{finished.pipeline}`: {fault}")
            continue
        starts.append(
            Start(
                pipeline=plan.pipeline, parameters=parameters, reason=_reason(finished, after),
                trigger=_key(after), cooldown_s=after.cooldown_s,
            )
        )  # fmt: skip
    return Due(tuple(starts), tuple(notes))


def asked(finished: RunOutcome, requests: Iterable[Request]) -> tuple[Start, ...]:
    """Return the runs that steps of a run asked for."""
    return tuple(
        Start(pipeline=name, parameters=parameters, reason=f"run {finished.run_id} asked for it: {reason}")
        for name, parameters, reason in requests
    )


def _fits(finished: RunOutcome, after: After) -> bool:
    return after.outcome in ("any", _state(finished, after).value)


def _state(finished: RunOutcome, after: After) -> State:
    try:
        return finished.step(after.step) if after.step else State(finished.status)
    except KeyError:
        raise Fault(f"run {finished.run_id} had no step `{after.step}`") from None


def _reason(finished: RunOutcome, after: After) -> str:
    subject = f"step `{after.step}` of `{finished.pipeline}`" if after.step else f"`{finished.pipeline}`"
    return f"{subject} {past(_state(finished, after))}"


def _holds(after: After, facts: Facts) -> bool:
    assert after.when is not None
    try:
        return holds(after.when, facts)
    except Fault as fault:
        raise Fault(f"`when` cannot be answered: {fault}") from fault


def _parameter(name: str, after: After, facts: Facts) -> Json:
    try:
        return resolved(dict(after.parameters)[name], facts)
    except Fault as fault:
        raise Fault(f"parameter `{name}`: {fault}") from fault


def _key(after: After) -> str:
    """Return what tells a trigger from others of its pipeline, whatever it hands over and however long it rests."""
    told = [after.pipeline, after.step, after.outcome, describe(after.when) if after.when else None]
    return digest.of_value(told).removeprefix("sha256:")[:16]


def claim(home: Path, start: Start, now: datetime | None = None) -> str:
    """Return why `start` must rest, or an empty text; then its moment is on disk, so that it cannot come twice.

    Raises EngineError if that cannot be written.
    """
    if not (start.trigger and start.cooldown_s):
        return ""
    moment = now or datetime.now(UTC)
    path = home / "cooldown" / start.pipeline / start.trigger
    try:
        files.make_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            last = _last(handle)
            if last and timedelta() <= moment - last < timedelta(seconds=start.cooldown_s):
                return f"it was last started so at {last:%Y-%m-%dT%H:%M:%SZ}, and rests for {start.cooldown_s} s"
            os.ftruncate(handle, 0)
            os.pwrite(handle, moment.isoformat().encode(), 0)
            os.fsync(handle)
            files.sync(path.parent)
        finally:
            os.close(handle)
    except OSError as fault:
        raise EngineError(f"{fault.filename or path} cannot be written: {fault.strerror}") from fault
    return ""


def _last(handle: int) -> datetime | None:
    """Return the moment that is written, or None: a writer that died left nothing, and had not started anything."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(os.pread(handle, 64, 0).decode("ascii", "replace"))
    return None
