"""One attempt of one task, from its call to its artifacts in the store. Runs on a worker's thread.

What an earlier engine of this run finished is kept, what an earlier run computed is taken from the cache, and only
then is a process started. Nothing here decides what runs when.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path

from pipec.compiler.plan import Plan, Task
from pipec.engine import decision, files
from pipec.engine.cache import Cache
from pipec.engine.call import OF_THE_MOMENT, Place, Prepared, difference, prepare
from pipec.engine.folder import Folder
from pipec.engine.journal import Journal
from pipec.engine.kind import is_a
from pipec.engine.launcher import After, Launcher, Start
from pipec.engine.outcome import Record, State, Stored, TaskOutcome
from pipec.engine.process import Execution, Exit, Stop, execute
from pipec.engine.state import Facts
from pipec.engine.store import Store, StoreError
from pipec.record import frozen
from pipec.redact import redacted
from pipec.steps.command import Call
from pipec.steps.interface import Artifact, Kind, Role
from pipec.tail import printable
from pipec.values import Json
from pipec.verdict import Fault

RESULT_LIMIT = 4 << 20  # bytes of a result file: small outputs travel through the journal, data through the store


@frozen(kw_only=True)
class Shop:
    """What every attempt of a run shares. shown: what approvals were shown when last started, by task.

    volumes: folders of this machine, by name.
    """

    plan: Plan
    place: Place
    store: Store
    cache: Cache
    journal: Journal
    folder: Folder
    launcher: Launcher
    session: int
    approve_as: str | None
    grace_s: float
    stop: Stop
    volumes: Mapping[str, str] = field(default_factory=dict)
    shown: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@frozen(kw_only=True)
class Job:
    """One attempt to make. number: from 1. serial: unique in the session. earlier: the outcome that may be kept.

    follows: a changed task that this one needs, or empty. begin: called when a process is about to be started.
    """

    task: Task
    facts: Facts
    number: int
    serial: int
    earlier: TaskOutcome | None
    follows: str
    begin: Callable[[], None] = lambda: None


@frozen(kw_only=True)
class Result:
    """What came of a job: an outcome, or none when the run is stopping. again: why finished work was done anew.

    is_retryable: a further attempt may go better. is_changed: what follows must be done anew too.
    """

    outcome: TaskOutcome | None = None
    again: str = ""
    is_retryable: bool = False
    is_changed: bool = False


def perform(shop: Shop, job: Job) -> Result:
    """Return what comes of `job`. Raises EngineError if the journal cannot be written."""
    task = job.task
    try:
        prepared = prepare(shop.plan, task, job.facts, shop.place, shop.store, shop.launcher.code(task))
    except Fault as fault:
        return Result(outcome=_ended(task, State.FAILED, str(fault)))
    again, is_changed = _stale(shop, job, prepared)
    if job.earlier and not again:
        return Result(outcome=replace(job.earlier, is_kept=True, is_forgiven=task.continue_on_error))
    why = prepared.uncacheable
    if not why:
        hit, why = shop.cache.find(prepared.parts)
        if hit:
            hit = replace(hit, name=task.name, step=task.step, is_forgiven=task.continue_on_error, log=None)
            return Result(outcome=hit, again=again, is_changed=is_changed)
    try:
        result = _attempt(shop, job, prepared, again, why)
    except (OSError, StoreError) as fault:
        result = Result(outcome=_ended(task, State.FAILED, _told(fault), attempts=job.number))
    return replace(result, again=again, is_changed=is_changed)


def _told(fault: OSError | StoreError) -> str:
    """Return what the machine or the store refused, on one line."""
    if not isinstance(fault, OSError):
        return str(fault)
    where = f": {fault.filename}" if fault.filename else ""
    return printable(f"the engine could not go on: {fault.strerror or fault}{where}")


def _stale(shop: Shop, job: Job, prepared: Prepared) -> tuple[str, bool]:
    """Return why finished work must be done anew, or an empty text; and whether what follows it must be too."""
    if job.earlier is None:
        return "", bool(job.follows)
    if job.follows:
        return f"it follows `{job.follows}`", True
    if changes := difference(job.earlier.parts, prepared.parts, ignore=OF_THE_MOMENT):
        return ", ".join(changes), True
    for name, stored in job.earlier.artifacts.items():
        if not shop.store.holds(stored.digest):
            return f"its output `{name}` is damaged or gone from the store", False
    return "", False


def _attempt(shop: Shop, job: Job, prepared: Prepared, again: str, why: str) -> Result:
    """Start the process, wait for it and take in what it wrote; its folder is gone afterwards, its log stays."""
    task = job.task
    folder = shop.folder.work / task.name / f"{shop.session}.{job.serial}"
    files.remove(folder)
    (folder / "start").mkdir(parents=True)
    (folder / "outputs").mkdir()
    call = replace(prepared.call, outputs={"*": str(folder / "outputs")}, result=str(folder / "result.json"))
    if task.interface.role is Role.APPROVE:
        call = replace(call, decision=str(shop.folder.decision(task.name)))
    start = Start(
        task=task, call=call, folder=folder, environ=prepared.environ, secrets=prepared.secrets, volumes=shop.volumes
    )
    command = shop.launcher.command(start)
    start.call_file.write_text(command.call.as_json(), encoding="utf-8")
    log = f"logs/{task.name}.{shop.session}.{job.serial}.log"
    shop.journal.append(_start_record(shop, job, call, log, again, why))
    if task.interface.role is Role.APPROVE and shop.approve_as:
        decision.write(shop.folder.decision(task.name), by=shop.approve_as, approve=True)
    job.begin()
    exit_ = execute(
        Execution(
            argv=command.argv, environ=command.environ, folder=folder / "start", log=shop.folder.path / log,
            mark=str(folder), timeout_s=task.timeout_s, grace_s=shop.grace_s, secrets=tuple(prepared.secrets.values()),
        ),
        shop.stop,
    )  # fmt: skip
    after = shop.launcher.after(start, shop.folder.path / log)
    result = _take(shop, job, prepared, call, exit_, after, log)
    files.remove(folder)
    if result.outcome and result.outcome.state is State.SUCCEEDED and _may_keep(prepared):
        shop.cache.keep(shop.folder.run_id, result.outcome)
    return result


def _start_record(shop: Shop, job: Job, call: Call, log: str, again: str, why: str) -> Record:
    """Return the record of a start; sets a decision aside that was about something else than is now shown."""
    shown = None
    if job.task.interface.role is Role.APPROVE:
        shown = {name: tuple(at.digest or at.uri for at in places) for name, places in call.inputs.items()}
        if shop.shown.get(job.task.name) != shown:
            decision.set_aside(shop.folder.decision(job.task.name))
        shop.shown[job.task.name] = shown
    return {
        "type": "start", "task": job.task.name, "attempt": job.number, "log": log, "again": again, "uncached": why,
        "shown": shown and {name: list(digests) for name, digests in shown.items()},
    }  # fmt: skip


def _may_keep(prepared: Prepared) -> bool:
    """Say whether the work may go into the cache: local data must not have changed while it was read."""
    if prepared.uncacheable:
        return False
    try:
        return all(files.signature(path) == seen for path, seen in prepared.watched)
    except OSError:
        return False


def _take(shop: Shop, job: Job, prepared: Prepared, call: Call, exit_: Exit, after: After, log: str) -> Result:
    """Return what a process's end means (rule 7)."""
    if exit_.cut == "stop":
        return Result()
    reported = _read_result(Path(call.result or ""))
    # The result's message is the last line without the names of task and step before it; who died first left none.
    said = _blotted(str((reported or {}).get("message") or ""), prepared) or exit_.last_line
    state, reason, is_retryable = _meaning(job.task, exit_, after, said)
    outcome = replace(
        _ended(job.task, state, reason, attempts=job.number), duration_s=exit_.duration_s, log=log, parts=prepared.parts
    )
    if job.task.interface.role is Role.APPROVE:
        outcome = replace(outcome, decision=decision.read(shop.folder.decision(job.task.name)))
        if state in (State.FAILED, State.REFUSED) and outcome.decision and outcome.decision["decision"] == "approve":
            decision.set_aside(shop.folder.decision(job.task.name))  # it was not this person's to take: ask again
    if state is not State.SUCCEEDED:
        return Result(outcome=outcome, is_retryable=is_retryable)
    try:
        return Result(outcome=_collected(shop, job.task, call, reported, outcome))
    except Fault as fault:
        return Result(outcome=replace(outcome, state=State.FAILED, reason=str(fault)))


