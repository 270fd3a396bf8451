"""One attempt of a step, from a `Call` to a result that others may read.

The order of things: know the step, take its inputs, run it, check what it wrote, publish, tell. What a step computes
depends on its arguments and inputs alone; who called shows only in where things lie.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipec.redact import redacted
from pipec.steps import argument, delivery, device, foreign, hand, inputs, library, result, reuse, secret, xcom
from pipec.steps.attempt import Attempt
from pipec.steps.command import STATE, Call
from pipec.steps.declare import CallerError, Context, Refused, StepError, TryAgain
from pipec.steps.given import Given, Step
from pipec.steps.interface import Interface, Kind
from pipec.steps.lines import say
from pipec.values import Json

LONGEST = 2000  # characters of a message: it must fit into one record of an orchestrator's log
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def execute(
    call: Call,
    log: Callable[[str], None] | None = None,
    *,
    is_last: bool = True,
    work: Callable[[Attempt], None] | None = None,
    hand: Callable[[str], None] = lambda told: None,
) -> int:
    """Run one attempt and return its exit code: 0 done, 2 arguments, 3 refused, 75 try again, 1 anything else.

    Faults become one line on standard error, and a result file where the caller named one; a traceback is printed only
    if PIPEC_DEBUG is set. Whatever is staged or temporary is gone at the end, also when a signal ends the process.
    log: takes lines of progress; standard error by default. is_last: no other attempt follows one that may heal.
    work: what is done instead of the step's own work. hand: takes what is left for Airflow's rules, after a success.
    """
    note = log or (lambda line: say(f"[{call.task}] {line}"))
    try:
        folder = _work_folder()
    except (StepError, OSError) as fault:
        return _fail(Attempt(call, Path(), note), fault, is_last=is_last)
    attempt = Attempt(call, folder, note, names={str(folder): "the work folder"})
    try:
        (work or _run)(attempt)
        if attempt.handed is not None:
            hand(attempt.handed)
        return 0
    except (Exception, SystemExit) as fault:
        return _fail(attempt, fault, is_last=is_last)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="pipec-"))
    except FileNotFoundError as fault:  # none of those that it knows can be written
        raise StepError(
            "there is no place for temporary files: mount a folder that may be written, and name it in TMPDIR"
        ) from fault


def ending(fault: BaseException) -> tuple[int, str]:
    """Return the exit code and the one line for a fault.

    Code below `steps/data`, `ml` and `release` does not know `StepError`; its exceptions may carry an `exit_code`.
    """
    code = getattr(fault, "exit_code", 1)
    known = isinstance(fault, StepError) or (isinstance(fault, Exception) and code in (2, 3, 75))
    if known and str(fault):
        return code, _one_line(str(fault))
    if isinstance(fault, MemoryError):
        return 1, "the step ran out of memory: give it more under `resources`"
    if isinstance(fault, ModuleNotFoundError) and fault.name:
        package = fault.name.partition(".")[0]
        extra, variant = ("torch", "gpu") if package == "torch" else ("steps", "light")
        remedy = f"install `pipec[{extra}]`, or take the `{variant}` image"
        return 1, f"the step needs `{package}`, which is not installed here: {remedy}"
    if isinstance(fault, OSError) and fault.strerror:
        place = f" `{Path(str(fault.filename)).name}`" if fault.filename else ""  # no path may enter a result
        return 1, _one_line(f"the machine refused{place}: {fault.strerror.lower()}: make room or mend its rights")
    what = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    return 1, _one_line(f"the step stopped unexpectedly ({what}): set PIPEC_DEBUG=1 to see where")


def _one_line(text: str) -> str:
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _run(attempt: Attempt) -> None:
    call = attempt.call
    step = identify(call)
    if call.devices:
        device.check(*call.devices, os.environ)
    for variable in _THREADS:  # read once, when numpy or torch is loaded, so before the step imports them
        os.environ[variable] = str(max(1, call.threads))
    known = inputs.told(call, step.interface) if call.cache else None
    given = None if known is not None else _given(attempt, step.interface)
    wanted = _wanted(attempt, step.interface, known) if call.cache else ""
    if wanted and _is_taken(attempt, step.interface, wanted):
        return
    do(attempt, step, given or _given(attempt, step.interface), wanted)


def _given(attempt: Attempt, interface: Interface) -> Given:
    """Return what the step is given, on this machine; where its outputs go is not known yet."""
    taken = inputs.inputs(attempt, interface)
    return Given(inputs=taken, parameters=inputs.parameters(attempt, interface), outputs={}, work=attempt.work)


def do(attempt: Attempt, step: Step, given: Given, wanted: str = "", written: Path | None = None) -> None:
    """Run the step, and publish what it wrote. wanted: under which key the work is kept, or empty.

    written: the folder in which another image has left the artifacts, or None.
    """
    call, interface = attempt.call, step.interface
    with delivery.staged(interface, call, attempt.work, written) as deliveries:
        outputs = {name: staged.path for name, staged in deliveries.items() if not staged.output.same_as}
        attempt.names |= {str(d.path): f"`{name}`" for name, d in deliveries.items()}
        fields = step.run(replace(given, outputs=outputs), _context(call, attempt.log))
        inputs.check_unchanged(attempt)
        values = _small_outputs(interface, fields)
        attempt.handed = xcom.text(values) if call.xcom else None
        _pass_on(attempt, deliveries)
        artifacts = delivery.seal(deliveries)
        _check_passed(attempt, deliveries, artifacts)
        delivery.publish(deliveries, attempt.log)
    result.tell_kubeflow(call, values, artifacts)
    types = {output.name: output.type for output in interface.outputs}
    typed = {name: (types[name], found) for name, found in artifacts.items()}
    told = result.text("succeeded", values=values, artifacts=typed, inputs=_digests(attempt))
    result.keep(call, told)  # last of all: who sees it may rely on everything that it names
    if wanted and (why := reuse.keep(call, wanted, told, deliveries)):
        attempt.log(why)


def _wanted(attempt: Attempt, interface: Interface, known: Mapping[str, list[str]] | None) -> str:
    given = argument.arguments(interface, attempt.call.parameters)
    return reuse.key(attempt.call, interface, given, _digests(attempt) if known is None else known)


def _is_taken(attempt: Attempt, interface: Interface, wanted: str) -> bool:
    """Take the work from an earlier run, if it is kept; say in the log from which, or why not."""
    call = attempt.call
    entry, why = reuse.find(call, wanted)
    if entry:
        with delivery.staged(interface, call, attempt.work) as deliveries:
            why = reuse.take(call, entry, deliveries, attempt.log)
        if not why:
            result.tell_kubeflow(call, entry.values, entry.digests)
            result.keep(call, entry.text)
            attempt.handed = xcom.text(entry.values) if call.xcom else None
            attempt.log(f"taken from run {entry.run_id}: nothing that it is made of has changed")
            return True
    attempt.log(f"not taken from an earlier run: {why}")
    return False


def identify(call: Call) -> Step:
    """Return the step that is called: one of this library, or the one that the call brings. Raises CallerError."""
    if call.foreign is None:
        return library.identify(call)
    interface = foreign.declared(call.foreign, call)
    if interface.container is None:
        return hand.HandStep(interface)
    return foreign.ForeignStep(interface, interface.container, call.prefix)


def _context(call: Call, log: Callable[[str], None]) -> Context:
    return Context(
        run_id=call.run_id, pipeline=call.pipeline, task=call.task, environment=call.environment,
        scheduled_at=call.scheduled_at, outcome=call.outcome, threads=call.threads, decision=call.decision,
        wait_s=call.wait_s, releases=call.releases, triggers=call.triggers, base=call.base, log=log,
    )  # fmt: skip


def _small_outputs(interface: Interface, told: Mapping[str, Json]) -> dict[str, Json]:
    """Return the small values that the step gave. A missing or mistyped one is the step's own fault: StepError."""
    values: dict[str, Json] = {}
    for output in interface.small_outputs:
        assert isinstance(output.type, Kind)
        if output.name not in told:
            raise StepError(f"the step ended without giving output `{output.name}`: mend the step")
        try:
            values[output.name] = argument.conform(
                told[output.name], {"type": output.type.json_type}, f"output `{output.name}`"
            )
        except CallerError as fault:
            raise StepError(f"{fault}: mend the step") from fault
    return values


