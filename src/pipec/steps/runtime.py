"""One attempt of a step, from a `Call` to a result that others may read.

The order of things: know the step, take its inputs, run it, check what it wrote, publish, tell. What a step computes
depends on its arguments and inputs alone; who called shows only in where things lie.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipec import digest
from pipec.steps import argument, delivery, foreign, library, store
from pipec.steps.command import FORMAT, Call, Location
from pipec.steps.declare import CallerError, Context, Refused, StepError
from pipec.steps.given import Given, Step
from pipec.steps.interface import Interface, Kind
from pipec.values import Json

STOPPED = 143  # 128 + SIGTERM, as a shell has it
LONGEST = 2000  # characters of a message: it must fit into one record of an orchestrator's log
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An input as this process reads it. is_kept: made by a step, so nobody changes it. stamp: see `_stamp`."""

    path: Path
    digest: str
    is_kept: bool
    stamp: tuple[int, ...]


@dataclass(slots=True)
class _Attempt:
    """What one attempt holds. names: paths of this machine, and the words that messages have for them."""

    call: Call
    work: Path
    log: Callable[[str], None]
    inputs: dict[str, list[Fetched]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def execute(call: Call, log: Callable[[str], None] | None = None) -> int:
    """Run one attempt and return its exit code: 0 done, 2 arguments, 3 refused, 75 try again, 1 anything else.

    Faults become one line on standard error, and a result file where the caller named one; a traceback is printed only
    if PIPEC_DEBUG is set. Whatever is staged or temporary is gone at the end, also when a signal ends the process.
    log: takes lines of progress; standard error by default.
    """
    note = log or (lambda line: say(f"[{call.task}] {line}"))
    work = Path(tempfile.mkdtemp(prefix="pipec-"))
    attempt = _Attempt(call, work, note, names={str(work): "the work folder"})
    try:
        _run(attempt)
        return 0
    except (Exception, SystemExit) as fault:
        return _fail(attempt, fault)
    finally:
        shutil.rmtree(attempt.work, ignore_errors=True)


def say(line: str) -> None:
    """Print one line to standard error; a closed one is no reason to fail."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


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


def _run(attempt: _Attempt) -> None:
    call = attempt.call
    step = identify(call)
    interface = step.interface
    for variable in _THREADS:  # read once, when numpy or torch is loaded, so before the step imports them
        os.environ[variable] = str(max(1, call.threads))
    inputs, parameters = _inputs(attempt, interface), _parameters(attempt, interface)
    with delivery.staged(interface, call, attempt.work) as deliveries:
        outputs = {name: staged.path for name, staged in deliveries.items() if not staged.output.same_as}
        attempt.names |= {str(d.path): f"`{name}`" for name, d in deliveries.items()}
        given = Given(inputs=inputs, parameters=parameters, outputs=outputs, work=attempt.work)
        told = step.run(given, _context(call, attempt.log))
        _check_unchanged(attempt)
        values = _small_outputs(interface, told)
        _pass_on(attempt, deliveries)
        artifacts = delivery.seal(deliveries)
        _check_passed(attempt, deliveries, artifacts)
        delivery.publish(deliveries)
    _tell_kubeflow(call, values, artifacts)
    _tell(attempt, interface, "succeeded", "", values, artifacts)


def identify(call: Call) -> Step:
    """Return the step that is called: one of this library, or the one that the call brings. Raises CallerError."""
    return library.identify(call) if call.foreign is None else foreign.identify(call.foreign, call)


def _context(call: Call, log: Callable[[str], None]) -> Context:
    return Context(
        run_id=call.run_id, pipeline=call.pipeline, task=call.task, environment=call.environment,
        scheduled_at=call.scheduled_at, outcome=call.outcome, threads=call.threads, decision=call.decision,
        wait_s=call.wait_s, releases=call.releases, triggers=call.triggers, base=call.base, log=log,
    )  # fmt: skip


def _inputs(attempt: _Attempt, interface: Interface) -> dict[str, Path | list[Path] | None]:
    """Return the inputs as the step is given them: a path, a list of paths, or None."""
    fields: dict[str, Path | list[Path] | None] = {}
    for name in attempt.call.inputs:
        if interface.input(name) is None:
            raise CallerError(f"there is no input `{name}`; there are: {', '.join(i.name for i in interface.inputs)}")
    for declared in interface.inputs:
        places = attempt.call.inputs.get(declared.name, ())
        if not places and not declared.optional:
            raise CallerError(f"input `{declared.name}` is missing: nothing made it, or the caller left it out")
        if len(places) > 1 and not declared.many:
            raise CallerError(f"input `{declared.name}` takes one artifact, but got {len(places)}")
        found = [_fetch(attempt, declared.name, place, number) for number, place in enumerate(places)]
        attempt.inputs[declared.name] = found
        paths = [one.path for one in found]
        fields[declared.name] = paths if declared.many else paths[0] if paths else None
    return fields


def _fetch(attempt: _Attempt, name: str, place: Location, number: int = 0) -> Fetched:
    """Return an input on this machine, its digest known and, where the caller knows it, the one expected."""
    if store.is_remote(place.uri):
        folder = attempt.work / "inputs" / f"{name}-{number}"
        folder.mkdir(parents=True)
        attempt.log(f"fetching `{name}` from {store.shown(place.uri)}")
        path = store.fetch(place.uri, folder)
    else:
        path = store.local(place.uri, attempt.call.base)
        if not os.path.lexists(path):
            attempt.names[str(path)] = "its place"
            raise CallerError(f"`{name}` is not at `{place.uri}`: check the path, and the task that makes it")
    attempt.names[str(path)] = f"`{name}`"
    try:
        found = digest.of_path(path)
    except ValueError as fault:
        raise Refused(f"`{name}` cannot be read: {fault}") from fault
    if place.digest not in (None, found):
        raise Refused(f"`{name}` is not what was made: it should be {place.digest}, but is {found}: run its step again")
    return Fetched(path, found, is_kept=place.digest is not None, stamp=_stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is written to, so that a second hash is rarely needed."""
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if path.is_file() else ()


def _check_unchanged(attempt: _Attempt) -> None:
    for name, found in attempt.inputs.items():
        for one in found:
            if one.stamp and _stamp(one.path) != one.stamp and digest.of_path(one.path) != one.digest:
                raise Refused(f"`{name}` was changed while the step read it: run again when nobody writes to it")


def _parameters(attempt: _Attempt, interface: Interface) -> dict[str, Json | Path]:
    """Return the parameters as the step is given them; attachments become files, locations local paths."""
    fields: dict[str, Json | Path] = {}
    for name, value in argument.arguments(interface, attempt.call.parameters).items():
        declared = interface.parameter(name)
        assert declared is not None, f"arguments returned `{name}`, which the interface does not declare"
        fields[name] = value
        if declared.path and value is not None:
            fields[name] = _attached(attempt, name, value)
        elif declared.location and isinstance(value, str):
            found = _fetch(attempt, name, Location(value))
            attempt.inputs[name] = [found]
            fields[name] = str(found.path)
    return fields


def _attached(attempt: _Attempt, name: str, value: Json) -> Path:
    """Return the file that an attachment becomes. It keeps its name, whose ending may matter."""
    match value:
        case {"name": str(title), "text": str(text)}:
            folder = attempt.work / "attachments" / name
            folder.mkdir(parents=True)
            path = folder / (Path(title).name or name)
            path.write_text(text, encoding="utf-8")
            attempt.names[str(path)] = f"`{title}`"
            return path
    raise CallerError(f"`{name}` must be a file beside the pipeline, which travels with it: compile the pipeline again")


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


def _pass_on(attempt: _Attempt, deliveries: Mapping[str, delivery.Staged]) -> None:
    for staged in deliveries.values():
        if staged.output.same_as:
            found = attempt.inputs[staged.output.same_as]
            if staged.output.optional and not found:
                continue
            (source,) = found
            delivery.pass_on(source.path, staged.path, is_kept=source.is_kept)


def _check_passed(attempt: _Attempt, deliveries: Mapping[str, delivery.Staged], artifacts: Mapping[str, str]) -> None:
    for name, found in artifacts.items():
        source = deliveries[name].output.same_as
        if source and found != attempt.inputs[source][0].digest:
            raise Refused(f"`{source}` was changed while the step read it: run again when it rests")


def _tell(
    attempt: _Attempt,
    interface: Interface | None,
    outcome: str,
    message: str,
    values: Mapping[str, Json],
    artifacts: Mapping[str, str],
) -> None:
    """Write the result file, last of all: who sees it may rely on everything that it names."""
    if attempt.call.result is None:
        return
    types = {output.name: output.type for output in interface.outputs} if interface else {}
    body = {
        "format": FORMAT,
        "outcome": outcome,
        "message": message,
        "values": dict(values),
        "artifacts": {name: {"type": types[name], "digest": found} for name, found in artifacts.items()},
        "inputs": {name: [one.digest for one in found] for name, found in attempt.inputs.items()},
    }
    store.write_text(attempt.call.result, json.dumps(body, sort_keys=True) + "\n", attempt.call.base)


def _tell_kubeflow(call: Call, values: Mapping[str, Json], artifacts: Mapping[str, str]) -> None:
    """Write what Kubeflow's launcher and its local runner read (pipeline_spec.proto, ExecutorOutput).

    Without it the local runner finds no artifact; with it the launcher still wants the small outputs' own files.
    """
    for name, place in call.small_outputs.items():
        value = values[name]
        store.replace_text(Path(place), value if isinstance(value, str) else json.dumps(value))
    if call.kubeflow_output is None:
        return
    listed = {
        name: {
            "artifacts": [{"name": name, "uri": call.uris.get(name, place), "metadata": {"digest": artifacts[name]}}]
        }
        for name, place in call.outputs.items()
        if name in artifacts
    }
    body = {"parameterValues": dict(values), "artifacts": listed}
    store.replace_text(Path(call.kubeflow_output), json.dumps(body, sort_keys=True))


def _fail(attempt: _Attempt, fault: BaseException) -> int:
    """Say how the attempt ended, to people and to the engine, and return the exit code."""
    if os.environ.get("PIPEC_DEBUG"):
        traceback.print_exception(fault)
    code, message = ending(fault)
    outcome = "refused" if code == Refused.exit_code else "failed"
    try:
        _tell(attempt, None, outcome, _without_paths(message, attempt), {}, {})
    except Exception as second:
        say(f"[{attempt.call.task}] the result could not be written either: {ending(second)[1]}")
    say(f"{attempt.call.task} ({attempt.call.step}): {message}")
    return code


def _without_paths(message: str, attempt: _Attempt) -> str:
    """Return the message with words for this machine's paths: readers are elsewhere, and results are compared."""
    for path in sorted(attempt.names, key=len, reverse=True):
        message = message.replace(f"`{path}`", attempt.names[path]).replace(path, attempt.names[path])
    return message