def _meaning(task: Task, exit_: Exit, after: After, said: str) -> tuple[State, str, bool]:
    """Return the state that an exit code stands for (design section 4), why, and whether trying again may help."""
    if after.fault:
        return State.FAILED, after.fault, False
    if exit_.cut == "timeout":
        return State.FAILED, f"it took longer than its timeout of {task.timeout_s} s: give it a longer `timeout`", True
    match exit_.code:
        case 0:
            return State.SUCCEEDED, "", False
        case 3:
            return State.REFUSED, said or "it was refused, and the step did not say why", False
        case 75 if task.interface.role is Role.APPROVE:
            return State.PARKED, said or "it waits for a person", False
        case 75:
            return State.FAILED, said or "what it needs is not there yet", True
        case 137 | -9:
            more = said and not after.out_of_memory  # the reason is whole: who looked after the step says the same
            return State.FAILED, _killed(task, after) + (f" ({said})" if more else ""), True
        case 143:
            return State.FAILED, "it was ended by SIGTERM" + (said and f": {said}"), True
        case code if code < 0:
            return State.FAILED, f"it was ended by {_signal_name(-code)}" + (said and f": {said}"), True
        case code:
            is_foreign = code != 2 and task.interface.container is not None
            return State.FAILED, said or f"it ended with exit code {code} and said nothing", is_foreign