def _pass_on(attempt: Attempt, deliveries: Mapping[str, delivery.Staged]) -> None:
    for staged in deliveries.values():
        if staged.output.same_as:
            found = attempt.inputs[staged.output.same_as]
            if staged.output.optional and not found:
                continue
            (source,) = found
            delivery.pass_on(source.path, staged.path, is_kept=source.is_kept)


def _check_passed(attempt: Attempt, deliveries: Mapping[str, delivery.Staged], artifacts: Mapping[str, str]) -> None:
    for name, found in artifacts.items():
        source = deliveries[name].output.same_as
        if source and found != attempt.inputs[source][0].digest:
            raise Refused(f"`{source}` was changed while the step read it: run again when it rests")


def _digests(attempt: Attempt) -> dict[str, list[str]]:
    return {name: [one.digest for one in found] for name, found in attempt.inputs.items()}


def _fail(attempt: Attempt, fault: BaseException, *, is_last: bool) -> int:
    """Say how the attempt ended, to people and to the engine, and return the exit code."""
    if os.environ.get("PIPEC_DEBUG"):
        traceback.print_exception(fault)
    code, message = ending(fault)
    message = redacted(message.encode(), _secrets(attempt.call)).decode("utf-8", "replace")
    outcome = "refused" if code == Refused.exit_code else "failed"
    reason = _without_paths(message, attempt)
    try:
        if STATE in attempt.call.small_outputs:
            result.tell_end(attempt.call, outcome, reason)
        if is_last or code != TryAgain.exit_code or attempt.call.ledger != "bad":
            result.keep(attempt.call, result.text(outcome, reason, inputs=_digests(attempt)))
    except Exception as second:
        say(f"[{attempt.call.task}] the result could not be written either: {ending(second)[1]}")
    say(f"{attempt.call.task} ({attempt.call.step}): {message}")
    return code


def _secrets(call: Call) -> set[str]:
    """Return what no message may show: a driver's fault may quote the address that it was given."""
    hidden = {os.environ.get(name, "") for name in call.hidden}
    return {*secret.known(os.environ), *hidden, *(str(call.parameters.get(name, "")) for name in call.secrets)}


def _without_paths(message: str, attempt: Attempt) -> str:
    """Return the message with words for this machine's paths: readers are elsewhere, and results are compared."""
    for path in sorted(attempt.names, key=len, reverse=True):
        message = message.replace(f"`{path}`", attempt.names[path]).replace(path, attempt.names[path])
    return message
