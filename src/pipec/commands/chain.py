"""Runs that follow a run: pipelines of the same file whose triggers are due, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipec.api import UsageError
from pipec.compiler.plan import Plan
from pipec.engine import trigger
from pipec.engine.outcome import EngineError
from pipec.engine.run import Ended
from pipec.engine.trigger import Request, Start

ENDS = ("succeeded", "failed", "refused")  # of a run that triggers are asked about: others have not ended
CANNOT_START = 2
# Of the exit codes of several runs the gravest counts: a run that waits, a refusal, a failure, a run that could not
# start; a signal's, which ends the chain, before all of them.
_GRAVITY = (0, 75, 3, 4, CANNOT_START)

Begin = Callable[[Plan, Mapping[str, str], Start], Ended]


def first(plans: Sequence[Plan]) -> Plan | None:
    """Return the pipeline that a person starts: the only one of a file, or the only one without `after`."""
    by_hand = plans if len(plans) == 1 else [plan for plan in plans if not plan.after]
    return by_hand[0] if len(by_hand) == 1 else None


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code that stands for all of these."""
    return max(codes, key=lambda code: _GRAVITY.index(code) if code in _GRAVITY else len(_GRAVITY))


def follow(
    ended: Ended, plans: Sequence[Plan], home: Path, begin: Begin, note: Callable[[str], None],
    requests: Callable[[Ended], Iterable[Request]] = lambda _: (),
) -> list[int]:  # fmt: skip
    """Run what a run's end starts, and what that starts in turn; return the exit codes, the first run's first.

    A pipeline runs once in a chain. plans: of the file, in its order. begin: makes a run of a plan, given who triggered
    it (`pipeline` and `run`) and its start. note: is told, in a line, of what does not start and why. requests: what
    the steps of a run asked for.
    """
    known = {plan.pipeline: plan for plan in plans}
    ran, codes = {ended.outcome.pipeline}, [ended.outcome.exit_code]
    todo = deque((ended, start) for start in _starts(ended, plans, requests(ended), note))
    while todo:
        by, start = todo.popleft()
        if why := _hindrance(start, known, ran, home):
            note(f"`{start.pipeline}` is not started ({start.reason}): {why}")
            continue
        ran.add(start.pipeline)
        note(f"`{start.pipeline}` is next: {start.reason}")
        try:
            ended = begin(known[start.pipeline], {"pipeline": by.outcome.pipeline, "run": by.outcome.run_id}, start)
        except (EngineError, UsageError) as fault:
            note(f"`{start.pipeline}` did not start: {fault}")
            codes.append(CANNOT_START)
            continue
        codes.append(ended.outcome.exit_code)
        if ended.outcome.status == "interrupted":
            break
        todo.extend((ended, each) for each in _starts(ended, plans, requests(ended), note))
    return codes


def _starts(
    ended: Ended, plans: Sequence[Plan], requests: Iterable[Request], note: Callable[[str], None]
) -> Iterator[Start]:
    if ended.facts is None or not ended.is_news or ended.outcome.status not in ENDS:
        return
    for plan in plans:
        if plan.pipeline == ended.outcome.pipeline:
            continue
        found = trigger.due(ended.outcome, ended.facts, plan)
        for line in found.notes:
            note(line)
        yield from found.starts
    yield from trigger.asked(ended.outcome, requests)


def _hindrance(start: Start, known: Mapping[str, Plan], ran: set[str], home: Path) -> str:
    """Return why a run does not start, or an empty text; then its cooldown begins."""
    if start.pipeline not in known:
        return f"the file has no such pipeline; it has {', '.join(f'`{name}`' for name in sorted(known))}"
    if start.pipeline in ran:
        return "it ran in this chain already"
    return trigger.claim(home, start)


def requested(place: Path, plans: Sequence[Plan]) -> Iterator[Request]:
    """Yield what steps asked of the pipelines of a file, taking it, so that nobody answers twice. Raises UsageError."""
    if not place.is_dir():
        return
    from pipec.steps.ml.fault import AskFault, DataFault
    from pipec.steps.release import place as places
    from pipec.steps.release import request

    try:
        for plan in plans:
            for each in request.pending(places.at(str(place)), plan.pipeline):
                if request.take(places.at(str(place)), each, "pipec run"):
                    yield plan.pipeline, each.parameters, each.reason or f"step `{each.task}` of `{each.asker}`"
    except (AskFault, DataFault, places.Unreachable) as fault:
        raise UsageError(str(fault)) from fault