def _killed(task: Task, after: After) -> str:
    allowed = f"it may use {task.resources.memory_mib} MiB"
    match after.out_of_memory:
        case True:
            return f"it ran out of memory: {allowed}; give it more under `resources`"
        case False:
            return f"it was killed, and not for its memory ({allowed}): see who ended it"
        case None:
            return f"it was killed, most likely out of memory: {allowed}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read_result(path: Path) -> Mapping[str, Json] | None:
    """Return what the process reported, or None if that is not an object of JSON with finite numbers."""
    try:
        if path.stat().st_size > RESULT_LIMIT:
            return None
        reported = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError):
        return None
    return reported if isinstance(reported, dict) else None


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _collected(
    shop: Shop, task: Task, call: Call, reported: Mapping[str, Json] | None, outcome: TaskOutcome
) -> TaskOutcome:
    """Put a success's artifacts into the store. Raises Fault if it did not write what its interface promises."""
    if reported is None:
        raise Fault("it ended well, but left no result that can be read (it must be JSON of finite numbers)")
    values, claimed = reported.get("values"), reported.get("artifacts")
    small: dict[str, Json] = {}
    for output in task.interface.small_outputs:
        assert isinstance(output.type, Kind)
        value = values.get(output.name) if isinstance(values, dict) else None
        if not is_a(output.type, value):
            raise Fault(f"it ended well, but its output `{output.name}` is not of kind {output.type}")
        small[output.name] = value
    artifacts: dict[str, Stored] = {}
    for output in task.interface.artifacts:
        assert isinstance(output.type, Artifact)
        claim = claimed.get(output.name) if isinstance(claimed, dict) else None
        address = claim.get("digest") if isinstance(claim, dict) else None
        path = Path(call.outputs["*"]) / output.name
        is_there = path.exists() or path.is_symlink()
        if output.optional and address is None and not is_there:
            continue
        if not isinstance(address, str) or not is_there:
            raise Fault(f"it ended well, but did not write its output `{output.name}`")
        artifacts[output.name] = Stored(output.type, shop.store.put(path, address))
    return replace(outcome, values=small, artifacts=artifacts, inputs=_inputs(reported.get("inputs")))


def _inputs(reported: Json) -> dict[str, tuple[str, ...]]:
    """Return the digests of what the step read, as it reports them."""
    if not isinstance(reported, dict):
        return {}
    return {
        str(name): tuple(str(each) for each in digests)
        for name, digests in reported.items()
        if isinstance(digests, list)
    }


def _blotted(text: str, prepared: Prepared) -> str:
    return printable(redacted(text.encode("utf-8", "replace"), prepared.secrets.values()))


def _ended(task: Task, state: State, reason: str, *, attempts: int = 0) -> TaskOutcome:
    return TaskOutcome(
        name=task.name, step=task.step, state=state, reason=reason, attempts=attempts,
        is_forgiven=task.continue_on_error,
    )  # fmt: skip
