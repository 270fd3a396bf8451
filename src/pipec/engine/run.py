"""How a run begins: what is asked is checked, its folder made or found, and what an earlier engine left is cleared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pipec.compiler.plan import Plan
from pipec.engine import container, files, lock, slot
from pipec.engine.attempt import Shop
from pipec.engine.cache import Cache
from pipec.engine.call import Place
from pipec.engine.conduct import Run
from pipec.engine.folder import Folder, find, folders, moment, new_run_id
from pipec.engine.journal import Journal, read
from pipec.engine.options import RunOptions, check, parameters
from pipec.engine.outcome import EngineError, RunOutcome
from pipec.engine.process import Stop, end_family
from pipec.engine.progress import Progress
from pipec.engine.replay import Replay, apply, replay, session_record
from pipec.engine.state import Facts
from pipec.engine.store import Store
from pipec.record import frozen


@frozen
class Ended:
    """What came of a run. facts: what it knew at its end; None if it did not start.

    is_news: something was done or decided, as not when a run that was over is resumed: nothing follows from that again.
    """

    outcome: RunOutcome
    facts: Facts | None = None
    is_news: bool = False


def run(plan: Plan, options: RunOptions, progress: Progress) -> RunOutcome:
    """Return what came of a run; see `conclude`."""
    return conclude(plan, options, progress).outcome


def conclude(plan: Plan, options: RunOptions, progress: Progress) -> Ended:
    """Run `plan` to its end, or as far as it goes, and return what came of it.

    A run for which there is no room does not start (`slot.py`): its outcome says so, and nothing is recorded of it.
    Raises EngineError if the run cannot begin, or its journal cannot be written; what was finished is kept then too.
    """
    check(plan, options)
    base = options.base.absolute()
    root = options.root.absolute() if options.root else base
    options = replace(options, home=options.home.absolute(), base=base, root=root)
    earlier = _earlier(plan, options)
    try:
        with slot.taken(plan, options.home, earlier.run_id if earlier else "", progress.note) as held:
            folder = earlier or Folder(options.home / "runs" / new_run_id(datetime.now(UTC)))
            held.name(folder.run_id)
            _make(folder)
            with lock.hold(folder.lock, folder.run_id):
                return _in(plan, options, progress, folder)
    except slot.TurnedAway as turned:
        return Ended(turned.outcome)


def _in(plan: Plan, options: RunOptions, progress: Progress, folder: Folder) -> Ended:
    journal = Journal(folder.journal)
    try:
        return _go_on(plan, options, progress, folder, journal)
    finally:
        journal.close()


def _go_on(plan: Plan, options: RunOptions, progress: Progress, folder: Folder, journal: Journal) -> Ended:
    """Run what the journal does not say is finished: of a new run that is everything."""
    earlier = replay(folder.run_id, journal.records)
    declared = {parameter.name for parameter in plan.parameters}
    given = {name: value for name, value in earlier.given.items() if name in declared} | dict(options.parameters)
    known = parameters(plan, given)
    _clear(folder)
    record = session_record(plan, earlier, given, options.scheduled_at or moment(), moment(), options.triggered_by)
    apply(earlier, journal.append(record))
    facts = Facts(
        run_id=folder.run_id, scheduled_at=earlier.scheduled_at, parameters=known, endings={}, configs=options.configs
    )
    made = Run(_shop(plan, options, folder, journal, earlier), options, progress, earlier, facts)
    outcome = made.conduct()
    return Ended(outcome, replace(made.facts, outcome=outcome.status), made.has_worked or earlier.n_sessions == 1)


def _shop(plan: Plan, options: RunOptions, folder: Folder, journal: Journal, earlier: Replay) -> Shop:
    store = Store(options.home / "artifacts")
    place = Place(
        base=options.base, root=options.root or options.base, releases=options.releases, secrets=options.secrets,
        wait_s=options.wait_s, triggers=options.triggers or None,
    )  # fmt: skip
    return Shop(
        plan=plan, place=place, store=store, cache=Cache(options.home / "cache", store), journal=journal,
        folder=folder, launcher=options.launcher, session=earlier.n_sessions, approve_as=options.approve_as,
        grace_s=options.grace_s, stop=Stop(), volumes=options.volumes, shown=dict(earlier.shown),
    )  # fmt: skip


def _earlier(plan: Plan, options: RunOptions) -> Folder | None:
    """Return the folder of the run to resume, if one is to be. Raises EngineError, also if somebody is at that run."""
    if options.resume is None:
        return None
    if options.resume == "latest":
        found = next((each for each in folders(options.home) if _pipeline(each) == plan.pipeline), None)
        if found is None:
            raise EngineError(f"pipeline `{plan.pipeline}` has no run to resume in {options.home}")
        folder = found
    else:
        folder = find(options.home, options.resume)
        if _pipeline(folder) not in (plan.pipeline, ""):
            raise EngineError(f"run {folder.run_id} is of pipeline `{_pipeline(folder)}`, not of `{plan.pipeline}`")
    if holder := lock.holder(folder.lock):
        raise EngineError(f"run {folder.run_id} is already going on in process {holder.get('pid', '?')}")
    return folder


def _make(folder: Folder) -> None:
    try:
        for each in (folder.work, folder.logs, folder.path / "decisions"):
            files.make_folder(each)
    except OSError as fault:
        raise EngineError(f"{fault.filename or folder.path} cannot be used: {fault.strerror}") from fault


def _pipeline(folder: Folder) -> str:
    return replay(folder.run_id, read(folder.journal)[:1]).pipeline


def _clear(folder: Folder) -> None:
    """End what an engine that was killed left running, then remove its unfinished work: never two writers."""
    if not end_family(f"{folder.work}/"):
        raise EngineError(f"a process of an earlier attempt of run {folder.run_id} does not end: end it by hand")
    container.clear(folder.work)
    try:
        files.remove(folder.work)
        files.make_folder(folder.work)
    except OSError as fault:
        raise EngineError(f"{fault.filename} cannot be removed: {fault.strerror}") from fault
